//! Arithmetic: of constants at load, of columns as nodes.

use sqlparser::ast::{BinaryOperator, Expr};
use sqlparser::tokenizer::Location;

use super::{Checker, Constant, Type, Typed};
use crate::errors::{Checked, Problem, quoted};
use crate::plan::{Arithmetic, Node, Number};

impl Checker<'_> {
    /// An expression that must be a number.
    pub(super) fn number(&mut self, expr: &Expr, what: &str) -> Checked<Typed> {
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

    pub(super) fn negated(&mut self, inner: &Expr) -> Checked<Typed> {
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

    /// What is calculated or joined from left to right, however long.
    pub(super) fn values(&mut self, expr: &Expr) -> Checked<Typed> {
        let mut steps = Vec::new();
        let mut next = expr;
        while let Expr::BinaryOp { left, op, right } = next
            && makes_value(op)
        {
            steps.push((op, &**right));
            next = left;
        }
        let mut value = self.expr(next)?;
        for (op, right) in steps.into_iter().rev() {
            let right = self.expr(right)?;
            value = match op {
                BinaryOperator::Plus => self.calculation(value, Arithmetic::Add, "+", right)?,
                BinaryOperator::Minus => {
                    self.calculation(value, Arithmetic::Subtract, "-", right)?
                }
                BinaryOperator::Multiply => {
                    self.calculation(value, Arithmetic::Multiply, "*", right)?
                }
                BinaryOperator::Divide => {
                    self.calculation(value, Arithmetic::Divide, "/", right)?
                }
                BinaryOperator::Modulo => {
                    self.calculation(value, Arithmetic::Remainder, "%", right)?
                }
                _ => self.concat(value, right)?,
            };
        }
        Ok(value)
    }

    fn calculation(
        &mut self,
        left: Typed,
        operator: Arithmetic,
        sign: &str,
        right: Typed,
    ) -> Checked<Typed> {
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

    pub(super) fn calculated(
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
}

/// Whether an operator makes a value of two values.
pub(super) const fn makes_value(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
            | BinaryOperator::StringConcat
    )
}

fn overflow(at: Location) -> Problem {
    Problem::at(at, "the number that begins here is beyond 128 bits")
}

pub(super) fn number_of(typed: &Typed) -> Option<Number> {
    match typed.constant.as_ref()? {
        Constant::Integer(value) => Some(Number::Integer(*value)),
        Constant::Float(value) => Some(Number::Float(*value)),
        _ => None,
    }
}
