//! Files of keys and signatures, as those handle them who sign. The daemon reads signatures by the folder
//! handles that it reads modules by.
//!
//! Invariant: a kill at any moment leaves the old file or the new one.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::key::{SecretKey, SecretKeyError};
use super::signature::{SIGNATURE_BYTES_MAX, Signature};
use crate::regular_file::{self, Opened};

/// What the name of a signature's file ends with, after the whole name of the module's.
pub const SIGNATURE_ENDING: &str = ".sig";
/// A file that is for its owner alone.
const SECRET_MODE: u32 = 0o600;
/// A file that everybody may read.
const PUBLIC_MODE: u32 = 0o644;
/// What group and others may not do with a secret key: anything.
const SECRET_REFUSED: u32 = 0o077;
/// No file of a secret key has more bytes: the longest has 157.
const SECRET_BYTES_MAX: usize = 512;

/// Why a file of a key or a signature can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It can't be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something is there already.
    #[error("{path} is there already, and may be a key that is in use: name another file, or replace it with --force", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others can read the secret.
    #[error("{path} (mode {mode:04o}) holds a secret key, and others than its owner may use it: run `chmod 600` on it, and make a new key if somebody may have read it", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is something else.
    #[error("{path}: {source}", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SecretKeyError,
    },
}

fn at(path: &Path) -> impl Fn(io::Error) -> KeyFileError {
    let path = path.to_owned();
    move |source| KeyFileError::File {
        path: path.clone(),
        source,
    }
}

/// Where the signature of a module's file is.
fn signature_path(module: &Path) -> PathBuf {
    let mut path = OsString::from(module);
    path.push(SIGNATURE_ENDING);
    path.into()
}

/// The file beside a module's where its signature is, and what stands there; none where there is no
/// such file. At most one byte more than a signature has is read.
///
/// # Errors
/// If it can't be read.
pub fn signature_beside(module: &Path) -> Result<(PathBuf, Option<Vec<u8>>), KeyFileError> {
    let path = signature_path(module);
    let text = match regular_file::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((path, None)),
        Err(error) => return Err(at(&path)(error)),
        Ok(Opened::Other(what)) => {
            return Err(at(&path)(io::Error::other(format!("it is {what}"))));
        }
        Ok(Opened::File(file, _)) => regular_file::read_small(file, SIGNATURE_BYTES_MAX),
    };
    let text = text.map_err(at(&path))?;
    Ok((path, Some(text)))
}

/// Reads a secret key. A file that others may read or write is refused.
///
/// # Errors
/// If it isn't there, isn't its owner's alone, or is no secret key.
pub fn read_secret_key(path: &Path) -> Result<SecretKey, KeyFileError> {
    let text = match regular_file::open(path).map_err(at(path))? {
        Opened::Other(what) => return Err(at(path)(io::Error::other(format!("it is {what}")))),
        Opened::File(file, metadata) => {
            let mode = mode_of(&metadata);
            if mode & SECRET_REFUSED != 0 {
                let path = path.to_owned();
                return Err(KeyFileError::Open { path, mode });
            }
            regular_file::read_small(file, SECRET_BYTES_MAX).map_err(at(path))?
        }
    };
    SecretKey::parse(&String::from_utf8_lossy(&text)).map_err(|source| KeyFileError::Key {
        path: path.to_owned(),
        source,
    })
}

#[cfg(unix)]
fn mode_of(metadata: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    metadata.mode() & 0o7777
}

#[cfg(not(unix))]
fn mode_of(_: &std::fs::Metadata) -> u32 {
    SECRET_MODE
}

/// Writes a secret key into a file for its owner alone. One that is there already is replaced only
/// where that is said.
///
/// # Errors
/// If something is there, or it can't be written.
pub fn write_secret_key(path: &Path, key: &SecretKey, replace: bool) -> Result<(), KeyFileError> {
    let text = key.to_secret_text();
    if replace {
        return replace_file(path, &text, SECRET_MODE).map_err(at(path));
    }
    match write_new(path, &text, SECRET_MODE) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(KeyFileError::Exists {
            path: path.to_owned(),
        }),
        written => written.map_err(at(path)),
    }
}

/// Writes a module's signature beside it, whole at once; gives the file.
///
/// # Errors
/// If it can't be written.
pub fn write_signature(module: &Path, signature: &Signature) -> Result<PathBuf, KeyFileError> {
    let path = signature_path(module);
    replace_file(&path, &signature.to_string(), PUBLIC_MODE).map_err(at(&path))?;
    Ok(path)
}

/// Puts a text at `path` whole at once: it is written beside it, and renamed.
fn replace_file(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?;
    let mut new = OsString::from(".");
    new.push(name);
    new.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(new);
    // One that a killed process of the same number left would be in the way.
    drop(std::fs::remove_file(&new));
    let written = write_new(&new, text, mode).and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        // It may not even be there.
        drop(std::fs::remove_file(&new));
    }
    written
}

/// Writes a file that isn't there yet, with its mode from the first moment.
fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file: File = options.open(path)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    if written.is_err() {
        // Half of it is of no use, and in the way of the next try.
        drop(std::fs::remove_file(path));
    }
    written
}
