//! Events by the proc connector, over netlink: the kernel says which process, and `/proc` the rest, at once.
//!
//! A process that lives shorter than it takes to read of it has no arguments here. Format: the kernel's
//! `include/uapi/linux/cn_proc.h`. The invariant: a process has exited when its last thread has.

use std::os::fd::{AsFd, BorrowedFd};

use rustc_hash::FxHashMap;
use rustix::io::Errno;
use rustix::net::netlink::CONNECTOR;
use weir_bus::event::ProcessEvent;

use super::super::details::stat;
use super::super::table::{Happened, Happening, Who};
use super::{Clock, Lost};
use crate::netlink::{
    Messages, NetlinkError, NetlinkSocket, ReceiveBuffer, Received, Requests, u32_at, u64_at,
};
use crate::source::SourceError;

/// `CN_IDX_PROC`: the group, and the number of who talks; `CN_VAL_PROC`.
const GROUP: u32 = 1;
const VALUE: u32 = 1;
/// `PROC_CN_MCAST_LISTEN`.
const LISTEN: u32 = 1;
/// `NLMSG_DONE`: what messages of connectors are called.
const MESSAGE: u16 = 3;
/// Bytes of `struct cn_msg`.
const HEADER_BYTES: usize = 20;
/// Bytes of events that may wait: some 15,000.
const RECEIVE_BYTES: usize = 16 << 20;
/// Datagrams that are read before others have their turn.
const DATAGRAMS_MAX: usize = 4_096;
/// Processes whose leading thread has ended before the others.
const LEADERS_MAX: usize = 4_096;

const WHAT_FORK: u32 = 1;
const WHAT_EXEC: u32 = 2;
const WHAT_EXIT: u32 = 0x8000_0000;

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) enum Notice {
    /// A process was made.
    Fork { parent: u32, pid: u32 },
    /// A process runs another program.
    Exec { pid: u32 },
    /// A thread has ended.
    Exit { thread: u32, pid: u32, status: u32 },
}

/// The event in a message's payload, and when it happened, in ns without what was slept; none if it is
/// another.
pub(in crate::process) fn read(payload: &[u8]) -> Option<(Notice, u64)> {
    if (u32_at(payload, 0)?, u32_at(payload, 4)?) != (GROUP, VALUE) {
        return None;
    }
    let event = payload.get(HEADER_BYTES..)?;
    let number = |index: usize| u32_at(event, 16 + 4 * index);
    let notice = match u32_at(event, 0)? {
        // Threads are no processes.
        WHAT_FORK if number(2)? == number(3)? => Notice::Fork {
            parent: number(1)?,
            pid: number(3)?,
        },
        WHAT_EXEC => Notice::Exec { pid: number(1)? },
        WHAT_EXIT => Notice::Exit {
            thread: number(0)?,
            pid: number(1)?,
            status: number(2)?,
        },
        _ => return None,
    };
    Some((notice, u64_at(event, 8)?))
}

/// The socket, and who is half dead.
pub(in crate::process) struct Connector {
    socket: NetlinkSocket,
    buffer: ReceiveBuffer,
    /// The status of leading threads that ended before others of their process.
    leaders: FxHashMap<u32, u32>,
    losses: u64,
}

impl Connector {
    pub(super) fn open() -> Result<Self, String> {
        let failed = |error: NetlinkError| match error.errno() {
            Some(Errno::PERM | Errno::ACCESS) => {
                "needs CAP_NET_ADMIN: run as root, or add it to the unit".to_owned()
            }
            Some(Errno::PROTONOSUPPORT) => {
                "this kernel was built without it (CONFIG_PROC_EVENTS)".to_owned()
            }
            _ => error.to_string(),
        };
        let socket = NetlinkSocket::open(CONNECTOR, "connector", GROUP).map_err(failed)?;
        socket.set_receive_buffer(RECEIVE_BYTES);
        let mut connector = Self {
            socket,
            buffer: ReceiveBuffer::new(),
            leaders: FxHashMap::default(),
            losses: 0,
        };
        connector.listen().map_err(failed)?;
        Ok(connector)
    }

    /// Asks for events, and has one of its own come, for the kernel answers to nobody that it doesn't let.
    fn listen(&mut self) -> Result<(), NetlinkError> {
        let mut requests = Requests::default();
        let mut message = Vec::with_capacity(HEADER_BYTES + 4);
        for number in [GROUP, VALUE, 0, 0] {
            message.extend_from_slice(&number.to_ne_bytes());
        }
        // Bytes that follow, and no flags.
        message.extend_from_slice(&4_u16.to_ne_bytes());
        message.extend_from_slice(&0_u16.to_ne_bytes());
        message.extend_from_slice(&LISTEN.to_ne_bytes());
        requests.begin(MESSAGE, 0, 0, &message);
        self.socket.send(requests.as_bytes())
    }

    pub(super) fn read(
        &mut self,
        clock: &Clock,
        happening: &mut Happening,
        rows: &mut Vec<ProcessEvent>,
    ) -> Result<Lost, SourceError> {
        let failed = |error| SourceError::Failed(format!("the proc connector failed: {error}"));
        for _ in 0..DATAGRAMS_MAX {
            let datagram = match self.socket.receive(&mut self.buffer).map_err(failed)? {
                Received::Datagram(datagram) => datagram,
                Received::Nothing => break,
                Received::Lost => continue,
            };
            for message in Messages::new(datagram).filter_map(Result::ok) {
                let Some((notice, awake_ns)) = read(message.payload) else {
                    continue;
                };
                let at = At {
                    now_ns: clock.boot_of_awake(awake_ns),
                    clock,
                };
                take(notice, &at, &mut self.leaders, happening, rows);
            }
        }
        let losses = self.socket.losses();
        // The kernel doesn't say how much it was.
        let lost = Lost {
            anything: losses > self.losses,
            rows: 0,
        };
        self.losses = losses;
        Ok(lost)
    }
}

impl AsFd for Connector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// When something happened.
struct At<'a> {
    now_ns: u64,
    clock: &'a Clock,
}

fn take(
    notice: Notice,
    at: &At<'_>,
    leaders: &mut FxHashMap<u32, u32>,
    happening: &mut Happening,
    rows: &mut Vec<ProcessEvent>,
) {
    match notice {
        Notice::Fork { parent, pid } => {
            leaders.remove(&pid);
            let (mut who, name) = who(pid, at, happening);
            who.parent = Some(parent).filter(|parent| *parent != 0);
            // It has just begun, and the event's clock is finer than that of `/proc`.
            who.start_ns = Some(at.now_ns);
            let who = Who { name: &name, ..who };
            happening.take(&who, Happened::Fork, rows);
        }
        Notice::Exec { pid } => {
            let (who, name) = who(pid, at, happening);
            let who = Who { name: &name, ..who };
            happening.take(&who, Happened::Exec(None), rows);
        }
        Notice::Exit {
            thread,
            pid,
            status,
        } => {
            let Some(status) = last_status(thread, pid, status, leaders, happening) else {
                return;
            };
            let (who, name) = who(pid, at, happening);
            let who = Who { name: &name, ..who };
            happening.take(&who, Happened::Exit(status), rows);
        }
    }
}

/// The status of the process if this was its last thread.
fn last_status(
    thread: u32,
    pid: u32,
    status: u32,
    leaders: &mut FxHashMap<u32, u32>,
    happening: &mut Happening,
) -> Option<u32> {
    let leader_status = match thread == pid {
        true => status,
        false => *leaders.get(&pid)?,
    };
    let threads = happening.reader().stat(pid, |stat| stat.threads);
    if threads.is_some_and(|threads| threads > 1) {
        if leaders.len() < LEADERS_MAX {
            leaders.insert(pid, leader_status);
        }
        return None;
    }
    leaders.remove(&pid);
    Some(leader_status)
}

/// What is known of the process, or `/proc` says of it now; and its name.
fn who(pid: u32, at: &At<'_>, happening: &mut Happening) -> (Who<'static>, Vec<u8>) {
    let mut name = Vec::new();
    let told = happening.reader().stat(pid, |stat| {
        name.extend_from_slice(stat.name);
        (stat.start_ticks, stat.parent)
    });
    let user_id = told.and_then(|_| happening.reader().owner(pid));
    let known = happening.whom(pid);
    let start_ticks = told
        .map(|(start_ticks, _)| start_ticks)
        .or(known.map(|(start_ticks, _)| start_ticks))
        .unwrap_or(at.now_ns / stat::tick_ns().max(1));
    let parent = told
        .map(|(_, parent)| parent)
        .or(known.and_then(|(_, parent)| parent));
    let who = Who {
        pid,
        parent: parent.filter(|parent| *parent != 0),
        start_ticks,
        start_ns: None,
        now_ns: at.now_ns,
        timestamp: at.clock.timestamp(at.now_ns),
        user_id,
        group_mark: None,
        name: &[],
    };
    (who, name)
}
