//! What an open file is called: the link that `/proc` has for its descriptor.
//!
//! The invariant: it is about the very file that is open, whatever lies at its path by now.

use std::os::fd::{AsFd, AsRawFd as _};

use rustix::fs::{CWD, readlinkat};

/// What the kernel appends to the path of a file that was deleted. A name may well end so.
pub(crate) const DELETED_SUFFIX: &[u8] = b" (deleted)";
/// Bytes that most paths have room in.
const LINK_BYTES: usize = 256;

/// The path of what is open, as the kernel shows it to this process.
pub(crate) fn link_of(open: &impl AsFd) -> rustix::io::Result<Vec<u8>> {
    let entry = format!("/proc/self/fd/{}", open.as_fd().as_raw_fd());
    let link = readlinkat(CWD, entry, Vec::with_capacity(LINK_BYTES))?;
    Ok(link.into_bytes())
}
