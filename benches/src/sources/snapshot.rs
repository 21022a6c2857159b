//! 2,000 processes, all fields of each, again and again: what a look costs once the first are over.
//!
//! The processes wait, as nearly all of a host's do. Ours is measured in each of its three ways. Its rows have more
//! fields than were asked of the peers (control group, container, start time, and the parent's), and are columns in
//! the end.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use sysinfo::UpdateKind;
use weir_sources::{EventSource as _, ProcessSource, TierName};

use super::crowd::Crowd;
use super::ours::{Running, WHEN_ASKED};
use super::rows::{self, Processes, Sysinfo};
use super::{PATIENCE, program};
use crate::measure::{CpuWatch, Effort, figure};
use crate::report::{Better, Case};

/// Processes that the bench makes, besides those that are there.
const PROCESSES: usize = 2_000;
/// Looks before any is timed: a process that is new is read again by some of ours until its tenth look.
const FIRST_LOOKS: usize = 12;
const UNIT: &str = "us/proc";
/// What `ps` is asked.
const PS_FIELDS: &str = "pid,ppid,comm,state,uid,time,rss,args";

/// The peers, and whether ours has a target beside them. `sysinfo` reads each time what an exec or a change of user
/// makes another, which ours sees; `sysinfo-once` reads that once for each process, and is wrong from then on.
const PEERS: [(&str, bool); 4] = [
    ("sysinfo", true),
    ("sysinfo-once", true),
    ("procfs", false),
    ("ps", false),
];

/// A way to look.
struct Way {
    tier: TierName,
    case: &'static str,
    target: &'static str,
}

const WAYS: [Way; 3] = [
    Way {
        tier: TierName::Ebpf,
        case: "snapshot-2000/ebpf",
        target: "<= 1/20 of sysinfo",
    },
    Way {
        tier: TierName::Taskstats,
        case: "snapshot-2000/taskstats",
        target: "<= 1/4 of sysinfo",
    },
    Way {
        tier: TierName::Proc,
        case: "snapshot-2000/proc",
        target: "<= 1/4 of sysinfo",
    },
];

/// Microseconds a process, turn by turn.
#[derive(Default)]
struct Turns {
    ways: [Vec<f64>; WAYS.len()],
    peers: [Vec<f64>; PEERS.len()],
}

/// Measures these cases.
pub(super) fn run(effort: Effort) -> anyhow::Result<Vec<Case>> {
    let wanted = WAYS.iter().filter(|way| effort.wants(way.case));
    let ways: Vec<&Way> = wanted.collect();
    if ways.is_empty() {
        return Ok(Vec::new());
    }
    let crowd = Crowd::start(effort.of(PROCESSES))?;
    let mut compared = Compared::open(&ways)?;
    compared.prove(&crowd.processes())?;
    for _ in 0..FIRST_LOOKS {
        compared.turn(&mut Turns::default())?;
    }
    let mut turns = Turns::default();
    for _ in 0..effort.pairs {
        compared.turn(&mut turns)?;
    }
    Ok(compared.cases(&turns))
}

/// Ours in all ways that were asked for, and its peers.
struct Compared<'a> {
    ways: Vec<(&'a Way, Result<Running, String>)>,
    sysinfo: Sysinfo,
    sysinfo_once: Sysinfo,
}

impl<'a> Compared<'a> {
    fn open(ways: &[&'a Way]) -> anyhow::Result<Self> {
        let opened = ways.iter().map(|way| {
            let source = || {
                let source = ProcessSource::default().scheduled(WHEN_ASKED);
                source.only(way.tier)
            };
            let running = match source().unavailable() {
                Some(why) => Err(why),
                None => Ok(Running::start(source())?),
            };
            Ok((*way, running))
        });
        Ok(Self {
            ways: opened.collect::<anyhow::Result<_>>()?,
            sysinfo: Sysinfo::new(UpdateKind::Always)?,
            sysinfo_once: Sysinfo::new(UpdateKind::OnlyIfNotSet)?,
        })
    }

    /// Shows that all tell the same of these processes; before that, waits until they do nothing any more.
    fn prove(&mut self, processes: &[u32]) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            self.sysinfo.look();
            if rows::are_all_asleep(processes, &self.sysinfo.told()) {
                break;
            }
            ensure!(began.elapsed() < PATIENCE, "the processes don't settle");
        }
        self.sysinfo_once.look();
        let procfs = rows::of_procfs(rows::read_by_procfs()?);
        let peers: [(&str, &Processes); 3] = [
            ("sysinfo", &self.sysinfo.told()),
            ("sysinfo-once", &self.sysinfo_once.told()),
            ("procfs", &procfs),
        ];
        for (way, running) in &self.ways {
            let Ok(running) = running else {
                continue;
            };
            let told = running.look().map(|look| rows::of_ours(&look));
            let told = told.with_context(|| way.case)?;
            for peer in peers {
                rows::ensure_same(processes, &told, peer).with_context(|| way.case)?;
            }
        }
        Ok(())
    }

    /// All of them twice, one after the other, the second time timed: what the others have in the caches is no cost of
    /// who looks next.
    fn turn(&mut self, turns: &mut Turns) -> anyhow::Result<()> {
        for ((way, running), times) in self.ways.iter().zip(&mut turns.ways) {
            let Ok(running) = running else {
                continue;
            };
            running.look().with_context(|| way.case)?;
            let look = running.look().with_context(|| way.case)?;
            let us = look.cpu.as_secs_f64() * 1e6;
            times.push(us / figure(look.rows() as u64));
        }
        let (sysinfo, once) = (&mut self.sysinfo, &mut self.sysinfo_once);
        let took = [
            us_a_process(|| Ok(sysinfo.look()))?,
            us_a_process(|| Ok(once.look()))?,
            us_a_process(|| Ok(rows::read_by_procfs()?.len()))?,
            us_a_process_of_ps()?,
        ];
        for (times, us) in turns.peers.iter_mut().zip(took) {
            times.push(us);
        }
        Ok(())
    }

    fn cases(&self, turns: &Turns) -> Vec<Case> {
        let mut cases = Vec::new();
        for ((way, running), ours) in self.ways.iter().zip(&turns.ways) {
            if let Err(why) = running {
                let case = Case::refused(way.case, UNIT, Better::Lower, why.clone());
                cases.push(case.aimed(way.target));
                continue;
            }
            for ((peer, is_aimed), values) in PEERS.iter().zip(&turns.peers) {
                let case = Case::beside(way.case, UNIT, Better::Lower, ours, (peer, values));
                cases.push(match is_aimed {
                    true => case.aimed(way.target),
                    false => case,
                });
            }
        }
        cases
    }
}

/// The thread's CPU time of the second of two looks that show so many processes.
fn us_a_process(mut look: impl FnMut() -> anyhow::Result<usize>) -> anyhow::Result<f64> {
    look()?;
    let watch = CpuWatch::start();
    let processes = look()?;
    Ok(watch.nanoseconds() / 1e3 / figure(processes as u64))
}

fn us_a_process_of_ps() -> anyhow::Result<f64> {
    program::run("ps", "procps", &["-eo", PS_FIELDS])?;
    let said = program::run("ps", "procps", &["-eo", PS_FIELDS])?;
    // All lines but that of the titles.
    let processes = said.text.lines().count().saturating_sub(1);
    Ok(said.cpu.as_secs_f64() * 1e6 / figure(processes as u64))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn ours_tells_the_same_of_processes_as_its_peers_in_every_way() {
        let crowd = Crowd::start(20).expect("processes");
        let ways: Vec<&Way> = WAYS.iter().collect();
        let mut compared = Compared::open(&ways).expect("sources");
        let is_root = rustix::process::geteuid().is_root();
        for (way, running) in &compared.ways {
            let may_be_refused = way.tier != TierName::Proc && !is_root;
            let refused = running.as_ref().err();
            assert!(
                may_be_refused || refused.is_none(),
                "{}: {refused:?}",
                way.case
            );
        }
        let processes = crowd.processes();
        compared.prove(&processes).expect("the same");
        let mut turns = Turns::default();
        compared.turn(&mut turns).expect("a turn");
        let cases = compared.cases(&turns);
        assert!(cases.len() >= WAYS.len());
        // What isn't there isn't taken for the same.
        drop(crowd);
        let told = rows::of_procfs(rows::read_by_procfs().expect("/proc"));
        let error = rows::ensure_same(&processes, &told, ("procfs", &told));
        assert!(error.is_err());
    }

    #[test]
    fn after_an_exec_ours_tells_the_same_as_procfs_and_who_reads_once_does_not() {
        let mut child = Command::new("sh")
            .args(["-c", "read -r line; exec sleep 1000"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("a process");
        let process = [child.id()];
        let ways: Vec<&Way> = WAYS.iter().collect();
        let mut compared = Compared::open(&ways).expect("sources");
        compared.prove(&process).expect("the same before");
        drop(child.stdin.take().map(|mut line| line.write_all(b"\n")));
        let began = Instant::now();
        let procfs = loop {
            let procfs = rows::of_procfs(rows::read_by_procfs().expect("/proc"));
            if rows::has_arguments(&procfs, process[0], &["sleep", "1000"])
                && rows::are_all_asleep(&process, &procfs)
            {
                break procfs;
            }
            assert!(began.elapsed() < PATIENCE, "it doesn't exec");
        };
        compared.sysinfo_once.look();
        let once = compared.sysinfo_once.told();
        let checked = compared.ways.iter().filter_map(|(way, running)| {
            let look = running.as_ref().ok()?.look().expect("a look");
            let ours = rows::of_ours(&look);
            let same = rows::ensure_same(&process, &ours, ("procfs", &procfs));
            let other = rows::ensure_same(&process, &ours, ("sysinfo-once", &once));
            Some((
                way.case,
                same.map_err(|error| error.to_string()),
                other.is_err(),
            ))
        });
        let checked: Vec<_> = checked.collect();
        child.kill().and_then(|()| child.wait()).expect("its end");
        for (case, same, is_other) in checked {
            assert_eq!((case, same, is_other), (case, Ok(()), true));
        }
    }
}
