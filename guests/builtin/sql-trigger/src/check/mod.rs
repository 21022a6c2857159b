//! From the parsed expression to checked nodes: names, types and constants.
//!
//! Each expression becomes a [`Typed`]: its node, its type and where it stands. Whatever doesn't fit
//! is refused here, at load, with its place; what was checked can only fail by its values.
//!
//! `any(list)` stands for one text of the list. What is made of it is evaluated for each of the
//! list's texts, up to the smallest test around it, which then is true for the row if it is true for
//! one of them.

mod arithmetic;
mod calls;
mod case;
mod comparisons;
mod lists;
mod literals;
mod logic;
mod ranges;
mod typed;

use sqlparser::ast::{BinaryOperator, Expr, Ident, UnaryOperator};
use sqlparser::tokenizer::Location;

use crate::errors::{Checked, Problem, quoted, shorten};
use crate::kinds::{Column, ColumnType, Kind};
use crate::plan::{Node, NodeId, Plan};
use arithmetic::number_of;
use comparisons::Operator;
use typed::{Constant, Type, Typed};

/// Levels of an expression: each takes about a kilobyte of the stack. What is joined by AND, OR or
/// arithmetic is one level, however much it is.
const DEPTH_MAX: usize = 128;
/// Characters of a part as it is shown.
const PART_CHARS_MAX: usize = 200;
/// Parts of all conditions together: each takes up to a kilobyte.
const PARTS_MAX: usize = 20_000;
/// Different regular expressions of all conditions: each takes up to half a megabyte.
pub(crate) const REGEXES_MAX: usize = 64;

/// A part's place among those of its condition.
pub(crate) type PartId = usize;

/// What is shown of a condition: a test, or a value that it looks at.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) text: String,
    pub(crate) shows: Shows,
    pub(crate) children: Vec<PartId>,
}

/// Where what is shown comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shows {
    Node(NodeId),
    Column(Column),
}

/// A condition that was checked.
#[derive(Clone, Debug)]
pub(crate) struct CheckedCondition {
    pub(crate) root: NodeId,
    pub(crate) parts: Vec<Part>,
    /// The part that is the whole condition.
    pub(crate) whole: PartId,
}

/// What all conditions share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Regular expressions so far.
    pub(crate) regexes: usize,
    /// Parts so far.
    pub(crate) parts: usize,
}

/// Checks an expression over a kind's columns, and puts its nodes into the plan.
pub(crate) fn check(
    expr: &Expr,
    kind: &'static Kind,
    plan: &mut Plan,
    shared: &mut Shared,
) -> Checked<CheckedCondition> {
    let mut checker = Checker {
        kind,
        plan,
        shared,
        parts: Vec::new(),
        depth: 0,
    };
    let typed = checker.expr(expr)?;
    let hint = match typed.ty {
        Type::Integer | Type::Float => format!("compare it, as in {} > 0", typed.text),
        Type::Text => format!("compare it, as in {} = 'text'", typed.text),
        Type::Time => format!("compare it, as in {} > '2026-01-31T12:00:00Z'", typed.text),
        Type::List => format!("look into it, as in 'text' = ANY({})", typed.text),
        Type::Null => "it would never match".to_owned(),
        Type::Bool => String::new(),
    };
    if typed.ty != Type::Bool {
        let text = format!(
            "`{}` is {}, and no test: {hint}",
            quoted(&typed.text),
            typed.ty.words()
        );
        return Err(Problem::at(typed.at, text));
    }
    let whole = match typed.parts.as_slice() {
        [part] => *part,
        // A literal shows nothing of itself.
        _ => checker.part(&typed.text, Shows::Node(typed.node), typed.parts),
    };
    let parts = checker.parts.len();
    checker.shared.parts = checker.shared.parts.saturating_add(parts);
    if checker.shared.parts > PARTS_MAX {
        return Err(Problem::whole(format!(
            "all conditions together have more than {PARTS_MAX} parts, which are tests, columns and what is calculated"
        )));
    }
    Ok(CheckedCondition {
        root: typed.node,
        parts: checker.parts,
        whole,
    })
}

struct Checker<'a> {
    kind: &'static Kind,
    plan: &'a mut Plan,
    shared: &'a mut Shared,
    parts: Vec<Part>,
    /// How deep it is in the expression.
    depth: usize,
}

impl Checker<'_> {
    fn expr(&mut self, expr: &Expr) -> Checked<Typed> {
        if self.depth >= DEPTH_MAX {
            return Err(Problem::whole(
                "it is nested too deeply; make several conditions of it",
            ));
        }
        self.depth += 1;
        let typed = self.level(expr);
        self.depth -= 1;
        typed
    }

    fn level(&mut self, expr: &Expr) -> Checked<Typed> {
        use UnaryOperator::{Minus, Not, Plus};
        match expr {
            Expr::Identifier(name) => self.column(name),
            Expr::Value(value) => self.literal(value),
            Expr::TypedString(typed) => self.typed_literal(typed),
            Expr::Nested(inner) => self.nested(inner),
            Expr::BinaryOp { left, op, right } => self.binary(expr, left, op, right),
            Expr::UnaryOp { op: Not, expr } => self.not(expr),
            Expr::UnaryOp { op: Minus, expr } => self.negated(expr),
            Expr::UnaryOp { op: Plus, expr } => self.number(expr, "+").map(|typed| Typed {
                text: format!("+{}", typed.text),
                ..typed
            }),
            Expr::IsNull(inner) => self.is_null(inner, "IS NULL", false),
            Expr::IsNotNull(inner) => self.is_null(inner, "IS NOT NULL", true),
            Expr::IsTrue(inner) => self.is_truth(inner, "IS TRUE", true, false),
            Expr::IsNotTrue(inner) => self.is_truth(inner, "IS NOT TRUE", true, true),
            Expr::IsFalse(inner) => self.is_truth(inner, "IS FALSE", false, false),
            Expr::IsNotFalse(inner) => self.is_truth(inner, "IS NOT FALSE", false, true),
            Expr::IsUnknown(inner) => self.is_unknown(inner, "IS UNKNOWN", false),
            Expr::IsNotUnknown(inner) => self.is_unknown(inner, "IS NOT UNKNOWN", true),
            Expr::IsDistinctFrom(left, right) => self.distinct(left, right, true),
            Expr::IsNotDistinctFrom(left, right) => self.distinct(left, right, false),
            Expr::InList {
                expr,
                list,
                negated,
            } => self.in_list(expr, list, *negated),
            Expr::Between {
                expr,
                negated,
                low,
                high,
            } => self.between(expr, low, high, *negated),
            Expr::Like { .. } | Expr::ILike { .. } => self.like(expr),
            Expr::Function(function) => self.call(function),
            Expr::Case {
                operand,
                conditions,
                else_result,
                ..
            } => self.case(expr, operand.as_deref(), conditions, else_result.as_deref()),
            other => Err(refused(other)),
        }
    }

    fn column(&mut self, name: &Ident) -> Checked<Typed> {
        let at = name.span.start;
        let Some(column) = self.kind.column(&name.value) else {
            return Err(Problem::at(at, self.kind.no_column(&quoted(&name.value))));
        };
        let (ty, node) = match self.kind.type_of(column) {
            ColumnType::U16 | ColumnType::U32 | ColumnType::U64 | ColumnType::I32 => {
                (Type::Integer, Node::NumberColumn(column))
            }
            ColumnType::F64 => (Type::Float, Node::NumberColumn(column)),
            ColumnType::Time => (Type::Time, Node::NumberColumn(column)),
            ColumnType::Bool => (Type::Bool, Node::BoolColumn(column)),
            ColumnType::Text => (Type::Text, Node::TextColumn(column)),
            // Whoever asks for a list asks for its column.
            ColumnType::Texts => (Type::List, Node::ListLength(column)),
        };
        let node = self.plan.add(node);
        let text = self.kind.name_of(column).to_owned();
        let part = self.part(&text, Shows::Column(column), Vec::new());
        Ok(Typed {
            node,
            ty,
            constant: None,
            list: None,
            at,
            text,
            parts: vec![part],
        })
    }

    fn nested(&mut self, inner: &Expr) -> Checked<Typed> {
        let typed = self.expr(inner)?;
        Ok(Typed {
            text: format!("({})", typed.text),
            ..typed
        })
    }

    fn binary(
        &mut self,
        expr: &Expr,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
    ) -> Checked<Typed> {
        if matches!(op, BinaryOperator::And | BinaryOperator::Or) {
            return self.chain(expr, op);
        }
        if arithmetic::makes_value(op) {
            return self.values(expr);
        }
        let operator = Operator::of(op).ok_or_else(|| refused(expr))?;
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        self.comparison(operator, left, right)
    }

    /// What a test of a row is, as a part of its own.
    fn tested(&mut self, node: NodeId, at: Location, text: String, parts: Vec<PartId>) -> Typed {
        let part = self.part(&text, Shows::Node(node), parts);
        Typed {
            node,
            ty: Type::Bool,
            constant: None,
            list: None,
            at,
            text,
            parts: vec![part],
        }
    }

    /// As `tested`, of a test that may be about the texts of a list.
    fn reduced(
        &mut self,
        node: NodeId,
        list: Option<Column>,
        at: Location,
        text: String,
        parts: Vec<PartId>,
    ) -> Typed {
        let node = match list {
            Some(list) => self.plan.add(Node::Any { list, test: node }),
            None => node,
        };
        self.tested(node, at, text, parts)
    }

    fn part(&mut self, text: &str, shows: Shows, children: Vec<PartId>) -> PartId {
        self.parts.push(Part {
            text: shorten(text, PART_CHARS_MAX),
            shows,
            children,
        });
        self.parts.len().saturating_sub(1)
    }

    /// An expression that must be a text; a list is told how it would be one.
    fn text(&mut self, expr: &Expr, what: &str) -> Checked<Typed> {
        let typed = self.expr(expr)?;
        match typed.ty {
            Type::Text | Type::Null => Ok(typed),
            ty => Err(not_a_text(&typed, ty, what)),
        }
    }

    /// A value that is made of others; it is shown as a part of its own.
    fn value(
        &mut self,
        node: NodeId,
        ty: Type,
        list: Option<Column>,
        at: Location,
        text: String,
        parts: Vec<PartId>,
    ) -> Typed {
        // Of what is about each text of a list there is no one value to show.
        let parts = match list {
            Some(_) => parts,
            None => vec![self.part(&text, Shows::Node(node), parts)],
        };
        Typed {
            node,
            ty,
            constant: None,
            list,
            at,
            text,
            parts,
        }
    }

    /// Makes what is about rows be about the texts of the list that another operand is about.
    fn align(&mut self, operands: &mut [Typed]) -> Checked<Option<Column>> {
        let Some(list) = operands.iter().find_map(|operand| operand.list) else {
            return Ok(None);
        };
        for operand in operands {
            match operand.list {
                Some(other) if other != list => {
                    let text = format!(
                        "one test looks into one list, and this one into `{}` and `{}`",
                        self.kind.name_of(list),
                        self.kind.name_of(other)
                    );
                    return Err(Problem::at(operand.at, text));
                }
                Some(_) => {}
                None if operand.constant.is_some() && operand.ty != Type::Bool => {}
                None => {
                    operand.node = self.plan.add(Node::Spread {
                        list,
                        shape: self.plan.shape(operand.node),
                        node: operand.node,
                    });
                }
            }
        }
        Ok(Some(list))
    }
}

fn not_a_text(typed: &Typed, ty: Type, what: &str) -> Problem {
    let hint = match ty {
        Type::List => format!("; write any({}) for one of its texts", typed.text),
        _ => String::new(),
    };
    let text = format!(
        "`{}` is {}, and {what} takes a text{hint}",
        quoted(&typed.text),
        ty.words()
    );
    Problem::at(typed.at, text)
}

/// What SQL has and a condition has not.
fn refused(expr: &Expr) -> Problem {
    let at = start(expr);
    let text = match expr {
        Expr::CompoundIdentifier(names) => {
            let column = names.last().map_or("", |name| name.value.as_str());
            format!("a column stands alone: write {}", quoted(column))
        }
        Expr::Tuple(_) => "a list in parentheses stands behind IN only".to_owned(),
        _ => "this form of SQL is none that conditions have".to_owned(),
    };
    Problem::at(at, text)
}

/// Where an expression begins, or the first part of it that has a place. (sqlparser's own way knows
/// all of SQL, and is a hundred kilobytes of code.)
fn start(expr: &Expr) -> Location {
    let mut expr = expr;
    loop {
        expr = match expr {
            Expr::Identifier(name) => return name.span.start,
            Expr::CompoundIdentifier(names) => {
                return names
                    .first()
                    .map_or(Location::empty(), |name| name.span.start);
            }
            Expr::Value(value) => return value.span.start,
            Expr::TypedString(typed) => return typed.value.span.start,
            Expr::Function(function) => {
                let name = function.name.0.first().and_then(|part| part.as_ident());
                return name.map_or(Location::empty(), |name| name.span.start);
            }
            Expr::Case { case_token, .. } => return case_token.0.span.start,
            Expr::Tuple(items) => match items.first() {
                Some(item) => item,
                None => return Location::empty(),
            },
            Expr::Nested(inner)
            | Expr::UnaryOp { expr: inner, .. }
            | Expr::BinaryOp { left: inner, .. }
            | Expr::CompoundFieldAccess { root: inner, .. } => inner,
            _ => return Location::empty(),
        };
    }
}
