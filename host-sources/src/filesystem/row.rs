//! From what happened to its row: with the file as it is now, and its process's start.
//!
//! A file may be gone or another by the time it is asked; then its fields are null, or the other's. The invariant:
//! no link is followed, and nothing is opened.

use std::collections::HashMap;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, statat};
use weir_bus::Timestamp;
use weir_bus::event::FilesystemEvent;

use super::happened::{Happened, Operation};
use crate::process::details::stat;

/// The bits of a mode that are permissions.
const PERMISSION_BITS: u32 = 0o7777;

/// Start times of processes, for as long as one read of the queue: no pid is used again within it.
#[derive(Debug, Default)]
pub(super) struct Starts(HashMap<u32, Option<Timestamp>>);

impl Starts {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn of(&mut self, pid: u32) -> Option<Timestamp> {
        *self.0.entry(pid).or_insert_with(|| {
            let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
            stat::start_ticks(&stat).map(stat::start_time)
        })
    }
}

/// Fills the row, but for its timestamp.
pub(super) fn fill(row: &mut FilesystemEvent, happened: &Happened, starts: &mut Starts) {
    row.path = text(&happened.path);
    happened.operation.as_str().clone_into(&mut row.operation);
    row.new_path = happened.new_path.as_deref().map(text);
    row.pid = happened.pid;
    row.process_start_time = happened.pid.and_then(|pid| starts.of(pid));
    let at = match happened.operation {
        Operation::Delete => None,
        Operation::Rename => happened.new_path.as_deref(),
        _ => Some(happened.path.as_path()),
    };
    let stat = at.and_then(|path| statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).ok());
    let is_file = |mode| FileType::from_raw_mode(mode).is_file();
    row.size_bytes = stat
        .filter(|stat| is_file(stat.st_mode))
        .and_then(|stat| u64::try_from(stat.st_size).ok());
    row.permissions = stat.map(|stat| stat.st_mode & PERMISSION_BITS);
    // Whoever wants it asks for it.
    row.hash = None;
}

/// What isn't UTF-8 is written as what stands for it.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
