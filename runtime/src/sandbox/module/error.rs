//! Why there is no module. Each is one line: the value, the limit, the remedy.

use std::io;
use std::path::PathBuf;

use crate::digest::Digest;
use crate::trust::TrustError;

/// Why there is no module.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// A guest folder's path that is none.
    #[error("the guest folder {folder:?} is no path: {source}")]
    Folder {
        /// As configured.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No built-in module of that name.
    #[error("there is no built-in guest {name:?}: there are {known}")]
    UnknownBuiltin {
        /// What was asked for.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// The path leads out of every configured folder, by its text, `..` or a symbolic link.
    #[error("{path} is in none of the guest folders ({folders}): move it there, or add its folder to sandbox.guest_folders", path = path.display())]
    Outside {
        /// What was asked for.
        path: PathBuf,
        /// The configured folders.
        folders: String,
    },
    /// Nothing is there.
    #[error("{path} isn't there; the guest folders are {folders}", path = path.display())]
    Missing {
        /// What was asked for.
        path: PathBuf,
        /// The configured folders.
        folders: String,
    },
    /// It can't be read.
    #[error("can't read {path}: {source}", path = path.display())]
    Unreadable {
        /// What was asked for.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A step of its path was replaced between two looks at it.
    #[error("{path} became another file or a link while it was opened: try again, and look who changes its folder", path = path.display())]
    Changed {
        /// What was asked for.
        path: PathBuf,
    },
    /// A folder, a pipe, a device.
    #[error("{path} is no regular file: give the path of a component (.wasm)", path = path.display())]
    NotAFile {
        /// What was asked for.
        path: PathBuf,
    },
    /// Others than the daemon can change it, and the daemon runs as root.
    #[error("{path} (mode {mode:04o}, user {user}) is refused: {fault}, and Weir runs as root", path = path.display())]
    Untrusted {
        /// The file, or the folder on its way.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Its owner's user id.
        user: u32,
        /// What is wrong, and how to mend it.
        fault: &'static str,
    },
    /// More bytes than a component may have.
    #[error(
        "{name} has {bytes} bytes or more, and a component may have {component_bytes_max} (limits.component_bytes_max)"
    )]
    TooLarge {
        /// What was asked for.
        name: String,
        /// Its bytes, or how many were read before it was given up.
        bytes: u64,
        /// The limit.
        component_bytes_max: usize,
    },
    /// It is something else.
    #[error("{name} is no component: {found}")]
    NotAComponent {
        /// What was asked for.
        name: String,
        /// What it is, and what would be right.
        found: String,
    },
    /// It isn't the module that the config pins.
    #[error(
        "{name} has the SHA-256 {found}, and the config pins {pinned}: put the pinned module there, or change the key `sha256`"
    )]
    PinMismatch {
        /// What was asked for.
        name: String,
        /// Of the bytes that were read.
        found: Digest,
        /// Of the config.
        pinned: Digest,
    },
    /// Its signature isn't what it must be.
    #[error(transparent)]
    Trust(Box<TrustError>),
}

impl From<TrustError> for ModuleError {
    fn from(error: TrustError) -> Self {
        Self::Trust(Box::new(error))
    }
}
