//! A frame's table of lengths: how it is walked, and what was checked of it.
//!
//! Invariant: a table that passes has the buffers that its kind's columns have, and they fill the payload.

use super::super::columns::STAMPED_FIELD;
use super::super::lengths;
use super::{PublishError, PublishFrame, no_header};
use crate::event::{FieldSpec, Kind};

/// The most buffers that a column has.
pub(super) const BUFFERS_MAX: usize = 4;

/// The table of lengths that was checked last, of one connection: frames that follow each other are alike,
/// and comparing a table takes a fifth of the time that checking it does.
#[derive(Debug, Default)]
pub struct CheckedTable {
    kind: Option<Kind>,
    rows: usize,
    payload_bytes: usize,
    alignment: usize,
    lengths: Vec<u8>,
    pub(super) says_source: bool,
}

impl CheckedTable {
    #[inline]
    pub(super) fn is_of(
        &self,
        frame: &PublishFrame<'_>,
        payload_bytes: usize,
        alignment: usize,
    ) -> bool {
        self.kind == Some(frame.kind)
            && self.rows == frame.rows
            && self.payload_bytes == payload_bytes
            && self.alignment == alignment
            && self.lengths == frame.lengths
    }

    pub(super) fn remember(
        &mut self,
        frame: &PublishFrame<'_>,
        payload_bytes: usize,
        alignment: usize,
        says_source: bool,
    ) {
        self.kind = Some(frame.kind);
        (self.rows, self.payload_bytes) = (frame.rows, payload_bytes);
        (self.alignment, self.says_source) = (alignment, says_source);
        self.lengths.clear();
        self.lengths.extend_from_slice(frame.lengths);
    }
}

impl PublishFrame<'_> {
    /// Checks the table against the kind, the rows and the payload; whether the frame says who observed its rows.
    pub(super) fn check(
        &self,
        payload_bytes: usize,
        alignment: usize,
    ) -> Result<bool, PublishError> {
        let mut says_source = false;
        let mut expected = 0_usize;
        self.each_column::<PublishError>(|field, lengths| {
            let shape = lengths::shape(field, self.rows, lengths, field.name == STAMPED_FIELD);
            shape.map_err(|wrong| PublishError::Column {
                field: field.name,
                wrong,
            })?;
            if field.name == STAMPED_FIELD {
                says_source = lengths.iter().any(|&length| length > 0);
            }
            for length in lengths {
                expected = expected.saturating_add(length.next_multiple_of(alignment));
            }
            Ok(())
        })?;
        if expected == payload_bytes {
            Ok(says_source)
        } else {
            Err(PublishError::Payload {
                expected,
                found: payload_bytes,
            })
        }
    }

    /// Walks the columns with the lengths of their buffers.
    #[inline]
    pub(super) fn each_column<E: From<PublishError>>(
        &self,
        mut take: impl FnMut(&'static FieldSpec, &[usize]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut table = self.lengths;
        let count = number(&mut table).ok_or_else(cut_short)?;
        let expected = lengths::buffers_of(self.kind);
        if usize::try_from(count) != Ok(expected) {
            return Err(PublishError::Buffers {
                kind: self.kind,
                expected,
                found: count,
            }
            .into());
        }
        for field in self.kind.fields() {
            let mut lengths = [0_usize; BUFFERS_MAX];
            let buffers = lengths::buffers(field.field_type);
            let lengths = lengths.get_mut(..buffers).unwrap_or_default();
            for length in &mut *lengths {
                let value = number(&mut table).ok_or_else(cut_short)?;
                *length = usize::try_from(value).unwrap_or(usize::MAX);
            }
            take(field, lengths)?;
        }
        Ok(())
    }
}

#[cold]
fn cut_short() -> PublishError {
    no_header(&postcard::Error::DeserializeUnexpectedEnd)
}

/// A varint of at most 32 bits, which is taken from the front. By hand: this is most of what the check of a
/// small frame costs, and buffers of small frames are short.
#[inline]
fn number(bytes: &mut &[u8]) -> Option<u32> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        *bytes = rest;
        return Some(u32::from(first));
    }
    let (value, rest) = postcard::take_from_bytes(bytes).ok()?;
    *bytes = rest;
    Some(value)
}
