//! An expression that was checked, and what types there are.

use std::rc::Rc;

use sqlparser::tokenizer::Location;

use super::PartId;
use crate::kinds::Column;
use crate::plan::{NodeId, Shape};

/// What an expression is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
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
    pub(super) const fn words(self) -> &'static str {
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

    pub(super) const fn shape(self) -> Shape {
        match self {
            Self::Bool => Shape::Truth,
            Self::Integer | Self::Float | Self::Time => Shape::Number,
            Self::Text | Self::List | Self::Null => Shape::Text,
        }
    }

    pub(super) const fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Float)
    }
}

/// A value that is known at load.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    /// A time, too.
    Integer(i128),
    Float(f64),
    Text(Rc<str>),
}

/// An expression that was checked.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub(super) node: NodeId,
    pub(super) ty: Type,
    pub(super) constant: Option<Constant>,
    /// It is about each text of that list, not about each row.
    pub(super) list: Option<Column>,
    pub(super) at: Location,
    /// As it is shown.
    pub(super) text: String,
    /// What of it is shown when it is explained.
    pub(super) parts: Vec<PartId>,
}
