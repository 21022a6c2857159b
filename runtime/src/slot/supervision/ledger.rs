//! Which modules are in quarantine, across restarts: a file of JSON in the state folder.
//!
//! Invariant: the file is whole at any moment. It is written to the side, with fsync, and moved into
//! place. What can't be read is told, and taken for nothing: it never keeps a daemon from starting.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use cap_std::fs::Dir;
use serde::{Deserialize, Serialize};

use crate::sandbox::FaultReason;
use crate::sandbox::folder::{self, Opened};

/// Why a module is in quarantine in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The module's digest.
    pub digest: String,
    /// The reason of the last fault.
    pub reason: FaultReason,
    /// What it said, cut.
    pub message: String,
    /// Batches that led to it, and tries that failed since.
    pub faults: u64,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// The pause before the next try, in milliseconds.
    pub pause_ms: u64,
}

/// Where quarantines are kept. Slots of one daemon share it.
pub trait QuarantineLedger: Send + Sync + std::fmt::Debug {
    /// What is kept of a slot.
    fn read(&self, slot: &str) -> Option<Quarantined>;

    /// Keeps of a slot what `now` says when its turn has come: nothing where it is not held any more.
    ///
    /// # Errors
    /// If it can't be kept.
    fn write(&self, slot: &str, now: &dyn Fn() -> Option<Quarantined>) -> std::io::Result<()>;
}

/// What the file is called.
const FILE_NAME: &str = "quarantine.json";
/// A file that is larger is not ours: 64 slots with their messages are a tenth of it.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The file's version.
const VERSION: u32 = 1;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    version: u32,
    slots: BTreeMap<String, Quarantined>,
}

/// A ledger in a file.
#[derive(Debug)]
pub struct FileLedger {
    folder: PathBuf,
    /// One writes at a time.
    turn: Mutex<()>,
}

impl FileLedger {
    /// In that folder; nothing is made before the first quarantine.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            turn: Mutex::new(()),
        }
    }

    fn folder(&self) -> std::io::Result<Dir> {
        match folder::open(&self.folder, "sandbox.state_folder") {
            Ok(Opened::Folder(dir)) => Ok(dir),
            Ok(Opened::Not(why)) => Err(std::io::Error::other(why)),
            Err(error) => Err(std::io::Error::other(error)),
        }
    }

    fn content(&self, folder: &Dir) -> Content {
        let read = || -> std::io::Result<Content> {
            let bytes = folder::read_own(folder, FILE_NAME, FILE_BYTES_MAX)?;
            let content: Content = serde_json::from_slice(&bytes)?;
            if content.version != VERSION {
                let found = content.version;
                return Err(std::io::Error::other(format!("version {found}")));
            }
            Ok(content)
        };
        read().unwrap_or_else(|error| {
            if error.kind() != std::io::ErrorKind::NotFound {
                tracing::warn!(file = FILE_NAME, %error, "the quarantines of before can't be read, and are forgotten");
            }
            Content::default()
        })
    }
}

impl QuarantineLedger for FileLedger {
    fn read(&self, slot: &str) -> Option<Quarantined> {
        let folder = self.folder().ok()?;
        self.content(&folder).slots.remove(slot)
    }

    fn write(&self, slot: &str, now: &dyn Fn() -> Option<Quarantined>) -> std::io::Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.folder()?;
        let mut content = self.content(&folder);
        content.version = VERSION;
        match now() {
            Some(quarantined) => content.slots.insert(slot.to_owned(), quarantined),
            None => content.slots.remove(slot),
        };
        folder::write_own(&folder, FILE_NAME, &serde_json::to_vec(&content)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quarantined() -> Quarantined {
        Quarantined {
            digest: "00".to_owned(),
            reason: FaultReason::Trap,
            message: "\u{1b}[2J \"it\" broke".to_owned(),
            faults: 5,
            since_ms: 1_700_000_000_000,
            pause_ms: 30_000,
        }
    }

    #[test]
    fn what_is_kept_of_a_slot_is_there_for_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("state");
        let ledger = FileLedger::new(folder.clone());
        assert_eq!(ledger.read("one"), None);
        ledger.write("one", &|| Some(quarantined())).unwrap();
        ledger.write("two", &|| Some(quarantined())).unwrap();
        let next = FileLedger::new(folder.clone());
        assert_eq!(next.read("one"), Some(quarantined()));
        next.write("one", &|| None).unwrap();
        assert_eq!(ledger.read("one"), None);
        assert_eq!(ledger.read("two"), Some(quarantined()));
        let files = std::fs::read_dir(&folder).unwrap().count();
        assert_eq!(files, 1, "nothing is left beside it");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(folder.join(FILE_NAME)), 0o600);
            assert_eq!(mode(folder), 0o700);
        }
    }

    #[test]
    fn bad_content_is_taken_for_nothing_and_written_over() {
        for bad in ["", "{", "[]", r#"{"version":9,"slots":{}}"#] {
            let folder = tempfile::tempdir().unwrap();
            let ledger = FileLedger::new(folder.path().to_owned());
            folder::write_own(&ledger.folder().unwrap(), FILE_NAME, bad.as_bytes()).unwrap();
            assert_eq!(ledger.read("one"), None, "{bad}");
            ledger.write("one", &|| Some(quarantined())).unwrap();
            assert_eq!(ledger.read("one"), Some(quarantined()), "{bad}");
        }
    }
}
