//! What an event is about, in a few words: for a person who looks at a list of verdicts.

use weir_bus::CollectionEvent;

/// A few words.
pub(super) fn about(event: &CollectionEvent) -> String {
    let kind = event.kind();
    match event {
        CollectionEvent::Process(row) => {
            let path = row.executable.as_deref().unwrap_or("no executable");
            format!("{kind} {} {}[{}] {path}", row.lifecycle, row.name, row.pid)
        }
        CollectionEvent::Network(row) => {
            let peer = row.destination_address.as_deref().unwrap_or("nobody");
            let port = row
                .destination_port
                .map(|port| format!(":{port}"))
                .unwrap_or_default();
            format!(
                "{kind} {} {} {}:{} to {peer}{port}",
                row.lifecycle, row.protocol, row.source_address, row.source_port
            )
        }
        CollectionEvent::Filesystem(row) => format!("{kind} {} {}", row.operation, row.path),
        CollectionEvent::Performance(row) => {
            format!("{kind} {} {} {}", row.metric, row.value, row.unit)
        }
        CollectionEvent::Inventory(row) => {
            format!(
                "{kind} {} {} {}={}",
                row.class, row.item, row.attribute, row.value
            )
        }
        CollectionEvent::Trigger(row) => format!("{kind} {}/{}", row.trigger, row.rule),
        CollectionEvent::Finding(row) => format!("{kind} {} {}", row.severity, row.title),
    }
}
