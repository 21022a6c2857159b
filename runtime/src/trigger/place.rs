//! What a request follows from, and how far that may go.
//!
//! Triggers may want requests and findings: then what guests say comes back to guests. Named attack:
//! two slots that answer each other, each row with several, without an end. Ids and depth of a request are
//! the host's own: no guest says them.

use weir_bus::batch::Batch;
use weir_bus::event::{FindingColumns, TriggerColumns};

/// A request's place in a cascade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// What it followed from; none: a row that no guest made.
    pub(super) parent_id: Option<String>,
    pub(super) correlation_id: String,
    pub(super) root_id: String,
    pub(super) depth: u32,
}

impl Place {
    /// The place of the request `request_id` that a row leads to; none: more than `depth_max` requests would come
    /// before it.
    pub(super) fn behind(
        batch: &Batch,
        row: usize,
        request_id: &str,
        depth_max: u32,
    ) -> Option<Self> {
        let (parent_id, correlation_id, root_id, depth) =
            if let Some(request) = TriggerColumns::of(batch).and_then(|all| all.row(row)) {
                let ids = (request.correlation_id(), request.root_id());
                (request.request_id(), ids.0, ids.1, request.depth())
            } else if let Some(finding) = FindingColumns::of(batch).and_then(|all| all.row(row)) {
                let ids = (finding.correlation_id(), finding.root_id());
                (finding.finding_id(), ids.0, ids.1, finding.depth())
            } else {
                return Some(Self {
                    parent_id: None,
                    correlation_id: request_id.to_owned(),
                    root_id: request_id.to_owned(),
                    depth: 0,
                });
            };
        let place = Self {
            parent_id: Some(parent_id.to_owned()),
            correlation_id: correlation_id.to_owned(),
            root_id: root_id.to_owned(),
            depth: depth.saturating_add(1),
        };
        (place.depth <= depth_max).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_bus::CollectionEvent;
    use weir_bus::event::{FindingEvent, ProcessEvent, TriggerEvent};

    fn place(event: impl Into<CollectionEvent>) -> Option<Place> {
        let event = event.into();
        let topic = weir_bus::topic::of_event(event.kind(), "test");
        let batch = Batch::of_events(topic, "test", 0, &[event]).expect("a batch");
        Place::behind(&batch, 0, "new", 5)
    }

    #[test]
    fn a_request_is_one_deeper_than_what_it_follows_from_and_ends_at_the_depth() {
        let first = place(ProcessEvent::default()).expect("the first");
        assert_eq!((first.root_id.as_str(), first.depth), ("new", 0));
        for (depth, expected) in [(0, Some(1)), (4, Some(5)), (5, None), (u32::MAX, None)] {
            let request = place(TriggerEvent {
                request_id: "parent".to_owned(),
                root_id: "root".to_owned(),
                depth,
                ..TriggerEvent::default()
            });
            assert_eq!(request.as_ref().map(|place| place.depth), expected);
            let finding = place(FindingEvent {
                finding_id: "parent".to_owned(),
                root_id: "root".to_owned(),
                depth,
                ..FindingEvent::default()
            });
            assert_eq!(finding, request);
            if let Some(place) = finding {
                assert_eq!(place.parent_id.as_deref(), Some("parent"));
                assert_eq!(place.root_id, "root");
            }
        }
    }
}
