//! Who holds a socket: from inodes to processes, by their descriptors.
//!
//! The kernel says a socket's inode and not its owner, and finding one costs a look at each descriptor of the
//! machine; so only what isn't known yet is looked for, and nearby first. The rest is asked of an eBPF iterator, all
//! descriptors in one read, or where that can't be had of `/proc`, a bounded number of descriptors at a time. The
//! invariant: a pid that is answered had the socket open, and its start time is of that very process.

use std::fs::File;
use std::io::Read as _;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustc_hash::FxHashMap;
use rustix::fs::{CWD, Mode, OFlags, RawDir, openat, readlinkat_raw};
use rustix::io::Errno;
use weir_bus::Timestamp;

use crate::ebpf::FileIterator;
use crate::ebpf::programs::files::{self, Descriptor};
use crate::process::details::stat;

/// Descriptors after which a walk goes on at the next look: some 0.1 s of system calls.
const DESCRIPTORS_MAX: usize = 65_536;
/// Processes that are looked at first, for they have had sockets lately: those of a busy server and its
/// neighbours.
const LIKELY_MAX: usize = 32;
/// Bytes that are read of `stat`, which has at most some 400.
const STAT_BYTES_MAX: u64 = 4 * 1024;
/// Bytes of a folder's entries that are read at once.
const FOLDER_BYTES: usize = 8 * 1024;
/// How the link of a socket's descriptor begins and ends.
const LINK: (&[u8], &[u8]) = (b"socket:[", b"]");
/// More than such a link can have.
const LINK_BYTES: usize = 64;

/// A process that holds a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) pid: u32,
    pub(super) start_time: Timestamp,
    descriptor: u32,
}

#[cfg(test)]
impl Owner {
    /// A process that holds the socket as its descriptor 3.
    pub(super) const fn of(pid: u32) -> Self {
        Self {
            pid,
            start_time: Timestamp(1),
            descriptor: 3,
        }
    }
}

/// How a walk went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Walk {
    /// Whether every process was looked at, so that what wasn't found is nowhere.
    pub(super) complete: bool,
    /// Processes that may not be looked at.
    pub(super) denied: usize,
}

/// Finds owners; its buffers serve all walks.
pub(super) struct Owners {
    proc: PathBuf,
    /// The iterator, or why there is none; and what it wrote.
    files: Result<FileIterator, String>,
    records: Vec<u8>,
    descriptors_max: usize,
    likely: Vec<u32>,
    /// Where the last walk stopped, if it didn't get round.
    stopped_at: u32,
    pids: Vec<u32>,
}

/// The inodes that are looked for, and what was found.
pub(super) type Wanted = FxHashMap<u32, Option<Owner>>;

impl Owners {
    /// By `/proc` alone, for the reason `why`.
    pub(super) fn new(proc: PathBuf, why: &str) -> Self {
        Self {
            proc,
            files: Err(why.to_owned()),
            records: Vec::new(),
            descriptors_max: DESCRIPTORS_MAX,
            likely: Vec::new(),
            stopped_at: 0,
            pids: Vec::new(),
        }
    }

    /// The same by the iterator, where that can be had.
    pub(super) fn with_iterator(mut self) -> Self {
        self.files = open_iterator();
        self
    }

    /// Why the iterator isn't used; none if it is.
    pub(super) fn why_no_iterator(&self) -> Option<&String> {
        self.files.as_ref().err()
    }

    /// The same with another bound, for tests.
    #[cfg(test)]
    pub(super) fn bounded(mut self, descriptors_max: usize) -> Self {
        self.descriptors_max = descriptors_max;
        self
    }

    /// Looks for the owners of all that is wanted, until all are found, or the bound is reached: the next call
    /// goes on from there.
    pub(super) fn find(&mut self, wanted: &mut Wanted) -> Walk {
        let mut walk = Walker {
            left: wanted.len(),
            wanted,
            descriptors: 0,
            denied: 0,
        };
        if walk.left == 0 {
            return Walk::default();
        }
        let likely = std::mem::take(&mut self.likely);
        for pid in &likely {
            if walk.left > 0 && self.look_at(*pid, &mut walk) {
                self.note_likely(*pid);
            }
        }
        self.likely.extend(likely);
        self.likely.truncate(LIKELY_MAX);
        let complete = walk.left == 0 || self.iterate(&mut walk) || self.look_at_all(&mut walk);
        Walk {
            complete,
            denied: walk.denied,
        }
    }

    /// Whether the owner still holds the socket.
    pub(super) fn still_holds(&self, owner: &Owner, inode: u32) -> bool {
        let link = self
            .proc
            .join(format!("{}/fd/{}", owner.pid, owner.descriptor));
        let mut buffer = [0; LINK_BYTES];
        let read = readlinkat_raw(CWD, link, buffer.as_mut_slice()).unwrap_or_default();
        buffer.get(..read).and_then(inode_of) == Some(inode)
    }

    /// All sockets of all processes by the iterator; false if there is none.
    fn iterate(&mut self, walk: &mut Walker<'_>) -> bool {
        let Ok(files) = &self.files else {
            return false;
        };
        if let Err(error) = files.read(&mut self.records) {
            self.files = Err(error.to_string());
            return false;
        }
        // It may look everywhere.
        walk.denied = 0;
        let records = std::mem::take(&mut self.records);
        let (mut rest, tick_ns) = (records.as_slice(), stat::tick_ns().max(1));
        while let Some((descriptor, next)) = files::read(rest) {
            rest = next;
            walk.take(&descriptor, tick_ns);
        }
        self.records = records;
        for owner in walk.wanted.values().flatten() {
            self.note_likely(owner.pid);
        }
        true
    }

    /// All processes once, from where the last walk stopped; whether it got round.
    fn look_at_all(&mut self, walk: &mut Walker<'_>) -> bool {
        let mut pids = std::mem::take(&mut self.pids);
        list(&self.proc, &mut pids);
        let start = pids.partition_point(|pid| *pid <= self.stopped_at);
        pids.rotate_left(start);
        let mut complete = true;
        for pid in &pids {
            if walk.left == 0 {
                break;
            }
            if walk.descriptors >= self.descriptors_max {
                complete = false;
                break;
            }
            if self.look_at(*pid, walk) {
                self.note_likely(*pid);
            }
            self.stopped_at = *pid;
        }
        if complete {
            self.stopped_at = 0;
        }
        self.pids = pids;
        complete
    }

    /// Looks at a process's descriptors; whether it holds anything that is wanted.
    fn look_at(&self, pid: u32, walk: &mut Walker<'_>) -> bool {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let path = self.proc.join(pid.to_string());
        // All that follows is about the process that this handle leads to, even if its pid is used again.
        let Ok(process) = openat(CWD, path, flags, Mode::empty()) else {
            return false;
        };
        let descriptors = match openat(&process, "fd", flags, Mode::empty()) {
            Ok(descriptors) => descriptors,
            Err(Errno::ACCESS | Errno::PERM) => {
                walk.denied += 1;
                return false;
            }
            Err(_) => return false,
        };
        walk.look_at(pid, &process, &descriptors)
    }

    /// Has a process looked at before most others.
    pub(super) fn note_likely(&mut self, pid: u32) {
        if !self.likely.contains(&pid) {
            self.likely.insert(0, pid);
            self.likely.truncate(LIKELY_MAX);
        }
    }
}

/// What a walk has in hand.
struct Walker<'a> {
    wanted: &'a mut Wanted,
    left: usize,
    descriptors: usize,
    denied: usize,
}

impl Walker<'_> {
    /// Takes in a descriptor that the iterator has found. Of several processes that hold a socket the oldest is its
    /// owner: the others have it of that one, and most are forks that haven't run their program yet.
    fn take(&mut self, descriptor: &Descriptor, tick_ns: u64) {
        let inode = u32::try_from(descriptor.inode).ok();
        let Some(found) = inode.and_then(|inode| self.wanted.get_mut(&inode)) else {
            return;
        };
        let start_time = stat::start_time(descriptor.start_ns / tick_ns);
        match found {
            Some(found) if found.start_time <= start_time => return,
            Some(_) => {}
            None => self.left = self.left.saturating_sub(1),
        }
        *found = Some(Owner {
            pid: descriptor.pid,
            start_time,
            descriptor: descriptor.number,
        });
    }

    fn look_at(&mut self, pid: u32, process: &OwnedFd, descriptors: &OwnedFd) -> bool {
        let mut folder = [MaybeUninit::uninit(); FOLDER_BYTES];
        let mut entries = RawDir::new(descriptors, &mut folder);
        let mut link = [0; LINK_BYTES];
        // Read when the first socket is found.
        let mut start_time = None;
        while let Some(Ok(entry)) = entries.next() {
            let Some(descriptor) = number(entry.file_name().to_bytes()) else {
                continue;
            };
            self.descriptors += 1;
            // It may have been closed since.
            let read = readlinkat_raw(descriptors, entry.file_name(), link.as_mut_slice());
            let target = link.get(..read.unwrap_or_default());
            let wanted = target
                .and_then(inode_of)
                .and_then(|inode| self.wanted.get_mut(&inode));
            let Some(found @ None) = wanted else {
                continue;
            };
            if start_time.is_none() {
                start_time = start_of(process);
            }
            let Some(start_time) = start_time else {
                return false;
            };
            *found = Some(Owner {
                pid,
                start_time,
                descriptor,
            });
            self.left -= 1;
            if self.left == 0 {
                break;
            }
        }
        start_time.is_some()
    }
}

/// Loads the iterator; the error says why it can't be had.
fn open_iterator() -> Result<FileIterator, String> {
    FileIterator::open().map_err(|error| error.to_string())
}

/// Why there is no iterator; none if there is. It is loaded for a moment.
pub(super) fn probe_iterator() -> Option<String> {
    open_iterator().err()
}

fn start_of(process: &OwnedFd) -> Option<Timestamp> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = openat(process, "stat", flags, Mode::empty()).ok()?;
    let mut bytes = Vec::new();
    let mut limited = File::from(file).take(STAT_BYTES_MAX);
    limited.read_to_end(&mut bytes).ok()?;
    stat::start_ticks(&bytes).map(stat::start_time)
}

/// The inode that a descriptor's link names; none if it isn't a socket's.
pub(super) fn inode_of(link: &[u8]) -> Option<u32> {
    number(link.strip_prefix(LINK.0)?.strip_suffix(LINK.1)?)
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The pids below a `/proc`, in order.
pub(super) fn list(proc: &std::path::Path, pids: &mut Vec<u32>) {
    pids.clear();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = openat(CWD, proc, flags, Mode::empty()) else {
        return;
    };
    let mut buffer = [MaybeUninit::uninit(); FOLDER_BYTES];
    let mut entries = RawDir::new(folder, &mut buffer);
    while let Some(Ok(entry)) = entries.next() {
        pids.extend(number(entry.file_name().to_bytes()));
    }
    pids.sort_unstable();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_that_hold_a_socket_the_oldest_is_its_owner() {
        // Pids go round: a child's may be below its parent's.
        let held_by = |pid, start_ns, number| Descriptor {
            inode: 7,
            pid,
            start_ns,
            number,
        };
        let descriptors = [
            held_by(3, 300, 1),
            held_by(900, 100, 4),
            held_by(900, 100, 5),
            held_by(901, 200, 4),
        ];
        for rotation in 0..descriptors.len() {
            let mut wanted: Wanted = [(7, None), (8, None)].into_iter().collect();
            let mut walk = Walker {
                left: wanted.len(),
                wanted: &mut wanted,
                descriptors: 0,
                denied: 0,
            };
            let mut descriptors = descriptors;
            descriptors.rotate_left(rotation);
            for descriptor in &descriptors {
                walk.take(descriptor, 1);
            }
            assert_eq!(walk.left, 1);
            let owners = [
                wanted[&7].map(|owner| owner.pid),
                wanted[&8].map(|owner| owner.pid),
            ];
            assert_eq!(owners, [Some(900), None], "{rotation}");
        }
    }
}
