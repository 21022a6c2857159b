//! The small files that the kernel makes up, under `/proc` and `/sys`: how they are opened, read and taken apart.
//!
//! What their contents mean is for those who read them. The invariant: whatever lies at a path — a file of any size, a pipe, nothing — costs
//! at most the bytes that were allowed, blocks nobody, and ends in bytes or in an error that says which path.

mod cgroups;
mod file;
mod link;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod text;

use std::path::PathBuf;

pub(crate) use cgroups::Cgroups;
pub(crate) use file::{FileError, KeptFile, read_once};
pub(crate) use link::{DELETED_SUFFIX, link_of};

/// Where the kernel's files are looked for: other folders than usual in tests, and where a container shows the host's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// Where procfs is mounted.
    pub proc: PathBuf,
    /// Where sysfs is mounted.
    pub sys: PathBuf,
    /// What the system's own description lies under, as in `etc/os-release`.
    pub root: PathBuf,
}

impl Default for Roots {
    /// The machine's own.
    fn default() -> Self {
        Self {
            proc: PathBuf::from("/proc"),
            sys: PathBuf::from("/sys"),
            root: PathBuf::from("/"),
        }
    }
}
