//! A process that is held: its folder in `/proc`, open.
//!
//! What is opened from an open folder is that process's, or there is nothing: the kernel ties the folder
//! to the process, not to its pid. The invariant: what is read here belongs to the process of the pid
//! *and* the start time that were asked for. (An exec keeps both.)

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;
use weir_bus::Timestamp;

use super::AnswerError;
use crate::process::details::stat;

/// Bytes that are read of `stat`, which has one line of some 400.
const STAT_BYTES_MAX: usize = 4 * 1024;
/// How a place is opened that isn't read: nothing happens at what is there.
pub(super) const PLACE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// How an entry is opened that is read.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// A process that is held.
pub(crate) struct Pinned {
    folder: OwnedFd,
    start_time: Timestamp,
}

/// What was read of an entry.
pub(super) struct Entry {
    pub(super) bytes: Vec<u8>,
    /// There is more than was read.
    pub(super) cut: bool,
}

impl Pinned {
    /// Holds the process.
    ///
    /// # Errors
    /// [`AnswerError::ProcessGone`] if there is none of that pid and start time.
    pub(crate) fn open(pid: u32, start_time: Timestamp) -> Result<Self, AnswerError> {
        let path = format!("/proc/{pid}");
        let folder = openat(CWD, path, PLACE.union(OFlags::DIRECTORY), Mode::empty());
        let pinned = Self {
            folder: folder.map_err(of_process)?,
            start_time,
        };
        pinned.check()?;
        Ok(pinned)
    }

    /// That it is still there.
    ///
    /// # Errors
    /// [`AnswerError::ProcessGone`] if it isn't.
    pub(crate) fn check(&self) -> Result<(), AnswerError> {
        let stat = self.read("stat", STAT_BYTES_MAX)?;
        let ticks = stat::start_ticks(&stat.bytes).ok_or(AnswerError::Unreadable)?;
        if stat::start_time(ticks) != self.start_time {
            return Err(AnswerError::ProcessGone);
        }
        Ok(())
    }

    /// The place that an entry links to, as the process itself sees it.
    pub(crate) fn place(&self, entry: &str) -> Result<OwnedFd, AnswerError> {
        openat(&self.folder, entry, PLACE, Mode::empty()).map_err(of_process)
    }

    /// The text of an entry that is a link.
    pub(crate) fn link(&self, entry: &str) -> Result<Vec<u8>, AnswerError> {
        let link = readlinkat(&self.folder, entry, Vec::new()).map_err(of_process)?;
        Ok(link.into_bytes())
    }

    /// An entry that is a folder.
    pub(super) fn folder(&self, entry: &str) -> Result<OwnedFd, AnswerError> {
        let flags = READ.union(OFlags::DIRECTORY);
        openat(&self.folder, entry, flags, Mode::empty()).map_err(of_process)
    }

    /// What an entry holds, up to so many bytes.
    pub(super) fn read(&self, entry: &str, bytes_max: usize) -> Result<Entry, AnswerError> {
        let opened = openat(&self.folder, entry, READ, Mode::empty()).map_err(of_process)?;
        let mut bytes = Vec::new();
        let mut limited = File::from(opened).take((bytes_max as u64).saturating_add(1));
        limited.read_to_end(&mut bytes).map_err(|error| {
            let errno = error.raw_os_error().map(Errno::from_raw_os_error);
            errno.map_or(AnswerError::Unreadable, of_process)
        })?;
        let cut = bytes.len() > bytes_max;
        bytes.truncate(bytes_max);
        Ok(Entry { bytes, cut })
    }
}

/// What an error at an entry means: what isn't there any more is gone.
fn of_process(errno: Errno) -> AnswerError {
    match errno {
        Errno::NOENT | Errno::SRCH => AnswerError::ProcessGone,
        Errno::ACCESS | Errno::PERM => AnswerError::PermissionDenied,
        _ => AnswerError::Unreadable,
    }
}
