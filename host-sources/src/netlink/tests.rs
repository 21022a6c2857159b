//! Promises of the envelope, over the kernel's own answers and over bytes that nobody should send.

use proptest::prelude::*;
use rustix::net::Protocol;
use rustix::net::netlink::{GENERIC, SOCK_DIAG};

use super::message::{MalformedMessage, TYPE_DONE, TYPE_ERROR};
use super::*;

/// `GENL_ID_CTRL`: the family of the families of generic netlink.
const CONTROL_KIND: u16 = 0x10;
/// `CTRL_CMD_GETFAMILY`, version 1.
const GET_FAMILY: [u8; 4] = [3, 1, 0, 0];
/// `CTRL_ATTR_FAMILY_NAME`.
const FAMILY_NAME: u16 = 2;

fn open(protocol: Protocol) -> NetlinkSocket {
    NetlinkSocket::open(protocol, "test", 0).unwrap()
}

fn families(flags: u16, buffer: &mut ReceiveBuffer) -> Result<Vec<String>, NetlinkError> {
    let mut requests = Requests::default();
    requests.begin(CONTROL_KIND, flags, 7, &GET_FAMILY);
    let mut names = Vec::new();
    let mut socket = open(GENERIC);
    let ended = dump(&mut socket, requests.as_bytes(), 7, buffer, |message| {
        assert_eq!(message.kind, CONTROL_KIND);
        let name = Attributes::after(message.payload, GET_FAMILY.len()).find(FAMILY_NAME);
        let name = name.unwrap().strip_suffix(&[0]).unwrap();
        names.push(String::from_utf8_lossy(name).into_owned());
    });
    assert_eq!(
        socket.losses(),
        u64::from(ended.is_err() && flags == Requests::DUMP)
    );
    ended.map(|end| {
        assert_eq!(end, DumpEnd::Complete);
        names
    })
}

#[test]
fn a_dump_of_the_kernel_is_read_to_its_end() {
    let names = families(Requests::DUMP, &mut ReceiveBuffer::new()).unwrap();
    assert!(names.iter().any(|name| name == "nlctrl"), "{names:?}");
}

#[test]
fn a_datagram_that_does_not_fit_is_a_loss_and_never_half_read() {
    let error = families(Requests::DUMP, &mut ReceiveBuffer::of(64)).unwrap_err();
    assert!(matches!(error, NetlinkError::Incomplete { .. }), "{error}");
}

#[test]
fn what_the_kernel_refuses_is_told_in_its_own_words() {
    // One family, and its name is missing.
    let error = families(Requests::ACKNOWLEDGE, &mut ReceiveBuffer::new()).unwrap_err();
    assert!(matches!(error, NetlinkError::Refused { .. }), "{error}");
    assert_eq!(error.errno(), Some(rustix::io::Errno::INVAL));
    let closed = NetlinkSocket::open(rustix::net::netlink::UNUSED, "test", 0);
    assert!(closed.is_err());
}

#[test]
fn nothing_is_waited_for() {
    let mut socket = open(SOCK_DIAG);
    let mut buffer = ReceiveBuffer::new();
    assert_eq!(socket.receive(&mut buffer).unwrap(), Received::Nothing);
    assert!(socket.set_receive_buffer(256 * 1024) > 0);
}

/// A message with a header that says it has `length` bytes.
fn message(length: u32, kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&[0; 10]);
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn the_first_wrong_length_ends_a_datagram() {
    let check = |datagram: &[u8], kinds: &[u16], wrong: bool| {
        let read: Vec<_> = Messages::new(datagram).collect();
        let wrong = wrong.then_some(Err(MalformedMessage));
        let kinds = kinds.iter().map(|kind| Ok(*kind));
        let expected: Vec<_> = kinds.chain(wrong).collect();
        let read: Vec<_> = read.iter().map(|read| read.map(|read| read.kind)).collect();
        assert_eq!(read, expected);
    };
    let whole = message(20, 40, b"abcd");
    check(&[], &[], false);
    check(&whole, &[40], false);
    check(
        &[whole.clone(), message(17, 41, b"a")].concat(),
        &[40, 41],
        false,
    );
    check(
        &[message(17, 41, b"a\0\0\0"), whole.clone()].concat(),
        &[41, 40],
        false,
    );
    // Its length is shorter than its header, longer than the datagram, or the largest there is.
    for length in [0, 1, 15, 21, u32::MAX, u32::MAX - 2] {
        check(
            &[whole.clone(), message(length, 41, b"abcd")].concat(),
            &[40],
            true,
        );
        check(&[message(length, 41, b"abcd"), vec![]].concat(), &[], true);
    }
    // Every cut of a message is wrong.
    for end in 1..whole.len() {
        check(&whole[..end], &[], true);
    }
}

#[test]
fn an_error_number_is_only_that_of_an_error() {
    let check = |kind, payload: &[u8], expected: Option<i32>| {
        let length = u32::try_from(16 + payload.len()).unwrap();
        let bytes = message(length, kind, payload);
        let read = Messages::new(&bytes).next().unwrap().unwrap();
        assert_eq!(read.error_number(), expected);
    };
    check(TYPE_ERROR, &(-1_i32).to_ne_bytes(), Some(1));
    check(TYPE_DONE, &0_i32.to_ne_bytes(), Some(0));
    check(TYPE_ERROR, &i32::MIN.to_ne_bytes(), Some(i32::MAX));
    check(TYPE_ERROR, &[1, 2, 3], None);
    check(TYPE_DONE, &[], None);
    check(20, &(-1_i32).to_ne_bytes(), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_within_their_bounds(data: Vec<u8>) {
        fuzzing::netlink_messages(&data);
    }

    #[test]
    fn lengths_that_lie_are_read_within_their_bounds(
        items in proptest::collection::vec((0_u32..64, 0_u16..8, any::<[u8; 8]>()), 0..8)
    ) {
        let all = items.iter().flat_map(|(length, kind, payload)| message(*length, *kind, payload));
        fuzzing::netlink_messages(&all.collect::<Vec<_>>());
        let attributes = items.iter().flat_map(|(length, kind, payload)| {
            let length = u16::try_from(*length).unwrap().to_ne_bytes();
            [&length[..], &kind.to_ne_bytes()[..], payload].concat()
        });
        fuzzing::netlink_messages(&attributes.collect::<Vec<_>>());
    }

    #[test]
    fn what_is_written_is_read_again(
        requests in proptest::collection::vec(
            (16_u16.., any::<u16>(), any::<u32>(), any::<[u8; 4]>(),
             proptest::collection::vec((0_u16..0x4000, any::<Vec<u8>>()), 0..4)),
            0..4,
        )
    ) {
        let mut written = Requests::default();
        for (kind, flags, sequence, body, attributes) in &requests {
            written.begin(*kind, *flags, *sequence, body);
            for (kind, value) in attributes {
                prop_assert!(written.attribute(*kind, value));
            }
        }
        let read: Vec<_> = Messages::new(written.as_bytes()).map(Result::unwrap).collect();
        prop_assert_eq!(read.len(), requests.len());
        for (read, (kind, flags, sequence, body, attributes)) in read.iter().zip(&requests) {
            prop_assert_eq!((read.kind, read.flags, read.sequence), (*kind, flags | 1, *sequence));
            prop_assert_eq!(&read.payload[..4], body);
            let again = Attributes::after(read.payload, body.len());
            let again: Vec<_> = again.map(|read| (read.kind, read.value.to_vec())).collect();
            prop_assert_eq!(&again, attributes);
        }
    }
}
