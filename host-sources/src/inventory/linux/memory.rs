//! How much memory and swap there is: `/proc/meminfo`.

use std::path::PathBuf;

use super::{FILE_BYTES_MAX, Hand, Part};
use crate::kernel_files::text::number_of;
use crate::kernel_files::{FileError, Roots, read_once};

const CLASS: &str = "memory";
/// The unit of the file.
const KIB: u64 = 1024;

pub(super) struct Memory {
    path: PathBuf,
}

impl Memory {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            path: roots.proc.join("meminfo"),
        }
    }
}

impl Part for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn look(&mut self, hand: &mut Hand<'_>) {
        let (memory, swap) = match read_once(&self.path, FILE_BYTES_MAX, hand.buffer) {
            Ok(contents) => {
                let bytes = |name: &[u8]| number_of(contents.bytes, name)?.checked_mul(KIB);
                (bytes(b"MemTotal:"), bytes(b"SwapTotal:"))
            }
            Err(error) => return hand.note(error),
        };
        for (item, bytes) in [
            ("memory", memory),
            ("swap", swap.filter(|bytes| *bytes > 0)),
        ] {
            if let Some(bytes) = bytes {
                hand.facts
                    .say(CLASS, item, "total_bytes", &bytes.to_string());
            }
        }
        if memory.is_none() {
            hand.note(FileError::malformed(&self.path, "`MemTotal`"));
        }
    }
}
