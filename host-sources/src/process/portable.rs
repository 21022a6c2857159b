//! One look after another at all processes through sysinfo, and what changed between them: for platforms
//! that have no reader of their own.
//!
//! It sends nothing. The invariant: what a process has once and for all is read once for each
//! (pid, start time), and again only after what looks like an exec.

use std::time::Instant;

use rustc_hash::FxHashMap;
use sysinfo::{Process, ProcessesToUpdate, System, ThreadKind};
use weir_bus::Batch;
use weir_bus::event::ProcessEvent;

use super::PROCESSES_MAX;
use super::details::ReaderOptions;
use super::details::portable::DetailsReader;
use super::known::{Known, percent_of_core};
use super::row::{self, Filled, Lifecycle};
use crate::source::SourceError;

/// A process as it was at the last look that saw it.
struct Followed {
    known: Known,
    /// Whether this look is the first to see it, and not the first of all.
    is_new: bool,
    /// sysinfo's start time, in seconds: a cheap first sign that the pid is another process's now.
    start_seconds: u64,
    cpu_ms: u64,
    virtual_bytes: u64,
    /// The number of the look that saw it last.
    seen: u64,
}

/// The looks of one run.
pub(super) struct Look {
    system: System,
    reader: DetailsReader,
    known: FxHashMap<u32, Followed>,
    /// The pids of the last look, in order.
    order: Vec<u32>,
    /// What the last look didn't find any more.
    gone: Vec<Followed>,
    number: u64,
    at: Option<Instant>,
    over_limit: usize,
}

impl Look {
    /// Begins with nothing known.
    pub(super) fn new(options: ReaderOptions) -> Result<Self, SourceError> {
        let failed = |error| SourceError::Failed(format!("processes can't be read: {error}"));
        Ok(Self {
            system: System::new().map_err(failed)?,
            reader: DetailsReader::new(options),
            known: FxHashMap::default(),
            order: Vec::new(),
            gone: Vec::new(),
            number: 0,
            at: None,
            over_limit: 0,
        })
    }

    /// Looks at all processes.
    pub(super) fn take(&mut self) -> Result<(), SourceError> {
        let found = self.system.refresh_processes_specifics(
            ProcessesToUpdate::All,
            true,
            DetailsReader::refresh_kind(),
        );
        if found == 0 {
            return Err(SourceError::Failed(
                "the system shows no process at all, not even this one".to_owned(),
            ));
        }
        let now = Instant::now();
        let elapsed_ms = self
            .at
            .replace(now)
            .map(|before| now.duration_since(before).as_secs_f64() * 1_000.0);
        self.number += 1;
        self.order.clear();
        self.gone.clear();
        self.over_limit = 0;
        let mut looker = Looker {
            reader: &mut self.reader,
            known: &mut self.known,
            gone: &mut self.gone,
            number: self.number,
            elapsed_ms,
        };
        for process in self.system.processes().values() {
            if process.thread_kind() == Some(ThreadKind::Userland) {
                continue;
            }
            let pid = process.pid().as_u32();
            if looker.see(pid, process) {
                self.order.push(pid);
            } else {
                self.over_limit += 1;
            }
        }
        self.order.sort_unstable();
        let number = self.number;
        self.gone.extend(
            self.known
                .extract_if(|_, known| known.seen != number)
                .map(|(_, known)| known),
        );
        self.gone.sort_unstable_by_key(|gone| gone.known.pid);
        Ok(())
    }

    /// Rows of the last look: first those of what is gone, so that a pid's old process ends before its new
    /// one starts.
    pub(super) fn rows(&self) -> usize {
        self.gone.len() + self.order.len()
    }

    /// Fills rows from the row `from` on, but for their timestamps.
    pub(super) fn fill(&mut self, from: usize, rows: &mut [ProcessEvent]) -> Filled {
        let mut filled = 0;
        for (row, index) in rows.iter_mut().zip(from..) {
            let Some((followed, lifecycle)) = self.at(index) else {
                break;
            };
            let parent = self.parent_of(followed).map(|parent| &parent.known);
            row::fill(row, &followed.known, parent, lifecycle);
            filled += 1;
        }
        Filled {
            passed: filled,
            rows: filled,
            standing: None,
        }
    }

    /// The look is told: its rows are made anew each time.
    pub(super) fn end_look(&mut self, _: Vec<Batch>) {}

    fn at(&self, index: usize) -> Option<(&Followed, Lifecycle)> {
        if let Some(gone) = self.gone.get(index) {
            return Some((gone, Lifecycle::Exited));
        }
        let pid = self.order.get(index.checked_sub(self.gone.len())?)?;
        let followed = self.known.get(pid)?;
        let lifecycle = match followed.is_new {
            true => Lifecycle::Started,
            false => Lifecycle::Observed,
        };
        Some((followed, lifecycle))
    }

    /// Processes that the last look found, and that aren't followed.
    pub(super) const fn over_limit(&self) -> usize {
        self.over_limit
    }

    /// The parent; none if unknown. One that started after its child only has the parent's pid.
    fn parent_of(&self, child: &Followed) -> Option<&Followed> {
        let ppid = child.known.ppid?;
        let present = self.known.get(&ppid);
        // The parents of what is gone may have gone with it.
        let gone = || self.gone.iter().find(|gone| gone.known.pid == ppid);
        let parent = if child.seen == self.number {
            present
        } else {
            present.or_else(gone)
        };
        parent
            .filter(|parent| parent.known.details().start_time <= child.known.details().start_time)
    }
}

/// What a look has in hand while it goes from process to process.
struct Looker<'a> {
    reader: &'a mut DetailsReader,
    known: &'a mut FxHashMap<u32, Followed>,
    gone: &'a mut Vec<Followed>,
    number: u64,
    elapsed_ms: Option<f64>,
}

impl Looker<'_> {
    /// Notes a process; false if there is no room for it.
    fn see(&mut self, pid: u32, process: &Process) -> bool {
        let is_another = match self.known.get_mut(&pid) {
            Some(known) => !known.see_again(self.reader, process, self.number, self.elapsed_ms),
            None => false,
        };
        if is_another && let Some(known) = self.known.remove(&pid) {
            self.gone.push(known);
        }
        if is_another || !self.known.contains_key(&pid) {
            if self.known.len() >= PROCESSES_MAX {
                return false;
            }
            let known = Followed::first(self.reader, process, self.number);
            self.known.insert(pid, known);
        }
        true
    }
}

impl Followed {
    fn first(reader: &mut DetailsReader, process: &Process, number: u64) -> Self {
        let mut followed = Self {
            known: Known::new(process.pid().as_u32(), reader.read(process)),
            is_new: number > 1,
            start_seconds: process.start_time(),
            cpu_ms: process.accumulated_cpu_time(),
            virtual_bytes: 0,
            seen: number,
        };
        followed.refresh(process);
        followed
    }

    /// Notes that the process is still there; false if the pid is another process's now.
    fn see_again(
        &mut self,
        reader: &mut DetailsReader,
        process: &Process,
        number: u64,
        elapsed_ms: Option<f64>,
    ) -> bool {
        let cpu_ms = process.accumulated_cpu_time();
        if process.start_time() != self.start_seconds {
            return false;
        }
        // An exec makes a new address space, hardly ever of the same size; a pid that was used again
        // within the same second has less time behind it.
        let suspicious = process.virtual_memory() != self.virtual_bytes || cpu_ms < self.cpu_ms;
        let turn = number.wrapping_add(u64::from(self.known.pid));
        reader.read_again(process, self.known.details_mut(), suspicious, turn);
        self.known.measured.cpu_usage = elapsed_ms
            .filter(|elapsed| *elapsed > 0.0)
            .map(|elapsed| percent_of_core(cpu_ms.saturating_sub(self.cpu_ms), elapsed));
        self.cpu_ms = cpu_ms;
        self.is_new = false;
        self.seen = number;
        self.refresh(process);
        true
    }

    fn refresh(&mut self, process: &Process) {
        self.known.ppid = process.parent().map(sysinfo::Pid::as_u32);
        self.known.user_id = user_id(process);
        self.known.measured.memory_bytes = Some(process.memory());
        self.virtual_bytes = process.virtual_memory();
    }
}

#[cfg(unix)]
fn user_id(process: &Process) -> Option<u32> {
    process.effective_user_id().map(|user| **user)
}

#[cfg(not(unix))]
fn user_id(_: &Process) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use weir_bus::Timestamp;

    use super::super::details::Details;
    use super::*;
    use crate::testing::Kept;

    fn known(pid: u32, ppid: Option<u32>, start: i64, seen: u64) -> Followed {
        let mut details = Details::default();
        details.start_time = Timestamp(start);
        let mut known = Known::new(pid, details);
        known.ppid = ppid;
        Followed {
            known,
            is_new: false,
            start_seconds: 0,
            cpu_ms: 0,
            virtual_bytes: 0,
            seen,
        }
    }

    #[test]
    fn a_parent_is_never_a_process_that_started_after_its_child() {
        let mut look = Look::new(ReaderOptions::default()).unwrap();
        look.number = 5;
        look.known.insert(1, known(1, None, 10, 5));
        look.gone.push(known(2, Some(1), 20, 4));
        let check = |child: &Followed, parent: Option<(u32, i64)>| {
            let found = look.parent_of(child);
            let found = found.map(|parent| (parent.known.pid, parent.known.details().start_time.0));
            assert_eq!(found, parent);
        };
        check(&known(7, Some(1), 30, 5), Some((1, 10)));
        check(&known(7, Some(1), 10, 5), Some((1, 10)));
        // The pid is another's now.
        check(&known(7, Some(1), 9, 5), None);
        check(&known(7, None, 30, 5), None);
        check(&known(7, Some(99), 30, 5), None);
        // Only what is gone itself had a parent that is gone.
        check(&known(7, Some(2), 30, 4), Some((2, 20)));
        check(&known(7, Some(2), 30, 5), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_look_shows_no_secret_of_a_command_line() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read line", "sh", "--password=hunter2"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut look = Look::new(ReaderOptions::default()).unwrap();
        look.take().unwrap();
        let mut rows = vec![ProcessEvent::default(); look.rows()];
        look.fill(0, &mut rows);
        child.kill().unwrap();
        child.wait().unwrap();
        let row = rows.iter().find(|row| row.pid == child.id()).unwrap();
        assert_eq!(
            row.command_line,
            ["sh", "-c", "read line", "sh", "--password=***"]
        );
    }

    #[test]
    fn a_look_shows_what_is_there_and_the_next_what_has_become_of_it() {
        let mut look = Look::new(ReaderOptions::default()).unwrap();
        let rows_of = |look: &mut Look| {
            look.take().unwrap();
            let mut rows = vec![ProcessEvent::default(); look.rows()];
            let filled = look.fill(0, &mut rows);
            assert_eq!((filled.passed, filled.rows), (rows.len(), rows.len()));
            assert!(filled.standing.is_none());
            look.end_look(Vec::new());
            rows
        };
        let own = |rows: &[ProcessEvent]| {
            let own = rows.iter().find(|row| row.pid == std::process::id());
            own.unwrap().clone()
        };
        let first = own(&rows_of(&mut look));
        assert_eq!(
            (first.lifecycle.as_str(), first.cpu_usage),
            ("observed", None)
        );
        let mut child = Kept::idle();
        let rows = rows_of(&mut look);
        let started = rows.iter().find(|row| row.pid == child.id()).unwrap();
        assert_eq!(started.lifecycle, "started");
        assert_eq!(started.parent_name, Some(first.name));
        assert!(own(&rows).cpu_usage.is_some());
        child.end();
        let rows = rows_of(&mut look);
        let exited = rows.iter().find(|row| row.pid == child.id()).unwrap();
        assert_eq!(exited.lifecycle, "exited");
        assert_eq!(look.over_limit(), 0);
    }
}
