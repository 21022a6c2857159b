//! Frames out of a stream of bytes, however it is split or coalesced.
//!
//! The invariant: memory follows what has arrived. A frame that claims to be large gets room as its
//! bytes come, not when it says so: a hundred connections that claim 8 MiB each and send nothing hold
//! nothing.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::wire::{FrameError, PREFIX_BYTES, Prefix};

/// What one read takes at most; the kernel's own buffer is about as large. Pages that are never filled
/// are never there.
const READ_BYTES: usize = 256 << 10;

/// A whole frame.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    /// One of many in the buffer.
    Shared(Prefix, &'a [u8]),
    /// One that has its bytes for itself.
    Alone(Prefix, Bytes),
}

impl Piece<'_> {
    pub(crate) fn prefix(&self) -> Prefix {
        match self {
            Self::Shared(prefix, _) | Self::Alone(prefix, _) => *prefix,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(_, bytes) => bytes,
            Self::Alone(_, bytes) => bytes,
        }
    }

    pub(crate) fn header(&self) -> &[u8] {
        let end = PREFIX_BYTES + self.prefix().header_bytes;
        self.bytes().get(PREFIX_BYTES..end).unwrap_or_default()
    }

    pub(crate) fn payload(&self) -> &[u8] {
        let from = self.prefix().payload_offset();
        self.bytes().get(from..).unwrap_or_default()
    }
}

/// What of the stream has been read and not yet taken.
#[derive(Debug)]
pub(crate) struct FrameReader {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// A frame that is larger than the buffer, as far as it has arrived.
    large: Option<(Prefix, Vec<u8>)>,
}

impl FrameReader {
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            large: None,
        }
    }

    /// Reads once; 0 at the stream's end. Cancel safe.
    pub(crate) async fn fill(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<usize> {
        if let Some((prefix, bytes)) = &mut self.large {
            let missing = prefix.bytes.saturating_sub(bytes.len());
            // Twice what is there: memory follows what arrived.
            bytes.reserve_exact(missing.min(bytes.len().max(READ_BYTES)));
            return stream.take(missing as u64).read_buf(bytes).await;
        }
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let count = stream.read(room).await?;
        self.end += count;
        Ok(count)
    }

    /// The next whole frame; none until more has been read.
    ///
    /// # Errors
    /// If what comes next is no frame: nothing more can be read of this stream.
    pub(crate) fn next(&mut self) -> Result<Option<Piece<'_>>, FrameError> {
        if let Some((prefix, bytes)) = self.large.take() {
            if bytes.len() >= prefix.bytes {
                return Ok(Some(Piece::Alone(prefix, Bytes::from(bytes))));
            }
            self.large = Some((prefix, bytes));
            return Ok(None);
        }
        let filled = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some(prefix) = Prefix::read(filled)? else {
            return Ok(None);
        };
        if prefix.bytes > self.buffer.len() {
            self.large = Some((prefix, filled.to_vec()));
            (self.start, self.end) = (0, 0);
            return Ok(None);
        }
        if filled.len() < prefix.bytes {
            return Ok(None);
        }
        let from = self.start;
        self.start += prefix.bytes;
        let bytes = self.buffer.get(from..self.start).unwrap_or_default();
        Ok(Some(Piece::Shared(prefix, bytes)))
    }

    /// Whether a frame was begun and not ended.
    pub(crate) fn is_within_a_frame(&self) -> bool {
        self.start != self.end || self.large.is_some()
    }
}
