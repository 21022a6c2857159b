//! What a look at all processes brings: what is new, what has changed, what is gone.

use std::time::Instant;

use rustix::param::page_size;
use weir_bus::Batch;
use weir_bus::event::ProcessEvent;

use super::super::PROCESSES_MAX;
use super::super::details::{DetailsReader, ReaderOptions, Stale};
use super::super::known::{Known, Measured, percent_of_core};
use super::super::proc_root::ProcRoot;
use super::super::row::{self, Filled, Lifecycle};
use super::super::tier::{Seen, Turns};
use super::standing::{Made, Standing};
use super::{Entry, Processes, Table, Told};
use crate::source::SourceError;

/// Processes that are looked at before the table is given back to whoever else wants it.
const TURN_PROCESSES: usize = 256;

/// Looks at a process after its first at which it is read again: many give themselves a title when they begin.
const YOUNG_LOOKS: [u64; 2] = [1, 5];

/// A row that a look brings.
struct Due {
    lifecycle: Lifecycle,
    /// What it is made of, but for the parent: who that is may be told later in the same look.
    made: Made,
    start_ticks: u64,
    measured: Measured,
}

impl Due {
    fn new(entry: &Entry, lifecycle: Lifecycle) -> Self {
        let known = &entry.known;
        Self {
            lifecycle,
            made: Made::of(known, None),
            start_ticks: entry.start_ticks,
            measured: known.measured,
        }
    }

    /// The same with a parent that began then, and is known in that edition.
    fn made_beside(&self, parent: Option<(u64, u64)>) -> Made {
        // One that began after its child only has the parent's pid.
        let parent = parent.filter(|(start_ticks, _)| *start_ticks <= self.start_ticks);
        Made {
            parent_edition: parent.map(|(_, edition)| edition),
            ..self.made
        }
    }
}

/// The looks of one run.
pub(in crate::process) struct Looks {
    table: Table,
    reader: DetailsReader,
    /// What the last look didn't find any more, and its parent.
    gone: Vec<(Entry, Option<Known>)>,
    due: Vec<Due>,
    at: Option<Instant>,
    over_limit: usize,
    standing: Standing,
    /// How many events there were when it looked.
    events: u64,
}

impl Looks {
    /// Begins with nothing known, but what events have told.
    pub(in crate::process) fn new(
        table: Table,
        root: &ProcRoot,
        options: ReaderOptions,
    ) -> Result<Self, SourceError> {
        if !table.has_events() {
            *table.lock() = Processes::default();
        }
        let failed = |errno| SourceError::Failed(format!("processes can't be read: {errno}"));
        Ok(Self {
            table,
            reader: DetailsReader::new(root, options).map_err(failed)?,
            gone: Vec::new(),
            due: Vec::new(),
            at: None,
            over_limit: 0,
            standing: Standing::default(),
            events: 0,
        })
    }

    /// Takes in what a tier saw. `seen` is sorted by pid.
    pub(in crate::process) fn take(&mut self, seen: &[Seen], turns: Turns) {
        let now = Instant::now();
        let before = self.at.replace(now);
        let is_first = before.is_none();
        let elapsed_ns = before.map(|before| now.duration_since(before).as_secs_f64() * 1e9);
        let has_events = self.table.has_events();
        self.gone.clear();
        self.due.clear();
        self.over_limit = 0;
        let number = {
            let mut processes = self.table.lock();
            processes.looks += 1;
            self.events = processes.events;
            processes.looks
        };
        let look = LookAt {
            number,
            elapsed_ns,
            is_first,
            has_events,
            turns,
        };
        for seen in seen.chunks(TURN_PROCESSES) {
            let table = self.table.clone();
            let mut processes = table.lock();
            for seen in seen {
                self.see(&mut processes, seen, &look);
            }
        }
        let table = self.table.clone();
        self.miss(&mut table.lock(), &look);
        self.gone.sort_unstable_by_key(|(entry, _)| entry.known.pid);
    }

    /// Rows of the last look: first those of what is gone, so that a pid's old process ends before its new
    /// one starts.
    pub(in crate::process) fn rows(&self) -> usize {
        self.gone.len() + self.due.len()
    }

    /// Fills rows from the row `from` on, but for their timestamps: rows that stand, or new ones.
    pub(in crate::process) fn fill(&mut self, from: usize, rows: &mut [ProcessEvent]) -> Filled {
        let table = self.table.clone();
        let processes = table.lock();
        let mut filled = Filled {
            passed: 0,
            rows: 0,
            standing: None,
        };
        let mut parent = None;
        for index in from..self.rows() {
            let Some(row) = rows.get_mut(filled.rows) else {
                break;
            };
            if let Some((entry, parent)) = self.gone.get(index) {
                row::fill(row, &entry.known, parent.as_ref(), Lifecycle::Exited);
                filled.passed += 1;
                filled.rows += 1;
                continue;
            }
            let Some(due) = self.due.get(index - self.gone.len()) else {
                break;
            };
            // Most have the same parent as the one before.
            let of_parent = match parent {
                Some((pid, of_parent)) if due.made.parent == Some(pid) => of_parent,
                _ => processes.edition_of(due.made.parent),
            };
            parent = due.made.parent.map(|pid| (pid, of_parent));
            let made = due.made_beside(of_parent);
            let is_as_seen = processes.events == self.events
                || processes
                    .entries
                    .get(&made.pid)
                    .is_some_and(|entry| entry.known.edition() == made.edition);
            let place = match due.lifecycle == Lifecycle::Observed && is_as_seen {
                true => self.standing.place_of(&made),
                false => None,
            };
            if !filled.goes_on(place) {
                break;
            }
            filled.passed += 1;
            if filled.standing.is_some() {
                row::fill_standing(row, &due.measured);
                self.standing.tell(made);
            } else {
                let Some(entry) = processes.entries.get(&made.pid) else {
                    continue;
                };
                let parent = processes.parent_of(entry);
                row::fill(row, &entry.known, parent, due.lifecycle);
                if due.lifecycle == Lifecycle::Observed {
                    // Events may have changed it since it was seen: what counts is what the row has.
                    self.standing.tell(Made::of(&entry.known, parent));
                }
            }
            filled.rows += 1;
        }
        filled
    }

    /// The look is told, in these batches.
    pub(in crate::process) fn end_look(&mut self, batches: Vec<Batch>) {
        self.standing.end_look(batches);
    }

    /// Processes that the last look found, and that aren't followed.
    pub(in crate::process) const fn over_limit(&self) -> usize {
        self.over_limit
    }

    fn see(&mut self, processes: &mut Processes, seen: &Seen, look: &LookAt) {
        let pid = seen.pid;
        if let Some(entry) = processes.entries.get_mut(&pid) {
            if entry.start_ticks == seen.start_ticks {
                let lifecycle = entry.see_again(&mut self.reader, seen, look);
                self.due.push(Due::new(entry, lifecycle));
                return;
            }
            if let Some(entry) = processes.entries.remove(&pid) {
                self.note_gone(processes, entry);
            }
        }
        if processes.entries.len() >= PROCESSES_MAX {
            self.over_limit += 1;
            return;
        }
        let (told, lifecycle) = match (look.is_first, look.has_events) {
            (true, _) => (Told::Started, Lifecycle::Observed),
            (false, true) => (Told::Nothing, Lifecycle::Observed),
            (false, false) => (Told::Started, Lifecycle::Started),
        };
        let entry = Entry::first(&mut self.reader, seen, look, told);
        self.due.push(Due::new(&entry, lifecycle));
        processes.entries.insert(pid, entry);
    }

    /// Notes what this look hasn't seen.
    fn miss(&mut self, processes: &mut Processes, look: &LookAt) {
        // Each row that is due has an entry of its own: nothing is missing, as nearly always.
        if processes.entries.len() == self.due.len() {
            return;
        }
        let missing: Vec<u32> = processes
            .entries
            .iter_mut()
            .filter(|(_, entry)| entry.seen != look.number)
            .filter_map(|(pid, entry)| {
                // The event of its end may be on the way, or it began after this look.
                let may_be_told = look.has_events || entry.seen == 0;
                let waits = may_be_told && !entry.is_missed && entry.told != Told::Exited;
                entry.is_missed = true;
                (!waits).then_some(*pid)
            })
            .collect();
        let mut entries: Vec<Entry> = Vec::with_capacity(missing.len());
        for pid in &missing {
            // Parents may have gone with their children, and are looked for before they are taken away.
            if let Some(entry) = processes.entries.get(pid)
                && entry.told != Told::Exited
            {
                let parent = processes.parent_of(entry).cloned();
                self.gone.push((entry.clone(), parent));
            }
        }
        entries.extend(
            missing
                .iter()
                .filter_map(|pid| processes.entries.remove(pid)),
        );
        if !entries.is_empty() {
            let entries = &processes.entries;
            processes
                .ended
                .retain(|(pid, ticks)| entries.get(pid).is_some_and(|e| e.start_ticks == *ticks));
        }
    }

    fn note_gone(&mut self, processes: &Processes, entry: Entry) {
        if entry.told != Told::Exited {
            let parent = processes.parent_of(&entry).cloned();
            self.gone.push((entry, parent));
        }
    }
}

/// What is to be known of a look while it goes from process to process.
struct LookAt {
    number: u64,
    elapsed_ns: Option<f64>,
    is_first: bool,
    has_events: bool,
    turns: Turns,
}

impl Entry {
    fn first(reader: &mut DetailsReader, seen: &Seen, look: &LookAt, told: Told) -> Self {
        let details = reader.read(
            seen.pid,
            seen.start_ticks,
            seen.name(),
            seen.is_kernel_thread,
        );
        let mut entry = Self {
            known: Known::new(seen.pid, details),
            told,
            start_ticks: seen.start_ticks,
            start_ns: None,
            is_kernel_thread: seen.is_kernel_thread,
            cpu_ns: None,
            cpu_ns_read: None,
            pages_behind: 0,
            name_mark: None,
            exec_mark: Some(seen.exec_mark),
            file_mark: seen.file_mark,
            group_mark: seen.group_mark,
            seen: look.number,
            looks: 0,
            is_missed: false,
        };
        if seen.is_kernel_thread {
            reader.take_name(seen.pid, entry.known.details_mut());
        } else {
            entry.count_pages(reader, seen);
        }
        entry.refresh(seen, None);
        entry
    }

    /// Notes that the process is still there.
    fn see_again(&mut self, reader: &mut DetailsReader, seen: &Seen, look: &LookAt) -> Lifecycle {
        let was_seen_untold =
            self.told == Told::Nothing && self.seen != 0 && self.seen != look.number;
        let is_first_sight = self.seen == 0;
        self.seen = look.number;
        self.is_missed = false;
        // What has ended has nothing any more, and keeps what is known of it.
        if !seen.is_kernel_thread && seen.resident_pages.is_some() {
            self.read_again(reader, seen, look, is_first_sight);
        }
        self.refresh(seen, look.elapsed_ns);
        // An event would have come by now: it was lost, or there are none any more.
        let is_untold = matches!(self.told, Told::Nothing | Told::Forked { .. });
        let untold = was_seen_untold || (is_untold && !look.has_events);
        if untold {
            self.told = Told::Started;
            return Lifecycle::Started;
        }
        Lifecycle::Observed
    }

    fn read_again(
        &mut self,
        reader: &mut DetailsReader,
        seen: &Seen,
        look: &LookAt,
        is_first_sight: bool,
    ) {
        let changed = |before: Option<u64>, now: Option<u64>| {
            before.is_some_and(|before| now.is_some_and(|now| before != now))
        };
        let has_execed = changed(self.exec_mark, Some(seen.exec_mark));
        self.looks = self.looks.saturating_add(1);
        // What hasn't run since has given itself no other title.
        let has_run = !look.turns.cpu_is_exact || self.cpu_ns_read != Some(seen.cpu_ns);
        let is_due = YOUNG_LOOKS.contains(&self.looks)
            || (has_run && Turns::is_due(look.turns.all_looks, seen.pid, look.number));
        if is_due {
            self.cpu_ns_read = Some(seen.cpu_ns);
        }
        let executable_is_due = Turns::is_due(look.turns.executable_looks, seen.pid, look.number);
        let stale = match has_execed {
            true => Stale::ALL,
            false => Stale {
                executable: executable_is_due || changed(self.file_mark, seen.file_mark),
                arguments: is_due,
                group: (is_due && seen.group_mark.is_none())
                    || changed(self.group_mark, seen.group_mark),
            },
        };
        self.exec_mark = Some(seen.exec_mark);
        self.file_mark = seen.file_mark.or(self.file_mark);
        self.group_mark = seen.group_mark.or(self.group_mark);
        if has_execed || is_due || is_first_sight {
            self.count_pages(reader, seen);
        }
        let name_mark = seen.name_mark();
        if self.name_mark != Some(name_mark) {
            self.name_mark = Some(name_mark);
            self.known.details_mut().set_name(seen.name());
        }
        if stale.is_anything() || self.known.is_awaited() {
            let known = &mut self.known;
            known.read_again(|details| reader.read_again(seen.pid, details, stale));
        }
    }

    /// Learns by how much the counter is behind: it is a sum of which each CPU holds back a part.
    fn count_pages(&mut self, reader: &mut DetailsReader, seen: &Seen) {
        let exact = reader.resident_pages(seen.pid);
        if let (Some(counter), Some(exact)) = (seen.resident_pages, exact) {
            let exact = i64::try_from(exact).unwrap_or(i64::MAX);
            self.pages_behind = exact.saturating_sub(counter);
        }
    }

    fn refresh(&mut self, seen: &Seen, elapsed_ns: Option<f64>) {
        let known = &mut self.known;
        known.ppid = seen.parent;
        known.user_id = seen.user_id.or(known.user_id);
        let measured = &mut known.measured;
        measured.state = seen.state;
        let pages = seen.resident_pages.map_or(0, |counter| {
            counter.saturating_add(self.pages_behind).max(0)
        });
        let page_bytes = u64::try_from(page_size()).unwrap_or_default();
        let bytes = u64::try_from(pages).unwrap_or_default();
        measured.memory_bytes = Some(bytes.saturating_mul(page_bytes));
        measured.cpu_usage = elapsed_ns
            .filter(|elapsed| *elapsed > 0.0)
            .zip(self.cpu_ns)
            .map(|(elapsed, before)| percent_of_core(seen.cpu_ns.saturating_sub(before), elapsed));
        self.cpu_ns = Some(seen.cpu_ns);
    }
}
