//! The lives of a bus: positions count within one, and mean nothing in another.

use std::fmt;

use serde::{Serialize, Serializer};

/// One life of a bus, from its start to its end. Shown as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Incarnation(pub u128);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// As a text: few readers of JSON know numbers of 128 bits.
impl Serialize for Incarnation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where a stream goes on in another life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Incarnations {
    /// The life that ended.
    pub old: Incarnation,
    /// The life in which the stream goes on.
    pub new: Incarnation,
}
