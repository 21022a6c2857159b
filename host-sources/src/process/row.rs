//! From what is known of a process to its row.
//!
//! It reads nothing from the host. The invariant: every field of the row is set each time, and the
//! row's texts are written into the memory of those before.

use weir_bus::event::ProcessEvent;

use super::known::Known;

/// What digests in rows are.
const HASH_ALGORITHM: &str = "sha256";

/// What a row says of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifecycle {
    /// It was there.
    Observed,
    /// It wasn't there at the look before.
    Started,
    /// It is there no more.
    Exited,
}

impl Lifecycle {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Started => "started",
            Self::Exited => "exited",
        }
    }
}

/// Fills the row, but for its timestamp.
pub(super) fn fill(
    row: &mut ProcessEvent,
    known: &Known,
    parent: Option<&Known>,
    lifecycle: Lifecycle,
) {
    let details = &known.details;
    row.pid = known.pid;
    row.start_time = details.start_time;
    row.ppid = known.ppid;
    row.parent_start_time = parent.map(|parent| parent.details.start_time);
    set(
        &mut row.parent_name,
        parent.map(|parent| parent.details.name.as_str()),
    );
    set(
        &mut row.parent_executable,
        parent.and_then(|parent| parent.details.executable.as_deref()),
    );
    row.name.clone_from(&details.name);
    set(&mut row.executable, details.executable.as_deref());
    row.executable_deleted = details.executable_deleted;
    row.command_line.clone_from(&details.command_line);
    row.cpu_usage = known.cpu_usage;
    row.memory_bytes = known.memory_bytes;
    row.user_id = known.user_id;
    set(&mut row.cgroup, details.cgroup.as_deref());
    set(&mut row.container_id, details.container_id.as_deref());
    let digests = details.digests();
    set(&mut row.executable_hash, digests.map(|(digest, _)| digest));
    set(&mut row.hash_algorithm, digests.map(|_| HASH_ALGORITHM));
    set(
        &mut row.hash_baseline,
        digests.and_then(|(_, baseline)| baseline),
    );
    row.accessible = details.accessible;
    row.file_exists = details.file_exists;
    lifecycle.as_str().clone_into(&mut row.lifecycle);
    // Only who hears of the end itself learns these.
    row.exit_code = None;
    row.lifetime_ns = None;
    set(&mut row.state, known.state);
    row.lossy_text = Some(details.is_lossy());
}

fn set(field: &mut Option<String>, text: Option<&str>) {
    match (field.as_mut(), text) {
        (Some(field), Some(text)) => text.clone_into(field),
        (_, text) => *field = text.map(str::to_owned),
    }
}
