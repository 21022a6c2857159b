//! Comparisons. With a constant they become a range of the column, or a test of the text, so that the
//! same question asked in two ways is one node; what is left is compared row by row.

use std::cmp::Ordering;

use sqlparser::ast::{BinaryOperator, Expr};

use super::ranges::{float_range, integer_range};
use super::{Checker, Constant, Type, Typed, number_of};
use crate::errors::{Checked, Problem, quoted};
use crate::evaluate::order_exact;
use crate::kinds::{Column, ColumnType};
use crate::plan::{Comparison, Node, NodeId, Shape};
use crate::texts::{Matcher, TextTest};

/// A comparison as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    pub(super) const fn of(op: &BinaryOperator) -> Option<Self> {
        Some(match op {
            BinaryOperator::Eq => Self::Equal,
            BinaryOperator::NotEq => Self::NotEqual,
            BinaryOperator::Lt => Self::Less,
            BinaryOperator::LtEq => Self::LessOrEqual,
            BinaryOperator::Gt => Self::Greater,
            BinaryOperator::GtEq => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// The same with its sides swapped.
    const fn swapped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            other => other,
        }
    }

    const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// A test that may be about the texts of a list yet.
pub(super) type Test = (NodeId, Option<Column>);

impl Checker<'_> {
    pub(super) fn comparison(
        &mut self,
        operator: Operator,
        left: Typed,
        right: Typed,
    ) -> Checked<Typed> {
        let text = format!("{} {} {}", left.text, operator.sign(), right.text);
        let parts = left.parts.iter().chain(&right.parts).copied().collect();
        let at = left.at;
        let (node, list) = self.compare(operator, left, right)?;
        Ok(self.reduced(node, list, at, text, parts))
    }

    /// Compares two expressions of types that can be compared.
    pub(super) fn compare(
        &mut self,
        operator: Operator,
        left: Typed,
        right: Typed,
    ) -> Checked<Test> {
        let (left, right) = self.comparable(left, right)?;
        if left.constant.is_some() && right.constant.is_none() {
            return self.compare_checked(operator.swapped(), right, left);
        }
        self.compare_checked(operator, left, right)
    }

    /// A text literal beside a time is a time; else both must be of the same sort.
    pub(super) fn comparable(&mut self, left: Typed, right: Typed) -> Checked<(Typed, Typed)> {
        let (left, right) = match (left.ty, right.ty, &left.constant, &right.constant) {
            (Type::Time, Type::Text, _, Some(Constant::Text(text))) => {
                let time = self.time_literal(text, right.at)?;
                (left, time)
            }
            (Type::Text, Type::Time, Some(Constant::Text(text)), _) => {
                let time = self.time_literal(text, left.at)?;
                (time, right)
            }
            _ => (left, right),
        };
        let fits = match (left.ty, right.ty) {
            (Type::List, _) | (_, Type::List) => false,
            (Type::Null, _) | (_, Type::Null) => true,
            (Type::Time, Type::Integer) | (Type::Integer, Type::Time) => true,
            (one, other) => one == other || one.is_number() && other.is_number(),
        };
        if fits {
            return Ok((left, right));
        }
        Err(incomparable(&left, &right))
    }

    fn compare_checked(&mut self, operator: Operator, left: Typed, right: Typed) -> Checked<Test> {
        let mut operands = [left, right];
        let list = self.align(&mut operands)?;
        let [left, right] = operands;
        if left.ty == Type::Null || right.ty == Type::Null {
            let node = self.plan.add(Node::Null(Shape::Truth));
            return Ok((self.lifted(node, list), list));
        }
        if let (Some(one), Some(other)) = (&left.constant, &right.constant) {
            let truth = order_of(one, other).map(|order| operator.holds(order));
            return Ok((self.plan.add(Node::Truth(truth)), list));
        }
        if let Some(node) = self.compare_with_constant(operator, &left, &right)? {
            return Ok((node, list));
        }
        let (comparison, left, right) = match operator {
            Operator::Equal | Operator::NotEqual => {
                // Which stands left changes nothing.
                (
                    Comparison::Equal,
                    left.node.min(right.node),
                    left.node.max(right.node),
                )
            }
            Operator::Less => (Comparison::Less, left.node, right.node),
            Operator::LessOrEqual => (Comparison::LessOrEqual, left.node, right.node),
            Operator::Greater => (Comparison::Less, right.node, left.node),
            Operator::GreaterOrEqual => (Comparison::LessOrEqual, right.node, left.node),
        };
        let node = self.plan.add(Node::Compare {
            comparison,
            left,
            right,
        });
        let node = if operator == Operator::NotEqual {
            self.denied(node)
        } else {
            node
        };
        Ok((node, list))
    }

    /// What is true or false of rows, for each text of a list.
    pub(super) fn lifted(&mut self, node: NodeId, list: Option<Column>) -> NodeId {
        match list {
            Some(list) => self.plan.add(Node::Spread {
                list,
                shape: Shape::Truth,
                node,
            }),
            None => node,
        }
    }

    fn compare_with_constant(
        &mut self,
        operator: Operator,
        left: &Typed,
        right: &Typed,
    ) -> Checked<Option<NodeId>> {
        let Some(constant) = &right.constant else {
            return Ok(None);
        };
        let equal = if operator == Operator::NotEqual {
            Operator::Equal
        } else {
            operator
        };
        let node = match (constant, self.plan.node(left.node)) {
            (Constant::Bool(value), _) if equal == Operator::Equal => {
                if *value {
                    left.node
                } else {
                    self.denied(left.node)
                }
            }
            (Constant::Text(text), _) => {
                let text = text.clone();
                let (test, deny) = match equal {
                    Operator::Less => (TextTest::Less(text), false),
                    Operator::LessOrEqual => (TextTest::LessOrEqual(text), false),
                    Operator::Greater => (TextTest::LessOrEqual(text), true),
                    Operator::GreaterOrEqual => (TextTest::Less(text), true),
                    Operator::Equal | Operator::NotEqual => (TextTest::Equal(text), false),
                };
                let matcher = Matcher::new(&test, right.at)?;
                let node = self.plan.add_test(left.node, test, matcher);
                if deny { self.denied(node) } else { node }
            }
            (_, Some(Node::NumberColumn(column))) => {
                let column = *column;
                let Some(number) = number_of(right) else {
                    return Ok(None);
                };
                let node = if self.kind.type_of(column) == ColumnType::F64 {
                    let (low, high) = float_range(equal, number);
                    Node::FloatRange {
                        column,
                        low: low.to_bits(),
                        high: high.to_bits(),
                    }
                } else {
                    let (low, high) = integer_range(equal, number);
                    Node::IntegerRange { column, low, high }
                };
                self.plan.add(node)
            }
            _ => return Ok(None),
        };
        Ok(Some(if operator == Operator::NotEqual {
            self.denied(node)
        } else {
            node
        }))
    }

    pub(super) fn between(
        &mut self,
        expr: &Expr,
        low: &Expr,
        high: &Expr,
        negated: bool,
    ) -> Checked<Typed> {
        let (typed, low, high) = (self.expr(expr)?, self.expr(low)?, self.expr(high)?);
        let not = if negated { "NOT " } else { "" };
        let text = format!("{} {not}BETWEEN {} AND {}", typed.text, low.text, high.text);
        let parts = [&typed, &low, &high]
            .into_iter()
            .flat_map(|typed| typed.parts.clone())
            .collect();
        let at = typed.at;
        let above = self.compare(Operator::GreaterOrEqual, typed.clone(), low)?;
        let below = self.compare(Operator::LessOrEqual, typed, high)?;
        let (mut nodes, list) = self.joined(&[above, below])?;
        nodes.sort_unstable();
        nodes.dedup();
        let node = self.plan.add(Node::And(nodes.into()));
        let node = if negated { self.denied(node) } else { node };
        Ok(self.reduced(node, list, at, text, parts))
    }

    /// Tests that are joined, all about rows or all about the texts of one list.
    pub(super) fn joined(&mut self, tests: &[Test]) -> Checked<(Vec<NodeId>, Option<Column>)> {
        let list = tests.iter().find_map(|(_, list)| *list);
        let nodes = tests.iter().map(|(node, own)| match (list, own) {
            (Some(list), Some(own)) if list != *own => Err(Problem::whole(
                "one test looks into one list, and this one into two",
            )),
            (Some(_), None) => Ok(self.lifted(*node, list)),
            _ => Ok(*node),
        });
        Ok((nodes.collect::<Checked<_>>()?, list))
    }

    pub(super) fn distinct(&mut self, left: &Expr, right: &Expr, distinct: bool) -> Checked<Typed> {
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        let not = if distinct { "" } else { "NOT " };
        let text = format!("{} IS {not}DISTINCT FROM {}", left.text, right.text);
        let parts = left.parts.iter().chain(&right.parts).copied().collect();
        let at = left.at;
        let (left, right) = self.comparable(left, right)?;
        if left.list.is_some() || right.list.is_some() {
            return Err(Problem::at(
                at,
                "IS DISTINCT FROM looks into no list; the texts of a list are never NULL: write = or <>",
            ));
        }
        let nulls = [&left, &right].map(|typed| self.null_test(typed));
        let both = self.plan.add(Node::And(nulls.into()));
        let (equal, _) = self.compare(Operator::Equal, left, right)?;
        let equal = self.plan.add(Node::IsTrue(equal));
        let same = self.plan.add(Node::Or([both, equal].into()));
        let node = if distinct { self.denied(same) } else { same };
        Ok(self.tested(node, at, text, parts))
    }

    /// The test whether something is null.
    pub(super) fn null_test(&mut self, typed: &Typed) -> NodeId {
        let node = match &typed.constant {
            Some(constant) => Node::Truth(Some(*constant == Constant::Null)),
            None => Node::IsNull(typed.node),
        };
        self.plan.add(node)
    }
}

fn incomparable(left: &Typed, right: &Typed) -> Problem {
    let hint = match (left.ty, right.ty) {
        (Type::List, _) => format!("write any({}) for one of its texts", left.text),
        (_, Type::List) => format!("write ANY({}) for one of its texts", right.text),
        (ty, Type::Text) if ty.is_number() && right.constant.is_some() => {
            "write a number, without quotes".to_owned()
        }
        (Type::Text, ty) if ty.is_number() && right.constant.is_some() => {
            format!("write a text, as in '{}'", right.text)
        }
        (Type::Bool, _) | (_, Type::Bool) => {
            "true and false are no numbers or texts: write true, false, or the test alone"
                .to_owned()
        }
        (Type::Time, _) | (_, Type::Time) => {
            "a time is compared with a time, '2026-01-31T12:00:00Z', or whole nanoseconds"
                .to_owned()
        }
        _ => "compare with one of its own type".to_owned(),
    };
    let text = format!(
        "`{}` is {} and `{}` is {}, which can't be compared; {hint}",
        quoted(&left.text),
        left.ty.words(),
        quoted(&right.text),
        right.ty.words()
    );
    Problem::at(right.at, text)
}

/// How two constants of comparable types stand to each other.
fn order_of(left: &Constant, right: &Constant) -> Option<Ordering> {
    match (left, right) {
        (Constant::Bool(left), Constant::Bool(right)) => Some(left.cmp(right)),
        (Constant::Integer(left), Constant::Integer(right)) => Some(left.cmp(right)),
        (Constant::Float(left), Constant::Float(right)) => left.partial_cmp(right),
        (Constant::Integer(left), Constant::Float(right)) => order_exact(*left, *right),
        (Constant::Float(left), Constant::Integer(right)) => {
            order_exact(*right, *left).map(Ordering::reverse)
        }
        (Constant::Text(left), Constant::Text(right)) => {
            Some(left.as_bytes().cmp(right.as_bytes()))
        }
        _ => None,
    }
}
