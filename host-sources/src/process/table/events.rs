//! What events bring: forks, execs and exits, as rows.
//!
//! A process has one row `started`: when it execs for the first time, for that is what it was forked for;
//! if it doesn't within [`FORK_TIME_MAX`], or ends before, as the copy of its parent that it is. An exec
//! after that is a row `observed`, with what it runs now. It has one row `exited`, with its code and
//! lifetime.

use std::time::{Duration, Instant};

use rustix::io::Errno;
use weir_bus::Timestamp;
use weir_bus::event::ProcessEvent;

use super::super::PROCESSES_MAX;
use super::super::details::{Details, DetailsReader, ReaderOptions, Stale, stat};
use super::super::known::Known;
use super::super::proc_root::ProcRoot;
use super::super::row::{self, Lifecycle};
use super::paths::Paths;
use super::{Entry, Processes, Table, Told};

/// How long a fork is given to exec before it is told as what it is. On a busy machine a process may wait
/// as long for its first turn.
pub(in crate::process) const FORK_TIME_MAX: Duration = Duration::from_millis(250);
/// A process that something happened to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::process) struct Who<'a> {
    pub(in crate::process) pid: u32,
    pub(in crate::process) parent: Option<u32>,
    pub(in crate::process) start_ticks: u64,
    /// The start, ns since boot, by the clock that `now_ns` has.
    pub(in crate::process) start_ns: Option<u64>,
    /// When it happened, ns since boot.
    pub(in crate::process) now_ns: u64,
    pub(in crate::process) timestamp: Timestamp,
    pub(in crate::process) user_id: Option<u32>,
    /// Names its control groups, as looks do.
    pub(in crate::process) group_mark: Option<u64>,
    pub(in crate::process) name: &'a [u8],
}

/// What a process runs, where the event tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) struct Binary<'a> {
    pub(in crate::process) path: &'a [u8],
    pub(in crate::process) file_number: u64,
    /// The file's device, major and minor.
    pub(in crate::process) file_device: (u32, u32),
    pub(in crate::process) arguments: &'a [u8],
    pub(in crate::process) has_all_arguments: bool,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) enum Happened<'a> {
    /// It was made.
    Fork,
    /// It runs another program; none: `/proc` has to be asked which.
    Exec(Option<Binary<'a>>),
    /// It has ended, with this status of wait(2).
    Exit(u32),
}

/// Where the events of one run come in.
pub(in crate::process) struct Happening {
    table: Table,
    reader: DetailsReader,
    paths: Paths,
    /// When the run began, in ticks since boot: who is older was there before.
    began_ticks: u64,
}

impl Happening {
    pub(in crate::process) fn new(
        table: Table,
        root: &ProcRoot,
        options: ReaderOptions,
        began_ns: u64,
    ) -> Result<Self, Errno> {
        Ok(Self {
            table,
            reader: DetailsReader::new(root, options)?,
            paths: Paths::default(),
            began_ticks: began_ns / stat::tick_ns().max(1),
        })
    }

    /// The reader, for who has to look at `/proc` himself.
    pub(in crate::process) const fn reader(&mut self) -> &mut DetailsReader {
        &mut self.reader
    }

    /// Start and parent of a process that hasn't ended, as far as they are known.
    pub(in crate::process) fn whom(&self, pid: u32) -> Option<(u64, Option<u32>)> {
        let processes = self.table.lock();
        let entry = processes.entries.get(&pid)?;
        (entry.told != Told::Exited).then_some((entry.start_ticks, entry.known.ppid))
    }

    /// Notes what happened, and appends the rows that it brings.
    pub(in crate::process) fn take(
        &mut self,
        who: &Who<'_>,
        happened: Happened<'_>,
        rows: &mut Vec<ProcessEvent>,
    ) {
        let table = self.table.clone();
        let mut processes = table.lock();
        processes.events += 1;
        self.end_predecessor(&mut processes, who, rows);
        match happened {
            Happened::Fork => self.fork(&mut processes, who),
            Happened::Exec(binary) => self.exec(&mut processes, who, binary, rows),
            Happened::Exit(status) => self.exit(&mut processes, who, status, rows),
        }
    }

    /// Whether forks wait to be told.
    pub(in crate::process) fn has_untold_forks(&self) -> bool {
        !self.table.lock().forked.is_empty()
    }

    /// Appends the rows of forks that haven't execed in time.
    pub(in crate::process) fn tell_forks(&self, now: Instant, rows: &mut Vec<ProcessEvent>) {
        let mut processes = self.table.lock();
        let is_due = |told: &Told| match told {
            Told::Forked { at, .. } => now.saturating_duration_since(*at) >= FORK_TIME_MAX,
            _ => false,
        };
        let forked = std::mem::take(&mut processes.forked);
        let (waiting, due) = forked.into_iter().partition::<Vec<u32>, _>(|pid| {
            let entry = processes.entries.get(pid);
            entry.is_some_and(|entry| {
                matches!(entry.told, Told::Forked { .. }) && !is_due(&entry.told)
            })
        });
        processes.forked = waiting;
        for pid in due {
            let is_forked = |entry: &Entry| is_due(&entry.told);
            if processes.entries.get(&pid).is_some_and(is_forked) {
                tell_fork(&mut processes, pid, rows);
            }
        }
    }

    /// The pid may have been another's, of whose end nobody has told.
    fn end_predecessor(
        &mut self,
        processes: &mut Processes,
        who: &Who<'_>,
        rows: &mut Vec<ProcessEvent>,
    ) {
        let is_another = |entry: &Entry| entry.start_ticks != who.start_ticks;
        if !processes.entries.get(&who.pid).is_some_and(is_another) {
            return;
        }
        tell_fork(processes, who.pid, rows);
        let Some(entry) = processes.entries.remove(&who.pid) else {
            return;
        };
        if entry.told != Told::Exited {
            push(processes, &entry, Lifecycle::Exited, who.timestamp, rows);
        }
    }

    fn fork(&mut self, processes: &mut Processes, who: &Who<'_>) {
        let told = Told::Forked {
            at: Instant::now(),
            timestamp: who.timestamp,
        };
        if let Some(entry) = processes.entries.get_mut(&who.pid) {
            // A look was faster.
            if entry.told == Told::Nothing {
                entry.told = told;
                entry.start_ns = who.start_ns;
                processes.forked.push(who.pid);
            }
            return;
        }
        if processes.entries.len() >= PROCESSES_MAX {
            return;
        }
        // It is a copy of its parent, and reads like one.
        let parent = who.parent.and_then(|pid| self.ensure(processes, pid));
        let mut details = parent
            .map(|parent| parent.known.details().clone())
            .unwrap_or_default();
        let is_kernel_thread = parent.is_some_and(|parent| parent.is_kernel_thread);
        let group_mark = parent.and_then(|parent| parent.group_mark);
        details.start_time = stat::start_time(who.start_ticks);
        if !who.name.is_empty() {
            details.set_name(who.name);
        }
        let mut entry = Entry::of(who, details, told);
        entry.is_kernel_thread = is_kernel_thread;
        entry.group_mark = group_mark;
        processes.entries.insert(who.pid, entry);
        processes.forked.push(who.pid);
    }

    fn exec(
        &mut self,
        processes: &mut Processes,
        who: &Who<'_>,
        binary: Option<Binary<'_>>,
        rows: &mut Vec<ProcessEvent>,
    ) {
        let mut entry = match processes.entries.remove(&who.pid) {
            Some(entry) => entry,
            None if processes.entries.len() >= PROCESSES_MAX => return,
            None => {
                let told = match who.start_ticks < self.began_ticks {
                    true => Told::Started,
                    false => Told::Nothing,
                };
                let mut details = Details::default();
                details.start_time = stat::start_time(who.start_ticks);
                Entry::of(who, details, told)
            }
        };
        if let Some(parent) = who.parent {
            self.ensure(processes, parent);
        }
        entry.start_ns = who.start_ns.or(entry.start_ns);
        entry.known.ppid = who.parent;
        entry.known.user_id = who.user_id.or(entry.known.user_id);
        // The next look shows them anew, and what is read here is as new as that.
        entry.name_mark = None;
        entry.exec_mark = None;
        entry.file_mark = None;
        self.take_binary(&mut entry, who, binary);
        let lifecycle = match entry.told {
            Told::Nothing | Told::Forked { .. } => Lifecycle::Started,
            Told::Started | Told::Exited => Lifecycle::Observed,
        };
        if lifecycle == Lifecycle::Started {
            entry.told = Told::Started;
        }
        push(processes, &entry, lifecycle, who.timestamp, rows);
        processes.entries.insert(who.pid, entry);
    }

    fn exit(
        &mut self,
        processes: &mut Processes,
        who: &Who<'_>,
        status: u32,
        rows: &mut Vec<ProcessEvent>,
    ) {
        let told = processes.entries.get(&who.pid).map(|entry| entry.told);
        match told {
            // Two threads that were both the last.
            Some(Told::Exited) => return,
            Some(_) => tell_fork(processes, who.pid, rows),
            None => {
                let mut details = Details::default();
                details.start_time = stat::start_time(who.start_ticks);
                details.set_name(who.name);
                let entry = Entry::of(who, details, Told::Started);
                processes.entries.insert(who.pid, entry);
            }
        }
        let Some(mut entry) = processes.entries.remove(&who.pid) else {
            return;
        };
        entry.told = Told::Exited;
        push(processes, &entry, Lifecycle::Exited, who.timestamp, rows);
        if let Some(row) = rows.last_mut() {
            row.exit_code = exit_code(status);
            let start_ns = who.start_ns.or(entry.start_ns);
            row.lifetime_ns = start_ns.map(|start| who.now_ns.saturating_sub(start));
        }
        let start_ticks = entry.start_ticks;
        processes.entries.insert(who.pid, entry);
        processes.note_end(who.pid, start_ticks);
    }

    /// The process, read now if nobody has told of it.
    fn ensure<'p>(&mut self, processes: &'p mut Processes, pid: u32) -> Option<&'p Entry> {
        if pid == 0 {
            return None;
        }
        if !processes.entries.contains_key(&pid) && processes.entries.len() < PROCESSES_MAX {
            let mut name = Vec::new();
            let found = self.reader.stat(pid, |stat| {
                name.extend_from_slice(stat.name);
                (stat.start_ticks, stat.parent, stat.virtual_bytes == 0)
            });
            let (start_ticks, parent, is_kernel_thread) = found?;
            let details = self.reader.read(pid, start_ticks, &name, is_kernel_thread);
            let who = Who {
                pid,
                parent: Some(parent).filter(|parent| *parent != 0),
                start_ticks,
                user_id: self.reader.owner(pid),
                ..Who::default()
            };
            let told = match start_ticks < self.began_ticks {
                true => Told::Started,
                false => Told::Nothing,
            };
            processes
                .entries
                .insert(pid, Entry::of(&who, details, told));
        }
        processes.entries.get(&pid)
    }

    fn take_binary(&mut self, entry: &mut Entry, who: &Who<'_>, binary: Option<Binary<'_>>) {
        let details = entry.known.details_mut();
        if binary.is_none() {
            // Who is gone already is no copy of its parent any more.
            details.forget_program();
        }
        details.set_name(who.name);
        let has_moved = who.group_mark.is_none() || entry.group_mark != who.group_mark;
        entry.group_mark = who.group_mark.or(entry.group_mark);
        let mut stale = Stale {
            group: has_moved,
            ..Stale::default()
        };
        let Some(binary) = binary else {
            self.reader.read_again(who.pid, details, Stale::ALL);
            return;
        };
        details.set_arguments(
            binary.arguments,
            binary.has_all_arguments,
            self.reader.redacting(),
        );
        // What was too long for the event may be read while the process is there.
        stale.arguments = !binary.has_all_arguments;
        self.reader.read_again(who.pid, details, stale);
        self.paths.take(&mut self.reader, who.pid, details, &binary);
    }
}

impl Entry {
    fn of(who: &Who<'_>, details: Details, told: Told) -> Self {
        let mut known = Known::new(who.pid, details);
        known.ppid = who.parent;
        known.user_id = who.user_id;
        Self {
            known,
            told,
            start_ticks: who.start_ticks,
            start_ns: who.start_ns,
            is_kernel_thread: false,
            cpu_ns: None,
            cpu_ns_read: None,
            pages_behind: 0,
            name_mark: None,
            exec_mark: None,
            file_mark: None,
            group_mark: who.group_mark,
            seen: 0,
            looks: 0,
            is_missed: false,
        }
    }
}

/// Tells of a fork that has not been told.
fn tell_fork(processes: &mut Processes, pid: u32, rows: &mut Vec<ProcessEvent>) {
    let Some(entry) = processes.entries.get_mut(&pid) else {
        return;
    };
    let timestamp = match entry.told {
        Told::Forked { timestamp, .. } => timestamp,
        // The fork's own event was lost.
        Told::Nothing => Timestamp::now(),
        Told::Started | Told::Exited => return,
    };
    entry.told = Told::Started;
    let entry = entry.clone();
    push(processes, &entry, Lifecycle::Started, timestamp, rows);
}

fn push(
    processes: &Processes,
    entry: &Entry,
    lifecycle: Lifecycle,
    timestamp: Timestamp,
    rows: &mut Vec<ProcessEvent>,
) {
    let mut row = ProcessEvent {
        timestamp,
        ..ProcessEvent::default()
    };
    let parent = processes.parent_of(entry);
    row::fill(&mut row, &entry.known, parent, lifecycle);
    // Those were of the look before.
    row.cpu_usage = None;
    rows.push(row);
}

/// What a shell would say of a status of wait(2).
fn exit_code(status: u32) -> Option<i32> {
    let signal = status & 0x7f;
    let code = match signal {
        0 => status >> 8 & 0xff,
        _ => 128 + signal,
    };
    i32::try_from(code).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_is_what_a_shell_would_say() {
        let check = |status, expected| assert_eq!(exit_code(status), Some(expected));
        check(0, 0);
        check(1 << 8, 1);
        check(255 << 8, 255);
        check(9, 137);
        // With a core dump.
        check(11 | 0x80, 139);
        check(u32::MAX, 255);
    }
}
