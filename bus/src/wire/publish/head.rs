//! The fields of a publish frame before its table of lengths, read by hand.
//!
//! Invariant: what is read here is what postcard reads; what isn't is left to postcard.

use serde::{Deserialize, Serialize};

use crate::batch::Snapshot;

/// The fields before the table of lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fixed<'a> {
    pub(super) kind: u8,
    pub(super) topic: &'a str,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) first_sequence: u64,
    pub(super) opened: i64,
    pub(super) closed: i64,
    pub(super) rows: u32,
}

impl<'a> Fixed<'a> {
    /// What postcard would read, of what most frames have: no snapshot, numbers of up to 63 bits. None of
    /// anything else, whether right or wrong.
    ///
    /// By hand: with the table's check this was half of what a frame of one row cost the broker to read.
    pub(super) fn read(header: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&kind, rest) = header.split_first()?;
        let (length, rest) = varint(rest)?;
        let (topic, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        let (&snapshot, rest) = rest.split_first()?;
        if snapshot != 0 {
            return None;
        }
        let (first_sequence, rest) = varint(rest)?;
        let (opened, rest) = varint(rest)?;
        let (closed, rest) = varint(rest)?;
        let (rows, rest) = varint(rest)?;
        let fixed = Self {
            kind,
            topic: str::from_utf8(topic).ok()?,
            snapshot: None,
            first_sequence,
            opened: signed(opened),
            closed: signed(closed),
            rows: u32::try_from(rows).ok()?,
        };
        Some((fixed, rest))
    }
}

/// A number of up to 63 bits, seven of them a byte, the lowest first.
#[inline]
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (place, &byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7F) << (7 * place);
        if byte < 0x80 {
            return Some((value, bytes.get(place + 1..)?));
        }
    }
    None
}

/// The zigzag of signed numbers.
const fn signed(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_head_that_is_read_by_hand_is_what_postcard_reads(
            kind in any::<u8>(),
            topic in "[a-zü.]{0,40}",
            first_sequence in any::<u64>(),
            opened in any::<i64>(),
            closed in any::<i64>(),
            rows in any::<u32>(),
            last in any::<Option<bool>>(),
            cut in 0_usize..80,
            flip in any::<(u8, u8)>(),
        ) {
            let snapshot = last.map(|last| Snapshot { id: 7, last });
            let topic = topic.as_str();
            let fixed = Fixed { kind, topic, snapshot, first_sequence, opened, closed, rows };
            let whole = postcard::to_allocvec(&(fixed, [1_u8, 2])).unwrap();
            let mut broken = whole.clone();
            broken.truncate(whole.len().saturating_sub(cut));
            if let Some(byte) = broken.get_mut(usize::from(flip.0)) {
                *byte ^= flip.1;
            }
            for bytes in [whole, broken] {
                let expected = postcard::take_from_bytes::<Fixed<'_>>(&bytes).ok();
                if let Some(found) = Fixed::read(&bytes) {
                    prop_assert_eq!(Some(found), expected);
                }
            }
        }
    }
}
