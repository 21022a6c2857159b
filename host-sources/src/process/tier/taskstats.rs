//! Taskstats, over netlink: who has run since. One answer for each process, 32 questions a system call.
//!
//! Format: the kernel's `include/uapi/linux/taskstats.h`. The invariant: an answer counts only if it
//! names a process that was asked for, and a question without an answer is a process without counters.

use rustix::net::netlink::GENERIC;

use super::TierError;
use crate::netlink::{
    Attributes, NetlinkError, NetlinkSocket, ReceiveBuffer, Received, Requests, u16_at, u32_at,
    u64_at,
};

/// Questions in one datagram; each answer takes a kilobyte of the socket's buffer.
const QUESTIONS_MAX: usize = 32;
/// Bytes of the socket's buffer, several times what so many answers need.
const RECEIVE_BYTES: usize = 512 * 1024;
/// Bytes of the header of generic netlink.
const HEADER_BYTES: usize = 4;

/// `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY`, `CTRL_ATTR_FAMILY_ID` and `_NAME`: who answers by what number.
const CONTROL: u16 = 0x10;
const GET_FAMILY: [u8; HEADER_BYTES] = [3, 1, 0, 0];
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// `TASKSTATS_CMD_GET`, and how processes are asked for.
const GET: [u8; HEADER_BYTES] = [1, 1, 0, 0];
const ASK_PROCESS: u16 = 2;
/// `TASKSTATS_TYPE_AGGR_TGID`, and in it the pid and the numbers.
const ANSWER: u16 = 5;
const ANSWER_PID: u16 = 2;
const ANSWER_NUMBERS: u16 = 3;

/// Places in `struct taskstats`.
const TURNS: usize = 16;
const ELAPSED_US: usize = 144;
const USER_US: usize = 152;
const SYSTEM_US: usize = 160;
const SWITCHES: usize = 272;
const FORCED_SWITCHES: usize = 280;

/// What changes when a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counters {
    /// How long all its threads have been there, µs.
    elapsed_us: u64,
    cpu_us: u64,
    /// How often its threads were given a CPU: counted when they are, while the rest is when they leave it.
    turns: u64,
    switches: u64,
}

impl Counters {
    /// Whether it is the same process, and none of its threads has run.
    pub(super) const fn is_idle_since(&self, before: &Self) -> bool {
        self.cpu_us == before.cpu_us
            && self.turns == before.turns
            && self.switches == before.switches
            // One that took over the pid is younger.
            && self.elapsed_us > before.elapsed_us
    }
}

/// Asks for processes.
pub(super) struct Taskstats {
    socket: NetlinkSocket,
    buffer: ReceiveBuffer,
    requests: Requests,
    family: u16,
    sequence: u32,
}

impl Taskstats {
    pub(super) fn open() -> Result<Self, TierError> {
        let failed = |error: NetlinkError| TierError::Taskstats(error.to_string());
        let socket = NetlinkSocket::open(GENERIC, "taskstats", 0).map_err(failed)?;
        socket.set_receive_buffer(RECEIVE_BYTES);
        let mut taskstats = Self {
            socket,
            buffer: ReceiveBuffer::new(),
            requests: Requests::default(),
            family: 0,
            sequence: 0,
        };
        taskstats.family = taskstats.find_family()?;
        // The daemon's own process shows whether it may ask, and whether pids are what it takes them for.
        let mut counters = Vec::new();
        taskstats.ask(&[std::process::id()], &mut counters)?;
        match counters.first() {
            Some(Some(_)) => Ok(taskstats),
            _ => Err(TierError::Taskstats(
                "the kernel doesn't know this process: it has a pid namespace of its own"
                    .to_owned(),
            )),
        }
    }

    fn find_family(&mut self) -> Result<u16, TierError> {
        self.sequence = self.sequence.wrapping_add(1);
        self.requests.clear();
        self.requests.begin(CONTROL, 0, self.sequence, &GET_FAMILY);
        self.requests.attribute(FAMILY_NAME, b"TASKSTATS\0");
        let failed = |error: NetlinkError| TierError::Taskstats(error.to_string());
        self.socket.send(self.requests.as_bytes()).map_err(failed)?;
        let missing = || {
            TierError::Taskstats("this kernel was built without it (CONFIG_TASKSTATS)".to_owned())
        };
        match self.socket.receive(&mut self.buffer).map_err(failed)? {
            Received::Datagram(datagram) => crate::netlink::Messages::new(datagram)
                .filter_map(Result::ok)
                .find_map(|message| {
                    u16_at(
                        Attributes::after(message.payload, HEADER_BYTES).find(FAMILY_ID)?,
                        0,
                    )
                })
                .ok_or_else(missing),
            Received::Nothing | Received::Lost => Err(missing()),
        }
    }

    /// Replaces what is in `counters` by those of `pids`, one for one.
    pub(super) fn ask(
        &mut self,
        pids: &[u32],
        counters: &mut Vec<Option<Counters>>,
    ) -> Result<(), TierError> {
        counters.clear();
        counters.resize(pids.len(), None);
        for (pids, counters) in pids
            .chunks(QUESTIONS_MAX)
            .zip(counters.chunks_mut(QUESTIONS_MAX))
        {
            self.ask_some(pids, counters)?;
        }
        Ok(())
    }

    fn ask_some(
        &mut self,
        pids: &[u32],
        counters: &mut [Option<Counters>],
    ) -> Result<(), TierError> {
        let failed = |error: NetlinkError| TierError::Taskstats(error.to_string());
        self.requests.clear();
        let first = self.sequence.wrapping_add(1);
        for pid in pids {
            self.sequence = self.sequence.wrapping_add(1);
            self.requests.begin(self.family, 0, self.sequence, &GET);
            self.requests.attribute(ASK_PROCESS, &pid.to_ne_bytes());
        }
        self.socket.send(self.requests.as_bytes()).map_err(failed)?;
        // The kernel has answered when the call returns.
        loop {
            let datagram = match self.socket.receive(&mut self.buffer).map_err(failed)? {
                Received::Datagram(datagram) => datagram,
                Received::Nothing => return Ok(()),
                // Those without an answer are read as if they had run.
                Received::Lost => continue,
            };
            if let Some(error) = refusal(datagram) {
                return Err(TierError::Taskstats(error));
            }
            take_answers(datagram, first, pids, counters);
        }
    }
}

/// What the kernel says to who may not ask. That a process is gone is no refusal.
fn refusal(datagram: &[u8]) -> Option<String> {
    const NOT_PERMITTED: i32 = 1;
    let refused = crate::netlink::Messages::new(datagram)
        .filter_map(Result::ok)
        .any(|message| message.error_number() == Some(NOT_PERMITTED));
    refused.then(|| "needs CAP_NET_ADMIN: run as root, or add it to the unit".to_owned())
}

fn take_answers(datagram: &[u8], first: u32, pids: &[u32], counters: &mut [Option<Counters>]) {
    for message in crate::netlink::Messages::new(datagram).filter_map(Result::ok) {
        let index = usize::try_from(message.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
        let (Some(pid), Some(place)) = (pids.get(index), counters.get_mut(index)) else {
            continue;
        };
        *place = answer(message.payload)
            .filter(|(answered, _)| answered == pid)
            .map(|(_, counters)| counters);
    }
}

/// The process and its counters, in an answer.
fn answer(payload: &[u8]) -> Option<(u32, Counters)> {
    let nested = Attributes::new(Attributes::after(payload, HEADER_BYTES).find(ANSWER)?);
    let pid = u32_at(nested.clone().find(ANSWER_PID)?, 0)?;
    let numbers = nested.find(ANSWER_NUMBERS)?;
    let counters = Counters {
        elapsed_us: u64_at(numbers, ELAPSED_US)?,
        cpu_us: u64_at(numbers, USER_US)?.wrapping_add(u64_at(numbers, SYSTEM_US)?),
        turns: u64_at(numbers, TURNS)?,
        switches: u64_at(numbers, SWITCHES)?.wrapping_add(u64_at(numbers, FORCED_SWITCHES)?),
    };
    Some((pid, counters))
}

/// Reads any bytes as a datagram of answers, to two questions.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(data: &[u8]) {
    let mut counters = [None; 2];
    let first = u32_at(data, 8).unwrap_or_default();
    take_answers(data, first, &[1, 2], &mut counters);
    let _ = refusal(data);
}
