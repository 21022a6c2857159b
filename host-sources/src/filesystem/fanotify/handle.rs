//! From a handle to the folder that it names: the one system call for which there is no safe binding.
//!
//! The invariant: nothing but the kernel looks into a handle, and it gets it with the length that it has.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// Bytes of the longest handle: `MAX_HANDLE_SZ`.
const HANDLE_BYTES_MAX: usize = 128;

/// `struct file_handle` with room for the longest.
#[repr(C)]
struct RawHandle {
    bytes: libc::c_uint,
    kind: libc::c_int,
    handle: [u8; HANDLE_BYTES_MAX],
}

/// Opens what a handle names, for its path only. `mount` is anything on the file system that it is of.
///
/// # Errors
/// `ESTALE` where it is gone, `EPERM` without `CAP_DAC_READ_SEARCH`, and `EINVAL` for what is no handle.
#[expect(
    unsafe_code,
    reason = "open_by_handle_at(2) is in no crate that wraps it"
)]
pub(super) fn open(mount: BorrowedFd<'_>, kind: i32, bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut raw = RawHandle {
        bytes: 0,
        kind,
        handle: [0; HANDLE_BYTES_MAX],
    };
    let Some(room) = raw.handle.get_mut(..bytes.len()) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    room.copy_from_slice(bytes);
    raw.bytes = libc::c_uint::try_from(bytes.len())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    // SAFETY: `RawHandle` begins as `struct file_handle` does (two 32-bit numbers, `repr(C)`), and has more room
    // behind them than `bytes` says; the pointer lives through the call, and the kernel keeps none. `mount` is
    // open for as long as it is borrowed.
    let opened = unsafe {
        libc::open_by_handle_at(
            mount.as_raw_fd(),
            (&raw mut raw).cast::<libc::file_handle>(),
            flags,
        )
    };
    if opened < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just returned it, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(opened) })
}
