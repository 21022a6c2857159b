//! What every system carries: the same 200 bytes under the same name.
//!
//! The bytes are the columns of one row of kind `inventory` as our socket lays them out, its
//! publisher's name empty. Every buffer is a multiple of 8 long, so that nothing stands between
//! them; to the peers they are opaque. The invariant: a payload follows from its number, and its
//! number can be read from it.

/// Where all messages go: a topic here, a subject or a channel at the peers. Nobody's is a pattern.
pub(super) const TOPIC: &str = "events.inventory.hardware";
/// Bytes of a message without what a system puts around it.
pub(super) const PAYLOAD_BYTES: usize = 200;

/// When all of these rows were observed: some moment in 2023, in nanoseconds since 1970.
const OBSERVED_NS: i64 = 1_700_000_000_000_000_000;
/// Where in the payload its number stands: behind the row's time.
const NUMBER_AT: usize = size_of::<i64>();
/// The numbers of one publisher begin at a multiple of this.
const NUMBERS_A_PUBLISHER: u64 = 1 << 20;

/// What a publisher's message of that place carries; places are counted from 0 in its buffer.
pub(super) fn payload(publisher: u64, place: u64) -> Vec<u8> {
    let number = publisher * NUMBERS_A_PUBLISHER + place;
    let mut bytes = Vec::with_capacity(PAYLOAD_BYTES);
    bytes.extend(OBSERVED_NS.to_le_bytes());
    bytes.extend(number.to_le_bytes());
    for text in [
        "hardware".to_owned(),
        format!("unit-{number:011}"),
        format!("{:.<32}", "serial-number"),
        format!("{number:0>96}"),
    ] {
        let end = i32::try_from(text.len()).unwrap_or(i32::MAX);
        bytes.extend(0_i32.to_le_bytes());
        bytes.extend(end.to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// The publisher and the place of a message, if its bytes are exactly what was sent.
pub(super) fn origin(bytes: &[u8]) -> Option<(u64, u64)> {
    let number = bytes.get(NUMBER_AT..)?.first_chunk()?;
    let number = u64::from_le_bytes(*number);
    let origin = (number / NUMBERS_A_PUBLISHER, number % NUMBERS_A_PUBLISHER);
    (payload(origin.0, origin.1) == bytes).then_some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_its_size_and_tells_its_origin() {
        for (publisher, place) in [(0, 0), (0, 233), (3, 17)] {
            let mut bytes = payload(publisher, place);
            assert_eq!(bytes.len(), PAYLOAD_BYTES);
            assert_eq!(origin(&bytes), Some((publisher, place)));
            bytes[PAYLOAD_BYTES - 1] = b'x';
            assert_eq!(origin(&bytes), None);
        }
    }
}
