//! The kinds of events. Knows their names, nothing of their fields.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an event is about; every batch holds events of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A process as it was observed, started or exited.
    Process,
    /// A connection or socket.
    Network,
    /// An operation on a file.
    Filesystem,
    /// A measurement.
    Performance,
    /// What the machine consists of.
    Inventory,
    /// A request that a trigger's firing became.
    Trigger,
    /// What a stage found.
    Finding,
}

impl Kind {
    /// All kinds, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::Process,
        Self::Network,
        Self::Filesystem,
        Self::Performance,
        Self::Inventory,
        Self::Trigger,
        Self::Finding,
    ];

    /// The kind's name, as guests, topics and configs write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Network => "network",
            Self::Filesystem => "filesystem",
            Self::Performance => "performance",
            Self::Inventory => "inventory",
            Self::Trigger => "trigger",
            Self::Finding => "finding",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no kind's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no kind `{0}`; the kinds are process, network, filesystem, performance, inventory, trigger, finding"
)]
pub struct UnknownKind(pub String);

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| UnknownKind(name.to_owned()))
    }
}
