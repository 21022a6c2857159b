//! What holds for any bytes: the body of a fuzz target, and of the property tests.

use super::event::{Events, Role};

/// Bytes as fanotify events: every part lies within them, and reading ends.
///
/// # Panics
/// If that doesn't hold.
pub(crate) fn fanotify_events(data: &[u8]) {
    let within = data.as_ptr_range();
    let mut ended = false;
    for event in Events::new(data) {
        assert!(!ended, "something follows an error");
        let Ok(event) = event else {
            ended = true;
            continue;
        };
        for role in [Role::Target, Role::Place, Role::OldPlace, Role::NewPlace] {
            let Some(part) = event.part(role) else {
                continue;
            };
            for bytes in [part.handle.bytes, part.name.unwrap_or_default()] {
                let at = bytes.as_ptr_range();
                assert!(bytes.is_empty() || (within.start <= at.start && at.end <= within.end));
            }
            assert!(part.name.is_none_or(|name| !name.contains(&0)));
        }
    }
}
