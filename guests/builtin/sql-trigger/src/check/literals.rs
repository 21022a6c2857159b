//! Literals, and constants as nodes.

use sqlparser::ast::{DataType, TypedString, Value, ValueWithSpan};
use sqlparser::tokenizer::Location;

use super::{Checker, Constant, Type, Typed};
use crate::errors::{Checked, Problem, quoted};
use crate::plan::{Node, Shape};
use crate::time;

impl Checker<'_> {
    pub(super) fn literal(&mut self, literal: &ValueWithSpan) -> Checked<Typed> {
        let at = literal.span.start;
        match &literal.value {
            Value::Null => Ok(self.constant(Constant::Null, Type::Null, at, "NULL".to_owned())),
            Value::Boolean(value) => {
                let text = if *value { "true" } else { "false" };
                Ok(self.constant(Constant::Bool(*value), Type::Bool, at, text.to_owned()))
            }
            Value::SingleQuotedString(text) => {
                let shown = format!("'{}'", text.replace('\'', "''"));
                Ok(self.constant(Constant::Text(text.as_str().into()), Type::Text, at, shown))
            }
            Value::Number(digits, false) => self.number_literal(digits, at),
            _ => Err(Problem::at(
                at,
                "a value is a number, a text in single quotes, true, false or NULL",
            )),
        }
    }

    fn number_literal(&mut self, digits: &str, at: Location) -> Checked<Typed> {
        if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let Ok(value) = digits.parse::<u64>() else {
                let text = format!(
                    "{} is beyond 64 bits; the largest whole number is {}",
                    quoted(digits),
                    u64::MAX
                );
                return Err(Problem::at(at, text));
            };
            let constant = Constant::Integer(value.into());
            return Ok(self.constant(constant, Type::Integer, at, digits.to_owned()));
        }
        match digits.parse::<f64>() {
            Ok(value) if value.is_finite() => {
                Ok(self.constant(Constant::Float(value), Type::Float, at, digits.to_owned()))
            }
            Ok(_) => Err(Problem::at(
                at,
                format!(
                    "{} is larger than any number with a fraction can be, which is {:e}",
                    quoted(digits),
                    f64::MAX
                ),
            )),
            Err(_) => Err(Problem::at(
                at,
                format!("`{}` is no number", quoted(digits)),
            )),
        }
    }

    /// `TIMESTAMP '…'`.
    pub(super) fn typed_literal(&mut self, typed: &TypedString) -> Checked<Typed> {
        let at = typed.value.span.start;
        match (&typed.data_type, &typed.value.value) {
            (
                DataType::Timestamp(..) | DataType::Datetime(_) | DataType::Date,
                Value::SingleQuotedString(text),
            ) => self.time_literal(text, at),
            _ => Err(Problem::at(
                at,
                "no type stands before a value but TIMESTAMP '2026-01-31T12:00:00Z'",
            )),
        }
    }

    pub(super) fn time_literal(&mut self, text: &str, at: Location) -> Checked<Typed> {
        let Some(nanos) = time::parse(text) else {
            let text = format!(
                "'{}' is no time; write one as '2026-01-31T12:00:00Z'",
                quoted(text)
            );
            return Err(Problem::at(at, text));
        };
        let constant = Constant::Integer(nanos.into());
        Ok(self.constant(constant, Type::Time, at, format!("'{text}'")))
    }

    pub(super) fn constant(
        &mut self,
        constant: Constant,
        ty: Type,
        at: Location,
        text: String,
    ) -> Typed {
        let node = match &constant {
            Constant::Null if ty == Type::Null => Node::Null(Shape::Text),
            Constant::Null => Node::Null(ty.shape()),
            Constant::Bool(value) => Node::Truth(Some(*value)),
            Constant::Integer(value) => Node::Integer(*value),
            Constant::Float(value) => Node::Float(value.to_bits()),
            Constant::Text(text) => Node::Text(text.clone()),
        };
        Typed {
            node: self.plan.add(node),
            ty,
            constant: Some(constant),
            list: None,
            at,
            text,
            parts: Vec::new(),
        }
    }
}
