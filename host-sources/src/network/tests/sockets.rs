//! Over real sockets that the tests make.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::Command;
use std::sync::Arc;

use rustix::net::sockopt;
use rustix::process::geteuid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::task::JoinHandle;
use weir_bus::{Batcher, BatcherLimits, CollectionEvent, Settlement};

use super::*;
use crate::schedule::{INTERVAL_MIN, Schedule};
use crate::source::ContextHandle;
use crate::testing::{IDLE, IDLE_SECONDS, Kept, PATIENCE};

const INTERVAL: Duration = Duration::from_millis(20);
/// A look that never comes within a test: what is told meanwhile is told by the kernel's notices.
pub(super) const NEVER: Duration = Duration::from_secs(3_600);

/// A network source that runs, and what it has sent.
pub(super) struct Watched {
    batcher: Arc<Batcher>,
    pub(super) source: Arc<NetworkSource>,
    handle: ContextHandle,
    task: JoinHandle<Result<(), SourceError>>,
    pub(super) rows: Vec<NetworkEvent>,
}

impl Watched {
    pub(super) async fn start(interval: Duration) -> Self {
        Self::of(interval, Settings::default()).await
    }

    pub(super) async fn of(interval: Duration, settings: Settings) -> Self {
        let source = Arc::new(NetworkSource {
            settings: Settings {
                namespaces_interval: Duration::ZERO,
                ..settings
            },
            ..NetworkSource::new(interval)
        });
        let limits = BatcherLimits {
            event_buffer_rows_max: 100_000,
            ..BatcherLimits::default()
        };
        let batcher = Arc::new(Batcher::new("network", Pace::Periodic, limits.clone()));
        let emitter = Emitter::new(Arc::clone(&batcher), Pace::Periodic, &limits, PATIENCE);
        let (context, handle) = SourceContext::new(emitter, source.schedule().map(Schedule::new));
        let running = Arc::clone(&source);
        let task = tokio::spawn(async move { running.start(context).await });
        let mut watched = Self {
            batcher,
            source,
            handle,
            task,
            rows: Vec::new(),
        };
        watched.look().await;
        watched
    }

    /// Takes in the next batch; whether it ends a look.
    pub(super) async fn batch(&mut self) -> bool {
        let next = tokio::time::timeout(PATIENCE, self.batcher.next());
        let batch = next.await.expect("the source sends nothing").unwrap();
        self.batcher.settle(&Settlement {
            published: batch.rows() as u64,
            ..Settlement::default()
        });
        self.rows
            .extend((0..batch.rows()).map(|row| match batch.row(row) {
                Some(CollectionEvent::Network(event)) => event,
                other => panic!("no socket: {other:?}"),
            }));
        batch
            .header()
            .snapshot
            .is_some_and(|snapshot| snapshot.last)
    }

    /// Takes in what comes up to the end of the next look.
    pub(super) async fn look(&mut self) {
        while !self.batch().await {}
    }

    /// The rows that begin at a local address so far, without `observed` ones.
    fn of_source(&self, address: SocketAddr) -> Vec<&NetworkEvent> {
        let rows = self.rows.iter();
        rows.filter(|row| row.lifecycle != "observed" && is_of(row, address))
            .collect()
    }

    /// The first row, of those that came and those that come, that is wanted.
    pub(super) async fn row(&mut self, wanted: impl Fn(&NetworkEvent) -> bool) -> NetworkEvent {
        let mut looked_at = 0;
        loop {
            let found = self.rows.iter().skip(looked_at).find(|row| wanted(row));
            if let Some(row) = found {
                return row.clone();
            }
            looked_at = self.rows.len();
            self.batch().await;
        }
    }

    /// The next row of a local address with this lifecycle.
    async fn row_of(&mut self, address: SocketAddr, lifecycle: &str) -> NetworkEvent {
        self.row(|row| is_of(row, address) && row.lifecycle == lifecycle)
            .await
    }

    pub(super) async fn stop(self) {
        self.handle.stop();
        self.batcher.close();
        self.task.await.unwrap().unwrap();
    }
}

pub(super) fn is_of(row: &NetworkEvent, address: SocketAddr) -> bool {
    row.source_port == address.port() && row.source_address == address.ip().to_string()
}

fn assert_own(row: &NetworkEvent) {
    assert_eq!(row.pid, Some(std::process::id()), "{row:?}");
    let age_ns = Timestamp::now().0 - row.process_start_time.unwrap().0;
    assert!((0..3_600_000_000_000).contains(&age_ns), "{age_ns}");
    assert_eq!(row.user_id, Some(geteuid().as_raw()));
}

/// A pair of connected streams: the one that called, and the one that was called.
fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let caller = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (called, _) = listener.accept().unwrap();
    (caller, called)
}

#[tokio::test]
async fn listeners_of_both_families_and_udp_are_told_with_their_owner() {
    let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
    let v6 = TcpListener::bind("[::1]:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let peer = UdpSocket::bind("[::1]:0").unwrap();
    peer.connect("[::1]:9").unwrap();
    let watched = Watched::start(NEVER).await;
    let check = |address: SocketAddr, protocol: &str, state: &str, peer_port: Option<u16>| {
        let row = watched
            .rows
            .iter()
            .find(|row| is_of(row, address) && row.protocol == protocol);
        let row = row.unwrap_or_else(|| panic!("no {protocol} {address}"));
        assert_own(row);
        assert_eq!(
            (row.state.as_str(), row.destination_port),
            (state, peer_port)
        );
        assert_eq!(row.destination_address.is_some(), peer_port.is_some());
        assert_eq!(row.lifecycle, "observed");
        assert_eq!((row.bytes_sent, row.bytes_received), (None, None));
    };
    check(v4.local_addr().unwrap(), "tcp", "listen", None);
    check(v6.local_addr().unwrap(), "tcp", "listen", None);
    check(udp.local_addr().unwrap(), "udp", "unconnected", None);
    check(peer.local_addr().unwrap(), "udp", "established", Some(9));
    watched.stop().await;
}

#[tokio::test]
async fn a_connection_is_told_from_its_opening_to_its_end_with_its_bytes() {
    for listening in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(listening).unwrap();
        let mut watched = Watched::start(INTERVAL).await;
        let (mut caller, mut called) = pair(&listener);
        caller.write_all(&[1; 1_000]).unwrap();
        called.write_all(&[2; 300]).unwrap();
        called.read_exact(&mut [0; 1_000]).unwrap();
        caller.read_exact(&mut [0; 300]).unwrap();
        let (from, to) = (caller.local_addr().unwrap(), called.local_addr().unwrap());
        let has_all = |row: &NetworkEvent, from: SocketAddr, sent, received| {
            is_of(row, from)
                && row.destination_port.is_some()
                && row.state == "established"
                && (row.bytes_sent, row.bytes_received) == (Some(sent), Some(received))
        };
        let opened = watched.row_of(from, "opened").await;
        assert_own(&opened);
        assert_eq!(opened.destination_address, Some(to.ip().to_string()));
        assert_eq!(opened.destination_port, Some(to.port()));
        let at_caller = watched.row(|row| has_all(row, from, 1_000, 300)).await;
        let at_called = watched.row(|row| has_all(row, to, 300, 1_000)).await;
        assert_own(&at_caller);
        assert_own(&at_called);
        assert_eq!(at_caller.connection_id, opened.connection_id);
        assert_ne!(at_caller.connection_id, at_called.connection_id);

        caller.write_all(&[3; 24]).unwrap();
        called.read_exact(&mut [0; 24]).unwrap();
        drop((caller, called));
        let closed = watched.row_of(from, "closed").await;
        assert_eq!(closed.connection_id, opened.connection_id);
        assert_eq!(closed.bytes_sent, Some(1_024));
        assert_eq!(closed.pid, opened.pid);
        watched.look().await;
        watched.look().await;
        let rows = watched.of_source(from);
        let count = |lifecycle| rows.iter().filter(|row| row.lifecycle == lifecycle).count();
        assert_eq!((count("opened"), count("closed")), (1, 1), "{rows:?}");
        watched.stop().await;
    }
}

#[tokio::test]
async fn connections_between_two_looks_are_told_by_their_ends() {
    /// Of each the test process holds two sockets, one after another.
    const CONNECTIONS: u16 = 1_000;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut watched = Watched::start(NEVER).await;
    for number in 0..CONNECTIONS {
        let (mut caller, called) = pair(&listener);
        caller.write_all(&vec![0; usize::from(number)]).unwrap();
        drop((caller, called));
    }
    let udp = UdpSocket::bind("[::1]:0").unwrap();
    let last = udp.local_addr().unwrap();
    drop(udp);
    watched.row_of(last, "closed").await;
    let mut lives: BTreeMap<&str, Vec<&NetworkEvent>> = BTreeMap::new();
    let of_listener = |row: &&NetworkEvent| row.destination_port == Some(port);
    while watched.rows.iter().filter(of_listener).count() < 2 * usize::from(CONNECTIONS) {
        watched.batch().await;
    }
    for row in watched.rows.iter().filter(of_listener) {
        lives.entry(&row.connection_id).or_default().push(row);
    }
    assert_eq!(lives.len(), usize::from(CONNECTIONS));
    let mut sent = Vec::new();
    for rows in lives.values() {
        // Each is on a topic of its own, whose batches close by themselves.
        let mut life: Vec<_> = rows.iter().map(|row| row.lifecycle.as_str()).collect();
        life.sort_unstable();
        assert_eq!(life, ["closed", "opened"], "{rows:?}");
        assert_eq!(rows[0].bytes_sent, rows[1].bytes_sent);
        sent.extend(rows[1].bytes_sent);
    }
    sent.sort_unstable();
    assert_eq!(sent, (0..u64::from(CONNECTIONS)).collect::<Vec<_>>());
    assert_eq!(watched.source.health_check().await, SourceHealth::Healthy);
    watched.stop().await;
}

#[tokio::test]
async fn notices_that_found_no_room_are_a_loss_that_health_tells_and_a_look_follows() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = Settings {
        // The kernel's least.
        receive_bytes: 1,
        ..Settings::default()
    };
    let mut watched = Watched::of(NEVER, settings).await;
    let pairs: Vec<_> = (0..200).map(|_| pair(&listener)).collect();
    drop(pairs);
    // A second look comes, though its time is far.
    watched.look().await;
    let health = watched.source.health_check().await;
    let reason = health.reason().expect("a loss");
    assert!(reason.contains("no room for notices"), "{reason}");
    // It stands in the stream, too.
    let losses = watched.batcher.take_losses();
    assert!(losses.iter().all(|loss| loss.rows.is_none()) && !losses.is_empty());
    assert!(watched.batcher.counts().lost_unknown > 0);
    watched.stop().await;
}

#[tokio::test]
async fn sockets_over_the_limit_are_counted_and_told() {
    let _listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let settings = Settings {
        sockets_max: 2,
        ..Settings::default()
    };
    let watched = Watched::of(NEVER, settings).await;
    let observed = watched
        .rows
        .iter()
        .filter(|row| row.lifecycle == "observed");
    assert_eq!(observed.count(), 2);
    let health = watched.source.health_check().await;
    assert!(
        health
            .reason()
            .expect("too many")
            .contains("are not reported"),
        "{health}"
    );
    watched.stop().await;
}

#[tokio::test]
async fn a_socket_that_is_handed_on_changes_its_owner() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut watched = Watched::start(INTERVAL).await;
    assert_own(&watched.row_of(address, "observed").await);
    let inherited = OwnedFd::from(listener.try_clone().unwrap());
    let heir = Kept::spawn(Command::new(IDLE).arg(IDLE_SECONDS).stdin(inherited));
    drop(listener);
    // What another test forked may be its owner for a moment.
    let is_heirs = |row: &NetworkEvent| is_of(row, address) && row.pid == Some(heir.id());
    let changed = watched.row(is_heirs).await;
    assert_eq!(changed.lifecycle, "changed");
    watched.stop().await;
}

#[tokio::test]
async fn other_network_namespaces_are_seen_from_their_first_process_to_their_last() {
    if !geteuid().is_root() {
        println!("skipped: making a network namespace needs root");
        return;
    }
    let mut watched = Watched::start(INTERVAL).await;
    let child = Kept::spawn(Command::new("unshare").args(["--net", IDLE, IDLE_SECONDS]));
    let path = format!("/proc/{}/ns/net", child.id());
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    // The child moves by itself.
    while std::fs::read_link(&path).unwrap() == own {
        std::thread::yield_now();
    }
    let (address, inode) = std::thread::spawn(move || {
        let namespace = std::fs::File::open(path).unwrap();
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(namespace.as_fd(), kind).unwrap();
        // Its loopback is down: nothing but a socket that has no address can be had.
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&namespace.metadata().unwrap());
        (listener.local_addr().unwrap(), (inode, listener))
    })
    .join()
    .unwrap();
    let (inode, listener) = inode;
    let opened = watched
        .row(|row| is_of(row, address) && row.namespace == Some(inode))
        .await;
    assert_own(&opened);
    assert!(opened.connection_id.starts_with(&format!("{inode}-")));
    assert!(watched.rows.iter().any(|row| row.namespace != Some(inode)));
    // Its last process ends, and with it our sight of it: only our own descriptor is left.
    drop(child);
    let closed = watched
        .row(|row| row.lifecycle == "closed" && row.namespace == Some(inode))
        .await;
    assert_eq!(closed.connection_id, opened.connection_id);
    drop(listener);
    watched.stop().await;
}

#[test]
fn without_privileges_all_sockets_are_seen_and_what_is_missing_is_told() {
    if !geteuid().is_root() {
        println!("skipped: only root can become nobody");
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let nobody = std::thread::spawn(move || {
        let nobody = rustix::process::Uid::from_raw(65_534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        assert_eq!(NetworkSource::default().unavailable(), None);
        let mut look = Look::new(&Settings::default()).unwrap();
        look.take().unwrap();
        let known = look
            .table()
            .present()
            .find(|known| known.seen.source == (address.ip(), address.port()));
        assert!(known.is_some());
        look.troubles().clone()
    });
    let troubles = nobody.join().unwrap();
    let condition = Condition {
        troubles,
        ..Condition::default()
    };
    let told = reasons(&condition).join("; ");
    assert!(told.contains("have no pid: run as root"), "{told}");
    assert!(told.contains("network namespaces of"), "{told}");
    drop(listener);
}

#[tokio::test]
async fn sockets_that_vanish_while_they_are_looked_at_are_survived() {
    let mut watched = Watched::start(INTERVAL_MIN).await;
    let listener = TcpListener::bind("[::1]:0").unwrap();
    for _ in 0..10 {
        let pairs: Vec<_> = (0..50).map(|_| pair(&listener)).collect();
        let reset = pairs.first().map(|(caller, _)| caller.as_fd());
        if let Some(caller) = reset {
            // It ends with a reset.
            sockopt::set_socket_linger(caller, Some(Duration::ZERO)).unwrap();
        }
        let first = pairs[0].0.local_addr().unwrap();
        drop(pairs);
        // A connection that is reset before a look has lost its addresses, not its port.
        let port = first.port();
        watched
            .row(|row| row.source_port == port && row.lifecycle == "closed")
            .await;
        watched.rows.clear();
    }
    watched.look().await;
    assert!(!watched.task.is_finished());
    watched.stop().await;
}
