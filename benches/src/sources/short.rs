//! 1,000 runs of a program that ends at once, one after another as fast as they can be made: how many are seen.
//!
//! `ebpf` and `connector` hear of what happens; `polling` looks each second, as sysinfo beside it does. Each
//! turn is a source of its own, which has begun before the first run. `cpu` is what the source's thread used; what
//! the kernel does for it while processes begin and end is on their account, and in no figure.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use sysinfo::UpdateKind;
use weir_bus::{Batch, CollectionEvent};
use weir_sources::{EventSource as _, FeedName, ProcessSource};

use super::ours::{Running, events_of};
use super::rows::Sysinfo;
use crate::measure::{Effort, figure};
use crate::report::{Better, Case};

/// Runs of a turn.
const RUNS: usize = 1_000;
/// What is run.
const PROGRAM: &str = "true";
/// How its last argument begins; a number follows.
const MARK: &str = "weir-bench-run-";
/// How often is looked where one polls.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Nothing has come for so long after the last run: nothing will. A batch closes in 5 ms, and events are collected
/// for 20.
const SILENCE: Duration = Duration::from_millis(500);
const UNIT: &str = "of 1000";

/// A way to hear of processes as they begin and end.
struct Way {
    feed: FeedName,
    case: &'static str,
    target: &'static str,
}

const WAYS: [Way; 2] = [
    Way {
        feed: FeedName::Ebpf,
        case: "short-1000/ebpf",
        target: "1000",
    },
    Way {
        feed: FeedName::Connector,
        case: "short-1000/connector",
        target: "1000",
    },
];
const POLLING: &str = "short-1000/polling";
/// What is told of each.
const PARTS: [&str; 4] = ["starts", "arguments", "exits", "cpu"];

/// What one turn came to.
#[derive(Clone, Copy, Debug, Default)]
struct Ran {
    /// Runs that were seen to be there, of 1,000.
    starts: f64,
    /// Those of them whose arguments were.
    arguments: f64,
    /// Those that were seen to end.
    exits: f64,
    /// CPU time a run, in microseconds.
    cpu_us: f64,
}

/// Measures these cases.
pub(super) fn run(effort: Effort) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    let runs = effort.of(RUNS);
    for way in &WAYS {
        let names = PARTS.map(|part| format!("{}/{part}", way.case));
        if !effort.wants_any(&names) {
            continue;
        }
        let source = || ProcessSource::default().events().only(way.feed);
        if let Some(why) = source().unavailable() {
            let [starts, ..] = names;
            cases.push(Case::refused(starts, UNIT, Better::Higher, why));
            continue;
        }
        let turns = (0..effort.pairs).map(|_| by_events(&Running::start(source())?, runs));
        let turns = turns.collect::<anyhow::Result<Vec<_>>>();
        cases.extend(cases_of(way, &turns.with_context(|| way.case)?));
    }
    let names = ["starts", "arguments"].map(|part| format!("{POLLING}/{part}"));
    if effort.wants_any(&names) {
        cases.extend(polling(effort, names)?);
    }
    Ok(cases)
}

fn cases_of(way: &Way, turns: &[Ran]) -> Vec<Case> {
    let of = |value: fn(&Ran) -> f64| turns.iter().map(value).collect::<Vec<_>>();
    let [starts, arguments, exits, cpu] = PARTS.map(|part| format!("{}/{part}", way.case));
    let count = |case, value| Case::alone(case, UNIT, Better::Higher, &of(value));
    vec![
        count(starts, |ran| ran.starts).aimed(way.target),
        count(arguments, |ran| ran.arguments),
        count(exits, |ran| ran.exits).aimed(way.target),
        Case::alone(cpu, "us/run", Better::Lower, &of(|ran| ran.cpu_us)),
    ]
}

fn polling(effort: Effort, [starts, arguments]: [String; 2]) -> anyhow::Result<Vec<Case>> {
    let runs = effort.of(RUNS);
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..effort.pairs {
        ours.push(by_looks(
            &Running::start(ProcessSource::new(POLL_INTERVAL))?,
            runs,
        )?);
        peer.push(by_sysinfo(runs)?);
    }
    let of = |ran: &[Ran], value: fn(&Ran) -> f64| ran.iter().map(value).collect::<Vec<_>>();
    let case = |name, value| {
        let (ours, peer) = (of(&ours, value), of(&peer, value));
        let peer = ("sysinfo each s", peer.as_slice());
        Case::beside(name, UNIT, Better::Higher, &ours, peer)
    };
    Ok(vec![
        case(starts, |ran| ran.starts),
        case(arguments, |ran| ran.arguments),
    ])
}

/// Makes the runs; answers the process of each.
fn make(runs: usize) -> anyhow::Result<BTreeMap<u32, String>> {
    let mut made = BTreeMap::new();
    for run in 0..runs {
        let mark = format!("{MARK}{run}");
        let mut child = Command::new(PROGRAM)
            .arg(&mark)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| PROGRAM.to_owned())?;
        made.insert(child.id(), mark);
        let status = child.wait()?;
        ensure!(status.success(), "{PROGRAM}: {status}");
    }
    Ok(made)
}

/// What was heard of the runs.
#[derive(Default)]
struct Heard {
    starts: BTreeSet<u32>,
    arguments: BTreeSet<u32>,
    exits: BTreeSet<u32>,
}

impl Heard {
    fn take(&mut self, batch: &Batch, made: &BTreeMap<u32, String>) {
        for event in events_of(batch) {
            let CollectionEvent::Process(row) = event else {
                continue;
            };
            let Some(mark) = made.get(&row.pid) else {
                continue;
            };
            match row.lifecycle.as_str() {
                "exited" => self.exits.insert(row.pid),
                _ => self.starts.insert(row.pid),
            };
            if row.command_line.last() == Some(mark) {
                self.arguments.insert(row.pid);
            }
        }
    }

    fn ran(&self, runs: usize, cpu: Duration) -> Ran {
        let share = |seen: usize| figure(seen as u64) * figure(RUNS as u64) / figure(runs as u64);
        Ran {
            starts: share(self.starts.len()),
            arguments: share(self.arguments.len()),
            exits: share(self.exits.len()),
            cpu_us: cpu.as_secs_f64() * 1e6 / figure(runs as u64),
        }
    }
}

/// A source that is told of what happens.
fn by_events(running: &Running, runs: usize) -> anyhow::Result<Ran> {
    let before = running.cpu()?;
    let made = make(runs)?;
    let mut heard = Heard::default();
    // Starts and ends are batches of their own, and come in any order.
    while heard.starts.len().min(heard.exits.len()) < runs {
        let Some(batch) = running.batch(SILENCE)? else {
            break;
        };
        heard.take(&batch, &made);
    }
    let cpu = running.cpu()?.saturating_sub(before);
    running.ensure_nothing_dropped()?;
    Ok(heard.ran(runs, cpu))
}

/// A source that looks each second.
fn by_looks(running: &Running, runs: usize) -> anyhow::Result<Ran> {
    let before = running.cpu()?;
    let made = make(runs)?;
    let cpu = running.cpu()?.saturating_sub(before);
    let mut heard = Heard::default();
    // What came of looks until now; one that is later sees none of them.
    while let Some(batch) = running.batch(Duration::ZERO)? {
        heard.take(&batch, &made);
    }
    Ok(heard.ran(runs, cpu))
}

/// sysinfo, asked each second.
fn by_sysinfo(runs: usize) -> anyhow::Result<Ran> {
    let is_over = AtomicBool::new(false);
    let (made, told) = std::thread::scope(|scope| {
        let polled = scope.spawn(|| poll(&is_over));
        let made = make(runs);
        is_over.store(true, Ordering::Release);
        let told = polled.join();
        (made, told)
    });
    let (made, seen) = (
        made?,
        told.map_err(|_| anyhow::anyhow!("polling panicked"))??,
    );
    let mut heard = Heard::default();
    for (process, arguments) in seen {
        if let Some(mark) = made.get(&process) {
            heard.starts.insert(process);
            if arguments.last() == Some(mark) {
                heard.arguments.insert(process);
            }
        }
    }
    Ok(heard.ran(runs, Duration::ZERO))
}

/// All processes that were seen, with their arguments.
fn poll(is_over: &AtomicBool) -> anyhow::Result<Vec<(u32, Vec<String>)>> {
    /// How often is looked whether it is over.
    const TURN: Duration = Duration::from_millis(5);
    let mut sysinfo = Sysinfo::new(UpdateKind::OnlyIfNotSet)?;
    let mut seen = Vec::new();
    let mut due = Instant::now();
    while !is_over.load(Ordering::Acquire) {
        if Instant::now() < due {
            std::thread::sleep(TURN);
            continue;
        }
        due += POLL_INTERVAL;
        sysinfo.look();
        seen.extend(sysinfo.arguments());
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_heard_of_from_beginning_to_end_with_their_arguments() {
        for way in &WAYS {
            let source = || ProcessSource::default().events().only(way.feed);
            if source().unavailable().is_some() {
                assert!(!rustix::process::geteuid().is_root(), "{}", way.case);
                continue;
            }
            let running = Running::start(source()).expect("a source");
            let ran = by_events(&running, 20).expect("a turn");
            let all = figure(RUNS as u64);
            assert!((ran.starts - all).abs() < 1e-9, "{}: {ran:?}", way.case);
            assert!((ran.exits - all).abs() < 1e-9, "{}: {ran:?}", way.case);
            if way.feed == FeedName::Ebpf {
                assert!((ran.arguments - all).abs() < 1e-9, "{ran:?}");
            }
        }
    }
}
