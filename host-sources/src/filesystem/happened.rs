//! What happened to a file, before it is a row.
//!
//! Plain values. The invariant: paths are bytes as the kernel gave them; they become text only in rows.

use std::path::PathBuf;

/// An operation on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Create,
    Modify,
    Delete,
    Rename,
    Access,
    Execute,
}

impl Operation {
    /// As in rows.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Modify => "modify",
            Self::Delete => "delete",
            Self::Rename => "rename",
            Self::Access => "access",
            Self::Execute => "execute",
        }
    }
}

/// An operation, on what, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Happened {
    pub(super) operation: Operation,
    pub(super) path: PathBuf,
    /// Where a renamed file went.
    pub(super) new_path: Option<PathBuf>,
    /// None where the kernel doesn't say.
    pub(super) pid: Option<u32>,
}

/// What a read of the kernel's queue brought besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    /// How often the kernel's queue overflowed: an unknown number of operations each time.
    pub(super) overflows: u64,
    /// Operations whose path could no longer be found out.
    pub(super) unnamed: u64,
}
