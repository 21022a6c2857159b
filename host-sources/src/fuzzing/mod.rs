//! What holds for any bytes that come from the kernel or its files: the bodies of the fuzz targets in
//! `host-sources/fuzz`.
//!
//! Here rather than there, so that the tests run them on their seeds, and so that what only the crate
//! knows stays in it. No part of the product: only tests and the feature `fuzzing` have it.

#[cfg(test)]
mod seeds;

use crate::{ebpf, netlink, process};

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
