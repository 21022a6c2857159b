//! What one of ours finds that reads again: every message that was published is there, or in a gap that
//! stands where it is missing.
//!
//! A message tells its place in its publisher's buffer, and the buffer is written again and again: so
//! what came and what gaps count together say which place is next. Positions of deliveries and gaps
//! must follow each other without one missing.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use weir_bus::wire::{FrameType, GapFrame, PREFIX_BYTES, Prefix, decode_header};

use super::super::line::Line;
use super::super::load::Message;
use super::super::side::{Heard, Role, Side};
use super::super::weir::Weir;

/// How long it listens for what should not come.
const SURPLUS_PATIENCE: Duration = Duration::from_millis(100);

/// Messages of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) messages: u64,
    /// Messages of its publisher's buffer.
    pub(super) period: u64,
}

/// Reads on where a stalled client stopped.
#[derive(Default)]
pub(super) struct Reckoning {
    weir: Weir,
    /// The runs since it subscribed.
    sent: Vec<Sent>,
    received: u64,
    missed: u64,
    gaps: u64,
    /// The highest position that came or is missing.
    position: u64,
}

impl Reckoning {
    pub(super) fn of(sent: Vec<Sent>) -> Self {
        Self {
            sent,
            ..Self::default()
        }
    }

    /// Messages that came.
    pub(super) const fn received(&self) -> u64 {
        self.received
    }

    /// Messages that gaps say are missing.
    pub(super) const fn missed(&self) -> u64 {
        self.missed
    }

    /// Reads all that is there, and checks that it is all there was.
    pub(super) fn read(&mut self, line: &mut Line) -> anyhow::Result<()> {
        let published: u64 = self.sent.iter().map(|sent| sent.messages).sum();
        while self.received + self.missed < published {
            let heard = line.hear(self, |_, _| Ok(()));
            heard.with_context(|| {
                format!(
                    "after {} messages, and {} in gaps, of {published}",
                    self.received, self.missed
                )
            })?;
        }
        while line.is_told_within(SURPLUS_PATIENCE)? {
            line.hear(self, |_, _| Ok(()))?;
        }
        ensure!(
            self.received + self.missed == published && self.gaps > 0,
            "{} messages and {} in {} gaps, where {published} were published",
            self.received,
            self.missed,
            self.gaps
        );
        Ok(())
    }

    /// Takes a message that is next.
    fn note(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        let message = Message::of(payload).context("a payload isn't what was sent")?;
        let expected = self.place(self.received + self.missed);
        ensure!(
            expected == Some(message.place),
            "behind {} messages and {} in gaps comes place {}, not {expected:?}",
            self.received,
            self.missed,
            message.place
        );
        self.received += 1;
        Ok(())
    }

    /// Where in its publisher's buffer a message stands, counted from the first that was published.
    fn place(&self, mut message: u64) -> Option<u64> {
        for sent in &self.sent {
            match message.checked_sub(sent.messages) {
                Some(later) => message = later,
                None => return message.checked_rem(sent.period),
            }
        }
        None
    }

    fn note_gap(&mut self, gap: &GapFrame) -> anyhow::Result<()> {
        ensure!(
            gap.from == self.position + 1 && gap.to >= gap.from,
            "a gap from {} to {} behind position {}",
            gap.from,
            gap.to,
            self.position
        );
        self.position = gap.to;
        self.missed += gap.missed.context("a gap that doesn't say of how many")?;
        self.gaps += 1;
        Ok(())
    }

    fn note_position(&mut self) -> anyhow::Result<()> {
        let position = self.weir.position();
        if position != self.position {
            ensure!(
                position == self.position + 1,
                "position {position} came behind {}",
                self.position
            );
            self.position = position;
        }
        Ok(())
    }
}

impl Side for Reckoning {
    fn greet(&mut self, line: &mut Line, role: Role) -> anyhow::Result<()> {
        self.weir.greet(line, role)
    }

    fn message(message: &Message, into: &mut Vec<u8>) -> anyhow::Result<()> {
        Weir::message(message, into)
    }

    fn next<'a>(&mut self, bytes: &'a [u8]) -> anyhow::Result<Option<(usize, Heard<'a>)>> {
        let prefix = Prefix::read(bytes)?;
        if let Some(prefix) = prefix.filter(|prefix| prefix.frame_type == FrameType::Gap) {
            let header = bytes.get(PREFIX_BYTES..PREFIX_BYTES + prefix.header_bytes);
            let (Some(header), Some(_)) = (header, bytes.get(..prefix.bytes)) else {
                return Ok(None);
            };
            self.note_gap(&decode_header(FrameType::Gap, header)?)?;
            return Ok(Some((prefix.bytes, Heard::Nothing)));
        }
        let next = self.weir.next(bytes)?;
        if next.is_some() && self.weir.position() > 0 {
            self.note_position()?;
        }
        if let Some((_, Heard::Message { payload, .. })) = &next {
            self.note(payload)?;
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use weir_bus::wire::{Deliver, control_frame, frame_with_payload};

    use super::*;

    fn delivery(position: u64, places: &[u64]) -> Vec<u8> {
        let mut frames = Vec::new();
        for place in places {
            Weir::message(&Message::new(0, *place), &mut frames).expect("a frame");
        }
        let deliver = Deliver {
            id: 1,
            position,
            source: "someone",
        };
        let frame = frame_with_payload(FrameType::Deliver, &deliver, &frames);
        frame.expect("a frame").to_vec()
    }

    fn gap(missed: u64, from: u64, to: u64) -> Vec<u8> {
        let gap = GapFrame {
            id: 1,
            missed: Some(missed),
            reason: "queue-full".to_owned(),
            from,
            to,
        };
        control_frame(FrameType::Gap, &gap)
            .expect("a frame")
            .to_vec()
    }

    #[test]
    fn a_gap_of_another_number_or_in_another_place_is_seen() {
        let check = |frames: &[Vec<u8>], expected: bool| {
            let bytes = frames.concat();
            let mut reckoning = Reckoning::of(vec![
                Sent {
                    messages: 7,
                    period: 3,
                },
                Sent {
                    messages: 4,
                    period: 1,
                },
            ]);
            let mut at = 0;
            let mut is_right = true;
            while at < bytes.len() && is_right {
                match reckoning.next(&bytes[at..]) {
                    Ok(Some((taken, _))) => at += taken,
                    Ok(None) => panic!("a part of a frame"),
                    Err(_) => is_right = false,
                }
            }
            is_right &= reckoning.received() + reckoning.missed() == 11;
            assert_eq!(is_right, expected, "{frames:?}");
        };
        let (first, last) = (delivery(1, &[0, 1]), delivery(5, &[0, 0]));
        check(
            &[
                first.clone(),
                gap(3, 2, 3),
                delivery(4, &[2, 0, 0, 0]),
                last.clone(),
            ],
            true,
        );
        check(&[first.clone(), gap(7, 2, 4), last.clone()], true);
        // One too many, one too few, two positions that nobody has, and one that comes again.
        check(&[first.clone(), gap(8, 2, 4), last.clone()], false);
        check(&[first.clone(), gap(3, 2, 3), delivery(4, &[1])], false);
        check(&[first.clone(), gap(7, 2, 2), last.clone()], false);
        check(&[first, gap(3, 1, 3), last], false);
    }
}
