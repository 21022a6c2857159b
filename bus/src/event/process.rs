//! Events of kind `process`.

use super::column::{ColumnType, Timestamp};
use super::declare::event_kind;

event_kind! {
    /// A process: (`pid`, `start_time`) names it, for pids are used again.
    Process: ProcessEvent, ProcessBuilder, ProcessColumns, ProcessRow {
        /// The process id.
        pid: u32,
        /// When the process started, ns since the epoch.
        start_time: Timestamp,
        /// The parent's process id.
        ppid: Option<u32>,
        /// When the parent started; null when unknown.
        parent_start_time: Option<Timestamp>,
        /// The parent's name; null when unknown.
        parent_name: Option<String>,
        /// The parent's executable; null when unknown.
        parent_executable: Option<String>,
        /// The short name, as the kernel has it.
        name: String,
        /// The executable's path; null for kernel threads, and where it can't be read.
        executable: Option<String>,
        /// Whether the running executable has been deleted.
        executable_deleted: Option<bool>,
        /// The arguments, the program's own name first.
        command_line: Vec<String>,
        /// CPU use in % of one core since the last look.
        [measured] cpu_usage: Option<f64>,
        /// Resident memory in bytes.
        [measured] memory_bytes: Option<u64>,
        /// The effective user id; null where users have no number.
        user_id: Option<u32>,
        /// The control group's path.
        cgroup: Option<String>,
        /// The container's id, where the control group names one.
        container_id: Option<String>,
        /// The executable's digest, in hex.
        executable_hash: Option<String>,
        /// What `executable_hash` is: `sha256`.
        hash_algorithm: Option<String>,
        /// The digest first seen for that path.
        hash_baseline: Option<String>,
        /// Whether the collector could read all that it wanted of the process.
        accessible: bool,
        /// Whether a file lies at the executable's path.
        file_exists: Option<bool>,
        /// `observed`, `started` or `exited`.
        lifecycle: String,
        /// The exit code of a process that exited, as shells have it: 0 to 255 where it ended by itself, 128 and
        /// the signal's number where a signal ended it; null where nobody was told.
        exit_code: Option<i32>,
        /// How long a process that exited has lived, ns; null where nobody was told when it ended.
        lifetime_ns: Option<u64>,
        /// What it does: `running`, `sleeping`, `disk-sleep`, `idle`, `stopped`, `traced`, `zombie`, `dead`,
        /// `parked`; null when unknown.
        [measured] state: Option<String>,
        /// Whether the name, the executable or an argument wasn't UTF-8: what wasn't stands as U+FFFD.
        lossy_text: Option<bool>,
    }
}
