//! From what is known of a process to its row.
//!
//! It reads nothing from the host. The invariant: every field of the row is set each time, and the
//! row's texts are written into the memory of those before.

use weir_bus::Batch;
use weir_bus::event::ProcessEvent;

use super::known::{Known, Measured};

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
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Started => "started",
            Self::Exited => "exited",
        }
    }
}

/// What was filled of the rows of a look.
#[derive(Debug)]
pub(super) struct Filled {
    /// Processes of the look that were passed; what has ended meanwhile is passed over.
    pub(super) passed: usize,
    /// Rows that were filled.
    pub(super) rows: usize,
    /// Where these rows stand, from which row of the batch on: then only what is measured was filled. None: they are
    /// new.
    pub(super) standing: Option<(Batch, usize)>,
}

#[cfg(target_os = "linux")]
impl Filled {
    /// Whether a row that stands there, or is new, can be filled with those that were; the first decides.
    pub(super) fn goes_on(&mut self, place: Option<(&Batch, usize)>) -> bool {
        match (&self.standing, place) {
            (None, None) => true,
            (None, Some((batch, at))) if self.passed == 0 => {
                self.standing = Some((batch.clone(), at));
                true
            }
            (Some((standing, from)), Some((batch, at))) => {
                standing.is_same(batch) && from + self.rows == at
            }
            _ => false,
        }
    }
}

/// Fills a row that stands: what is measured, and what its topic is made of.
#[cfg(target_os = "linux")]
pub(super) fn fill_standing(row: &mut ProcessEvent, measured: &Measured) {
    let observed = Lifecycle::Observed.as_str();
    if row.lifecycle != observed {
        observed.clone_into(&mut row.lifecycle);
    }
    fill_measured(row, measured);
}

fn fill_measured(row: &mut ProcessEvent, measured: &Measured) {
    row.cpu_usage = measured.cpu_usage;
    row.memory_bytes = measured.memory_bytes;
    set(&mut row.state, measured.state);
}

/// Fills the row, but for its timestamp.
pub(super) fn fill(
    row: &mut ProcessEvent,
    known: &Known,
    parent: Option<&Known>,
    lifecycle: Lifecycle,
) {
    let details = known.details();
    row.pid = known.pid;
    row.start_time = details.start_time;
    row.ppid = known.ppid;
    row.parent_start_time = parent.map(|parent| parent.details().start_time);
    set(
        &mut row.parent_name,
        parent.map(|parent| parent.details().name.as_str()),
    );
    set(
        &mut row.parent_executable,
        parent.and_then(|parent| parent.details().executable.as_deref()),
    );
    row.name.clone_from(&details.name);
    set(&mut row.executable, details.executable.as_deref());
    row.executable_deleted = details.executable_deleted;
    row.command_line.clone_from(&details.command_line);
    fill_measured(row, &known.measured);
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
    row.lossy_text = Some(details.is_lossy());
}

fn set(field: &mut Option<String>, text: Option<&str>) {
    match (field.as_mut(), text) {
        (Some(field), Some(text)) if field == text => {}
        (Some(field), Some(text)) => text.clone_into(field),
        (_, text) => *field = text.map(str::to_owned),
    }
}
