//! Events of kind `network`.

use super::column::{ColumnType, Timestamp};
use super::declare::event_kind;

event_kind! {
    /// A connection or socket.
    Network: NetworkEvent, NetworkBuilder, NetworkColumns, NetworkRow {
        /// Names the connection for as long as it lives.
        connection_id: String,
        /// `tcp` or `udp`.
        protocol: String,
        /// The local address.
        source_address: String,
        /// The local port.
        source_port: u16,
        /// The peer's address; null where there is no peer.
        destination_address: Option<String>,
        /// The peer's port; null where there is no peer.
        destination_port: Option<u16>,
        /// The connection's state, in lower case: `established`, `listen`, …
        state: String,
        /// What happened: `observed`, `opened`, `changed` or `closed`.
        lifecycle: String,
        /// The owner's process id.
        pid: Option<u32>,
        /// When the owner started.
        process_start_time: Option<Timestamp>,
        /// Bytes sent.
        bytes_sent: Option<u64>,
        /// Bytes received.
        bytes_received: Option<u64>,
        /// The user id of the socket.
        user_id: Option<u32>,
        /// The inode of the network namespace that the socket is in.
        namespace: Option<u64>,
    }
}
