//! Who holds a socket: over real descriptors, and over folders that only look like `/proc`.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;

use super::super::owners::{Owner, Owners, Walk, Wanted, inode_of};
use crate::testing::{IDLE, IDLE_SECONDS, Kept};

/// Looks after which whoever was forked meanwhile must have gone.
const LOOKS_MAX: usize = 1_000;

fn inode(descriptor: &impl std::os::fd::AsRawFd) -> u32 {
    let link = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    let link = fs::read_link(link).unwrap();
    inode_of(link.as_os_str().as_encoded_bytes()).unwrap()
}

fn walking(proc: &Path) -> Owners {
    Owners::new(proc.to_owned(), "walks")
}

fn find(owners: &mut Owners, inodes: &[u32]) -> (Vec<Option<Owner>>, Walk) {
    let mut wanted: Wanted = inodes.iter().map(|inode| (*inode, None)).collect();
    let walk = owners.find(&mut wanted);
    (inodes.iter().map(|inode| wanted[inode]).collect(), walk)
}

/// The owners of the sockets, which are these processes, by the first that finds them. What another test forks holds
/// all that is open here until it execs or ends, and may be found instead.
fn find_with(
    owners: impl Fn() -> Owners,
    inodes: &[u32],
    pids: &[Option<u32>],
) -> (Vec<Option<Owner>>, Owners) {
    let mut others = Vec::new();
    for _ in 0..LOOKS_MAX {
        let mut owners = owners();
        let (found, walk) = find(&mut owners, inodes);
        assert!(walk.complete);
        if found
            .iter()
            .map(|owner| owner.map(|owner| owner.pid))
            .eq(pids.iter().copied())
        {
            return (found, owners);
        }
        others = found;
    }
    panic!("{pids:?} hold the sockets, and these are found: {others:?}");
}

#[test]
fn a_socket_is_its_process_until_it_is_closed() {
    let (tcp, udp) = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        UdpSocket::bind("[::1]:0").unwrap(),
    );
    let (tcp_inode, udp_inode) = (inode(&tcp), inode(&udp));
    let own = Some(std::process::id());
    let (found, mut owners) = find_with(
        || walking(Path::new("/proc")),
        &[tcp_inode, udp_inode],
        &[own, own],
    );
    let of_tcp = found[0].unwrap();
    assert_eq!(found[1].unwrap().start_time, of_tcp.start_time);
    assert!(owners.still_holds(&of_tcp, tcp_inode));
    assert!(!owners.still_holds(&of_tcp, udp_inode));
    drop(tcp);
    assert!(!owners.still_holds(&of_tcp, tcp_inode));
    // 0 is no socket's inode: everywhere is looked, and nobody has it.
    let (found, walk) = find(&mut owners, &[0]);
    assert_eq!((found, walk.complete), (vec![None], true));
    assert_eq!(find(&mut owners, &[]).1, Walk::default());
}

#[test]
fn the_iterator_finds_whom_a_walk_finds() {
    let iterating = || Owners::new(PathBuf::from("/proc"), "walks").with_iterator();
    if let Some(refused) = iterating().why_no_iterator() {
        assert!(!rustix::process::geteuid().is_root(), "{refused}");
        println!("skipped: {refused}");
        return;
    }
    let (tcp, udp) = (
        TcpListener::bind("[::1]:0").unwrap(),
        UdpSocket::bind("127.0.0.1:0").unwrap(),
    );
    let (unix, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let inherited = OwnedFd::from(tcp.try_clone().unwrap());
    let child = Kept::spawn(Command::new(IDLE).arg(IDLE_SECONDS).stdin(inherited));
    let of_child = inode(&tcp);
    drop(tcp);
    let inodes = [of_child, inode(&udp), inode(&unix), 0];
    let expected = [Some(child.id()), Some(std::process::id()), None, None];
    // Nothing but the iterator knows anybody: nobody has had a socket yet.
    let (found, owners) = find_with(iterating, &inodes, &expected);
    // A walk finds sockets of all families.
    let expected = [expected[0], expected[1], expected[1], None];
    let (walked, _) = find_with(|| walking(Path::new("/proc")), &inodes, &expected);
    assert_eq!(found[..2], walked[..2]);
    assert!(owners.still_holds(&found[0].unwrap(), of_child));
}

/// A process in a folder that looks like `/proc`.
fn fake_process(proc: &Path, pid: u32, links: &[&str]) {
    let descriptors = proc.join(format!("{pid}/fd"));
    fs::create_dir_all(&descriptors).unwrap();
    for (number, link) in links.iter().enumerate() {
        symlink(link, descriptors.join(number.to_string())).unwrap();
    }
    let stat = format!("{pid} (x) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 {pid} 66 77\n");
    fs::write(proc.join(format!("{pid}/stat")), stat).unwrap();
}

#[test]
fn a_walk_that_is_bounded_goes_on_where_it_stopped() {
    let proc = tempfile::tempdir().unwrap();
    for pid in 1..=9 {
        let own = format!("socket:[{}]", pid * 100);
        fake_process(proc.path(), pid, &["/dev/null", &own, "pipe:[100]"]);
    }
    // Three descriptors a process: two processes a walk.
    let mut owners = walking(proc.path()).bounded(6);
    let mut walks = 0;
    loop {
        let (found, walk) = find(&mut owners, &[900]);
        walks += 1;
        match found[0] {
            Some(owner) => break assert_eq!(owner.pid, 9),
            None => assert!(!walk.complete),
        }
        assert!(walks < 9);
    }
    assert_eq!(walks, 5);
    // It has had sockets lately, so it is looked at first: one walk, whatever stands before it.
    let (found, _) = find(&mut owners, &[900]);
    assert_eq!(found[0].map(|owner| owner.pid), Some(9));
}

#[test]
fn a_process_that_ends_while_it_is_looked_at_owns_nothing() {
    let proc = tempfile::tempdir().unwrap();
    fake_process(proc.path(), 5, &["socket:[77]"]);
    fs::remove_file(proc.path().join("5/stat")).unwrap();
    fs::create_dir(proc.path().join("6")).unwrap();
    fs::write(proc.path().join("7"), "no folder").unwrap();
    let mut owners = walking(proc.path());
    assert_eq!(find(&mut owners, &[77]).0, [None]);
    let mut nowhere = walking(&proc.path().join("none"));
    assert_eq!(find(&mut nowhere, &[77]).0, [None]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_stands_in_proc_is_survived(
        processes in proptest::collection::vec(
            ("[0-9a-z]{1,11}", proptest::collection::vec(("[0-9a-z]{1,12}", "socket:\\[[0-9]{0,12}\\]?|[a-z:\\[\\]]{1,9}"), 0..4), any::<Vec<u8>>()),
            0..5,
        ),
        bound in 0_usize..4,
    ) {
        let proc = tempfile::tempdir().unwrap();
        for (name, links, stat) in &processes {
            let descriptors = proc.path().join(name).join("fd");
            let _ = fs::create_dir_all(&descriptors);
            for (number, link) in links {
                let _ = symlink(link, descriptors.join(number));
            }
            let _ = fs::write(proc.path().join(name).join("stat"), stat);
        }
        let mut owners = walking(proc.path()).bounded(bound);
        for _ in 0..3 {
            find(&mut owners, &[1, 2, 3]);
        }
    }
}
