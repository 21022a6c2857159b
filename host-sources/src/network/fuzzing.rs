//! What holds for any bytes: the bodies of fuzz targets, and of the property tests.

use super::{diag, namespaces, owners};
use crate::netlink::{Messages, fuzzing::netlink_messages};

/// A datagram of the kernel about sockets is read without a panic, and what is read of it is told in rows.
///
/// # Panics
/// If that doesn't hold.
pub(crate) fn network_datagram(data: &[u8]) {
    netlink_messages(data);
    let mut table = super::table::Table::new(16);
    let mut row = weir_bus::event::NetworkEvent::default();
    table.begin();
    for message in Messages::new(data).filter_map(Result::ok) {
        for transport in [diag::Transport::Tcp, diag::Transport::Udp] {
            if let Some(seen) = diag::of_dump(&message, transport) {
                table.see(1, &seen);
            }
        }
        if let Some(seen) = diag::of_notice(&message) {
            table.ended(2, &seen);
        }
    }
    table.end(|_, _| true, |_| true);
    for known in table.present() {
        super::row::fill(&mut row, known, super::row::Lifecycle::of(known));
        assert!(!row.source_address.is_empty());
        assert_eq!(
            row.destination_address.is_some(),
            row.destination_port.is_some()
        );
    }
}

/// The texts of `/proc` that tell of sockets and namespaces.
pub(crate) fn network_proc(data: &[u8]) {
    let _ = owners::inode_of(data);
    for (_, path) in namespaces::mounted_in(data) {
        assert!(path.as_os_str().len() <= data.len());
    }
}
