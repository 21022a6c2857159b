//! One look after another at all sockets, and what ended between them.
//!
//! It sends nothing on. The invariant: what a namespace couldn't be asked in full is never taken for gone, and
//! each time that the kernel dropped notices is counted.

use rustix::io::Errno;
use rustix::net::netlink::SOCK_DIAG;
use rustix::thread::CapabilitySet;

use super::Settings;
use super::diag::{self, DUMPS, Family, TCP_DUMPS, Transport};
use super::endings::Endings;
use super::namespaces::{self, Namespace, Namespaces};
use super::owners::{Owners, Walk, Wanted};
use super::table::{Answer, Ended, Question, Table};
use crate::netlink::{
    DumpEnd, Message, Messages, NetlinkError, NetlinkSocket, ReceiveBuffer, Received, Requests,
    dump,
};
use crate::privileges;
use crate::source::SourceError;

/// How often a dump is made that was interrupted by changes, or cut short.
const DUMP_TRIES_MAX: u32 = 3;
/// All states but `TIME_WAIT` and requests that are half open: those are no sockets.
const STATES: u32 = !(1 << 6 | 1 << 12);
/// The state `LISTEN`: for a question that costs nothing.
const LISTEN_STATES: u32 = 1 << 10;
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
    /// Processes whose descriptors may not be looked at, while owners are missing.
    pub(super) owners_denied: usize,
    /// Sockets that aren't followed.
    pub(super) over_limit: usize,
}

/// The looks of one run.
pub(super) struct Look {
    namespaces: Namespaces,
    table: Table,
    owners: Owners,
    endings: Endings,
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
        let endings = Endings::new();
        Ok(Self {
            namespaces: namespaces.map_err(|error| failed(error.to_string()))?,
            table: Table::new(settings.sockets_max),
            owners: Owners::new(settings.proc.clone()),
            endings: endings.map_err(|error| failed(error.to_string()))?,
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
        let walk = self.find_owners();
        // What is hidden from one who has the privilege nobody can change.
        if walk.complete && !privileges::has(CapabilitySet::SYS_PTRACE) {
            self.denied = walk.denied;
        }
        self.troubles.owners_denied = self.denied;
        self.troubles.namespaces = self.namespaces.trouble();
        self.troubles.over_limit = self.table.over_limit();
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
        let (wanted, owners) = (&mut self.wanted, &self.owners);
        self.table.ask_owners(|inode, question| match question {
            Question::StillHolds(owner) if owners.still_holds(owner, inode) => {}
            _ => {
                wanted.insert(inode, None);
            }
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

    /// Reads notices of ends that wait, up to a bound, and appends what ended. The answer: how often the kernel
    /// had no room for notices, an unknown number each time.
    pub(super) fn read_endings(&mut self, ended: &mut Vec<Ended>) -> Result<u64, SourceError> {
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
                ended.extend(seen.filter_map(|seen| self.table.ended(inode, &seen)));
            }
            losses += socket.losses() - before;
        }
        Ok(losses)
    }

    /// What is waited for between two looks.
    pub(super) const fn endings(&self) -> &Endings {
        &self.endings
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

fn failed(error: &NetlinkError) -> SourceError {
    SourceError::Failed(format!("notices of sockets can't be read: {error}"))
}

/// What a dump needs in hand.
struct Dumper<'a> {
    table: &'a mut Table,
    buffer: &'a mut ReceiveBuffer,
    requests: &'a mut Requests,
    sequence: &'a mut u32,
}

impl Dumper<'_> {
    /// As [`Self::dump`], each family by itself if the kernel doesn't know both at once.
    fn dump_or_parts(
        &mut self,
        namespace: &mut Namespace,
        what: (Transport, Family),
    ) -> Result<(), NetlinkError> {
        let dumped = self.dump(namespace, what);
        if what.1 != Family::Any || !matches!(dumped, Err(NetlinkError::Refused { .. })) {
            return dumped;
        }
        let parts = TCP_DUMPS.map(|part| self.dump(namespace, part));
        parts.into_iter().collect()
    }

    /// All sockets of a namespace that are of a transport and family.
    fn dump(
        &mut self,
        namespace: &mut Namespace,
        what: (Transport, Family),
    ) -> Result<(), NetlinkError> {
        let mut tries_left = DUMP_TRIES_MAX;
        loop {
            tries_left -= 1;
            *self.sequence = self.sequence.wrapping_add(1);
            self.requests.clear();
            diag::ask(self.requests, *self.sequence, what, STATES);
            let table = &mut *self.table;
            let each = |message: &Message<'_>| {
                if let Some(seen) = diag::of_dump(message, what.0) {
                    table.see(namespace.inode, &seen);
                }
            };
            let request = self.requests.as_bytes();
            let ended = dump(
                &mut namespace.dumps,
                request,
                *self.sequence,
                self.buffer,
                each,
            );
            match ended {
                Ok(DumpEnd::Complete) => return Ok(()),
                Ok(DumpEnd::Interrupted) if tries_left == 0 => {
                    return Err(NetlinkError::Incomplete {
                        protocol: namespace.dumps.protocol(),
                        how: "it was interrupted by changes each time",
                    });
                }
                // The kernel has no room, or is asked to come again.
                Err(NetlinkError::Incomplete { .. }) if tries_left > 0 => {}
                Err(error) => return Err(error),
                Ok(DumpEnd::Interrupted) => {}
            }
        }
    }
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

/// Why the kernel lists no sockets; none if it lists some.
pub(super) fn probe() -> Option<String> {
    let ask = |what| -> Result<DumpEnd, NetlinkError> {
        let mut socket = NetlinkSocket::open(SOCK_DIAG, namespaces::PROTOCOL, 0)?;
        let mut requests = Requests::default();
        diag::ask(&mut requests, 1, what, LISTEN_STATES);
        let mut buffer = ReceiveBuffer::new();
        dump(&mut socket, requests.as_bytes(), 1, &mut buffer, |_| {})
    };
    let mut refused = None;
    for what in DUMPS.into_iter().chain(TCP_DUMPS) {
        match ask(what) {
            Ok(_) => return None,
            Err(error) => refused = Some(error),
        }
    }
    let error = refused?;
    Some(format!(
        "{error}: the kernel needs CONFIG_INET_DIAG, and the modules tcp_diag and udp_diag where they are not \
         built in"
    ))
}
