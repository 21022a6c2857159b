//! Folders and files that only the daemon's user can write: made so, and refused otherwise.
//!
//! Invariant: what is said about a file's owner and mode was read from its open descriptor, never
//! from its name.

use std::fs::DirBuilder;
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, MetadataExt, OpenOptions, OpenOptionsExt};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};

use super::CacheError;

/// Folders and files that are made here: for their user only.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// What a folder's group and others may not do: write.
const FOLDER_REFUSED: u32 = 0o022;
/// What a file's group and others may not do: anything.
const FILE_REFUSED: u32 = 0o077;
/// The permission bits of a mode.
const MODE_BITS: u32 = 0o7777;
/// Files that are being written start so; a kill at the wrong moment leaves one.
const NEW_PREFIX: &str = ".new-";
/// Hexadecimal digits of an entry's name.
const NAME_DIGITS: usize = 64;

/// A folder, or why there is none.
pub(crate) enum Opened {
    Folder(Dir),
    Not(String),
}

/// Opens a folder, which is made first where it is missing. `key` is the config's name for it.
pub(crate) fn open(path: &Path, key: &'static str) -> Result<Opened, CacheError> {
    let not = |error: io::Error| Opened::Not(format!("{key} = {}: {error}", path.display()));
    let made = DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(path);
    let opened = made.and_then(|()| Dir::open_ambient_dir(path, ambient_authority()));
    let (dir, metadata) = match opened.and_then(|dir| Ok((dir.dir_metadata()?, dir))) {
        Ok((metadata, dir)) => (dir, metadata),
        Err(error) => return Ok(not(error)),
    };
    let (mode, user) = (metadata.mode() & MODE_BITS, metadata.uid());
    let daemon = daemon();
    if user == daemon && mode & FOLDER_REFUSED == 0 {
        return Ok(Opened::Folder(dir));
    }
    Err(CacheError::Untrusted {
        path: path.to_owned(),
        mode,
        user,
        daemon,
        key,
    })
}

/// Reads a file of ours, of at most that many bytes, at once.
pub(crate) fn read_own(dir: &Dir, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    // A pipe would otherwise wait for its writer.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    options.read(true).custom_flags(flags);
    let file = dir.open_with(name, &options)?;
    let metadata = file.metadata()?;
    let (mode, user) = (metadata.mode() & MODE_BITS, metadata.uid());
    if !metadata.is_file() || user != daemon() || mode & FILE_REFUSED != 0 {
        return Err(io::Error::other(format!(
            "{name} (mode {mode:04o}, user {user}) isn't a file of the daemon's user alone"
        )));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!(
            "{name} has more than {bytes_max} bytes"
        )));
    }
    Ok(bytes)
}

/// Writes a file so that a kill at any moment leaves the old one or the new one.
pub(crate) fn write_own(dir: &Dir, name: &str, bytes: &[u8]) -> io::Result<()> {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let new = format!("{NEW_PREFIX}{}-{number}", std::process::id());
    let written = write_new(dir, &new, bytes).and_then(|()| dir.rename(&new, dir, name));
    if written.is_err() {
        // It may not even be there.
        drop(dir.remove_file(&new));
    }
    written?;
    // The folder too, or the name could be lost with the power.
    Ok(rustix::fs::fsync(handle(dir)?)?)
}

/// A folder opened anew, for what can't be done with cap-std's handle of it: that one stands for a
/// place only. Locks belong to an opening, so that each opening is a holder of its own.
pub(super) fn handle(dir: &Dir) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, ".", flags, Mode::empty())?)
}

fn write_new(dir: &Dir, new: &str, bytes: &[u8]) -> io::Result<()> {
    // One that a killed process of the same number left would be in the way.
    drop(dir.remove_file(new));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(FILE_MODE);
    let mut file = dir.open_with(new, &options)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Whether a file in the code folder is named as we name them.
pub(super) fn is_ours(name: &str) -> bool {
    let is_entry = || name.len() == NAME_DIGITS && name.bytes().all(|b| b.is_ascii_hexdigit());
    name.starts_with(NEW_PREFIX) || is_entry()
}

fn daemon() -> u32 {
    rustix::process::geteuid().as_raw()
}
