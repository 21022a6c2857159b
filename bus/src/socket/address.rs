//! The socket's place: its folder, the lock that says who is alive, its mode and group.
//!
//! The lock decides, not the socket file: a file without a locked lock beside it is stale and replaced,
//! a locked one is somebody's and left alone.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use interprocess::local_socket::tokio::Listener;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName as _};

/// The bytes of a socket's path at most: `sun_path` has 108, the last is zero.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Who may connect: the daemon's user and the socket's group.
const SOCKET_MODE: u16 = 0o660;

/// A folder that the daemon makes for its socket: others may pass through to the socket's own mode.
#[cfg(unix)]
const FOLDER_MODE: u32 = 0o755;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The path is too long.
    #[error(
        "{path}: a path of {bytes} bytes; a socket's may have {SOCKET_PATH_BYTES_MAX}, choose a shorter `bus.socket`"
    )]
    PathLength {
        /// The path.
        path: String,
        /// Its bytes.
        bytes: usize,
    },
    /// Another process serves it.
    #[error(
        "{path}: process {holder} serves this socket already; stop it, or choose another `bus.socket`"
    )]
    InUse {
        /// The socket.
        path: String,
        /// Its pid, as it wrote it.
        holder: String,
    },
    /// What stands there is no socket.
    #[error("{path} is there and is no socket; move it away, or choose another `bus.socket`")]
    NoSocket {
        /// The path.
        path: String,
    },
    /// The system refuses it.
    #[error("{path}: {what}: {error}")]
    Io {
        /// The path.
        path: String,
        /// What was tried.
        what: &'static str,
        /// Why it didn't work.
        error: io::Error,
    },
}

/// A socket that this process holds.
#[derive(Debug)]
pub(super) struct Address {
    path: PathBuf,
    /// Held as long as the process lives.
    lock: File,
}

impl Address {
    /// Takes the lock, clears a stale socket away, and listens.
    ///
    /// # Errors
    /// If another process holds it, or the system refuses.
    pub(super) fn listen(
        path: &Path,
        group: Option<u32>,
    ) -> Result<(Self, Listener), AddressError> {
        let shown = path.display().to_string();
        let io = |what| {
            let path = shown.clone();
            move |error| AddressError::Io { path, what, error }
        };
        check_length(path)?;
        make_folder(path).map_err(io("its folder can't be made"))?;
        let lock = take_lock(path)?;
        clear_stale(path)?;
        let name = path
            .to_fs_name::<GenericFilePath>()
            .map_err(io("no name for a socket"))?;
        let options = ListenerOptions::new().name(name).reclaim_name(false);
        let listener = with_mode(options)
            .create_tokio()
            .map_err(io("can't listen"))?;
        set_group(path, group).map_err(io("can't give it to the group of `bus.group`"))?;
        set_mode(path).map_err(io("its mode can't be set"))?;
        Ok((
            Self {
                path: path.to_owned(),
                lock,
            },
            listener,
        ))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        // The socket first, then the lock: who gets the lock finds no socket of a living process.
        drop(std::fs::remove_file(&self.path));
        drop(self.lock.set_len(0));
        // Closing alone leaves it locked while a child has a copy: one that was forked and hasn't run its program yet.
        drop(self.lock.unlock());
    }
}

/// # Errors
/// If no socket can have that path.
pub(super) fn check_length(path: &Path) -> Result<(), AddressError> {
    let bytes = path.as_os_str().len();
    if bytes > SOCKET_PATH_BYTES_MAX {
        return Err(AddressError::PathLength {
            path: path.display().to_string(),
            bytes,
        });
    }
    Ok(())
}

#[cfg(unix)]
fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => {
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(true).mode(FOLDER_MODE).create(folder)
        }
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn make_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// The lock's file: beside the socket.
fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// Locks the file beside the socket, and writes this process's pid into it.
fn take_lock(path: &Path) -> Result<File, AddressError> {
    let lock_path = lock_path(path);
    let io = |what| {
        let path = lock_path.display().to_string();
        move |error| AddressError::Io { path, what, error }
    };
    let mut lock = open_lock(&lock_path).map_err(io("can't open the lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // A pid has at most 10 digits; who writes more there is not listened to.
            let _read = (&lock).take(16).read_to_string(&mut holder);
            let holder = holder.trim();
            let is_pid = !holder.is_empty() && holder.bytes().all(|byte| byte.is_ascii_digit());
            return Err(AddressError::InUse {
                path: path.display().to_string(),
                holder: if is_pid { holder } else { "(unknown)" }.to_owned(),
            });
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(io("can't take the lock")(error)),
    }
    let pid = std::process::id().to_string();
    lock.set_len(0).map_err(io("can't write the lock"))?;
    lock.rewind().map_err(io("can't write the lock"))?;
    lock.write_all(pid.as_bytes())
        .map_err(io("can't write the lock"))?;
    Ok(lock)
}

#[cfg(unix)]
fn open_lock(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    // Readable for all: a second daemon of another user is told the pid, too. Never through a link
    // that somebody laid there.
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        // Who may open it may lock it, and so keep the daemon from starting.
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

#[cfg(not(unix))]
fn open_lock(path: &Path) -> io::Result<File> {
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// Removes a socket that nobody serves: the lock is ours.
#[cfg(unix)]
fn clear_stale(path: &Path) -> Result<(), AddressError> {
    use std::os::unix::fs::FileTypeExt as _;
    let shown = || path.display().to_string();
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            std::fs::remove_file(path).map_err(|error| AddressError::Io {
                path: shown(),
                what: "can't remove the stale socket",
                error,
            })
        }
        Ok(_) => Err(AddressError::NoSocket { path: shown() }),
        Err(_) => Ok(()),
    }
}

#[cfg(not(unix))]
fn clear_stale(_path: &Path) -> Result<(), AddressError> {
    Ok(())
}

#[cfg(unix)]
fn with_mode(options: ListenerOptions<'_>) -> ListenerOptions<'_> {
    use interprocess::os::unix::local_socket::ListenerOptionsExt as _;
    options.mode(SOCKET_MODE.into())
}

#[cfg(not(unix))]
fn with_mode(options: ListenerOptions<'_>) -> ListenerOptions<'_> {
    options
}

/// Binding leaves off what the process's umask takes away, the group's right to connect most of all.
///
/// By the descriptor of what stands there, never by its name: who can write in the folder could put a link
/// there in between, and have another file opened to the group.
#[cfg(target_os = "linux")]
fn set_mode(path: &Path) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::PermissionsExt as _;

    use rustix::fs::{FileType, Mode, OFlags};

    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let socket = rustix::fs::open(path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&socket)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(io::Error::other("something else stands in its place"));
    }
    // Descriptors that only name a file take no `fchmod`; their entry does.
    let entry = format!("/proc/self/fd/{}", socket.as_raw_fd());
    std::fs::set_permissions(entry, std::fs::Permissions::from_mode(SOCKET_MODE.into()))
}

#[cfg(not(target_os = "linux"))]
fn set_mode(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn set_group(path: &Path, group: Option<u32>) -> io::Result<()> {
    let Some(group) = group else {
        return Ok(());
    };
    std::os::unix::fs::lchown(path, None, Some(group))
}

#[cfg(not(unix))]
fn set_group(_path: &Path, _group: Option<u32>) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_was_given_up_is_free_although_a_child_has_a_copy_of_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weir.sock");
        let (address, _listener) = Address::listen(&path, None).unwrap();
        let copy = address.lock.try_clone().unwrap();
        let again = Address::listen(&path, None);
        assert!(matches!(again, Err(AddressError::InUse { .. })));
        drop(address);
        assert!(Address::listen(&path, None).is_ok());
        drop(copy);
    }
}
