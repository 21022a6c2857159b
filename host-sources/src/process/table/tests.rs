//! Promises of the table: each process is told once, whoever saw it first.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use weir_bus::event::{ProcessColumns, ProcessEvent};
use weir_bus::{Batcher, BatcherLimits, Emit, Pace, Timestamp};

use super::super::details::ReaderOptions;
use super::super::proc_root::ProcRoot;
use super::super::tier::{Tier, TierName};
use super::*;

/// A tree of processes, and what is told of it.
struct Told {
    tree: tempfile::TempDir,
    tier: Tier,
    looks: Looks,
    happening: Happening,
    /// A process by its pid: when it began.
    ticks: u64,
}

impl Told {
    fn new(has_events: bool) -> Self {
        let tree = tempfile::tempdir().unwrap();
        let root = ProcRoot::at(tree.path());
        let table = Table::default();
        table.set_events(has_events);
        let mut told = Self {
            tier: Tier::open(TierName::Proc, &root).unwrap(),
            looks: Looks::new(table.clone(), &root, ReaderOptions::default()).unwrap(),
            happening: Happening::new(table, &root, ReaderOptions::default(), 0).unwrap(),
            tree,
            ticks: 100,
        };
        told.begin(1);
        assert_eq!(told.look(), ["1 observed"]);
        told
    }

    fn begin(&mut self, pid: u32) {
        self.ticks += 1;
        let folder = self.tree.path().join(pid.to_string());
        std::fs::create_dir(&folder).unwrap();
        let ticks = self.ticks;
        let line =
            format!("{pid} (p{pid}) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {ticks} 4096 7 0\n");
        std::fs::write(folder.join("stat"), line).unwrap();
    }

    fn end(&self, pid: u32) {
        std::fs::remove_dir_all(self.tree.path().join(pid.to_string())).unwrap();
    }

    /// What a look tells: of each row its pid and lifecycle.
    fn look(&mut self) -> Vec<String> {
        self.tier.look().unwrap();
        self.looks.take(self.tier.seen(), self.tier.turns());
        lines(&tell(&mut self.looks, 64))
    }

    fn hear(&mut self, pid: u32, happened: Happened<'_>) -> Vec<String> {
        let name = format!("p{pid}");
        let who = Who {
            pid,
            parent: Some(1),
            start_ticks: self.ticks,
            start_ns: Some(1_000),
            now_ns: 3_500,
            timestamp: Timestamp(5),
            name: name.as_bytes(),
            ..Who::default()
        };
        let mut rows = Vec::new();
        self.happening.take(&who, happened, &mut rows);
        for row in &rows {
            assert_eq!(row.timestamp, Timestamp(5));
            let lifetime = (row.lifecycle == "exited").then_some(2_500);
            assert_eq!(row.lifetime_ns, lifetime);
        }
        lines(&rows)
    }

    fn wait(&mut self, time: Duration) -> Vec<String> {
        let mut rows = Vec::new();
        self.happening.tell_forks(Instant::now() + time, &mut rows);
        lines(&rows)
    }
}

fn lines(rows: &[ProcessEvent]) -> Vec<String> {
    rows.iter()
        .map(|row| format!("{} {}", row.pid, row.lifecycle))
        .collect()
}

/// All rows of the last look as its source tells them, so many at once, and in batches of five.
fn tell(looks: &mut Looks, rows_at_once: usize) -> Vec<ProcessEvent> {
    let limits = BatcherLimits {
        batch_rows_max: 5,
        ..BatcherLimits::default()
    };
    let batcher = Batcher::new("process", Pace::Periodic, limits);
    batcher.begin_snapshot(1);
    batcher.keep_snapshot();
    let mut rows = vec![ProcessEvent::default(); rows_at_once];
    let mut from = 0;
    while from < looks.rows() {
        let filled = looks.fill(from, &mut rows);
        let rows = &rows[..filled.rows];
        let emit = match &filled.standing {
            Some((batch, at)) => batcher.append_again(rows, (batch, *at)),
            None => batcher.append_all(rows),
        };
        assert_eq!(emit, Emit::Accepted);
        assert!(filled.passed > 0, "it comes to an end");
        from += filled.passed;
    }
    let batches = batcher.end_snapshot();
    let mut told: Vec<(u64, ProcessEvent)> = Vec::new();
    for batch in &batches {
        let columns = ProcessColumns::of(batch).unwrap();
        let rows = (0..batch.rows()).filter_map(|row| columns.row(row));
        told.extend(rows.map(|row| (row.sequence(), row.to_owned())));
    }
    looks.end_look(batches);
    told.sort_by_key(|(sequence, _)| *sequence);
    told.into_iter().map(|(_, row)| row).collect()
}

const NONE: [&str; 0] = [];

#[test]
fn without_events_a_look_tells_what_is_new_and_what_is_gone() {
    let mut told = Told::new(false);
    told.begin(2);
    assert_eq!(told.look(), ["1 observed", "2 started"]);
    assert_eq!(told.look(), ["1 observed", "2 observed"]);
    told.end(2);
    assert_eq!(told.look(), ["2 exited", "1 observed"]);
    assert_eq!(told.look(), ["1 observed"]);
    // The pid is another process's.
    told.begin(2);
    told.look();
    told.end(2);
    told.begin(2);
    assert_eq!(told.look(), ["2 exited", "1 observed", "2 started"]);
}

#[test]
fn a_process_is_started_when_it_first_execs_and_observed_when_it_does_again() {
    let mut told = Told::new(true);
    told.begin(2);
    assert_eq!(told.hear(2, Happened::Fork), NONE);
    assert_eq!(told.look(), ["1 observed", "2 observed"]);
    assert_eq!(told.hear(2, Happened::Exec(None)), ["2 started"]);
    assert_eq!(told.hear(2, Happened::Exec(None)), ["2 observed"]);
    assert_eq!(told.wait(Duration::from_secs(1)), NONE);
    assert_eq!(told.hear(2, Happened::Exit(0)), ["2 exited"]);
    // Of two threads that were both the last.
    assert_eq!(told.hear(2, Happened::Exit(0)), NONE);
    // Nobody has waited for it yet.
    assert_eq!(told.look(), ["1 observed", "2 observed"]);
    told.end(2);
    assert_eq!(told.look(), ["1 observed"]);
}

#[test]
fn a_fork_that_does_not_exec_is_started_after_a_moment_or_when_it_ends() {
    let mut told = Told::new(true);
    told.begin(2);
    assert_eq!(told.hear(2, Happened::Fork), NONE);
    assert_eq!(told.wait(Duration::ZERO), NONE);
    assert_eq!(told.wait(Duration::from_millis(250)), ["2 started"]);
    assert_eq!(told.wait(Duration::from_secs(1)), NONE);
    told.begin(3);
    assert_eq!(told.hear(3, Happened::Fork), NONE);
    assert_eq!(told.hear(3, Happened::Exit(0)), ["3 started", "3 exited"]);
}

#[test]
fn what_events_have_missed_is_told_by_the_second_look() {
    let mut told = Told::new(true);
    told.begin(2);
    assert_eq!(told.look(), ["1 observed", "2 observed"]);
    assert_eq!(told.look(), ["1 observed", "2 started"]);
    assert_eq!(told.look(), ["1 observed", "2 observed"]);
    // Its fork comes late, and was told.
    assert_eq!(told.hear(2, Happened::Fork), NONE);
    assert_eq!(told.wait(Duration::from_secs(1)), NONE);
    told.end(2);
    assert_eq!(told.look(), ["1 observed"]);
    assert_eq!(told.look(), ["2 exited", "1 observed"]);
    assert_eq!(told.look(), ["1 observed"]);
}

#[test]
fn an_end_that_was_missed_is_told_when_the_pid_is_used_again() {
    let mut told = Told::new(true);
    told.begin(2);
    assert_eq!(told.hear(2, Happened::Exec(None)), ["2 started"]);
    told.end(2);
    told.begin(2);
    let rows = {
        let name = b"p2";
        let who = Who {
            pid: 2,
            parent: Some(1),
            start_ticks: told.ticks,
            name,
            ..Who::default()
        };
        let mut rows = Vec::new();
        told.happening.take(&who, Happened::Exec(None), &mut rows);
        rows
    };
    assert_eq!(lines(&rows), ["2 exited", "2 started"]);
    assert_eq!(rows[0].exit_code, None);
}

#[test]
fn an_event_knows_the_arguments_that_it_brings_and_the_parents_until_then() {
    let mut told = Told::new(true);
    let binary = Binary {
        path: b"/nowhere/x",
        file_number: 1,
        file_device: (0, 0),
        arguments: b"x\0\xff\0",
        has_all_arguments: true,
    };
    told.ticks += 1;
    let who = Who {
        pid: 9,
        parent: Some(1),
        start_ticks: told.ticks,
        name: b"x",
        ..Who::default()
    };
    let mut rows = Vec::new();
    told.happening.take(&who, Happened::Fork, &mut rows);
    told.happening
        .take(&who, Happened::Exec(Some(binary)), &mut rows);
    told.happening.take(&who, Happened::Exit(9), &mut rows);
    assert_eq!(lines(&rows), ["9 started", "9 exited"]);
    for row in &rows {
        assert_eq!(row.command_line, ["x", "\u{fffd}"]);
        assert_eq!(row.lossy_text, Some(true));
        assert_eq!(row.executable.as_deref(), Some("/nowhere/x"));
        assert_eq!(row.parent_name.as_deref(), Some("p1"));
    }
    assert_eq!(rows[1].exit_code, Some(137));
}

/// What happens to one of ten processes between two looks.
#[derive(Clone, Copy, Debug)]
enum Change {
    BeginsOrEnds,
    IsAnother,
    Execs,
    IsRenamed,
    HasAnotherParent,
    HasAnotherState,
    HasMorePages,
}

/// A process of the tree, as `stat` shows it.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    is_there: bool,
    start_ticks: u64,
    execs: usize,
    name: u64,
    parent: u32,
    state: u8,
    pages: u64,
}

impl Shown {
    fn change(&mut self, change: Change) {
        match change {
            Change::BeginsOrEnds => self.is_there = !self.is_there,
            Change::IsAnother => self.start_ticks += 1,
            Change::Execs => self.execs += 1,
            Change::IsRenamed => self.name += 1,
            Change::HasAnotherParent => self.parent = (self.parent + 1) % 10,
            Change::HasAnotherState => self.state += 1,
            Change::HasMorePages => self.pages += 1,
        }
    }

    fn show(&self, pid: u32, tree: &Path) {
        let folder = tree.join(pid.to_string());
        let _ = std::fs::remove_dir_all(&folder);
        if !self.is_there {
            return;
        }
        std::fs::create_dir(&folder).unwrap();
        let (name, parent, ticks) = (self.name, self.parent, self.start_ticks + 100);
        let state = if self.state.is_multiple_of(2) {
            'S'
        } else {
            'T'
        };
        let (layout, pages) = (self.execs + 5_000, self.pages);
        let line = format!(
            "{pid} (p{name}) {state} {parent} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {ticks} 4096 {pages} 0 {layout} 0\n"
        );
        std::fs::write(folder.join("stat"), line).unwrap();
        std::fs::write(folder.join("statm"), format!("9 {pages} 0 0 0 0 0\n")).unwrap();
        let arguments = format!("p{name}\0{}\0", "x".repeat(self.execs));
        std::fs::write(folder.join("cmdline"), arguments).unwrap();
    }
}

fn changes() -> impl Strategy<Value = Vec<Vec<(usize, Change)>>> {
    let change = prop_oneof![
        Just(Change::BeginsOrEnds),
        Just(Change::IsAnother),
        Just(Change::Execs),
        Just(Change::IsRenamed),
        Just(Change::HasAnotherParent),
        Just(Change::HasAnotherState),
        Just(Change::HasMorePages),
    ];
    let of_a_look = prop::collection::vec((0_usize..10, change), 0..3);
    prop::collection::vec(of_a_look, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_that_stand_say_what_rows_made_anew_would(looks in changes(), rows_at_once in 1_usize..7) {
        let tree = tempfile::tempdir().unwrap();
        let root = ProcRoot::at(tree.path());
        let mut tier = Tier::open(TierName::Proc, &root).unwrap();
        let new_looks =
            || Looks::new(Table::default(), &root, ReaderOptions::default()).unwrap();
        let (mut standing, mut anew) = (new_looks(), new_looks());
        let mut shown = [Shown { is_there: true, ..Shown::default() }; 10];
        for (pid, shown) in (1..).zip(&shown) {
            shown.show(pid, tree.path());
        }
        for changes in looks {
            for (index, change) in changes {
                shown[index].change(change);
                let pid = u32::try_from(index).unwrap() + 1;
                shown[index].show(pid, tree.path());
            }
            tier.look().unwrap();
            standing.take(tier.seen(), tier.turns());
            anew.take(tier.seen(), tier.turns());
            anew.end_look(Vec::new());
            let told = tell(&mut standing, rows_at_once);
            prop_assert_eq!(told, tell(&mut anew, rows_at_once));
        }
    }
}

#[test]
fn rows_stand_where_nothing_but_what_is_measured_has_changed() {
    let mut told = Told::new(false);
    for pid in 2..=8 {
        told.begin(pid);
    }
    told.look();
    told.look();
    let mut rows = vec![ProcessEvent::default(); 64];
    let mut standing = |told: &mut Told| {
        told.tier.look().unwrap();
        told.looks.take(told.tier.seen(), told.tier.turns());
        let (mut from, mut standing) = (0, 0);
        while from < told.looks.rows() {
            let filled = told.looks.fill(from, &mut rows);
            from += filled.passed;
            standing += filled.standing.map_or(0, |_| filled.rows);
        }
        standing
    };
    assert_eq!(standing(&mut told), 8);
    // These went to nobody, so that none of them stands anywhere.
    told.looks.end_look(Vec::new());
    assert_eq!(standing(&mut told), 0);
}

#[test]
fn an_exec_between_a_look_and_its_rows_is_in_them_and_stays() {
    let mut told = Told::new(true);
    told.begin(2);
    told.hear(2, Happened::Exec(None));
    told.look();
    told.look();
    told.tier.look().unwrap();
    told.looks.take(told.tier.seen(), told.tier.turns());
    let arguments = told.tree.path().join("2/cmdline");
    std::fs::write(arguments, b"another\0program\0").unwrap();
    assert_eq!(told.hear(2, Happened::Exec(None)), ["2 observed"]);
    for _ in 0..3 {
        let rows = tell(&mut told.looks, 64);
        let row = rows.iter().find(|row| row.pid == 2).unwrap();
        assert_eq!(row.command_line, ["another", "program"]);
        told.tier.look().unwrap();
        told.looks.take(told.tier.seen(), told.tier.turns());
    }
}
