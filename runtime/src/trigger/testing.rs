//! Requests for tests.

use std::sync::Arc;

use weir_bus::batch::Batch;
use weir_bus::event::{ProcessEvent, TriggerEvent};

use super::{Priority, Request};
use crate::sandbox::Cause;

/// A request of that priority and id.
pub(crate) fn request(priority: Priority, id: &str) -> Request {
    let topic = weir_bus::topic::of_event(weir_bus::Kind::Process, "test");
    let event = TriggerEvent {
        request_id: id.to_owned(),
        priority: priority.as_str().to_owned(),
        ..TriggerEvent::default()
    };
    let cause = Cause {
        request_id: id.to_owned(),
        trigger: "trigger".to_owned(),
        rule: "rule".to_owned(),
        priority: priority.as_str().to_owned(),
        message: None,
        correlation_id: id.to_owned(),
        parent_id: None,
        root_id: id.to_owned(),
        depth: 0,
        metadata: Vec::new(),
    };
    let row = Batch::of_events(topic, "test", 0, &[ProcessEvent::default().into()]);
    Request {
        event: Arc::new(event),
        row: Arc::new(row.expect("a batch")),
        cause: Arc::new(cause),
        priority,
    }
}
