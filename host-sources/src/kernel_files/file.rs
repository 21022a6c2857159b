//! One file: opened without waiting, read up to a bound, and kept open where it is read again and again.
//!
//! It doesn't look at what the bytes mean. The invariant: bytes that were cut end with a whole line.

use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::{Errno, pread};

/// Bytes that a buffer begins with: most of the kernel's files have less.
const BUFFER_BYTES_START: usize = 4 * 1024;

/// What is wrong with one of the kernel's files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FileError {
    /// It can't be opened or read.
    #[error("{path} can't be read: {errno}")]
    Unreadable {
        /// Which one.
        path: String,
        /// Why.
        errno: Errno,
    },
    /// It has no form that is known.
    #[error("{path} doesn't read as it should: {what}")]
    Malformed {
        /// Which one.
        path: String,
        /// What was looked for.
        what: &'static str,
    },
    /// It is longer than what is read of it.
    #[error("{path} is longer than {bytes_max} bytes, and what lies beyond isn't read")]
    TooLong {
        /// Which one.
        path: String,
        /// How much of it is read.
        bytes_max: usize,
    },
    /// It tells of more than is followed.
    #[error("{path} has more than {most} {what}, and the rest isn't reported")]
    TooMany {
        /// Which one.
        path: String,
        /// What of.
        what: &'static str,
        /// How many are followed.
        most: usize,
    },
}

impl FileError {
    fn unreadable(path: &Path, errno: Errno) -> Self {
        Self::Unreadable {
            path: path.display().to_string(),
            errno,
        }
    }

    /// A file that reads otherwise than it should.
    pub(crate) fn malformed(path: &Path, what: &'static str) -> Self {
        Self::Malformed {
            path: path.display().to_string(),
            what,
        }
    }

    /// A file that tells of more than is followed.
    pub(crate) fn too_many(path: &Path, what: &'static str, most: usize) -> Self {
        Self::TooMany {
            path: path.display().to_string(),
            what,
            most,
        }
    }

    /// The system's error, if it is one of reading.
    pub(crate) const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Unreadable { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// Whether there is no such file, or what it told of has gone.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(
            self.errno(),
            Some(Errno::NOENT | Errno::NOTDIR | Errno::NODEV | Errno::SRCH)
        )
    }
}

/// What was read of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents<'a> {
    /// The bytes; whole lines if they were cut.
    pub(crate) bytes: &'a [u8],
    /// What to say where they were cut.
    pub(crate) cut: Option<FileError>,
}

/// A file that is read again and again through one descriptor, into one buffer.
pub(crate) struct KeptFile {
    path: PathBuf,
    bytes_max: usize,
    opened: Option<OwnedFd>,
    buffer: Vec<u8>,
}

impl KeptFile {
    /// A file of which at most `bytes_max` are read; it is opened at the first read.
    pub(crate) const fn new(path: PathBuf, bytes_max: usize) -> Self {
        Self {
            path,
            bytes_max,
            opened: None,
            buffer: Vec::new(),
        }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it from its beginning. One that was replaced is opened anew.
    ///
    /// # Errors
    /// [`FileError::Unreadable`]; the next read opens it again.
    pub(crate) fn read(&mut self) -> Result<Contents<'_>, FileError> {
        let failed = |errno| FileError::unreadable(&self.path, errno);
        let is_gone = |file: &OwnedFd| fstat(file).map_or(true, |stat| stat.st_nlink == 0);
        if self.opened.as_ref().is_some_and(is_gone) {
            self.opened = None;
        }
        let file = match self.opened.take() {
            Some(file) => file,
            None => open_file(&self.path).map_err(failed)?,
        };
        let filled = fill(file.as_fd(), &mut self.buffer, self.bytes_max).map_err(failed)?;
        // Only one that could be read is kept.
        self.opened = Some(file);
        Ok(contents(&self.path, &self.buffer, filled, self.bytes_max))
    }
}

/// Reads a file that isn't kept open, into a buffer that may be used again.
///
/// # Errors
/// [`FileError::Unreadable`].
pub(crate) fn read_once<'a>(
    path: &Path,
    bytes_max: usize,
    buffer: &'a mut Vec<u8>,
) -> Result<Contents<'a>, FileError> {
    let failed = |errno| FileError::unreadable(path, errno);
    let file = open_file(path).map_err(failed)?;
    let filled = fill(file.as_fd(), buffer, bytes_max).map_err(failed)?;
    Ok(contents(path, buffer, filled, bytes_max))
}

fn open_file(path: &Path) -> Result<OwnedFd, Errno> {
    // A pipe that lies there must not keep the thread.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    open(path, flags, Mode::empty())
}

/// Fills the buffer up to a byte more than is allowed, so that one that has more is known by it.
fn fill(file: BorrowedFd<'_>, buffer: &mut Vec<u8>, bytes_max: usize) -> Result<usize, Errno> {
    let most = bytes_max.saturating_add(1);
    let mut filled = 0;
    while filled < most {
        if filled == buffer.len() {
            let grown = buffer.len().saturating_mul(2).max(BUFFER_BYTES_START);
            buffer.resize(grown.min(most), 0);
        }
        // A buffer that was used for a longer file has more room than this one may take.
        let end = buffer.len().min(most);
        let Some(room) = buffer.get_mut(filled..end) else {
            break;
        };
        match pread(file, room, filled as u64) {
            Ok(0) => break,
            Ok(bytes) => filled = filled.saturating_add(bytes),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(filled)
}

fn contents<'a>(path: &Path, buffer: &'a [u8], filled: usize, bytes_max: usize) -> Contents<'a> {
    let all = buffer.get(..filled).unwrap_or(buffer);
    if filled <= bytes_max {
        return Contents {
            bytes: all,
            cut: None,
        };
    }
    let end = all.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    Contents {
        bytes: all.get(..end).unwrap_or_default(),
        cut: Some(FileError::TooLong {
            path: path.display().to_string(),
            bytes_max,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_file_shows_what_is_there_at_each_read_and_follows_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stat");
        let mut kept = KeptFile::new(path.clone(), 1 << 20);
        assert!(kept.read().unwrap_err().is_missing());
        let long = "line\n".repeat(5_000);
        for text in ["one\n", "two\nthree\n", "", &long, "short\n"] {
            std::fs::write(&path, text).unwrap();
            let contents = kept.read().unwrap();
            assert_eq!(contents.bytes, text.as_bytes());
            assert_eq!(contents.cut, None);
        }
        std::fs::remove_file(&path).unwrap();
        let error = kept.read().unwrap_err();
        assert!(error.is_missing(), "{error}");
        std::fs::write(&path, "another\n").unwrap();
        assert_eq!(kept.read().unwrap().bytes, b"another\n");
    }

    #[test]
    fn a_file_without_an_end_is_read_up_to_its_bound_and_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stat");
        let file = std::fs::File::create(&path).unwrap();
        std::io::Write::write_all(&mut &file, b"first\nsecond\nthird").unwrap();
        // Of a size that would not fit into memory, without taking any of the disk.
        file.set_len(1 << 40).unwrap();
        let mut kept = KeptFile::new(path, 15);
        let contents = kept.read().unwrap();
        assert_eq!(contents.bytes, b"first\nsecond");
        let said = contents.cut.unwrap().to_string();
        assert!(said.ends_with("is longer than 15 bytes, and what lies beyond isn't read"));
        assert!(kept.buffer.len() <= 16);
    }

    #[test]
    fn a_file_of_just_the_bound_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stat");
        std::fs::write(&path, "12345\n789\n").unwrap();
        let mut buffer = Vec::new();
        let contents = read_once(&path, 10, &mut buffer).unwrap();
        assert_eq!((contents.bytes.len(), contents.cut), (10, None));
        let contents = read_once(&path, 8, &mut buffer).unwrap();
        assert_eq!(contents.bytes, b"12345");
        assert!(contents.cut.is_some());
    }

    #[test]
    fn what_is_no_file_is_an_error_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut buffer = Vec::new();
        let mut check = |path: &Path| {
            let error = read_once(path, 100, &mut buffer).unwrap_err();
            assert!(error.to_string().contains(&path.display().to_string()));
            assert!(error.errno().is_some());
        };
        check(folder.path());
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            Mode::RUSR,
            0,
        )
        .unwrap();
        check(&pipe);
    }
}
