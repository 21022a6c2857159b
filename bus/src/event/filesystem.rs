//! Events of kind `filesystem`.

use super::column::{ColumnType, Timestamp};
use super::declare::event_kind;

event_kind! {
    /// An operation on a file.
    Filesystem: FilesystemEvent, FilesystemBuilder, FilesystemColumns, FilesystemRow {
        /// The file's path.
        path: String,
        /// `create`, `modify`, `delete`, `rename`, `access` or `execute`.
        operation: String,
        /// Where a renamed file went.
        new_path: Option<String>,
        /// Who did it.
        pid: Option<u32>,
        /// When that process started.
        process_start_time: Option<Timestamp>,
        /// The file's size in bytes.
        size_bytes: Option<u64>,
        /// The file's permission bits.
        permissions: Option<u32>,
        /// The file's digest, in hex.
        hash: Option<String>,
    }
}
