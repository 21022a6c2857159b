//! What the kernel says, and what nobody should say: recorded messages, cut short and made up.

use std::net::IpAddr;

use proptest::prelude::*;

use super::super::diag::{self, Bytes, Family, Seen, State, Transport};
use super::super::{fuzzing, namespaces};
use crate::netlink::{Messages, Requests};

/// `SOCK_DIAG_BY_FAMILY`.
const KIND: u16 = 20;

/// A `struct inet_diag_msg`, in hex: an established connection of IPv4, 127.0.0.1:40000 → 127.0.0.1:443, cookie 7,
/// uid 1000, inode 4711.
fn body(family: u8, state: u8) -> Vec<u8> {
    let mut body = vec![family, state, 0, 0];
    body.extend_from_slice(&40_000_u16.to_be_bytes());
    body.extend_from_slice(&443_u16.to_be_bytes());
    for _ in 0..2 {
        let mut address = [0; 16];
        let v4 = [127, 0, 0, 1];
        match family {
            2 => address[..4].copy_from_slice(&v4),
            _ => {
                address[10..12].copy_from_slice(&[0xff, 0xff]);
                address[12..].copy_from_slice(&v4);
            }
        }
        body.extend_from_slice(&address);
    }
    for number in [0_u32, 7, 1, 0, 0, 0, 1_000, 4_711] {
        body.extend_from_slice(&number.to_ne_bytes());
    }
    assert_eq!(body.len(), 72);
    body
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A `struct tcp_info` with 300 bytes sent, 100 of them again, 299 confirmed, and 50 received.
fn info(bytes: usize) -> Vec<u8> {
    let mut info = vec![0; 248];
    for (at, count) in [(120, 299_u64), (128, 50), (200, 300), (208, 100)] {
        info[at..at + 8].copy_from_slice(&count.to_ne_bytes());
    }
    info.truncate(bytes);
    attribute(2, &info)
}

fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + payload.len()).unwrap();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&[0; 10]);
    bytes.extend_from_slice(payload);
    bytes
}

fn of_dump(datagram: &[u8], transport: Transport) -> Option<Seen> {
    let message = Messages::new(datagram).next()?.ok()?;
    diag::of_dump(&message, transport)
}

/// Requests are laid out as the kernel reads them.
#[test]
fn requests_ask_for_all_that_is_wanted() {
    let ask = |what| {
        let mut requests = Requests::default();
        diag::ask(&mut requests, 9, what, 0x0a0b_0c0d);
        let message = Messages::new(requests.as_bytes()).next().unwrap().unwrap();
        assert_eq!((message.flags, message.sequence), (0x301, 9));
        (message.kind, message.payload.to_vec())
    };
    let states = 0x0a0b_0c0d_u32.to_ne_bytes();
    let (kind, body) = ask((Transport::Udp, Family::V6));
    assert_eq!(
        (kind, body.len(), &body[..4]),
        (20, 56, &[10, 17, 2, 0][..])
    );
    assert_eq!(body[4..8], states);
    let (kind, body) = ask((Transport::Tcp, Family::Any));
    assert_eq!((kind, body.len(), &body[..4]), (18, 60, &[0, 0, 0, 2][..]));
    assert_eq!(body[52..56], states);
    assert!(body[56..].iter().all(|byte| *byte == 0));
}

fn of_notice(datagram: &[u8]) -> Option<Seen> {
    let message = Messages::new(datagram).next()?.ok()?;
    diag::of_notice(&message)
}

fn established() -> Seen {
    let local = IpAddr::from([127, 0, 0, 1]);
    Seen {
        transport: Transport::Tcp,
        state: State::Established,
        source: (local, 40_000),
        destination: Some((local, 443)),
        cookie: 7 | 1 << 32,
        inode: 4_711,
        user_id: 1_000,
        bytes: Some(Bytes {
            sent: 200,
            received: 50,
        }),
    }
}

#[test]
fn a_socket_is_read_with_its_counters() {
    for family in [2, 10] {
        let datagram = message(KIND, &[body(family, 1), info(248)].concat());
        assert_eq!(of_dump(&datagram, Transport::Tcp), Some(established()));
        let with_protocol = [body(family, 1), attribute(10, &[6]), info(248)].concat();
        assert_eq!(
            of_notice(&message(KIND, &with_protocol)),
            Some(established())
        );
    }
    // A kernel of before 4.19 has fewer counters, and one of before 4.1 has none.
    let old = |bytes| {
        let datagram = message(KIND, &[body(2, 1), info(bytes)].concat());
        of_dump(&datagram, Transport::Tcp).unwrap().bytes
    };
    let confirmed = Bytes {
        sent: 299,
        received: 50,
    };
    assert_eq!(old(192), Some(confirmed));
    assert_eq!(old(104), None);
}

#[test]
fn what_has_no_socket_any_more_or_not_yet_is_none() {
    let check = |transport, payload: &[u8], is_socket| {
        let read = of_dump(&message(KIND, payload), transport);
        assert_eq!(read.is_some(), is_socket);
    };
    // What lingers in TIME_WAIT, and half-open requests, come without counters.
    check(Transport::Tcp, &body(2, 6), false);
    check(Transport::Tcp, &body(2, 12), false);
    check(Transport::Tcp, &[body(2, 1), info(248)].concat(), true);
    check(Transport::Udp, &body(2, 7), true);
    check(Transport::Udp, &body(10, 7), true);
    // Another family, another kind.
    check(Transport::Udp, &body(1, 7), false);
    let other = message(3, &[body(2, 1), info(248)].concat());
    assert_eq!(of_dump(&other, Transport::Tcp), None);
    // A notice of another protocol, or of none.
    assert_eq!(of_notice(&message(KIND, &body(2, 7))), None);
    let sctp = [body(2, 7), attribute(10, &[132])].concat();
    assert_eq!(of_notice(&message(KIND, &sctp)), None);
}

#[test]
fn a_peer_that_is_nowhere_is_none() {
    let mut listening = body(2, 10);
    listening[6..8].fill(0);
    listening[24..40].fill(0);
    let datagram = message(KIND, &[listening, info(248)].concat());
    let seen = of_dump(&datagram, Transport::Tcp).unwrap();
    assert_eq!((seen.destination, seen.bytes), (None, None));
}

#[test]
fn every_cut_is_another_socket_or_none_and_never_a_panic() {
    let payload = [body(10, 1), attribute(10, &[6]), info(248)].concat();
    for end in 0..payload.len() {
        let datagram = message(KIND, &payload[..end]);
        fuzzing::network_datagram(&datagram);
        let seen = of_notice(&datagram);
        // The protocol's attribute ends at byte 77.
        assert_eq!(seen.is_some(), end >= 77, "{end}");
        fuzzing::network_datagram(&datagram[..end]);
    }
}

#[test]
fn namespaces_that_mounts_keep_are_found() {
    let check = |text: &str, expected: &[(u64, &str)]| {
        let found = namespaces::mounted_in(text.as_bytes());
        let found: Vec<_> = found
            .iter()
            .map(|(inode, path)| (*inode, path.to_str().unwrap()))
            .collect();
        assert_eq!(found, expected);
    };
    check("", &[]);
    check(
        "24 31 0:22 / /proc rw,nosuid shared:5 - proc proc rw\n\
         430 31 0:4 net:[4026532200] /run/netns/blue rw shared:200 - nsfs nsfs rw\n\
         431 31 0:4 mnt:[4026532201] /run/mnt rw - nsfs nsfs rw\n\
         432 31 0:4 net:[4026532202] /run/a\\040b\\134\\012c\\9 rw - nsfs nsfs rw\n\
         433 31 0:4 net:[x] /run/x rw - nsfs nsfs rw\n\
         434 31 0:4 net:[5]",
        &[
            (4_026_532_200, "/run/netns/blue"),
            (4_026_532_202, "/run/a b\\\nc\\9"),
        ],
    );
}

proptest! {
    #[test]
    fn any_bytes_are_sockets_or_none(data: Vec<u8>) {
        fuzzing::network_datagram(&data);
        fuzzing::network_proc(&data);
        fuzzing::network_datagram(&message(KIND, &data));
    }

    #[test]
    fn any_body_and_attributes_are_a_socket_or_none(
        body in proptest::collection::vec(any::<u8>(), 72..80),
        attributes in proptest::collection::vec((0_u16..12, any::<Vec<u8>>()), 0..4),
    ) {
        let attributes = attributes.iter().flat_map(|(kind, value)| attribute(*kind, value));
        let mut payload = body;
        payload.extend(attributes);
        fuzzing::network_datagram(&message(KIND, &payload));
    }

    #[test]
    fn any_list_of_mounts_is_read(
        fields in proptest::collection::vec("(net:\\[[0-9]{0,25}\\]|\\\\[0-9]{0,4}|[a-z/\\\\]{0,8}|\n)", 0..40)
    ) {
        fuzzing::network_proc(fields.join(" ").as_bytes());
    }
}
