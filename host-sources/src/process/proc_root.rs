//! `/proc`, or a tree that looks like it: entries of processes, read into buffers that are used again.
//!
//! It knows where files lie and not what they mean. The invariant: every read is bounded, a name that
//! isn't a number is no process, and what vanishes between two steps is an error number, never a panic.

use std::fmt::Write as _;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, Mode, OFlags, RawDir, SeekFrom, open, openat, readlinkat_raw, seek, statat,
};
use rustix::io::{Errno, pread, read};

/// Bytes that are read of a file that has one line: `stat` has at most some 400.
pub(super) const LINE_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a path on Linux, and of what the kernel appends.
const LINK_BYTES_MAX: usize = 4 * 1024 + 64;
/// Bytes of entries that are read at once: 1,000 processes.
const ENTRIES_BYTES: usize = 32 * 1024;
/// Where the kernel's own is mounted.
const DEFAULT: &str = "/proc";

/// Where processes are listed. Clones are of the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProcRoot(Arc<PathBuf>);

impl ProcRoot {
    /// A tree at a path.
    pub(super) fn at(path: &Path) -> Self {
        Self(Arc::new(path.to_path_buf()))
    }

    /// Whether it is the kernel's: what else the kernel tells fits to it.
    pub(super) fn is_kernel(&self) -> bool {
        self.0.as_path() == Path::new(DEFAULT)
    }

    /// The path of a process's entry, or of a file in it.
    pub(super) fn path(&self, pid: u32, file: &str) -> PathBuf {
        self.0.join(pid.to_string()).join(file)
    }

    /// A reader with buffers of its own.
    pub(super) fn reader(&self) -> Result<ProcReader, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(ProcReader {
            folder: open(self.0.as_path(), flags, Mode::empty())?,
            root: self.clone(),
            path: String::new(),
            file: vec![0; LINE_BYTES_MAX],
            link: vec![0; LINK_BYTES_MAX],
            entries: Vec::new(),
        })
    }
}

impl Default for ProcRoot {
    fn default() -> Self {
        Self::at(Path::new(DEFAULT))
    }
}

/// Reads entries of processes.
#[derive(Debug)]
pub(super) struct ProcReader {
    folder: OwnedFd,
    root: ProcRoot,
    path: String,
    file: Vec<u8>,
    link: Vec<u8>,
    entries: Vec<MaybeUninit<u8>>,
}

impl ProcReader {
    /// Where it reads.
    pub(super) const fn root(&self) -> &ProcRoot {
        &self.root
    }

    /// Replaces what is in `pids` by the pids that there are, at most `pids_max`, and answers how many there
    /// were besides.
    pub(super) fn pids(&mut self, pids: &mut Vec<u32>, pids_max: usize) -> Result<usize, Errno> {
        pids.clear();
        let mut over = 0;
        seek(&self.folder, SeekFrom::Start(0))?;
        self.entries.resize(ENTRIES_BYTES, MaybeUninit::uninit());
        let mut entries = RawDir::new(self.folder.as_fd(), &mut self.entries);
        while let Some(entry) = entries.next() {
            let Some(pid) = pid_of(entry?.file_name().to_bytes()) else {
                continue;
            };
            match pids.len() < pids_max {
                true => pids.push(pid),
                false => over += 1,
            }
        }
        Ok(over)
    }

    /// A file of one line: what one read gives of it.
    pub(super) fn line(&mut self, pid: u32, file: &str) -> Result<&[u8], Errno> {
        let opened = self.open(pid, file)?;
        let bytes = retried(|| read(&opened, &mut self.file))?;
        Ok(self.file.get(..bytes).unwrap_or_default())
    }

    /// What a file of one line that was opened before says now. It is that process's, whoever has the pid now.
    pub(super) fn line_of(&mut self, opened: &OwnedFd) -> Result<&[u8], Errno> {
        let bytes = retried(|| pread(opened, &mut self.file, 0))?;
        Ok(self.file.get(..bytes).unwrap_or_default())
    }

    /// A file, up to one byte more than `bytes_max`.
    pub(super) fn file(&mut self, pid: u32, file: &str, bytes_max: usize) -> Result<&[u8], Errno> {
        let opened = self.open(pid, file)?;
        let wanted = bytes_max.saturating_add(1);
        let mut filled = 0;
        while filled < wanted {
            if self.file.len() == filled {
                self.file.resize(
                    (filled * 2).clamp(LINE_BYTES_MAX, wanted.max(LINE_BYTES_MAX)),
                    0,
                );
            }
            let room = self.file.get_mut(filled..).unwrap_or_default();
            match retried(|| read(&opened, &mut *room))? {
                0 => break,
                bytes => filled += bytes,
            }
        }
        Ok(self.file.get(..filled.min(wanted)).unwrap_or_default())
    }

    /// What a link says.
    pub(super) fn link(&mut self, pid: u32, file: &str) -> Result<&[u8], Errno> {
        set_path(&mut self.path, pid, file);
        let bytes = readlinkat_raw(&self.folder, self.path.as_str(), self.link.as_mut_slice())?;
        Ok(self.link.get(..bytes).unwrap_or_default())
    }

    /// The effective user of a process: whom its entry belongs to.
    pub(super) fn owner(&mut self, pid: u32) -> Result<u32, Errno> {
        set_path(&mut self.path, pid, "");
        Ok(statat(&self.folder, self.path.as_str(), AtFlags::empty())?.st_uid)
    }

    /// A file, to be read by [`Self::line_of`] from now on.
    pub(super) fn open(&mut self, pid: u32, file: &str) -> Result<OwnedFd, Errno> {
        set_path(&mut self.path, pid, file);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        openat(&self.folder, self.path.as_str(), flags, Mode::empty())
    }
}

fn set_path(path: &mut String, pid: u32, file: &str) {
    path.clear();
    // Writing to a text can't fail.
    let _ = write!(path, "{pid}/{file}");
}

fn retried<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

fn pid_of(name: &[u8]) -> Option<u32> {
    // The standard parser would take a sign.
    if !name.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(name).ok()?.parse().ok()
}
