//! AND, OR and NOT: what joins tests.

use sqlparser::ast::{BinaryOperator, Expr};
use sqlparser::tokenizer::Location;

use super::{Checker, Type, Typed};
use crate::errors::{Checked, Problem, quoted};
use crate::plan::{Node, NodeId, Shape};

impl Checker<'_> {
    /// All that is joined by the same AND or OR.
    pub(super) fn chain(&mut self, expr: &Expr, op: &BinaryOperator) -> Checked<Typed> {
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

    pub(super) fn not(&mut self, inner: &Expr) -> Checked<Typed> {
        let inner = self.test(inner, "NOT")?;
        let node = self.denied(inner.node);
        Ok(self.tested(node, inner.at, format!("NOT {}", inner.text), inner.parts))
    }

    /// The node of the opposite.
    pub(super) fn denied(&mut self, node: NodeId) -> NodeId {
        match self.plan.node(node) {
            Some(Node::Not(inner)) => *inner,
            _ => self.plan.add(Node::Not(node)),
        }
    }

    /// An expression that must be a test, for `word` joins tests.
    pub(super) fn test(&mut self, expr: &Expr, word: &str) -> Checked<Typed> {
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
}
