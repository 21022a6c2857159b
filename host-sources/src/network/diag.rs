//! What `sock_diag` says of TCP and UDP sockets: bytes in, one [`Seen`] out, and the requests for them.
//!
//! Layouts are those of linux/inet_diag.h and linux/tcp.h. It opens and sends nothing. The invariant: any
//! bytes are a socket or none; nothing is taken from outside of them.

use std::net::{IpAddr, Ipv4Addr};

use crate::netlink::{Attributes, Message, Requests, array_at, u8_at, u16_be_at, u32_at, u64_at};

/// `SOCK_DIAG_BY_FAMILY`: the kind of requests, answers and notices.
const KIND: u16 = 20;
/// Bytes of `struct inet_diag_sockid`.
const SOCKET_ID_BYTES: usize = 48;
/// Bytes of `struct inet_diag_msg`.
const MESSAGE_BYTES: usize = 72;
/// `TCPDIAG_GETSOCK`: the older kind, for TCP alone, and the only one that knows "of any family".
const KIND_TCP: u16 = 18;
/// Bytes of `struct inet_diag_req_v2`.
const REQUEST_BYTES: usize = 56;
/// Bytes of `struct inet_diag_req`, the older one.
const REQUEST_TCP_BYTES: usize = 60;
/// `INET_DIAG_INFO`: a TCP socket's `struct tcp_info`.
const INFO: u16 = 2;
/// `INET_DIAG_PROTOCOL`: the protocol's number, in a byte.
const PROTOCOL: u16 = 10;
/// The bit that asks for [`INFO`].
const ASK_FOR_INFO: u8 = 1 << (INFO - 1);
/// Offsets in `struct tcp_info`; older kernels end before some of them.
mod tcp_info {
    pub(super) const BYTES_ACKED: usize = 120;
    pub(super) const BYTES_RECEIVED: usize = 128;
    pub(super) const BYTES_SENT: usize = 200;
    pub(super) const BYTES_RETRANSMITTED: usize = 208;
}
/// The groups 1 to 4 of linux/sock_diag.h: sockets of TCP and UDP, of both families, that are destroyed.
pub(super) const DESTROYED_GROUPS: u32 = 0b1111;

/// The two transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    /// As in rows.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// `IPPROTO_TCP`, `IPPROTO_UDP`.
    const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    const fn of_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            _ => None,
        }
    }
}

/// The two families, and both at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
    Any,
}

impl Family {
    /// `AF_INET`, `AF_INET6`, `AF_UNSPEC`.
    const fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
            Self::Any => 0,
        }
    }
}

/// All that is asked for, one after another. TCP's table of connections has hundreds of thousands of places, most
/// of them empty, and each dump of it costs milliseconds: so both families are asked for at once.
pub(super) const DUMPS: [(Transport, Family); 3] = [
    (Transport::Tcp, Family::Any),
    (Transport::Udp, Family::V4),
    (Transport::Udp, Family::V6),
];
/// What is asked instead of the first where the kernel doesn't know the older kind.
pub(super) const TCP_DUMPS: [(Transport, Family); 2] =
    [(Transport::Tcp, Family::V4), (Transport::Tcp, Family::V6)];

/// What a socket is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    Other,
}

impl State {
    /// Of the kernel's number, from net/tcp_states.h; UDP uses two of them.
    const fn of_number(number: u8) -> Self {
        match number {
            1 => Self::Established,
            2 => Self::SynSent,
            3 | 12 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Close,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            _ => Self::Other,
        }
    }

    /// As in rows.
    pub(super) const fn as_str(self, transport: Transport) -> &'static str {
        match (self, transport) {
            (Self::Established, _) => "established",
            (Self::SynSent, _) => "syn_sent",
            (Self::SynReceived, _) => "syn_received",
            (Self::FinWait1, _) => "fin_wait_1",
            (Self::FinWait2, _) => "fin_wait_2",
            (Self::TimeWait, _) => "time_wait",
            (Self::Close, Transport::Tcp) => "closed",
            // A UDP socket that has no peer, as most have none.
            (Self::Close, Transport::Udp) => "unconnected",
            (Self::CloseWait, _) => "close_wait",
            (Self::LastAck, _) => "last_ack",
            (Self::Listen, _) => "listen",
            (Self::Closing, _) => "closing",
            (Self::Other, _) => "unknown",
        }
    }
}

/// Bytes of payload; the end of a TCP stream counts as one received byte, as the kernel counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes {
    pub(super) sent: u64,
    pub(super) received: u64,
}

/// An end of a connection.
pub(super) type End = (IpAddr, u16);

/// A socket as the kernel has just described it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) transport: Transport,
    pub(super) state: State,
    pub(super) source: End,
    /// None where there is no peer.
    pub(super) destination: Option<End>,
    /// The kernel's name of the socket: no other in its namespace ever has it.
    pub(super) cookie: u64,
    /// 0 where no descriptor leads to it any more.
    pub(super) inode: u32,
    pub(super) user_id: u32,
    /// None where the kernel doesn't count, as for UDP.
    pub(super) bytes: Option<Bytes>,
}

/// Appends a request for all sockets of a transport and family, in `states` (a mask of the kernel's numbers).
pub(super) fn ask(
    requests: &mut Requests,
    sequence: u32,
    (transport, family): (Transport, Family),
    states: u32,
) {
    if family == Family::Any {
        return ask_tcp(requests, sequence, states);
    }
    let mut body = [0; REQUEST_BYTES];
    let [family_at, protocol_at, extensions_at, _, states_at @ ..] = &mut body;
    *family_at = family.number();
    *protocol_at = transport.number();
    *extensions_at = ASK_FOR_INFO;
    if let Some(states_at) = states_at.first_chunk_mut() {
        *states_at = states.to_ne_bytes();
    }
    requests.begin(KIND, Requests::DUMP, sequence, &body);
}

fn ask_tcp(requests: &mut Requests, sequence: u32, states: u32) {
    let mut body = [0; REQUEST_TCP_BYTES];
    // Family, and the lengths of two prefixes that nothing reads.
    let [_, _, _, extensions_at, rest @ ..] = &mut body;
    *extensions_at = ASK_FOR_INFO;
    if let Some((_, [states_at @ .., _, _, _, _])) = rest.split_first_chunk_mut::<SOCKET_ID_BYTES>()
    {
        states_at.copy_from_slice(&states.to_ne_bytes());
    }
    requests.begin(KIND_TCP, Requests::DUMP, sequence, &body);
}

/// The socket that a message of a dump describes; none if it is none, or not one: a connection that lingers in
/// `TIME_WAIT`, and one that nobody has accepted half of yet, are no sockets of anybody.
pub(super) fn of_dump(message: &Message<'_>, transport: Transport) -> Option<Seen> {
    let (seen, has_info) = read(message, Some(transport))?;
    // TCP's real sockets all have their counters with them, and those others never.
    (has_info || transport == Transport::Udp).then_some(seen)
}

/// The socket that a notice of its end describes. Such notices don't say whose it was: the user id and the
/// inode are 0.
pub(super) fn of_notice(message: &Message<'_>) -> Option<Seen> {
    read(message, None).map(|(seen, _)| seen)
}

fn read(message: &Message<'_>, transport: Option<Transport>) -> Option<(Seen, bool)> {
    if message.kind != KIND && message.kind != KIND_TCP {
        return None;
    }
    let body = message.payload.get(..MESSAGE_BYTES)?;
    let attributes = Attributes::after(message.payload, MESSAGE_BYTES);
    let transport = match transport {
        Some(transport) => transport,
        None => Transport::of_number(u8_at(attributes.clone().find(PROTOCOL)?, 0)?)?,
    };
    let family = u8_at(body, 0)?;
    let state = State::of_number(u8_at(body, 1)?);
    let (source_port, destination_port) = (u16_be_at(body, 4)?, u16_be_at(body, 6)?);
    let destination = address(family, body, 24)?;
    let has_peer = destination_port != 0 || !destination.is_unspecified();
    let info = attributes.find(INFO);
    let seen = Seen {
        transport,
        state,
        source: (address(family, body, 8)?, source_port),
        destination: has_peer.then_some((destination, destination_port)),
        cookie: u64::from(u32_at(body, 44)?) | u64::from(u32_at(body, 48)?) << 32,
        user_id: u32_at(body, 64)?,
        inode: u32_at(body, 68)?,
        // A socket that listens has no stream.
        bytes: info.filter(|_| state != State::Listen).and_then(bytes),
    };
    Some((seen, info.is_some()))
}

/// Where an address stands. One of IPv4 that a socket of IPv6 uses is one of IPv4.
fn address(family: u8, body: &[u8], at: usize) -> Option<IpAddr> {
    match family {
        2 => Some(Ipv4Addr::from(array_at::<4>(body, at)?).into()),
        10 => Some(IpAddr::from(array_at::<16>(body, at)?).to_canonical()),
        _ => None,
    }
}

fn bytes(info: &[u8]) -> Option<Bytes> {
    let sent = u64_at(info, tcp_info::BYTES_SENT);
    let again = u64_at(info, tcp_info::BYTES_RETRANSMITTED);
    let sent = match (sent, again) {
        (Some(sent), Some(again)) => sent.saturating_sub(again),
        // Before Linux 4.19; the first byte of a connection counts as one here.
        _ => u64_at(info, tcp_info::BYTES_ACKED)?,
    };
    let received = u64_at(info, tcp_info::BYTES_RECEIVED)?;
    Some(Bytes { sent, received })
}
