//! The nodes that conditions are compiled to, each kept once.
//!
//! All conditions of a kind share one plan: the same test in two of them is one node, evaluated once
//! a batch. Nodes stand after those that they are made of, so evaluating is one pass in order.
//! Invariant: a node's parts have lower numbers than itself.

use std::collections::HashMap;
use std::rc::Rc;

use rustc_hash::FxBuildHasher;

use crate::kinds::Column;
use crate::texts::{Matcher, TextTest};

/// A node's place in its plan.
pub(crate) type NodeId = usize;

/// A number: whole ones are exact, whatever their column's type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Null,
    /// The row could not be evaluated.
    Fault,
    Integer(i128),
    Float(f64),
}

/// How two values are compared; the other comparisons are these with sides swapped or denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// How one text is looked for in another that is no constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Within {
    Starts,
    Ends,
    Contains,
}

/// What a node's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    Truth,
    Number,
    Text,
}

/// What is evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    // Truths.
    Truth(Option<bool>),
    BoolColumn(Column),
    /// A whole number within the two, both included.
    IntegerRange {
        column: Column,
        low: i128,
        high: i128,
    },
    /// One of the numbers, which rise.
    IntegerSet {
        column: Column,
        values: Rc<[i128]>,
    },
    /// As the bits of two floats, both included.
    FloatRange {
        column: Column,
        low: u64,
        high: u64,
    },
    TextTest {
        text: NodeId,
        test: TextTest,
    },
    Compare {
        comparison: Comparison,
        left: NodeId,
        right: NodeId,
    },
    Within {
        within: Within,
        text: NodeId,
        part: NodeId,
    },
    And(Rc<[NodeId]>),
    Or(Rc<[NodeId]>),
    Not(NodeId),
    IsNull(NodeId),
    /// True where it is true, and false elsewhere.
    IsTrue(NodeId),
    /// Whether the test, which is about the texts of a list, is true for one of them.
    Any {
        list: Column,
        test: NodeId,
    },
    // Numbers.
    Integer(i128),
    Float(u64),
    NumberColumn(Column),
    Arithmetic {
        operator: Arithmetic,
        left: NodeId,
        right: NodeId,
    },
    /// Characters of a text.
    Length(NodeId),
    /// Texts of a list.
    ListLength(Column),
    // Texts.
    Text(Rc<str>),
    TextColumn(Column),
    /// The texts of all lists, one after the other.
    Elements(Column),
    Lower(NodeId),
    Upper(NodeId),
    BaseName(NodeId),
    Concat(NodeId, NodeId),
    // Whatever their parts are.
    Null(Shape),
    Coalesce(Shape, Rc<[NodeId]>),
    Case {
        shape: Shape,
        whens: Rc<[(NodeId, NodeId)]>,
        otherwise: NodeId,
    },
    /// A row's value for each text of its list.
    Spread {
        list: Column,
        shape: Shape,
        node: NodeId,
    },
}

impl Node {
    /// What its value is.
    pub(crate) const fn shape(&self) -> Shape {
        match self {
            Self::Null(shape)
            | Self::Coalesce(shape, _)
            | Self::Case { shape, .. }
            | Self::Spread { shape, .. } => *shape,
            Self::Integer(_)
            | Self::Float(_)
            | Self::NumberColumn(_)
            | Self::Arithmetic { .. }
            | Self::Length(_)
            | Self::ListLength(_) => Shape::Number,
            Self::Text(_)
            | Self::TextColumn(_)
            | Self::Elements(_)
            | Self::Lower(_)
            | Self::Upper(_)
            | Self::BaseName(_)
            | Self::Concat(..) => Shape::Text,
            _ => Shape::Truth,
        }
    }

    /// What it is made of.
    pub(crate) fn parts(&self) -> Vec<NodeId> {
        match self {
            Self::TextTest { text: node, .. }
            | Self::Not(node)
            | Self::IsNull(node)
            | Self::IsTrue(node)
            | Self::Any { test: node, .. }
            | Self::Length(node)
            | Self::Lower(node)
            | Self::Upper(node)
            | Self::BaseName(node)
            | Self::Spread { node, .. } => vec![*node],
            Self::Compare { left, right, .. }
            | Self::Arithmetic { left, right, .. }
            | Self::Concat(left, right) => vec![*left, *right],
            Self::Within { text, part, .. } => vec![*text, *part],
            Self::And(nodes) | Self::Or(nodes) | Self::Coalesce(_, nodes) => nodes.to_vec(),
            Self::Case {
                whens, otherwise, ..
            } => {
                let mut parts: Vec<_> = whens
                    .iter()
                    .flat_map(|(when, then)| [*when, *then])
                    .collect();
                parts.push(*otherwise);
                parts
            }
            _ => Vec::new(),
        }
    }

    /// The column that it reads itself.
    pub(crate) const fn column(&self) -> Option<Column> {
        match self {
            Self::BoolColumn(column)
            | Self::IntegerRange { column, .. }
            | Self::IntegerSet { column, .. }
            | Self::FloatRange { column, .. }
            | Self::NumberColumn(column)
            | Self::ListLength(column)
            | Self::TextColumn(column)
            | Self::Elements(column)
            | Self::Any { list: column, .. }
            | Self::Spread { list: column, .. } => Some(*column),
            _ => None,
        }
    }
}

/// The nodes of all conditions of a kind.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    nodes: Vec<Node>,
    places: HashMap<Node, NodeId, FxBuildHasher>,
    /// What the nodes that test texts are prepared to.
    matchers: Vec<Option<Matcher>>,
    /// The nodes that conditions need, once `finish` has looked.
    order: Vec<NodeId>,
    /// How dear the tests of a text are, by the text's node.
    dear: Vec<u32>,
    /// The node after which a node's value is needed no more.
    last_use: Vec<NodeId>,
}

impl Plan {
    /// The node's place: the one that it has already, or a new one.
    pub(crate) fn add(&mut self, node: Node) -> NodeId {
        if let Some(place) = self.places.get(&node) {
            return *place;
        }
        let place = self.nodes.len();
        self.places.insert(node.clone(), place);
        self.nodes.push(node);
        self.matchers.push(None);
        place
    }

    /// As `add`, of a test whose matcher is prepared.
    pub(crate) fn add_test(&mut self, text: NodeId, test: TextTest, matcher: Matcher) -> NodeId {
        let place = self.add(Node::TextTest { text, test });
        if let Some(slot @ None) = self.matchers.get_mut(place) {
            *slot = Some(matcher);
        }
        place
    }

    pub(crate) fn node(&self, node: NodeId) -> Option<&Node> {
        self.nodes.get(node)
    }

    pub(crate) fn shape(&self, node: NodeId) -> Shape {
        self.node(node).map_or(Shape::Truth, Node::shape)
    }

    pub(crate) fn matcher(&self, node: NodeId) -> Option<&Matcher> {
        self.matchers.get(node)?.as_ref()
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The nodes that conditions need, in order.
    pub(crate) fn order(&self) -> &[NodeId] {
        &self.order
    }

    /// How dear all tests of a text are together.
    pub(crate) fn dear(&self, text: NodeId) -> u32 {
        self.dear.get(text).copied().unwrap_or_default()
    }

    /// The node after which this one's value is needed no more.
    pub(crate) fn last_use(&self, node: NodeId) -> NodeId {
        self.last_use.get(node).copied().unwrap_or(NodeId::MAX)
    }

    /// The columns that the needed nodes read.
    pub(crate) fn columns(&self) -> impl Iterator<Item = Column> + '_ {
        self.order
            .iter()
            .filter_map(|node| self.node(*node).and_then(Node::column))
    }

    /// Sees which nodes the conditions need, and until when.
    pub(crate) fn finish(&mut self, roots: &[NodeId]) {
        let mut needed = vec![false; self.nodes.len()];
        for root in roots {
            if let Some(needed) = needed.get_mut(*root) {
                *needed = true;
            }
        }
        self.dear = vec![0; self.nodes.len()];
        self.last_use = (0..self.nodes.len()).collect();
        for (place, node) in self.nodes.iter().enumerate().rev() {
            if !needed.get(place).copied().unwrap_or_default() {
                continue;
            }
            for part in node.parts() {
                if let Some(needed) = needed.get_mut(part) {
                    *needed = true;
                }
                if let Some(last) = self.last_use.get_mut(part) {
                    *last = (*last).max(place);
                }
            }
            if let Node::TextTest { text, test } = node
                && let Some(dear) = self.dear.get_mut(*text)
            {
                *dear = dear.saturating_add(test.dear());
            }
        }
        let is_needed = |place: &NodeId| needed.get(*place).copied().unwrap_or_default();
        self.order = (0..self.nodes.len()).filter(is_needed).collect();
    }
}
