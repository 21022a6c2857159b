//! Opens regular files, and nothing else that has a path. Named attack: a pipe, a terminal or a device
//! where a file is expected, which a reader would wait for.
//!
//! Invariant: what is said about a file was read from its open descriptor, never from its name.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;

/// What stands at a path.
pub(crate) enum Opened {
    /// A regular file, and what its descriptor says of it.
    File(File, Metadata),
    /// Something else: what, to be read after "it is".
    Other(&'static str),
}

/// Opens what stands at a path, which may be a link; never waits for it.
pub(crate) fn open(path: &Path) -> io::Result<Opened> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        // A pipe would otherwise wait for its writer.
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    Ok(if metadata.is_file() {
        Opened::File(file, metadata)
    } else if metadata.is_dir() {
        Opened::Other("a folder")
    } else {
        Opened::Other("a pipe or a device")
    })
}

/// What a small file holds: at most one byte more than it may have, which shows that there is more. What a file
/// says of its length can change.
pub(crate) fn read_small(file: File, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take((bytes_max as u64).saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
