//! TCP sockets as ours and its peers tell them, in one form: to see that they are the same.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, ensure};
use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{FDTarget, all_processes};
use weir_bus::CollectionEvent;
use weir_bus::event::NetworkEvent;

use crate::sources::ours::Look;

/// A socket: its ends, its state, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Told {
    near: SocketAddr,
    /// None: it has no other end.
    far: Option<SocketAddr>,
    state: &'static str,
    process: Option<u32>,
}

pub(super) type Sockets = BTreeSet<Told>;

/// States as ours calls them: in the kernel's words, in procfs' and in those of `ss`.
const STATES: [(&str, TcpState, &str); 2] = [
    ("established", TcpState::Established, "ESTAB"),
    ("listen", TcpState::Listen, "LISTEN"),
];
/// What can't be held by anybody, or not for long: no case has sockets in another state.
const OTHER_STATE: &str = "another";

/// Of those sockets that lead to, or come from, one of these addresses.
fn only(to: &[SocketAddr], told: impl Iterator<Item = Told>) -> Sockets {
    let is_one = |told: &Told| {
        let ends = [Some(told.near), told.far];
        ends.into_iter().flatten().any(|end| to.contains(&end))
    };
    told.filter(is_one).collect()
}

/// Ours.
pub(super) fn of_ours(to: &[SocketAddr], look: &Look) -> Sockets {
    let told = look.events().filter_map(|event| match event {
        CollectionEvent::Network(row) if row.protocol == "tcp" => of_row(&row),
        _ => None,
    });
    only(to, told)
}

fn of_row(row: &NetworkEvent) -> Option<Told> {
    let end = |address: &str, port| Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, port));
    let far = row.destination_address.as_deref().zip(row.destination_port);
    let state = STATES.iter().find(|(state, ..)| *state == row.state);
    Some(Told {
        near: end(&row.source_address, row.source_port)?,
        far: far.and_then(|(address, port)| end(address, port)),
        state: state.map_or(OTHER_STATE, |(state, ..)| state),
        process: row.pid,
    })
}

/// All TCP sockets by the crate procfs, and the process of each: `/proc/net/tcp`, `/proc/net/tcp6`, and the
/// descriptors of all processes.
pub(super) fn read_by_procfs() -> anyhow::Result<Vec<(TcpNetEntry, Option<u32>)>> {
    let mut sockets = procfs::net::tcp()?;
    // A kernel without IPv6 has none.
    sockets.extend(procfs::net::tcp6().unwrap_or_default());
    let mut owners = HashMap::new();
    for process in all_processes()?.filter_map(Result::ok) {
        let Ok(descriptors) = process.fd() else {
            continue;
        };
        for descriptor in descriptors.filter_map(Result::ok) {
            if let FDTarget::Socket(inode) = descriptor.target {
                owners.insert(inode, process.pid());
            }
        }
    }
    let with_owner = sockets.into_iter().map(|socket| {
        let owner = owners.get(&socket.inode);
        let owner = owner.and_then(|owner| u32::try_from(*owner).ok());
        (socket, owner)
    });
    Ok(with_owner.collect())
}

/// The same as all tell it.
pub(super) fn of_procfs(to: &[SocketAddr], read: Vec<(TcpNetEntry, Option<u32>)>) -> Sockets {
    let told = read.into_iter().map(|(socket, process)| {
        let state = STATES.iter().find(|(_, state, _)| *state == socket.state);
        Told {
            near: socket.local_address,
            far: Some(socket.remote_address).filter(|far| far.port() != 0),
            state: state.map_or(OTHER_STATE, |(state, ..)| state),
            process,
        }
    });
    only(to, told)
}

/// What `ss -tanp` says.
pub(super) fn of_ss(to: &[SocketAddr], said: &str) -> Sockets {
    only(to, said.lines().skip(1).filter_map(of_line))
}

/// A line: state, two queues, two ends, and who.
fn of_line(line: &str) -> Option<Told> {
    let mut words = line.split_whitespace();
    let state = words.next()?;
    let near = words.nth(2)?;
    let far = words.next()?;
    // Names of programs may have spaces in them.
    let process = line.rsplit_once(",pid=").and_then(|(_, rest)| {
        let (process, _) = rest.split_once(',')?;
        process.parse().ok()
    });
    let state = STATES.iter().find(|(.., name)| *name == state);
    Some(Told {
        near: near.parse().ok()?,
        // `0.0.0.0:*` is no address with a port.
        far: far.parse().ok(),
        state: state.map_or(OTHER_STATE, |(state, ..)| state),
        process,
    })
}

/// Shows that there are so many of them, and that both tell the same.
pub(super) fn ensure_same(
    sockets: usize,
    ours: &Sockets,
    (name, peer): (&str, &Sockets),
) -> anyhow::Result<()> {
    if let Some(socket) = ours.symmetric_difference(peer).next() {
        let who = if ours.contains(socket) { "ours" } else { name };
        let of_end = |by: &Sockets| by.iter().find(|told| told.near == socket.near).cloned();
        let others = if ours.contains(socket) {
            of_end(peer)
        } else {
            of_end(ours)
        };
        anyhow::bail!("only {who} tells {socket:?}; the other {others:?}");
    }
    ensure!(
        ours.len() == sockets,
        "{sockets} sockets are held, and both tell {}",
        ours.len()
    );
    let one = ours.iter().next().context("no socket is held")?;
    ensure!(one.process.is_some(), "nobody holds {one:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_ss_is_a_socket_with_its_process() {
        let end = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let check = |line: &str, near, far, state, process| {
            let expected = Told {
                near,
                far,
                state,
                process,
            };
            assert_eq!(of_line(line), Some(expected));
        };
        check(
            r#"ESTAB 0 0 127.0.0.1:80 127.0.0.1:81 users:(("a b",pid=12,fd=5))"#,
            end("127.0.0.1:80"),
            Some(end("127.0.0.1:81")),
            "established",
            Some(12),
        );
        check(
            "LISTEN 0 128 [::1]:80 [::]:*",
            end("[::1]:80"),
            None,
            "listen",
            None,
        );
        assert_eq!(of_line("State Recv-Q"), None);
    }
}
