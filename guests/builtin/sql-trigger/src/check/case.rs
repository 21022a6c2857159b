//! CASE, with and without an operand.

use sqlparser::ast::{CaseWhen, Expr};

use super::comparisons::Operator;
use super::{Checker, Constant, Type, Typed, start};
use crate::errors::{Checked, Problem};
use crate::plan::{Node, NodeId};

impl Checker<'_> {
    pub(super) fn case(
        &mut self,
        whole: &Expr,
        operand: Option<&Expr>,
        whens: &[CaseWhen],
        otherwise: Option<&Expr>,
    ) -> Checked<Typed> {
        let at = start(whole);
        let operand = operand.map(|operand| self.expr(operand)).transpose()?;
        let mut tests: Vec<NodeId> = Vec::new();
        let mut values: Vec<Typed> = Vec::new();
        let mut parts = operand
            .iter()
            .flat_map(|operand| operand.parts.clone())
            .collect::<Vec<_>>();
        let mut text = match &operand {
            Some(operand) => format!("CASE {}", operand.text),
            None => "CASE".to_owned(),
        };
        for when in whens {
            let test = match &operand {
                None => self.test(&when.condition, "WHEN")?,
                Some(operand) => {
                    let value = self.expr(&when.condition)?;
                    let shown = value.text.clone();
                    let test = self.comparison(Operator::Equal, operand.clone(), value)?;
                    Typed {
                        text: shown,
                        ..test
                    }
                }
            };
            let value = self.expr(&when.result)?;
            text.push_str(&format!(" WHEN {} THEN {}", test.text, value.text));
            parts.extend(test.parts.iter().chain(&value.parts));
            tests.push(test.node);
            values.push(value);
        }
        match otherwise {
            Some(otherwise) => {
                let value = self.expr(otherwise)?;
                text.push_str(&format!(" ELSE {}", value.text));
                parts.extend(&value.parts);
                values.push(value);
            }
            None => values.push(self.constant(Constant::Null, Type::Null, at, "NULL".to_owned())),
        }
        text.push_str(" END");
        if let Some(value) = values.iter().find(|value| value.list.is_some()) {
            return Err(Problem::at(
                value.at,
                "any(list) stands in a test; a CASE gives no text of a list",
            ));
        }
        let ty = self.unified(&values, "CASE")?;
        self.fit_nulls(&mut values, ty);
        let mut nodes: Vec<NodeId> = values.iter().map(|value| value.node).collect();
        let otherwise = nodes.pop().unwrap_or_default();
        let node = self.plan.add(Node::Case {
            shape: ty.shape(),
            whens: tests.into_iter().zip(nodes).collect(),
            otherwise,
        });
        Ok(self.of_type(node, ty, None, at, text, parts))
    }
}
