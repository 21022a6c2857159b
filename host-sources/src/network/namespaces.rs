//! The network namespaces that can be seen, and a pair of sockets into each.
//!
//! A netlink socket belongs to the namespace of the thread that opened it; so a thread that does nothing else
//! moves there, opens the sockets and hands them over. The invariant: a namespace is kept only as long as a
//! process or a mount keeps it, for our own sockets would keep it alive for ever.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fs::{CWD, readlinkat_raw};
use rustix::io::Errno;
use rustix::net::netlink::SOCK_DIAG;
use rustix::thread::{CapabilitySet, LinkNameSpaceType, move_into_link_name_space};

use super::{diag, owners};
use crate::netlink::{NetlinkError, NetlinkSocket};
use crate::privileges;

/// Namespaces that are watched, two descriptors each: four times the containers of a large host.
const NAMESPACES_MAX: usize = 256;
/// Bytes of the list of mounts that are read.
const MOUNTS_BYTES_MAX: u64 = 4 << 20;
/// How the link to a network namespace begins and ends.
const LINK: (&[u8], &[u8]) = (b"net:[", b"]");
/// More than such a link can have.
const LINK_BYTES: usize = 64;
/// How often a process's namespace is read before it is taken for its own: who begins may move.
const READS: u8 = 2;
/// In how many looks the namespace of each process is read, however long it is there: a minute, usually.
const WHOLE_LOOKS: u64 = 12;
/// The name of the protocol in errors.
pub(super) const PROTOCOL: &str = "sock_diag";

/// A namespace, and what is asked there.
pub(super) struct Namespace {
    /// Its inode, by which `/proc` names it.
    pub(super) inode: u64,
    /// Answers dumps.
    pub(super) dumps: NetlinkSocket,
    /// Tells of sockets that end; the reason where it can't.
    pub(super) endings: Result<NetlinkSocket, NetlinkError>,
}

/// What was read of a process.
#[derive(Clone, Copy)]
struct Member {
    /// Its namespace's inode; none where that may not be seen.
    inode: Option<u64>,
    reads: u8,
}

/// The namespaces that are watched.
pub(super) struct Namespaces {
    proc: PathBuf,
    interval: Duration,
    receive_bytes: usize,
    looked: Option<Instant>,
    looks: u64,
    /// The processes that the last look found.
    members: FxHashMap<u32, Member>,
    list: Vec<Namespace>,
    /// Those that couldn't be entered, so that each is tried once a while only.
    denied: FxHashSet<u64>,
    denied_why: Option<String>,
    over_limit: usize,
    /// Processes whose namespace may not be looked at.
    hidden: usize,
}

impl Namespaces {
    /// The namespace of the calling thread, and those that a [`Self::look`] finds.
    ///
    /// `receive_bytes`: room for notices that wait, for each namespace.
    ///
    /// # Errors
    /// [`NetlinkError`] where not even this thread's own can be asked.
    pub(super) fn new(
        proc: PathBuf,
        interval: Duration,
        receive_bytes: usize,
    ) -> Result<Self, NetlinkError> {
        let own = inode_of(&proc.join("thread-self/ns/net")).unwrap_or_default();
        Ok(Self {
            list: vec![Namespace::open(own, receive_bytes)?],
            proc,
            interval,
            receive_bytes,
            looked: None,
            looks: 0,
            members: FxHashMap::default(),
            denied: FxHashSet::default(),
            denied_why: None,
            over_limit: 0,
            hidden: 0,
        })
    }

    /// All that are watched, this thread's own first.
    pub(super) fn list(&mut self) -> &mut [Namespace] {
        &mut self.list
    }

    /// What keeps other namespaces from being seen, in words that a person can act on.
    pub(super) fn trouble(&self) -> Option<String> {
        if self.over_limit > 0 {
            return Some(format!(
                "{} network namespaces over the {NAMESPACES_MAX} that are watched are not seen",
                self.over_limit
            ));
        }
        if let Some(why) = &self.denied_why {
            return Some(format!(
                "{} network namespaces are not seen ({why}): run as root, or add CAP_SYS_ADMIN to the unit",
                self.denied.len()
            ));
        }
        // Some processes are hidden from root, too; they are nearly always in a namespace that is seen.
        let needed = CapabilitySet::SYS_PTRACE | CapabilitySet::SYS_ADMIN;
        (self.hidden > 0 && !privileges::has(needed)).then(|| {
            format!(
                "the network namespaces of {} processes are not known: run as root, or add CAP_SYS_PTRACE and \
                 CAP_SYS_ADMIN to the unit",
                self.hidden
            )
        })
    }

    /// Takes in new ones and leaves those that are gone, if it is time to look again.
    pub(super) fn look_if_due(&mut self) {
        let now = Instant::now();
        let is_due = self
            .looked
            .is_none_or(|looked| now.duration_since(looked) >= self.interval);
        if is_due {
            self.looked = Some(now);
            self.look();
        }
    }

    fn look(&mut self) {
        let found = self.find();
        let own = self.list.first().map(|own| own.inode);
        self.list.retain(|namespace| {
            found.contains_key(&namespace.inode) || Some(namespace.inode) == own
        });
        self.denied.retain(|inode| found.contains_key(inode));
        if self.denied.is_empty() {
            self.denied_why = None;
        }
        self.over_limit = 0;
        for (inode, path) in found {
            let is_known = self.list.iter().any(|namespace| namespace.inode == inode);
            if is_known || self.denied.contains(&inode) {
                continue;
            }
            if self.list.len() >= NAMESPACES_MAX {
                self.over_limit += 1;
                continue;
            }
            match open_in(&path, inode, self.receive_bytes) {
                Ok(Some(namespace)) => self.list.push(namespace),
                // Gone meanwhile, or another by now.
                Ok(None) => {}
                Err(why) => {
                    self.denied.insert(inode);
                    self.denied_why = Some(why);
                }
            }
        }
    }

    /// All namespaces, each with a path that leads to it.
    fn find(&mut self) -> FxHashMap<u64, PathBuf> {
        let mut found = FxHashMap::default();
        let mut pids = Vec::new();
        owners::list(&self.proc, &mut pids);
        self.hidden = 0;
        let before = std::mem::take(&mut self.members);
        let is_whole = self.looks.is_multiple_of(WHOLE_LOOKS);
        self.looks += 1;
        for pid in pids {
            let known = before.get(&pid).filter(|_| !is_whole);
            let Some(member) = self.member(pid, known.copied()) else {
                continue;
            };
            self.members.insert(pid, member);
            match member.inode {
                Some(inode) => {
                    let path = || self.path_of(pid);
                    found.entry(inode).or_insert_with(path);
                }
                None => self.hidden += 1,
            }
        }
        for (inode, path) in mounted(&self.proc.join("self/mountinfo")) {
            found.entry(inode).or_insert(path);
        }
        found
    }

    /// A process's namespace, read unless it is known; none if the process is gone.
    fn member(&self, pid: u32, known: Option<Member>) -> Option<Member> {
        let reads = known.map_or(0, |known| known.reads);
        if reads >= READS {
            return known;
        }
        let inode = match inode_of(&self.path_of(pid)) {
            Ok(inode) => Some(inode),
            Err(Errno::ACCESS | Errno::PERM) => None,
            // It has ended, or is a thread group whose leader has.
            Err(_) => return None,
        };
        let reads = reads.saturating_add(1);
        Some(Member { inode, reads })
    }

    fn path_of(&self, pid: u32) -> PathBuf {
        self.proc.join(format!("{pid}/ns/net"))
    }
}

impl Namespace {
    /// Opens the sockets in the calling thread's namespace, whose inode is given.
    fn open(inode: u64, receive_bytes: usize) -> Result<Self, NetlinkError> {
        let endings = NetlinkSocket::open(SOCK_DIAG, PROTOCOL, diag::DESTROYED_GROUPS);
        if let Ok(endings) = &endings {
            endings.set_receive_buffer(receive_bytes);
        }
        Ok(Self {
            inode,
            dumps: NetlinkSocket::open(SOCK_DIAG, PROTOCOL, 0)?,
            endings,
        })
    }
}

/// Opens the sockets in the namespace that the path leads to; none if it isn't the one of that inode.
fn open_in(path: &Path, inode: u64, receive_bytes: usize) -> Result<Option<Namespace>, String> {
    let Ok(file) = File::open(path) else {
        return Ok(None);
    };
    if !file
        .metadata()
        .is_ok_and(|metadata| metadata.ino() == inode)
    {
        return Ok(None);
    }
    let opened = std::thread::Builder::new()
        .name("weir-namespace".to_owned())
        .spawn(move || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(file.as_fd(), kind)
                .map_err(|errno| format!("setns: {errno}"))?;
            Namespace::open(inode, receive_bytes).map_err(|error| error.to_string())
        })
        .map_err(|error| format!("a thread can't be started: {error}"))?
        .join();
    opened
        .unwrap_or_else(|_| Err("its thread panicked".to_owned()))
        .map(Some)
}

/// The inode of the namespace that a link in `/proc` leads to.
fn inode_of(path: &Path) -> Result<u64, Errno> {
    let mut buffer = [0; LINK_BYTES];
    let read = readlinkat_raw(CWD, path, buffer.as_mut_slice())?;
    buffer
        .get(..read)
        .and_then(inode_of_link)
        .ok_or(Errno::INVAL)
}

fn inode_of_link(link: &[u8]) -> Option<u64> {
    let number = link.strip_prefix(LINK.0)?.strip_suffix(LINK.1)?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// Namespaces that mounts keep, as `ip netns add` makes them.
fn mounted(mounts: &Path) -> Vec<(u64, PathBuf)> {
    let mut bytes = Vec::new();
    let read = File::open(mounts).map(|file| file.take(MOUNTS_BYTES_MAX).read_to_end(&mut bytes));
    if read.is_err() {
        return Vec::new();
    }
    mounted_in(&bytes)
}

/// The network namespaces in a list of mounts, proc(5) `mountinfo`: the fourth field is what is mounted, the
/// fifth where.
pub(super) fn mounted_in(mounts: &[u8]) -> Vec<(u64, PathBuf)> {
    use std::os::unix::ffi::OsStringExt as _;
    let lines = mounts.split(|byte| *byte == b'\n');
    let of_line = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ').skip(3);
        let inode = inode_of_link(fields.next()?)?;
        let place = std::ffi::OsString::from_vec(unescaped(fields.next()?));
        Some((inode, PathBuf::from(place)))
    };
    lines.filter_map(of_line).take(NAMESPACES_MAX * 2).collect()
}

/// A field of a list of mounts: spaces, tabs, line feeds and backslashes stand as `\` and three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.first_chunk::<3>().filter(|_| byte == b'\\');
        let escaped = digits.and_then(|digits| {
            let text = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(text, 8).ok()
        });
        match escaped {
            Some(escaped) => {
                out.push(escaped);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}
