//! What the tests of this folder share.

use std::sync::Arc;

use weir_bus::batch::Batch;
use weir_bus::event::{ProcessEvent, TriggerEvent};
use weir_bus::{CollectionEvent, Kind};

use crate::sandbox::{Cause, Finding, Severity};
use crate::trigger::{Priority, Request};

pub(super) fn row() -> Batch {
    let event = CollectionEvent::from(ProcessEvent::default());
    let topic = weir_bus::topic::of_event(Kind::Process, "test");
    Batch::of_events(topic, "test", 0, &[event]).expect("a batch")
}

pub(super) fn finding(title: &str) -> Finding {
    Finding {
        severity: Severity::Info,
        title: title.to_owned(),
        subject: "s".to_owned(),
        evidence: vec![("name".to_owned(), "value".to_owned())],
    }
}

/// A request `r<number>` of a trigger for a target.
pub(super) fn request(number: u32, trigger: &str, target: &str) -> Request {
    let id = format!("r{number}");
    let event = TriggerEvent {
        request_id: id.clone(),
        trigger: trigger.to_owned(),
        target: target.to_owned(),
        root_id: "root".to_owned(),
        ..TriggerEvent::default()
    };
    let cause = Cause {
        request_id: id,
        trigger: trigger.to_owned(),
        rule: String::new(),
        priority: "normal".to_owned(),
        message: None,
        correlation_id: "correlation".to_owned(),
        parent_id: None,
        root_id: "root".to_owned(),
        depth: 2,
        metadata: Vec::new(),
    };
    Request {
        event: Arc::new(event),
        row: Arc::new(row()),
        cause: Arc::new(cause),
        priority: Priority::Normal,
    }
}
