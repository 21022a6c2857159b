//! Bytes that the kernel could send, and those that it never would.

use proptest::prelude::*;

use super::super::fuzzing::fanotify_events;

/// A part of an event that says it has `length` bytes, with a handle that says it has `handle_bytes`.
fn part(number: u8, length: u16, handle_bytes: u32, rest: &[u8]) -> Vec<u8> {
    let mut part = vec![number, 0];
    part.extend_from_slice(&length.to_ne_bytes());
    part.extend_from_slice(&[7; 8]);
    part.extend_from_slice(&handle_bytes.to_ne_bytes());
    part.extend_from_slice(&1_i32.to_ne_bytes());
    part.extend_from_slice(rest);
    part
}

fn event(length: u32, metadata_length: u16, parts: &[u8]) -> Vec<u8> {
    let mut event = length.to_ne_bytes().to_vec();
    event.extend_from_slice(&[3, 0]);
    event.extend_from_slice(&metadata_length.to_ne_bytes());
    event.extend_from_slice(&0x100_u64.to_ne_bytes());
    event.extend_from_slice(&[255, 255, 255, 255, 42, 0, 0, 0]);
    event.extend_from_slice(parts);
    event
}

#[test]
fn every_cut_of_an_event_is_survived() {
    let part = part(2, 32, 8, b"12345678name");
    let length = u32::try_from(24 + part.len()).unwrap();
    let whole = event(length, 24, &part);
    for end in 0..=whole.len() {
        fanotify_events(&whole[..end]);
        fanotify_events(&[&whole, &whole[..end]].concat());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_within_their_bounds(data: Vec<u8>) {
        fanotify_events(&data);
    }

    #[test]
    fn lengths_that_lie_are_read_within_their_bounds(
        events in proptest::collection::vec(
            (0_u32..120, 20_u16..40, proptest::collection::vec((0_u8..14, 0_u16..60, 0_u32..40, any::<[u8; 16]>()), 0..3)),
            0..4,
        )
    ) {
        let events = events.iter().flat_map(|(length, metadata_length, parts)| {
            let parts = parts.iter().flat_map(|(number, length, handle_bytes, rest)| part(*number, *length, *handle_bytes, rest));
            event(*length, *metadata_length, &parts.collect::<Vec<_>>())
        });
        fanotify_events(&events.collect::<Vec<_>>());
    }
}
