//! IN, LIKE, the IS tests, and `= ANY(list)`.

use std::rc::Rc;

use sqlparser::ast::{Expr, Value};

use super::comparisons::Operator;
use super::{Checker, Constant, Type, Typed, refused, start};
use crate::errors::{Checked, Problem, quoted};
use crate::kinds::ColumnType;
use crate::like::Like;
use crate::plan::{Node, NodeId, Shape};
use crate::texts::{Matcher, TextTest};

impl Checker<'_> {
    pub(super) fn in_list(&mut self, expr: &Expr, list: &[Expr], negated: bool) -> Checked<Typed> {
        let typed = self.expr(expr)?;
        if list.is_empty() {
            return Err(Problem::at(
                typed.at,
                "IN needs at least one value: IN ('a', 'b')",
            ));
        }
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            let item = self.expr(item)?;
            items.push(self.comparable(typed.clone(), item)?.1);
        }
        let not = if negated { "NOT " } else { "" };
        let texts: Vec<&str> = items.iter().map(|item| item.text.as_str()).collect();
        let text = format!("{} {not}IN ({})", typed.text, texts.join(", "));
        let parts = typed
            .parts
            .iter()
            .chain(items.iter().flat_map(|item| &item.parts))
            .copied()
            .collect();
        let at = typed.at;
        let has_null = items.iter().any(|item| item.ty == Type::Null);
        let mut tests = Vec::new();
        if let Some(node) = self.set(&typed, &items)? {
            tests.push((node, typed.list));
            if has_null {
                tests.push((self.plan.add(Node::Null(Shape::Truth)), None));
            }
        } else {
            for item in items {
                tests.push(self.compare(Operator::Equal, typed.clone(), item)?);
            }
        }
        let (mut nodes, list) = self.joined(&tests)?;
        nodes.sort_unstable();
        nodes.dedup();
        let node = match nodes.as_slice() {
            [one] => *one,
            _ => self.plan.add(Node::Or(nodes.into())),
        };
        let node = if negated { self.denied(node) } else { node };
        Ok(self.reduced(node, list, at, text, parts))
    }

    /// One test for all items, where they are constants of a column's type.
    fn set(&mut self, typed: &Typed, items: &[Typed]) -> Checked<Option<NodeId>> {
        if typed.constant.is_some() || items.iter().any(|item| item.constant.is_none()) {
            return Ok(None);
        }
        let constants = items.iter().filter_map(|item| item.constant.as_ref());
        if typed.ty == Type::Text {
            let mut texts: Vec<Rc<str>> = constants
                .filter_map(|constant| match constant {
                    Constant::Text(text) => Some(text.clone()),
                    _ => None,
                })
                .collect();
            texts.sort_unstable();
            texts.dedup();
            let test = match texts.as_slice() {
                [one] => TextTest::Equal(one.clone()),
                _ => TextTest::In(texts.into()),
            };
            let matcher = Matcher::new(&test, typed.at)?;
            return Ok(Some(self.plan.add_test(typed.node, test, matcher)));
        }
        let Some(Node::NumberColumn(column)) = self.plan.node(typed.node) else {
            return Ok(None);
        };
        let column = *column;
        let is_integer =
            |item: &Typed| matches!(item.constant, Some(Constant::Integer(_) | Constant::Null));
        if self.kind.type_of(column) == ColumnType::F64 || !items.iter().all(is_integer) {
            return Ok(None);
        }
        let mut values: Vec<i128> = constants
            .filter_map(|constant| match constant {
                Constant::Integer(value) => Some(*value),
                _ => None,
            })
            .collect();
        values.sort_unstable();
        values.dedup();
        Ok(Some(self.plan.add(Node::IntegerSet {
            column,
            values: values.into(),
        })))
    }

    pub(super) fn like(&mut self, expr: &Expr) -> Checked<Typed> {
        let (negated, inner, pattern, escape, folded) = match expr {
            Expr::Like {
                negated,
                expr,
                pattern,
                escape_char,
                ..
            } => (*negated, expr, pattern, escape_char, false),
            Expr::ILike {
                negated,
                expr,
                pattern,
                escape_char,
                ..
            } => (*negated, expr, pattern, escape_char, true),
            other => return Err(refused(other)),
        };
        let word = if folded { "ILIKE" } else { "LIKE" };
        let typed = self.text(inner, word)?;
        let pattern = self.expr(pattern)?;
        let escape = escape
            .as_deref()
            .map(|escape| self.escape(escape))
            .transpose()?;
        let not = if negated { "NOT " } else { "" };
        let shown = escape
            .map(|escape| format!(" ESCAPE '{escape}'"))
            .unwrap_or_default();
        let text = format!("{} {not}{word} {}{shown}", typed.text, pattern.text);
        let at = typed.at;
        let node = match &pattern.constant {
            _ if typed.ty == Type::Null => self.plan.add(Node::Null(Shape::Truth)),
            Some(Constant::Null) => {
                let node = self.plan.add(Node::Null(Shape::Truth));
                self.lifted(node, typed.list)
            }
            Some(Constant::Text(text)) => {
                // ILIKE is LIKE of both in lower case, which the conditions share.
                let (node, pattern_text, escape) = if folded {
                    let node = self.plan.add(Node::Lower(typed.node));
                    (
                        node,
                        text.to_ascii_lowercase(),
                        escape.map(|escape| escape.to_ascii_lowercase()),
                    )
                } else {
                    (typed.node, text.to_string(), escape)
                };
                let test: TextTest = Like::new(&pattern_text, escape, pattern.at)?.into();
                let matcher = Matcher::new(&test, pattern.at)?;
                self.plan.add_test(node, test, matcher)
            }
            _ if pattern.list.is_some() => {
                let text = format!("to look into a list write any(list) {word} 'pattern'");
                return Err(Problem::at(pattern.at, text));
            }
            _ => {
                let text = format!(
                    "the pattern of {word} is a text in quotes; for others there are starts_with, ends_with and contains"
                );
                return Err(Problem::at(pattern.at, text));
            }
        };
        let node = if negated { self.denied(node) } else { node };
        Ok(self.reduced(node, typed.list, at, text, typed.parts))
    }

    fn escape(&mut self, escape: &Expr) -> Checked<char> {
        let at = start(escape);
        let text = match escape {
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(text) => Some(text.as_str()),
                _ => None,
            },
            _ => None,
        };
        let mut chars = text.unwrap_or_default().chars();
        match (chars.next(), chars.next()) {
            (Some(char), None) => Ok(char),
            _ => Err(Problem::at(
                at,
                "ESCAPE takes one character in quotes, as in ESCAPE '!'",
            )),
        }
    }

    pub(super) fn is_null(&mut self, inner: &Expr, words: &str, negated: bool) -> Checked<Typed> {
        let typed = self.expr(inner)?;
        let node = self.null_test(&typed);
        let node = if negated { self.denied(node) } else { node };
        let text = format!("{} {words}", typed.text);
        Ok(self.reduced(node, typed.list, typed.at, text, typed.parts))
    }

    pub(super) fn is_truth(
        &mut self,
        inner: &Expr,
        words: &str,
        wanted: bool,
        negated: bool,
    ) -> Checked<Typed> {
        let typed = self.test(inner, words)?;
        let node = if wanted {
            typed.node
        } else {
            self.denied(typed.node)
        };
        let node = self.plan.add(Node::IsTrue(node));
        let node = if negated { self.denied(node) } else { node };
        Ok(self.tested(
            node,
            typed.at,
            format!("{} {words}", typed.text),
            typed.parts,
        ))
    }

    pub(super) fn is_unknown(
        &mut self,
        inner: &Expr,
        words: &str,
        negated: bool,
    ) -> Checked<Typed> {
        let typed = self.test(inner, words)?;
        let node = self.plan.add(Node::IsNull(typed.node));
        let node = if negated { self.denied(node) } else { node };
        Ok(self.tested(
            node,
            typed.at,
            format!("{} {words}", typed.text),
            typed.parts,
        ))
    }

    /// One text of a list.
    pub(super) fn element(&mut self, list: Typed) -> Checked<Typed> {
        let column = match (list.ty, self.plan.node(list.node)) {
            (Type::List, Some(Node::ListLength(column))) => *column,
            _ => {
                let lists: Vec<&str> = self
                    .kind
                    .columns
                    .iter()
                    .filter(|(_, column_type)| *column_type == ColumnType::Texts)
                    .map(|(name, _)| *name)
                    .collect();
                let text = match lists.as_slice() {
                    [] => format!("ANY takes a list, and {} events have none", self.kind.name),
                    lists => format!(
                        "`{}` is {}, and ANY takes a list: {}",
                        quoted(&list.text),
                        list.ty.words(),
                        lists.join(", ")
                    ),
                };
                return Err(Problem::at(list.at, text));
            }
        };
        Ok(Typed {
            node: self.plan.add(Node::Elements(column)),
            ty: Type::Text,
            constant: None,
            list: Some(column),
            at: list.at,
            text: format!("any({})", list.text),
            parts: list.parts,
        })
    }
}
