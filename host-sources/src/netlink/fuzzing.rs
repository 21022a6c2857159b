//! What holds for any bytes: the body of a fuzz target, and of the property tests.

use super::message::HEADER_BYTES;
use super::{Attributes, Messages, u16_be_at, u64_at};

/// Messages and attributes lie within the bytes, in order, without overlapping, and come to an end; only the
/// last item may be an error.
///
/// # Panics
/// If that doesn't hold.
pub(crate) fn netlink_messages(data: &[u8]) {
    let mut end = data.as_ptr_range().start;
    let mut ended = false;
    for message in Messages::new(data) {
        assert!(!ended, "something follows an error");
        let Ok(message) = message else {
            ended = true;
            continue;
        };
        let payload = message.payload.as_ptr_range();
        if !message.payload.is_empty() {
            assert!(end <= payload.start && payload.end <= data.as_ptr_range().end);
            end = payload.end;
        }
        let _ = message.error_number();
        netlink_attributes(message.payload);
    }
    netlink_attributes(data);
    let _ = (u64_at(data, data.len()), u16_be_at(data, usize::MAX));
}

fn netlink_attributes(data: &[u8]) {
    for header_bytes in [0, 1, HEADER_BYTES, data.len(), usize::MAX] {
        let mut end = data.as_ptr_range().start;
        let mut values_bytes = 0;
        for attribute in Attributes::after(data, header_bytes) {
            let value = attribute.value.as_ptr_range();
            if !attribute.value.is_empty() {
                assert!(end <= value.start && value.end <= data.as_ptr_range().end);
                end = value.end;
            }
            values_bytes += attribute.value.len();
        }
        assert!(values_bytes <= data.len());
    }
}
