//! Publish frames that were written, and that the broker hasn't said to have taken.
//!
//! They are sent again where the same session goes on, from the first that it didn't take: each is taken
//! once. The invariant: they are bounded; while there is no room, nothing more is written.

use std::collections::VecDeque;

use super::Outgoing;
use crate::count::Count;

/// Frames that may be unconfirmed: what a broker and both kernels have under way of the smallest, many
/// times over.
const FRAMES_MAX: usize = 65_536;

/// Bytes of them; one frame is let through however large.
const BYTES_MAX: usize = 16 << 20;

/// After so many frames the broker is asked how many it has taken.
const ASK_FRAMES: usize = 1_024;

/// After so many bytes, the same.
const ASK_BYTES: usize = 1 << 20;

/// What is unconfirmed, in the order in which it was written.
#[derive(Debug, Default)]
pub(super) struct Unconfirmed {
    frames: VecDeque<Outgoing>,
    bytes: usize,
    count: Count,
    /// Frames of this session that were confirmed.
    confirmed: u64,
    unasked_frames: usize,
    unasked_bytes: usize,
}

impl Unconfirmed {
    pub(super) fn has_room(&self) -> bool {
        self.frames.len() < FRAMES_MAX && self.bytes < BYTES_MAX
    }

    pub(super) const fn count(&self) -> Count {
        self.count
    }

    /// Keeps a frame that is written; true where it is time to ask.
    pub(super) fn keep(&mut self, frame: Outgoing) -> bool {
        let bytes = frame.frame.len();
        self.bytes += bytes;
        self.count += frame.count.unwrap_or_default();
        self.frames.push_back(frame);
        self.unasked_frames += 1;
        self.unasked_bytes += bytes;
        let ask = self.unasked_frames >= ASK_FRAMES || self.unasked_bytes >= ASK_BYTES;
        if ask {
            (self.unasked_frames, self.unasked_bytes) = (0, 0);
        }
        ask
    }

    /// The broker has taken so many frames of the session.
    pub(super) fn confirm(&mut self, frames: u64) {
        while self.confirmed < frames
            && let Some(frame) = self.frames.pop_front()
        {
            self.confirmed += 1;
            self.bytes = self.bytes.saturating_sub(frame.frame.len());
            let count = frame.count.unwrap_or_default();
            self.count = self.count.checked_sub(count).unwrap_or_default();
        }
    }

    /// Hands over what is left, to be written again, or given up where another session begins.
    pub(super) fn take(&mut self) -> VecDeque<Outgoing> {
        (self.bytes, self.count) = (0, Count::ZERO);
        (self.unasked_frames, self.unasked_bytes) = (0, 0);
        std::mem::take(&mut self.frames)
    }

    /// Another session begins: its frames are counted from 0.
    pub(super) const fn restart(&mut self) {
        self.confirmed = 0;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn frame(bytes: usize) -> Outgoing {
        Outgoing::publish(Bytes::from(vec![0; bytes]), 2)
    }

    #[test]
    fn what_is_confirmed_goes_and_the_rest_is_sent_again() {
        let mut unconfirmed = Unconfirmed::default();
        for bytes in 1..=5 {
            unconfirmed.keep(frame(bytes));
        }
        unconfirmed.confirm(2);
        unconfirmed.confirm(1);
        assert_eq!(unconfirmed.count(), Count::new(6, 3));
        let again = unconfirmed.take();
        let bytes: Vec<_> = again.iter().map(|one| one.frame.len()).collect();
        assert_eq!((bytes, unconfirmed.count()), (vec![3, 4, 5], Count::ZERO));
        // A broker that claims to have taken what it was never sent confirms what there is.
        unconfirmed.keep(frame(1));
        unconfirmed.confirm(u64::MAX);
        assert_eq!(unconfirmed.count(), Count::ZERO);
    }

    #[test]
    fn it_is_bounded_and_asks_before_it_is_full() {
        for bytes in [8, 4_096, ASK_BYTES] {
            let mut unconfirmed = Unconfirmed::default();
            let mut asked = 0;
            while unconfirmed.has_room() {
                asked += usize::from(unconfirmed.keep(frame(bytes)));
            }
            assert!(asked >= BYTES_MAX / ASK_BYTES, "{asked}");
            assert!(unconfirmed.bytes < BYTES_MAX + bytes);
            assert!(unconfirmed.frames.len() <= FRAMES_MAX);
        }
    }
}
