//! What holds for any bytes that come from the kernel or its files: the bodies of the fuzz targets in
//! `host-sources/fuzz`.
//!
//! Here rather than there, so that the tests run them on their seeds, and so that what only the crate
//! knows stays in it. No part of the product: only tests and the feature `fuzzing` have it.

#[cfg(test)]
mod seeds;

use crate::{ebpf, filesystem, inventory, netlink, network, performance, process};

/// Any bytes as the kernel's types: fields lie where they are said to, or there are none.
///
/// # Panics
/// If that doesn't hold.
pub fn types(data: &[u8]) {
    ebpf::fuzzing::btf(data);
}

/// Any bytes as records of our programs: what they name lies within them.
///
/// # Panics
/// If that doesn't hold.
pub fn records(data: &[u8]) {
    ebpf::fuzzing::records(data);
}

/// Any bytes as files of `/proc`: each number and text is that of its place, or there is none.
///
/// # Panics
/// If that doesn't hold.
pub fn files(data: &[u8]) {
    process::fuzzing::proc_files(data);
}

/// Any bytes as what the proc connector and taskstats say.
///
/// # Panics
/// If they lead outside of themselves.
pub fn messages(data: &[u8]) {
    process::fuzzing::kernel_messages(data);
}

/// Any bytes as a netlink datagram: messages and attributes lie within it, in order.
///
/// # Panics
/// If that doesn't hold.
pub fn netlink(data: &[u8]) {
    netlink::fuzzing::netlink_messages(data);
}

/// Any bytes as what sock_diag says of sockets, as fanotify's queue, and as the texts that lead to owners and
/// namespaces.
///
/// # Panics
/// If they lead outside of themselves, or to a row that can't be.
pub fn sockets(data: &[u8]) {
    network::fuzzing::network_datagram(data);
    network::fuzzing::network_proc(data);
    filesystem::fuzzing::fanotify_events(data);
}

/// Files about the machine: what is to be read by the first byte, so that one corpus serves all.
const SYSTEM_FILES: [fn(&[u8]); 8] = [
    performance::fuzzing::proc_stat,
    performance::fuzzing::diskstats,
    performance::fuzzing::net_dev,
    performance::fuzzing::pressure,
    performance::fuzzing::named_values,
    inventory::fuzzing::mountinfo,
    inventory::fuzzing::cpus,
    inventory::fuzzing::os_release,
];

/// Any bytes as a file about the machine; the first byte says which.
///
/// # Panics
/// If what must hold for that file doesn't.
pub fn system(data: &[u8]) {
    let Some((which, data)) = data.split_first() else {
        return;
    };
    if let Some(read) = SYSTEM_FILES.get(usize::from(*which) % SYSTEM_FILES.len()) {
        read(data);
    }
}
