//! From the path that an exec was asked for to the one that the system shows, without asking the process: it may
//! be gone.
//!
//! The invariant: a path counts only if the file that was run lies there.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustc_hash::FxHashMap;

use super::super::details::{Details, DetailsReader};
use super::Binary;

/// Executables whose paths are remembered; more than any host runs in turns.
const PATHS_MAX: usize = 4_096;

/// Where a path leads.
struct Resolved {
    /// As it was asked for.
    asked: Vec<u8>,
    /// As the system shows it.
    real: Vec<u8>,
}

/// Paths that are known.
#[derive(Default)]
pub(super) struct Paths {
    /// By device and number of the file.
    files: FxHashMap<(u32, u32, u64), Resolved>,
}

impl Paths {
    /// Takes the executable of a process that runs `binary`, and its digest.
    pub(super) fn take(
        &mut self,
        reader: &mut DetailsReader,
        pid: u32,
        details: &mut Details,
        binary: &Binary<'_>,
    ) {
        let (major, minor) = binary.file_device;
        let key = (major, minor, binary.file_number);
        let is_it = |found: &std::fs::Metadata| {
            let device = (
                rustix::fs::major(found.dev()),
                rustix::fs::minor(found.dev()),
            );
            found.ino() == binary.file_number && device == binary.file_device
        };
        if let Some(resolved) = self.files.get(&key)
            && resolved.asked == binary.path
        {
            reader.take_opened_executable(&resolved.real, details);
        } else {
            let asked = Path::new(std::ffi::OsStr::from_bytes(binary.path));
            let real = Some(asked)
                .filter(|asked| asked.is_absolute())
                .and_then(|asked| std::fs::canonicalize(asked).ok())
                .filter(|real| std::fs::metadata(real).is_ok_and(|found| is_it(&found)));
            if let Some(real) = real {
                let resolved = Resolved {
                    asked: binary.path.to_vec(),
                    real: real.into_os_string().into_encoded_bytes(),
                };
                reader.take_opened_executable(&resolved.real, details);
                if self.files.len() >= PATHS_MAX {
                    self.files.clear();
                }
                self.files.insert(key, resolved);
            } else if !reader.take_executable_if(pid, details, is_it) {
                // It is gone, or lies where only it can see: what it was called has to do.
                reader.take_opened_executable(binary.path, details);
                details.file_exists = None;
                details.executable_deleted = None;
                return;
            }
        }
        if let Some(path) = details.executable.clone() {
            reader.take_digest_at(&path, details);
        }
    }
}
