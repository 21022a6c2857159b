//! Whose sockets are that nobody has looked at while they lived: by the kernel's program, over real processes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use proptest::prelude::*;
use rustix::process::geteuid;

use super::super::holders::{Holder, HolderFeed, Holders};
use super::sockets::{NEVER, Watched, is_of};
use super::*;
use crate::ebpf::programs::sockets::What;

/// Whether the program can be had; as root it must.
fn has_program() -> bool {
    match HolderFeed::open(SOCKET_RING_BYTES) {
        Ok(_) => true,
        Err(refused) => {
            assert!(!geteuid().is_root(), "{refused}");
            println!("skipped: {refused}");
            false
        }
    }
}

/// Whether it is the end of the connection between two addresses, at the first. Others may use one of the ports.
fn closed_between(row: &NetworkEvent, at: SocketAddr, peer: SocketAddr) -> bool {
    is_of(row, at) && row.destination_port == Some(peer.port()) && row.lifecycle == "closed"
}

/// A program in Python, and what it says line by line.
struct Script {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Script {
    fn run(text: &str, arguments: &[String]) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", text])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The numbers of the next line.
    fn numbers<T: std::str::FromStr>(&mut self) -> Vec<T> {
        let line = self.lines.next().unwrap().unwrap();
        line.split(' ')
            .filter_map(|number| number.parse().ok())
            .collect()
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Script {
    /// Nothing of it outlives a test that failed.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Children that each connect, send a byte and end in one of several ways; their pids and ports are printed.
const CALLERS: &str = r"
import os, socket, struct, sys
family, host, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for number in range(count):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    s = socket.socket(socket.AF_INET6 if family == '6' else socket.AF_INET)
    s.connect((host, port))
    os.write(1, b'%d %d\n' % (os.getpid(), s.getsockname()[1]))
    way = number % 4
    try:
        s.send(b'x')
        if way == 0:
            s.close()
        elif way == 1:
            s.shutdown(socket.SHUT_RDWR)
        elif way == 2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            s.close()
    except OSError:
        # The other side has reset it.
        pass
    # Else it ends with its socket open.
    os._exit(0)
";

#[tokio::test]
async fn a_thousand_connections_that_nobody_saw_have_the_pids_of_a_thousand_processes() {
    const CALLS: usize = 500;
    if !has_program() {
        return;
    }
    let mut watched = Watched::start(NEVER).await;
    for (family, host) in [("4", "127.0.0.1"), ("6", "::1")] {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = std::thread::spawn(move || {
            for number in 0..CALLS {
                let (mut called, _) = listener.accept().unwrap();
                // What isn't read makes the close a reset.
                if number % 3 == 0 {
                    let _ = called.read(&mut [0]);
                }
            }
        });
        let arguments = [
            family,
            host,
            &address.port().to_string(),
            &CALLS.to_string(),
        ];
        let mut script = Script::run(CALLERS, &arguments.map(str::to_owned));
        let callers: Vec<Vec<u32>> = tokio::task::spawn_blocking(move || {
            let callers = (0..CALLS).map(|_| script.numbers()).collect();
            script.end();
            callers
        })
        .await
        .unwrap();
        accepting.join().unwrap();
        let of_caller = |row: &NetworkEvent, port: u32| {
            // A connection that its caller resets has lost its own address and its peer's port.
            let is_call = [Some(0), Some(address.port())].contains(&row.destination_port);
            is_call && u32::from(row.source_port) == port && row.lifecycle == "closed"
        };
        for caller in &callers {
            let row = watched.row(|row| of_caller(row, caller[1])).await;
            // The port of a call that was reset may be a later one's.
            watched.rows.retain(|other| *other != row);
            assert_eq!(row.pid, Some(caller[0]), "{row:?}");
            assert_eq!(row.user_id, Some(geteuid().as_raw()));
            let age_ns = row.timestamp.0 - row.process_start_time.unwrap().0;
            assert!((0..600_000_000_000).contains(&age_ns), "{row:?}");
        }
        let is_called = |row: &&NetworkEvent| {
            is_of(row, address) && row.destination_port.is_some() && row.lifecycle == "closed"
        };
        while watched.rows.iter().filter(is_called).count() < CALLS {
            watched.batch().await;
        }
        let own = Some(std::process::id());
        for row in watched.rows.iter().filter(is_called) {
            assert_eq!(row.pid, own, "{row:?}");
        }
        watched.rows.clear();
    }
    assert_eq!(watched.source.health_check().await, SourceHealth::Healthy);
    watched.stop().await;
}

/// One process listens, and its children each accept one connection; their pids are printed.
const CALLED: &str = r"
import os, socket, sys
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
for number in range(int(sys.argv[1])):
    child = os.fork()
    if child:
        print(child, flush=True)
        os.waitpid(child, 0)
        continue
    s, _ = listener.accept()
    s.recv(1)
    if number % 2:
        s.close()
    os._exit(0)
";

#[tokio::test]
async fn an_accepted_connection_is_of_the_process_that_closes_it_and_not_of_who_listens() {
    const CALLS: usize = 50;
    if !has_program() {
        return;
    }
    let mut watched = Watched::start(NEVER).await;
    let mut script = Script::run(CALLED, &[CALLS.to_string()]);
    let address = SocketAddr::from(([127, 0, 0, 1], script.numbers()[0]));
    for _ in 0..CALLS {
        let mut caller = TcpStream::connect(address).unwrap();
        let from = caller.local_addr().unwrap();
        let child: u32 = script.numbers()[0];
        caller.write_all(b"x").unwrap();
        assert_eq!(caller.read(&mut [0]).unwrap(), 0);
        drop(caller);
        let closed = watched.row(|row| closed_between(row, address, from)).await;
        assert_eq!(closed.pid, Some(child), "{closed:?}");
    }
    script.end();
    watched.stop().await;
}

/// A process connects, forks and ends; its child keeps the connection until it is told to end.
const INHERITED: &str = r"
import os, socket, sys
s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
print(s.getsockname()[1], flush=True)
ended, ends = os.pipe()
if os.fork():
    os._exit(0)
# Whoever closes it last is its owner: the first one's end closes all that it has.
os.close(ends)
os.read(ended, 1)
print(os.getpid(), flush=True)
sys.stdin.readline()
";

#[tokio::test]
async fn a_connection_that_is_inherited_is_of_the_heir_that_closes_it() {
    if !has_program() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut watched = Watched::start(NEVER).await;
    let to = listener.local_addr().unwrap();
    let mut script = Script::run(INHERITED, &[to.port().to_string()]);
    let from = SocketAddr::from(([127, 0, 0, 1], script.numbers()[0]));
    let heir: u32 = script.numbers()[0];
    assert_ne!(heir, script.child.id());
    script.end();
    let mut called = listener.accept().unwrap().0;
    assert_eq!(called.read(&mut [0]).unwrap(), 0);
    drop(called);
    let closed = watched.row(|row| closed_between(row, from, to)).await;
    assert_eq!(closed.pid, Some(heir));
    watched.stop().await;
}

#[tokio::test]
async fn without_the_program_short_connections_are_told_without_a_pid_and_health_says_so() {
    let settings = Settings {
        has_programs: false,
        ..Settings::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut watched = Watched::of(NEVER, settings).await;
    let to = listener.local_addr().unwrap();
    let caller = TcpStream::connect(to).unwrap();
    let from = caller.local_addr().unwrap();
    drop(listener.accept().unwrap());
    drop(caller);
    let closed = watched.row(|row| closed_between(row, from, to)).await;
    assert_eq!(closed.pid, None);
    let health = watched.source.health_check().await.to_string();
    let expected = "a connection that lives between two looks has no pid: not wanted";
    assert!(health.contains(expected), "{health}");
    let tiers = watched.source.tiers();
    let tier = tiers.iter().find(|tier| tier.name == HOLDERS).unwrap();
    assert_eq!(tier.reason.as_deref(), Some("not wanted"));
    watched.stop().await;
}

/// The smallest ring on any machine: a page, of at most 64 KiB.
const SMALL_RING_BYTES: u32 = 64 * 1024;
/// Of each connection here both ends are closed by this process, and one is connected: more than such a ring takes.
const TOO_MANY: u64 = 1_000;

#[test]
fn a_full_ring_has_counted_what_it_had_no_room_for() {
    if !has_program() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut feed = HolderFeed::open(SMALL_RING_BYTES).unwrap();
    for _ in 0..TOO_MANY {
        drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        drop(listener.accept().unwrap());
    }
    let room = u64::from(SMALL_RING_BYTES / 40);
    let reading = feed.read().unwrap();
    // Others may have had sockets in hand, too.
    assert!(reading.missed >= 3 * TOO_MANY - room, "{reading:?}");
    drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    // There is room again.
    assert_eq!(feed.read().unwrap().missed, 0);
}

#[tokio::test]
async fn holders_that_found_no_room_are_told_by_health_and_a_look_follows() {
    if !has_program() {
        return;
    }
    let settings = Settings {
        ring_bytes: SMALL_RING_BYTES,
        ..Settings::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut watched = Watched::of(NEVER, settings).await;
    // The source has its turn when this has ended.
    for _ in 0..TOO_MANY {
        drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        drop(listener.accept().unwrap());
    }
    watched.look().await;
    let health = watched.source.health_check().await.to_string();
    assert!(
        health.contains("no room for who had sockets in hand"),
        "{health}"
    );
    watched.stop().await;
}

fn holder(pid: u32) -> Holder {
    Holder {
        pid,
        start_time: Timestamp(1),
        user_id: 0,
        what: What::TakenUp,
    }
}

proptest! {
    #[test]
    fn holders_are_bounded_and_each_is_answered_once_or_counted_as_forgotten(
        holders_max in 1_usize..9,
        steps in proptest::collection::vec((0_u64..12, any::<bool>()), 0..200),
    ) {
        let mut holders = Holders::new(holders_max);
        // What was told of each, and never asked for.
        let mut told = std::collections::BTreeMap::new();
        for (number, (cookie, is_note)) in (0..).zip(&steps) {
            let key = (1, *cookie);
            if *is_note {
                holders.note(key, holder(number));
                told.insert(*cookie, number);
            } else if let Some(found) = holders.take(key) {
                prop_assert_eq!(told.remove(cookie), Some(found.pid));
            }
            // An odd bound has one more, so that both halves have some.
            prop_assert!(holders.len() <= holders_max + 1);
            let lost = told.len().saturating_sub(holders.len());
            prop_assert!(holders.forgotten() >= lost as u64);
        }
        let lost: Vec<u64> = told.keys().copied().filter(|cookie| holders.take((1, *cookie)).is_none()).collect();
        prop_assert!(holders.forgotten() >= lost.len() as u64);
        prop_assert_eq!(holders.len(), 0);
    }
}
