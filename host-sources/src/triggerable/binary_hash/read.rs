//! A file's identity, and its digest: what is read, and how much of it at a time.
//!
//! It knows no path. The invariant: a file is looked at before it is opened for reading (a device can
//! take being opened for a command), and what was read is the content of one identity or an error.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, Mode, OFlags, fstatfs, openat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::triggerable::AnswerError;

/// Bytes that are read between two looks at the deadline: some 0.2 ms of hashing.
const CHUNK_BYTES: usize = 256 * 1024;
/// How a place is opened again for reading.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// The file systems whose files the kernel makes up as they are read, by what `statfs` calls them
/// (`linux/magic.h`): there is no digest of what is never twice the same, and reading some of them (a
/// trace, the kernel's messages) takes away from who needs it. tmpfs isn't one: programs are run from it.
const MADE_UP: [u64; 17] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x1cd1,      // devpts
    0xcafe_4a11, // bpf
    0x7363_6673, // securityfs
    0xf97c_ff8c, // selinuxfs
    0x4341_5d53, // smackfs
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
    0x6265_6570, // configfs
    0x4249_4e4d, // binfmt_misc
    0x6e73_6673, // nsfs
    0x0bad_1dea, // futexfs, and what else is anonymous
];

/// A SHA-256.
pub(crate) type Sha256Digest = [u8; 32];

/// Which file it is, and which content: as long as nothing here changes, that didn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    pub(crate) bytes: u64,
    /// Seconds and nanoseconds since the epoch.
    modified: (i64, i64),
    /// The same for what can't be set back: when content, owner or mode changed last.
    changed: (i64, i64),
}

impl Identity {
    /// What a file's metadata says.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether nothing but names, owner and mode differs, of a file that can't be written to meanwhile: one
    /// that is run.
    pub(crate) fn has_content_of(&self, other: &Self) -> bool {
        let other = Self {
            changed: self.changed,
            ..*other
        };
        *self == other
    }

    /// Whether it changed last so long ago that another change would show in its times.
    pub(crate) fn is_settled(&self, now: SystemTime, after: Duration) -> bool {
        let (seconds, _) = self.changed;
        let now = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let settled = u64::try_from(seconds)
            .unwrap_or(0)
            .saturating_add(after.as_secs());
        after.is_zero() || now.as_secs() > settled
    }
}

/// A regular file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) identity: Identity,
    pub(crate) mode: u32,
    pub(crate) user: u32,
}

impl Found {
    /// What stands at a place.
    ///
    /// # Errors
    /// [`AnswerError::NotARegularFile`] if it isn't one, or one that the kernel makes up.
    pub(crate) fn at(place: &OwnedFd) -> Result<Self, AnswerError> {
        let copy = place.try_clone().map_err(|_| AnswerError::Unreadable)?;
        let file = File::from(copy);
        let metadata = file.metadata().map_err(|_| AnswerError::Unreadable)?;
        if !metadata.is_file() || is_made_up(place)? {
            return Err(AnswerError::NotARegularFile);
        }
        Ok(Self {
            identity: Identity::of(&metadata),
            mode: metadata.mode(),
            user: metadata.uid(),
        })
    }
}

#[expect(
    clippy::cast_sign_loss,
    reason = "a number of at most 32 bits, of another type on each processor"
)]
fn is_made_up(place: &OwnedFd) -> Result<bool, AnswerError> {
    let file_system = fstatfs(place).map_err(of_file)?;
    let kind = file_system.f_type as u64 & u64::from(u32::MAX);
    Ok(MADE_UP.contains(&kind))
}

/// What an error at a file means.
pub(super) fn of_file(errno: Errno) -> AnswerError {
    match errno {
        Errno::NOENT | Errno::NOTDIR => AnswerError::NotFound,
        Errno::ACCESS | Errno::PERM => AnswerError::PermissionDenied,
        Errno::NAMETOOLONG | Errno::LOOP => AnswerError::NotFound,
        _ => AnswerError::Unreadable,
    }
}

/// What was read.
pub(crate) struct Read {
    pub(crate) digest: Sha256Digest,
    /// Which file and content that is.
    pub(crate) identity: Identity,
}

/// Reads the file at a place. `between` is asked after each chunk, with its bytes, whether to go on.
///
/// # Errors
/// [`AnswerError::Changes`] if the file changed meanwhile, [`AnswerError::TooLarge`] as soon as that shows,
/// and whatever `between` says.
pub(crate) fn sha256(
    place: &OwnedFd,
    bytes_max: u64,
    between: &mut dyn FnMut(usize) -> Result<(), AnswerError>,
) -> Result<Read, AnswerError> {
    let before = Found::at(place)?.identity;
    if before.bytes > bytes_max {
        return Err(AnswerError::TooLarge { bytes_max });
    }
    between(0)?;
    // The very file, whatever has been put at its path.
    let path = format!("/proc/self/fd/{}", place.as_fd().as_raw_fd());
    let mut file = File::from(openat(CWD, path, READ, Mode::empty()).map_err(of_file)?);
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut total: u64 = 0;
    loop {
        let read = match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(AnswerError::PermissionDenied);
            }
            Err(_) => return Err(AnswerError::Unreadable),
        };
        // One that grows as fast as it is read would have no end.
        total = total.saturating_add(read as u64);
        if total > bytes_max {
            return Err(AnswerError::TooLarge { bytes_max });
        }
        hasher.update(chunk.get(..read).unwrap_or_default());
        between(read)?;
    }
    if Found::at(place)?.identity != before || total != before.bytes {
        return Err(AnswerError::Changes);
    }
    Ok(Read {
        digest: hasher.finalize().into(),
        identity: before,
    })
}
