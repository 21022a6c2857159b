//! What a process has open.
//!
//! The invariant: at most [`LOOKED_AT_MAX`] descriptors are looked at, however many there are; a file is
//! told by the kernel's text for it and never opened.

use rustc_hash::FxHashSet;
use rustix::fs::{Dir, readlinkat};
use rustix::io::Errno;

use super::listing::{Listing, text};
use crate::triggerable::AnswerError;
use crate::triggerable::aside::Watch;
use crate::triggerable::pinned::Pinned;

/// Descriptors that are looked at; a process may have a million.
const LOOKED_AT_MAX: usize = 4_096;
/// Descriptors between two looks at the deadline.
const BETWEEN: usize = 256;
/// The kinds of descriptors, by how the kernel's text begins, and what they are called.
const KINDS: [(&[u8], &str); 4] = [
    (b"/", "files"),
    (b"socket:", "sockets"),
    (b"pipe:", "pipes"),
    (b"anon_inode:", "of the kernel"),
];

/// What is open.
#[derive(Default)]
pub(super) struct Descriptors {
    /// By [`KINDS`].
    counts: [usize; KINDS.len()],
    others: usize,
    total: usize,
    paths: Listing,
    sockets: FxHashSet<u64>,
    cut: bool,
}

impl Descriptors {
    pub(super) fn read(process: &Pinned, watch: &Watch) -> Result<Self, AnswerError> {
        let folder = process.folder("fd")?;
        let mut entries = Dir::read_from(&folder).map_err(|_| AnswerError::Unreadable)?;
        let mut found = Self::default();
        while let Some(entry) = entries.read() {
            let entry = entry.map_err(|_| AnswerError::Unreadable)?;
            if entry.file_name().to_bytes().starts_with(b".") {
                continue;
            }
            if found.total >= LOOKED_AT_MAX {
                found.cut = true;
                break;
            }
            if found.total.is_multiple_of(BETWEEN) {
                watch.check()?;
            }
            match readlinkat(&folder, entry.file_name(), Vec::new()) {
                Ok(link) => found.add(link.to_bytes()),
                Err(Errno::ACCESS | Errno::PERM) => return Err(AnswerError::PermissionDenied),
                // Closed meanwhile.
                Err(_) => {}
            }
        }
        Ok(found)
    }

    fn add(&mut self, link: &[u8]) {
        self.total = self.total.saturating_add(1);
        let mut kinds = KINDS.iter().zip(&mut self.counts);
        let kind = kinds.find(|((beginning, _), _)| link.starts_with(beginning));
        let count = kind.map_or(&mut self.others, |(_, count)| count);
        *count = count.saturating_add(1);
        if link.starts_with(b"/") {
            self.paths.add(&text(link));
        } else if let Some(inode) = socket_inode(link) {
            self.sockets.insert(inode);
        }
    }

    /// How many, by kind.
    pub(super) fn counts(&self) -> String {
        let named = KINDS.iter().map(|(_, name)| *name).chain(["others"]);
        let counts = self.counts.iter().copied().chain([self.others]);
        let told: Vec<String> = named
            .zip(counts)
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        let at_least = if self.cut { "at least " } else { "" };
        match told.as_slice() {
            [] => "none".to_owned(),
            told => format!("{at_least}{}: {}", self.total, told.join(", ")),
        }
    }

    /// The files among them; none if there are none.
    pub(super) fn paths(&self) -> Option<String> {
        (!self.paths.is_empty()).then(|| self.paths.told(self.cut))
    }

    /// The sockets among them, by inode.
    pub(super) const fn socket_inodes(&self) -> &FxHashSet<u64> {
        &self.sockets
    }
}

/// The inode of `socket:[7]`.
fn socket_inode(link: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
