//! One look after another at all sockets, and what ended between them.
//!
//! It sends nothing on. The invariant: what a namespace couldn't be asked in full is never taken for gone, and
//! each time that the kernel dropped notices is counted.

use rustix::io::Errno;
use rustix::net::netlink::SOCK_DIAG;
use rustix::thread::CapabilitySet;

use super::Settings;
use super::diag::{self, DUMPS, Transport};
use super::dumps::Dumper;
use super::endings::Endings;
use super::holders::{HolderFeed, Reading};
use super::namespaces::{self, Namespaces};
use super::owners::{Owners, Walk, Wanted};
use super::table::{Answer, Ended, Question, Table};
use crate::ebpf::SOCKET_RING_BYTES;
use crate::netlink::{Messages, NetlinkError, NetlinkSocket, ReceiveBuffer, Received, Requests};
use crate::privileges;
use crate::source::SourceError;

/// What is said of programs that aren't to be loaded.
const NOT_WANTED: &str = "not wanted";
/// Notices that are read at a time, so that a flood of them keeps nobody from looking and stopping.
const NOTICES_MAX: usize = 4_096;

/// What went wrong with the last look.
#[derive(Clone, Debug, Default)]
pub(super) struct Troubles {
    /// What kept a namespace from being seen whole.
    pub(super) incomplete: Option<String>,
    /// What keeps other namespaces from being seen.
    pub(super) namespaces: Option<String>,
    /// Why ends aren't told by the kernel.
    pub(super) no_endings: Option<String>,
    /// Why the kernel doesn't tell whose short connections are.
    pub(super) no_holders: Option<String>,
    /// Why descriptors are looked for in `/proc`, one by one.
    pub(super) no_iterator: Option<String>,
    /// Processes whose descriptors may not be looked at, while owners are missing.
    pub(super) owners_denied: usize,
    /// Sockets that aren't followed.
    pub(super) over_limit: usize,
}

/// What was missed between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missed {
    /// How often the kernel had no room for notices of ends, an unknown number each time.
    pub(super) notices: u64,
    /// How often it wasn't kept who had a socket in hand.
    pub(super) holders: u64,
}

/// The looks of one run.
pub(super) struct Look {
    namespaces: Namespaces,
    table: Table,
    owners: Owners,
    endings: Endings,
    /// Who has sockets in hand, or why that isn't told.
    holders: Result<HolderFeed, String>,
    holders_missed: u64,
    /// Ends whose holders may be told in a moment, and whether they have waited for that.
    unsettled: Vec<Ended>,
    has_waited: bool,
    buffer: ReceiveBuffer,
    requests: Requests,
    sequence: u32,
    /// What this look couldn't see whole.
    incomplete: Vec<(u64, Transport)>,
    wanted: Wanted,
    denied: usize,
    troubles: Troubles,
}

impl Look {
    pub(super) fn new(settings: &Settings) -> Result<Self, SourceError> {
        let failed =
            |error: String| SourceError::Failed(format!("sockets can't be asked: {error}"));
        let namespaces = Namespaces::new(
            settings.proc.clone(),
            settings.namespaces_interval,
            settings.receive_bytes,
        );
        let endings = Endings::new().map_err(|error| failed(error.to_string()))?;
        let holders = match settings.has_programs {
            true => HolderFeed::open(settings.ring_bytes),
            false => Err(NOT_WANTED.to_owned()),
        };
        if let Ok(holders) = &holders {
            let watched = endings.watch(holders);
            watched.map_err(|error| failed(error.to_string()))?;
        }
        Ok(Self {
            namespaces: namespaces.map_err(|error| failed(error.to_string()))?,
            table: Table::new(settings.sockets_max),
            owners: owners(settings),
            endings,
            holders,
            holders_missed: 0,
            unsettled: Vec::new(),
            has_waited: false,
            buffer: ReceiveBuffer::new(),
            requests: Requests::default(),
            sequence: 0,
            incomplete: Vec::new(),
            wanted: Wanted::default(),
            denied: 0,
            troubles: Troubles::default(),
        })
    }

    /// Looks at all sockets of all namespaces.
    pub(super) fn take(&mut self) -> Result<(), SourceError> {
        self.table.begin();
        self.troubles = Troubles::default();
        self.incomplete.clear();
        self.namespaces.look_if_due();
        self.watch_endings();
        let mut any_dumped = false;
        for namespace in self.namespaces.list() {
            let mut dumper = Dumper {
                table: &mut self.table,
                buffer: &mut self.buffer,
                requests: &mut self.requests,
                sequence: &mut self.sequence,
            };
            // What one dump can't, the others still do.
            for what in DUMPS {
                match dumper.dump_or_parts(namespace, what) {
                    Ok(()) => any_dumped = true,
                    Err(error) => {
                        self.incomplete.push((namespace.inode, what.0));
                        self.troubles.incomplete = Some(error.to_string());
                    }
                }
            }
        }
        if let (false, Some(why)) = (any_dumped, &self.troubles.incomplete) {
            let why = format!("sockets can't be listed: {why}");
            return Err(SourceError::Failed(why));
        }
        self.finish();
        Ok(())
    }

    fn finish(&mut self) {
        let incomplete = &self.incomplete;
        let there: Vec<u64> = self.namespaces.list().iter().map(|one| one.inode).collect();
        self.table.end(
            |namespace, transport| !incomplete.contains(&(namespace, transport)),
            |namespace| there.contains(&namespace),
        );
        self.read_holders();
        if let Ok(holders) = &mut self.holders {
            self.table.take_holders(|key| holders.take(key));
        }
        let walk = self.find_owners();
        self.table.settle_owners();
        // What is hidden from one who has the privilege nobody can change.
        if walk.complete && !privileges::has(CapabilitySet::SYS_PTRACE) {
            self.denied = walk.denied;
        }
        self.troubles.owners_denied = self.denied;
        self.troubles.namespaces = self.namespaces.trouble();
        self.troubles.over_limit = self.table.over_limit();
        self.troubles.no_holders = self.holders.as_ref().err().cloned();
        self.troubles.no_iterator = self.owners.why_no_iterator().cloned();
    }

    /// Takes in who has sockets in hand; false if more can be read in a moment.
    fn read_holders(&mut self) -> bool {
        let Ok(holders) = &mut self.holders else {
            return true;
        };
        match holders.read() {
            Ok(Reading { is_whole, missed }) => {
                self.holders_missed = self.holders_missed.saturating_add(missed);
                is_whole
            }
            Err(why) => {
                self.holders = Err(why);
                true
            }
        }
    }

    /// Waits for notices of ends from now on.
    fn watch_endings(&mut self) {
        for namespace in self.namespaces.list() {
            let watched = match &namespace.endings {
                Ok(socket) => self
                    .endings
                    .watch(socket)
                    .map_err(|error| error.to_string()),
                Err(error) => Err(why_no_endings(error)),
            };
            if let Err(why) = watched {
                self.troubles.no_endings = Some(why);
            }
        }
    }

    fn find_owners(&mut self) -> Walk {
        self.wanted.clear();
        let (wanted, owners) = (&mut self.wanted, &mut self.owners);
        self.table.ask_owners(|inode, question| {
            match question {
                Question::StillHolds(owner) if owners.still_holds(owner, inode) => return,
                Question::Who(Some(pid)) => owners.note_likely(pid),
                Question::StillHolds(_) | Question::Who(None) => {}
            }
            wanted.insert(inode, None);
        });
        if self.wanted.is_empty() {
            return Walk::default();
        }
        let walk = self.owners.find(&mut self.wanted);
        self.table.answer_owners(|inode| {
            let found = self.wanted.get(&inode)?;
            Some(match found {
                Some(owner) => Answer::Owner(*owner),
                None if walk.complete => Answer::Nobody,
                None => Answer::Unasked,
            })
        });
        walk
    }

    /// Reads notices of ends that wait, up to a bound, and appends what ended, each with whom it belonged to.
    ///
    /// The kernel tells who closes a socket before it tells that the socket has ended. So notices are read first, and
    /// what is read of holders after that has theirs, unless a CPU hasn't finished writing: then they wait once.
    pub(super) fn read_endings(&mut self, ended: &mut Vec<Ended>) -> Result<Missed, SourceError> {
        let notices = self.receive_notices()?;
        let is_whole = self.read_holders();
        self.has_waited = !is_whole && !self.has_waited;
        if !self.has_waited {
            for mut one in self.unsettled.drain(..) {
                let key = (one.known.namespace, one.known.seen.cookie);
                let holder = self
                    .holders
                    .as_mut()
                    .ok()
                    .and_then(|holders| holders.take(key));
                if let Some(holder) = holder {
                    one.known.hold(holder);
                }
                ended.push(one);
            }
        }
        Ok(Missed {
            notices,
            holders: std::mem::take(&mut self.holders_missed),
        })
    }

    /// Reads notices; the answer: how often the kernel had no room for some.
    fn receive_notices(&mut self) -> Result<u64, SourceError> {
        let mut losses = 0;
        let mut left = NOTICES_MAX;
        for namespace in self.namespaces.list() {
            let inode = namespace.inode;
            let Ok(socket) = &mut namespace.endings else {
                continue;
            };
            let before = socket.losses();
            while left > 0 {
                left -= 1;
                let received = socket.receive(&mut self.buffer);
                let datagram = match received.map_err(|error| failed(&error))? {
                    Received::Datagram(datagram) => datagram,
                    Received::Lost => continue,
                    Received::Nothing => break,
                };
                let messages = Messages::new(datagram).filter_map(Result::ok);
                let seen = messages.filter_map(|message| diag::of_notice(&message));
                let ended = seen.filter_map(|seen| self.table.ended(inode, &seen));
                self.unsettled.extend(ended);
            }
            losses += socket.losses() - before;
        }
        Ok(losses)
    }

    /// Returns when there is something to be read between two looks. Cancel safe.
    pub(super) async fn wait(&mut self) {
        self.endings.wait(self.has_waited).await;
    }

    /// The sockets.
    pub(super) const fn table(&self) -> &Table {
        &self.table
    }

    /// What the last look couldn't do.
    pub(super) const fn troubles(&self) -> &Troubles {
        &self.troubles
    }
}

fn owners(settings: &Settings) -> Owners {
    let owners = Owners::new(settings.proc.clone(), NOT_WANTED);
    match settings.has_programs {
        true => owners.with_iterator(),
        false => owners,
    }
}

fn failed(error: &NetlinkError) -> SourceError {
    SourceError::Failed(format!("notices of sockets can't be read: {error}"))
}

/// Why the kernel doesn't tell of sockets that end; none if it does.
pub(super) fn probe_endings() -> Option<String> {
    let opened = NetlinkSocket::open(SOCK_DIAG, namespaces::PROTOCOL, diag::DESTROYED_GROUPS);
    opened.err().map(|error| why_no_endings(&error))
}

fn why_no_endings(error: &NetlinkError) -> String {
    match error.errno() {
        Some(Errno::PERM | Errno::ACCESS) => {
            "needs CAP_NET_ADMIN: run as root, or add it to the unit".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Why the kernel doesn't tell whose short connections are; none if it does. The program is loaded for a moment.
pub(super) fn probe_holders() -> Option<String> {
    HolderFeed::open(SOCKET_RING_BYTES).err()
}
