//! 8,000 TCP sockets of several processes: who talks to whom, in which state, and whose it is.
//!
//! Ours asks the kernel's `sock_diag`, and looks for a socket's process once; a look in between only makes sure of
//! some. `first` is what the first look of a source costs, which has to find all of them. Ours also looks at UDP, and
//! at the sockets of all network namespaces.

mod held;
mod told;

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use weir_sources::{EventSource as _, NetworkSource};

use super::ours::{Running, WHEN_ASKED};
use super::program;
use crate::measure::{CpuWatch, Effort, figure};
use crate::report::{Better, Case};
use held::Holder;
pub(super) use held::hold;

const CASES: [&str; 2] = ["sockets-8000", "sockets-8000/first"];
/// Sockets that the bench holds, besides those that are there, and in how many processes.
const SOCKETS: usize = 8_000;
const HOLDERS: usize = 8;
/// Looks before any is timed.
const FIRST_LOOKS: usize = 4;
const UNIT: &str = "us/socket";
const TARGET: &str = "<= 1/3 of procfs";
/// TCP, of all states, numbers for names, with processes.
const SS_FLAGS: &str = "-tanp";

/// Microseconds a socket, turn by turn.
#[derive(Default)]
struct Turns {
    steady: Vec<f64>,
    first: Vec<f64>,
    procfs: Vec<f64>,
    ss: Vec<f64>,
}

/// Measures these cases.
pub(super) fn run(effort: Effort) -> anyhow::Result<Vec<Case>> {
    if !effort.wants_any(&CASES) {
        return Ok(Vec::new());
    }
    if let Some(why) = source().unavailable() {
        let refused = |case| Case::refused(case, UNIT, Better::Lower, why.clone());
        return Ok(CASES.map(refused).to_vec());
    }
    let connections = effort.of(SOCKETS) / HOLDERS / 2;
    let holders = (0..HOLDERS).map(|number| Holder::start(connections, number % 2 == 1));
    let holders = holders.collect::<anyhow::Result<Vec<_>>>()?;
    let to: Vec<SocketAddr> = holders.iter().map(|holder| holder.address).collect();
    let sockets = holders.iter().map(|holder| holder.sockets).sum();
    let running = Running::start(source())?;
    for _ in 0..FIRST_LOOKS {
        prove(&running, &to, sockets)?;
    }
    let mut turns = Turns::default();
    for _ in 0..effort.pairs {
        turn(&running, sockets, &mut turns)?;
    }
    let [steady, first] = CASES;
    let beside = |case, ours: &[f64], peer| Case::beside(case, UNIT, Better::Lower, ours, peer);
    let (procfs, ss) = (("procfs", &*turns.procfs), ("ss", &*turns.ss));
    Ok(vec![
        beside(steady, &turns.steady, procfs).aimed(TARGET),
        beside(steady, &turns.steady, ss),
        beside(first, &turns.first, procfs),
        beside(first, &turns.first, ss),
    ])
}

fn source() -> NetworkSource {
    NetworkSource::default().scheduled(WHEN_ASKED)
}

/// Shows that all tell the same of these sockets.
fn prove(running: &Running, to: &[SocketAddr], sockets: usize) -> anyhow::Result<()> {
    let ours = told::of_ours(to, &running.look()?);
    let procfs = told::of_procfs(to, told::read_by_procfs()?);
    told::ensure_same(sockets, &ours, ("procfs", &procfs))?;
    let said = program::run("ss", "iproute2", &[SS_FLAGS])?;
    let ss = told::of_ss(to, &said.text);
    told::ensure_same(sockets, &ours, ("ss", &ss))
}

/// All of them once. Each figure is of those sockets that are held: what else there is is the same for all.
fn turn(running: &Running, sockets: usize, turns: &mut Turns) -> anyhow::Result<()> {
    let us = |cpu_us: f64| cpu_us / figure(sockets as u64);
    let look = running.look()?;
    ensure!(
        look.rows() >= sockets,
        "a look shows {} sockets",
        look.rows()
    );
    turns.steady.push(us(look.cpu.as_secs_f64() * 1e6));
    let first = Running::start(source())?.look().context("a first look")?;
    turns.first.push(us(first.cpu.as_secs_f64() * 1e6));
    let watch = CpuWatch::start();
    let read = told::read_by_procfs()?;
    turns.procfs.push(us(watch.nanoseconds() / 1e3));
    ensure!(read.len() >= sockets, "procfs shows {} sockets", read.len());
    let said = program::run("ss", "iproute2", &[SS_FLAGS])?;
    turns.ss.push(us(said.cpu.as_secs_f64() * 1e6));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::held::Held;
    use super::*;

    #[test]
    fn ours_tells_the_same_of_sockets_as_its_peers() {
        let held = [false, true].map(|by_ipv6| Held::open(20, by_ipv6).expect("connections"));
        let to: Vec<SocketAddr> = held
            .iter()
            .map(|held| held.address().expect("an address"))
            .collect();
        let sockets = held.iter().map(Held::sockets).sum();
        let running = Running::start(source()).expect("a source");
        prove(&running, &to, sockets).expect("the same");
        turn(&running, sockets, &mut Turns::default()).expect("a turn");
        assert!(prove(&running, &to, sockets + 1).is_err());
    }
}
