//! Why something isn't kept.

use std::path::Path;

/// Why something can't be kept, or isn't found again.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error(
        "{path} is in use: another daemon keeps its slots there; give each its own sandbox.state_folder"
    )]
    InUse {
        /// The file.
        path: String,
    },
    /// It can't be opened.
    #[error(
        "{path} can't be opened: {problem}; move it away to begin without kept state, or choose another sandbox.state_folder"
    )]
    Open {
        /// The file.
        path: String,
        /// Why.
        problem: String,
    },
    /// What is kept of a slot isn't what was written.
    #[error("what is kept of slot {slot} can't be read: {problem}")]
    Entry {
        /// The slot.
        slot: String,
        /// Why.
        problem: String,
    },
    /// The disk, mostly.
    #[error("the store of slots: {0}")]
    Database(Box<redb::Error>),
}

impl StoreError {
    pub(super) fn of_open(path: &Path, error: &redb::DatabaseError) -> Self {
        let path = path.display().to_string();
        match error {
            redb::DatabaseError::DatabaseAlreadyOpen => Self::InUse { path },
            error => Self::Open {
                path,
                problem: error.to_string(),
            },
        }
    }
}

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        Self::Database(Box::new(error))
    }
}
