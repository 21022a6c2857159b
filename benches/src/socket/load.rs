//! What every system carries: the same 200 bytes under the same name.
//!
//! The bytes are the columns of one row of kind `inventory` as our socket lays them out, its
//! source empty. Every buffer is a multiple of 8 long, so that nothing stands between them; to the
//! peers they are opaque. The invariant: a payload follows from its number, and its number can be
//! read from it.

use weir_bus::Timestamp;
use weir_bus::event::InventoryEvent;

/// Where all messages go: a topic here, a subject or a channel at the peers. Nobody's is a pattern.
pub(super) const TOPIC: &str = "events.inventory.hardware";
/// Bytes of a message without what a system puts around it.
const PAYLOAD_BYTES: usize = 200;

/// When all of these rows were observed: some moment in 2023, in nanoseconds since 1970.
const OBSERVED_NS: i64 = 1_700_000_000_000_000_000;
/// Where in the payload its number stands: behind the row's time.
const NUMBER_AT: usize = size_of::<i64>();
/// The numbers of one publisher begin at a multiple of this.
const NUMBERS_A_PUBLISHER: u64 = 1 << 20;

/// One message of a publisher's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) publisher: u64,
    /// From 0, in the order in which it sends.
    pub(super) place: u64,
}

impl Message {
    pub(super) const fn new(publisher: u64, place: u64) -> Self {
        Self { publisher, place }
    }

    /// The row's number at its publisher.
    pub(super) const fn number(self) -> u64 {
        self.publisher * NUMBERS_A_PUBLISHER + self.place
    }

    /// The message as a row.
    pub(super) fn row(self) -> InventoryEvent {
        let number = self.number();
        InventoryEvent {
            timestamp: Timestamp(OBSERVED_NS),
            class: "hardware".to_owned(),
            item: format!("unit-{number:011}"),
            attribute: format!("{:.<32}", "serial-number"),
            value: format!("{number:0>96}"),
        }
    }

    /// The message as bytes.
    pub(super) fn payload(self) -> Vec<u8> {
        let row = self.row();
        let mut bytes = Vec::with_capacity(PAYLOAD_BYTES);
        bytes.extend(row.timestamp.0.to_le_bytes());
        bytes.extend(self.number().to_le_bytes());
        for text in [row.class, row.item, row.attribute, row.value] {
            let end = i32::try_from(text.len()).unwrap_or(i32::MAX);
            bytes.extend(0_i32.to_le_bytes());
            bytes.extend(end.to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    /// Which message it is, if its bytes are exactly what was sent.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let number = bytes.get(NUMBER_AT..)?.first_chunk()?;
        let number = u64::from_le_bytes(*number);
        let message = Self::new(number / NUMBERS_A_PUBLISHER, number % NUMBERS_A_PUBLISHER);
        (message.payload() == bytes).then_some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_its_size_and_tells_what_it_is() {
        for message in [(0, 0), (0, 233), (3, 17)] {
            let message = Message::new(message.0, message.1);
            let mut bytes = message.payload();
            assert_eq!(bytes.len(), PAYLOAD_BYTES);
            assert_eq!(Message::of(&bytes), Some(message));
            bytes[PAYLOAD_BYTES - 1] = b'x';
            assert_eq!(Message::of(&bytes), None);
        }
    }
}
