//! From the parsed expression to checked nodes: names, types and constants.
//!
//! Each expression becomes a [`Typed`]: its node, its type and where it stands. Whatever doesn't fit
//! is refused here, at load, with its place; what was checked can only fail by its values.
//!
//! `any(list)` stands for one text of the list. What is made of it is evaluated for each of the
//! list's texts, up to the smallest test around it, which then is true for the row if it is true for
//! one of them.

mod calls;
mod case;
mod comparisons;
mod lists;
mod literals;

use sqlparser::ast::{BinaryOperator, Expr, Ident, Spanned, UnaryOperator};
use sqlparser::tokenizer::Location;
use std::rc::Rc;

use crate::errors::{Checked, Problem, quoted};
use crate::kinds::{Column, ColumnType, Kind};
use crate::plan::{Arithmetic, Node, NodeId, Number, Plan, Shape};
use comparisons::Operator;

/// Different regular expressions of all conditions: each takes up to half a megabyte.
pub(crate) const REGEXES_MAX: usize = 64;

/// What an expression is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Bool,
    Integer,
    Float,
    Time,
    Text,
    List,
    /// The literal NULL, which is of any type.
    Null,
}

impl Type {
    const fn words(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Integer => "a whole number",
            Self::Float => "a number",
            Self::Time => "a time",
            Self::Text => "a text",
            Self::List => "a list of texts",
            Self::Null => "NULL",
        }
    }

    const fn shape(self) -> Shape {
        match self {
            Self::Bool => Shape::Truth,
            Self::Integer | Self::Float | Self::Time => Shape::Number,
            Self::Text | Self::List | Self::Null => Shape::Text,
        }
    }

    const fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Float)
    }
}

/// A value that is known at load.
#[derive(Clone, Debug, PartialEq)]
enum Constant {
    Null,
    Bool(bool),
    /// A time, too.
    Integer(i128),
    Float(f64),
    Text(Rc<str>),
}

/// An expression that was checked.
#[derive(Clone, Debug)]
struct Typed {
    node: NodeId,
    ty: Type,
    constant: Option<Constant>,
    /// It is about each text of that list, not about each row.
    list: Option<Column>,
    at: Location,
    /// As it is shown.
    text: String,
    /// What of it is shown when it is explained.
    parts: Vec<PartId>,
}

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
}

impl Checker<'_> {
    fn expr(&mut self, expr: &Expr) -> Checked<Typed> {
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
            Expr::AnyOp {
                left,
                compare_op,
                right,
                ..
            } => self.any_operator(left, compare_op, right),
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
        let operator = match op {
            BinaryOperator::And | BinaryOperator::Or => return self.chain(expr, op),
            BinaryOperator::Plus => return self.calculation(left, Arithmetic::Add, "+", right),
            BinaryOperator::Minus => {
                return self.calculation(left, Arithmetic::Subtract, "-", right);
            }
            BinaryOperator::Multiply => {
                return self.calculation(left, Arithmetic::Multiply, "*", right);
            }
            BinaryOperator::Divide => {
                return self.calculation(left, Arithmetic::Divide, "/", right);
            }
            BinaryOperator::Modulo => {
                return self.calculation(left, Arithmetic::Remainder, "%", right);
            }
            BinaryOperator::StringConcat => return self.concat(left, right),
            op => Operator::of(op).ok_or_else(|| refused(expr))?,
        };
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        self.comparison(operator, left, right)
    }

    /// All that is joined by the same AND or OR.
    fn chain(&mut self, expr: &Expr, op: &BinaryOperator) -> Checked<Typed> {
        let mut operands = Vec::new();
        let mut next = expr;
        while let Expr::BinaryOp {
            left,
            op: inner,
            right,
        } = next
            && inner == op
        {
            operands.push(&**right);
            next = left;
        }
        operands.push(next);
        let word = if *op == BinaryOperator::And {
            "AND"
        } else {
            "OR"
        };
        let operands = operands
            .into_iter()
            .rev()
            .map(|operand| self.test(operand, word))
            .collect::<Checked<Vec<_>>>()?;
        let texts: Vec<&str> = operands
            .iter()
            .map(|operand| operand.text.as_str())
            .collect();
        let text = texts.join(&format!(" {word} "));
        let mut nodes: Vec<NodeId> = operands.iter().map(|operand| operand.node).collect();
        // The order changes nothing, so that the same parts are the same node.
        nodes.sort_unstable();
        nodes.dedup();
        let node = match (nodes.as_slice(), word) {
            ([one], _) => *one,
            (_, "AND") => self.plan.add(Node::And(nodes.into())),
            _ => self.plan.add(Node::Or(nodes.into())),
        };
        let at = operands
            .first()
            .map_or(Location::empty(), |operand| operand.at);
        let parts = operands
            .into_iter()
            .flat_map(|operand| operand.parts)
            .collect();
        Ok(self.tested(node, at, text, parts))
    }

    fn not(&mut self, inner: &Expr) -> Checked<Typed> {
        let inner = self.test(inner, "NOT")?;
        let node = self.denied(inner.node);
        Ok(self.tested(node, inner.at, format!("NOT {}", inner.text), inner.parts))
    }

    /// The node of the opposite.
    fn denied(&mut self, node: NodeId) -> NodeId {
        match self.plan.node(node) {
            Some(Node::Not(inner)) => *inner,
            _ => self.plan.add(Node::Not(node)),
        }
    }

    /// An expression that must be a test, for `word` joins tests.
    fn test(&mut self, expr: &Expr, word: &str) -> Checked<Typed> {
        let mut typed = self.expr(expr)?;
        match typed.ty {
            Type::Bool => Ok(typed),
            Type::Null => {
                typed.node = self.plan.add(Node::Null(Shape::Truth));
                Ok(Typed {
                    ty: Type::Bool,
                    ..typed
                })
            }
            ty => Err(Problem::at(
                typed.at,
                format!(
                    "`{}` is {}, and {word} takes tests, such as {} IS NOT NULL",
                    quoted(&typed.text),
                    ty.words(),
                    quoted(&typed.text)
                ),
            )),
        }
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
            text: text.to_owned(),
            shows,
            children,
        });
        self.parts.len().saturating_sub(1)
    }

    /// An expression that must be a number.
    fn number(&mut self, expr: &Expr, what: &str) -> Checked<Typed> {
        let typed = self.expr(expr)?;
        match typed.ty {
            Type::Integer | Type::Float | Type::Null => Ok(typed),
            ty => Err(Problem::at(
                typed.at,
                format!(
                    "`{}` is {}, and {what} takes a number",
                    quoted(&typed.text),
                    ty.words()
                ),
            )),
        }
    }

    /// An expression that must be a text; a list is told how it would be one.
    fn text(&mut self, expr: &Expr, what: &str) -> Checked<Typed> {
        let typed = self.expr(expr)?;
        match typed.ty {
            Type::Text | Type::Null => Ok(typed),
            ty => Err(not_a_text(&typed, ty, what)),
        }
    }

    fn negated(&mut self, inner: &Expr) -> Checked<Typed> {
        let inner = self.number(inner, "-")?;
        let text = format!("-{}", inner.text);
        if let Some(constant) = &inner.constant {
            let constant = match constant {
                // Of 128 bits no literal comes near the end; what was calculated may.
                Constant::Integer(value) => match value.checked_neg() {
                    Some(value) => Constant::Integer(value),
                    None => return Err(overflow(inner.at)),
                },
                Constant::Float(value) => Constant::Float(-value),
                other => other.clone(),
            };
            return Ok(self.constant(constant, inner.ty, inner.at, text));
        }
        let zero = self.constant(Constant::Integer(0), Type::Integer, inner.at, String::new());
        self.calculated(zero, Arithmetic::Subtract, inner, text)
    }

    fn calculation(
        &mut self,
        left: &Expr,
        operator: Arithmetic,
        sign: &str,
        right: &Expr,
    ) -> Checked<Typed> {
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        let text = format!("{} {sign} {}", left.text, right.text);
        let times = matches!(
            (operator, left.ty, right.ty),
            (
                Arithmetic::Add | Arithmetic::Subtract,
                Type::Time,
                Type::Integer
            ) | (Arithmetic::Subtract, Type::Time, Type::Time)
                | (Arithmetic::Add, Type::Integer, Type::Time)
        );
        for operand in [&left, &right] {
            let fits = operand.ty.is_number() || operand.ty == Type::Null || times;
            if !fits {
                let takes = match (operator, operand.ty) {
                    (_, Type::Text) if sign == "+" => "takes numbers; texts are joined with ||",
                    (Arithmetic::Add | Arithmetic::Subtract, Type::Time) => {
                        "takes numbers, a time and whole nanoseconds, or with - two times"
                    }
                    _ => "takes numbers",
                };
                let text = format!(
                    "`{}` is {}, and {sign} {takes}",
                    quoted(&operand.text),
                    operand.ty.words()
                );
                return Err(Problem::at(operand.at, text));
            }
            if operator == Arithmetic::Remainder && operand.ty == Type::Float {
                let text = format!(
                    "`{}` is a number with a fraction, and % takes whole numbers",
                    quoted(&operand.text)
                );
                return Err(Problem::at(operand.at, text));
            }
        }
        self.calculated(left, operator, right, text)
    }

    fn calculated(
        &mut self,
        left: Typed,
        operator: Arithmetic,
        right: Typed,
        text: String,
    ) -> Checked<Typed> {
        let ty = match (left.ty, right.ty) {
            (Type::Null, _) | (_, Type::Null) => Type::Null,
            (Type::Time, Type::Time) => Type::Integer,
            (Type::Time, _) | (_, Type::Time) => Type::Time,
            (Type::Integer, Type::Integer) => Type::Integer,
            _ => Type::Float,
        };
        let at = left.at;
        if ty == Type::Null {
            return Ok(self.constant(Constant::Null, Type::Null, at, text));
        }
        if let (Some(one), Some(other)) = (number_of(&left), number_of(&right)) {
            let constant = match crate::evaluate::calculated(operator, one, other) {
                Number::Integer(value) => Constant::Integer(value),
                Number::Float(value) => Constant::Float(value),
                Number::Null => Constant::Null,
                Number::Fault => return Err(overflow(at)),
            };
            let ty = if constant == Constant::Null {
                Type::Null
            } else {
                ty
            };
            return Ok(self.constant(constant, ty, at, text));
        }
        let mut operands = [left, right];
        let list = self.align(&mut operands)?;
        let [left, right] = operands;
        let node = self.plan.add(Node::Arithmetic {
            operator,
            left: left.node,
            right: right.node,
        });
        let parts = left.parts.into_iter().chain(right.parts).collect();
        Ok(self.value(node, ty, list, at, text, parts))
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

fn overflow(at: Location) -> Problem {
    Problem::at(at, "the number that begins here is beyond 128 bits")
}

fn number_of(typed: &Typed) -> Option<Number> {
    match typed.constant.as_ref()? {
        Constant::Integer(value) => Some(Number::Integer(*value)),
        Constant::Float(value) => Some(Number::Float(*value)),
        _ => None,
    }
}

/// What SQL has and a condition has not.
fn refused(expr: &Expr) -> Problem {
    let at = expr.span().start;
    let text = match expr {
        Expr::CompoundIdentifier(names) => {
            let column = names.last().map_or("", |name| name.value.as_str());
            format!("a column stands alone: write {}", quoted(column))
        }
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
            "a condition has no subqueries: it looks at one row of one kind".to_owned()
        }
        Expr::AllOp { .. } => {
            "there is no ALL; write NOT (… = ANY(list)) with the opposite test".to_owned()
        }
        Expr::Tuple(_) => "a list in parentheses stands behind IN only".to_owned(),
        _ => "this form of SQL is none that conditions have".to_owned(),
    };
    Problem::at(at, text)
}
