//! What outlives the daemon: each slot's state, and the generation that is confirmed in it.
//!
//! One redb file in the state folder. The invariant: a generation and the state that it was confirmed with
//! stand in one durable transaction, so that after a kill at any moment both are there, or neither.
//! Everything is read at the start, while nothing runs; afterwards it is only written.

mod error;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde::{Deserialize, Serialize};

pub use error::StoreError;

use crate::digest::Digest;
use crate::sandbox::Unsaved;

/// The file in the state folder.
const FILE: &str = "slots.redb";

/// Memory that the store may use for pages.
const CACHE_BYTES: usize = 1 << 20;

/// Slot and key to value.
const STATE: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("state");

/// Slot to its confirmed generation, as postcard.
const CONFIRMED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("confirmed");

/// Digest to the bytes of a module that is confirmed somewhere: its file may have changed meanwhile.
const MODULES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("modules");

/// A generation that has proved itself: what a slot comes up with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confirmed {
    /// Its number in the slot.
    pub number: u64,
    /// The module as it was named.
    pub module: String,
    /// Its digest.
    pub digest: Digest,
    /// The guest's settings, as JSON.
    pub settings: String,
    /// Its signature, as it lay beside the module: it is judged anew before the module runs again.
    pub signature: Option<Vec<u8>>,
    /// What the config asked for when this was decided, a digest of it: while it asks for the same, this
    /// generation is the answer, also where that was to go back.
    pub asked: Digest,
    /// What the guest had in memory, and the version of its layout.
    pub memory: Option<(u32, Vec<u8>)>,
}

/// What a slot has from an earlier run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// The generation.
    pub confirmed: Option<Confirmed>,
    /// Its state.
    pub state: BTreeMap<String, Arc<[u8]>>,
}

/// The store of all slots.
#[derive(Debug)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens the store in a folder, and makes it where there is none.
    ///
    /// # Errors
    /// If another process has it open, it is damaged beyond repair, or the disk refuses.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let file = private(&path).map_err(|error| StoreError::Open {
            path: path.display().to_string(),
            problem: error.to_string(),
        })?;
        let database = FileBackend::new(file)
            .and_then(|backend| {
                let mut builder = Database::builder();
                builder.set_cache_size(CACHE_BYTES);
                builder.create_with_backend(backend)
            })
            .map_err(|error| StoreError::of_open(&path, &error))?;
        let store = Self { database };
        // So that reading finds its tables.
        store.write(|transaction| {
            transaction.open_table(STATE)?;
            transaction.open_table(CONFIRMED)?;
            transaction.open_table(MODULES)?;
            Ok(())
        })?;
        Ok(store)
    }

    /// What a slot has from an earlier run.
    ///
    /// # Errors
    /// If it can't be read, or isn't what was written.
    pub fn kept(&self, slot: &str) -> Result<Kept, StoreError> {
        let read = || -> Result<_, redb::Error> {
            let transaction = self.database.begin_read()?;
            let confirmed = transaction.open_table(CONFIRMED)?.get(slot)?;
            let confirmed = confirmed.map(|value| value.value().to_vec());
            let table = transaction.open_table(STATE)?;
            let mut state = BTreeMap::new();
            for entry in table.range((slot, "")..)? {
                let (key, value) = entry?;
                let (of, key) = key.value();
                if of != slot {
                    break;
                }
                state.insert(key.to_owned(), Arc::from(value.value()));
            }
            Ok((confirmed, state))
        };
        let (confirmed, state) = read()?;
        let confirmed = confirmed
            .map(|bytes| postcard::from_bytes(&bytes))
            .transpose();
        let confirmed = confirmed.map_err(|error| StoreError::Entry {
            slot: slot.to_owned(),
            problem: error.to_string(),
        })?;
        Ok(Kept { confirmed, state })
    }

    /// The bytes of a confirmed module; none where they aren't there, or are not what was written.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn module(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let read = || -> Result<_, redb::Error> {
            let transaction = self.database.begin_read()?;
            let bytes = transaction
                .open_table(MODULES)?
                .get(digest.to_string().as_str())?;
            Ok(bytes.map(|bytes| bytes.value().to_vec()))
        };
        Ok(read()?.filter(|bytes| Digest::of(bytes) == *digest))
    }

    /// Writes which generation is confirmed in a slot and the state that goes with it, in one; its module, where that
    /// isn't built in and is not there yet.
    ///
    /// # Errors
    /// If the disk refuses: nothing is written, and what was confirmed before still is.
    pub fn save(
        &self,
        slot: &str,
        confirmed: &Confirmed,
        module: Option<&[u8]>,
        unsaved: &Unsaved,
    ) -> Result<(), StoreError> {
        let bytes = postcard::to_allocvec(confirmed).map_err(|error| StoreError::Entry {
            slot: slot.to_owned(),
            problem: error.to_string(),
        })?;
        self.write(|transaction| {
            write_state(transaction, slot, unsaved)?;
            transaction
                .open_table(CONFIRMED)?
                .insert(slot, bytes.as_slice())?;
            let digest = confirmed.digest.to_string();
            let mut modules = transaction.open_table(MODULES)?;
            if let Some(module) = module
                && modules.get(digest.as_str())?.is_none()
            {
                modules.insert(digest.as_str(), module)?;
            }
            let used = digests(&transaction.open_table(CONFIRMED)?)?;
            modules.retain(|digest, _| used.contains(&digest.to_owned()))?;
            Ok(())
        })
    }

    fn write(
        &self,
        body: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let transaction = self.database.begin_write().map_err(redb::Error::from)?;
        body(&transaction)?;
        Ok(transaction.commit().map_err(redb::Error::from)?)
    }
}

fn write_state(
    transaction: &redb::WriteTransaction,
    slot: &str,
    unsaved: &Unsaved,
) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(STATE)?;
    for (key, value) in unsaved {
        match value {
            Some(value) => drop(table.insert((slot, key.as_str()), &value[..])?),
            None => drop(table.remove((slot, key.as_str()))?),
        }
    }
    Ok(())
}

/// The digests of all modules that are confirmed in some slot.
fn digests(confirmed: &redb::Table<'_, &str, &[u8]>) -> Result<Vec<String>, redb::Error> {
    let mut digests = Vec::new();
    for entry in confirmed.iter()? {
        let (_, value) = entry?;
        // One that can't be read names no module.
        if let Ok(confirmed) = postcard::from_bytes::<Confirmed>(value.value()) {
            digests.push(confirmed.digest.to_string());
        }
    }
    Ok(digests)
}

/// The file, for its owner alone: what is in it becomes code.
fn private(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        options.mode(0o600).custom_flags(no_link);
    }
    options.open(path)
}
