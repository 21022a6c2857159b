//! Promises of the table: each process is told once, whoever saw it first.

use std::time::{Duration, Instant};

use weir_bus::Timestamp;
use weir_bus::event::ProcessEvent;

use super::super::proc_root::ProcRoot;
use super::super::tier::{Seen, Tier, TierName};
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
            looks: Looks::new(table.clone(), &root, None).unwrap(),
            happening: Happening::new(table, &root, None, 0).unwrap(),
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
        let mut seen: Vec<Seen> = Vec::new();
        self.tier.look(&mut seen).unwrap();
        self.looks.take(&seen, self.tier.turns());
        let mut rows = vec![ProcessEvent::default(); self.looks.rows()];
        let (passed, filled) = self.looks.fill(0, &mut rows);
        assert_eq!(passed, self.looks.rows());
        rows.truncate(filled);
        lines(&rows)
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
