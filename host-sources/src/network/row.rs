//! From what is known of a socket to its row.
//!
//! It reads nothing from the host. The invariant: every field of the row is set each time, and the row's texts
//! are written into the memory of those before.

use weir_bus::event::NetworkEvent;

use super::table::{Known, state_at_end};

/// What a row says of its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifecycle {
    /// It was there.
    Observed,
    /// It wasn't there at the look before.
    Opened,
    /// Its state, its addresses or its owner are others than at the look before.
    Changed,
    /// It is there no more; its counters are its last.
    Closed,
}

impl Lifecycle {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Opened => "opened",
            Self::Changed => "changed",
            Self::Closed => "closed",
        }
    }

    /// Of a socket that a look has seen.
    pub(super) const fn of(known: &Known) -> Self {
        match (known.is_new, known.is_changed) {
            (true, _) => Self::Opened,
            (_, true) => Self::Changed,
            _ => Self::Observed,
        }
    }
}

/// Fills the row, but for its timestamp.
pub(super) fn fill(row: &mut NetworkEvent, known: &Known, lifecycle: Lifecycle) {
    let seen = &known.seen;
    row.connection_id.clone_from(&known.id);
    seen.transport.as_str().clone_into(&mut row.protocol);
    row.source_address.clone_from(&known.source_address);
    row.source_port = seen.source.1;
    row.destination_address
        .clone_from(&known.destination_address);
    row.destination_port = seen.destination.map(|(_, port)| port);
    let state = match lifecycle {
        Lifecycle::Closed => state_at_end(),
        _ => seen.state.as_str(seen.transport),
    };
    state.clone_into(&mut row.state);
    lifecycle.as_str().clone_into(&mut row.lifecycle);
    let process = known.process();
    row.pid = process.map(|(pid, _)| pid);
    row.process_start_time = process.map(|(_, start_time)| start_time);
    row.bytes_sent = seen.bytes.map(|bytes| bytes.sent);
    row.bytes_received = seen.bytes.map(|bytes| bytes.received);
    row.user_id = known.user_id;
    row.namespace = Some(known.namespace);
}
