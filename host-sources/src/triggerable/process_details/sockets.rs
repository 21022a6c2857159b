//! Whom a process's sockets connect it with, out of the tables of its own network namespace.
//!
//! The invariant: of each table at most [`TABLE_BYTES_MAX`] are read, and a socket that isn't found in
//! them is counted; no address is ever looked up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustc_hash::FxHashSet;

use super::listing::Listing;
use crate::triggerable::AnswerError;
use crate::triggerable::aside::Watch;
use crate::triggerable::pinned::Pinned;

/// Bytes that are read of a table: some 27,000 connections.
const TABLE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The tables, and what their sockets are called.
const TABLES: [(&str, &str); 4] = [
    ("net/tcp", "tcp"),
    ("net/tcp6", "tcp"),
    ("net/udp", "udp"),
    ("net/udp6", "udp"),
];
/// The places of a row's addresses, state and inode.
const LOCAL_FIELD: usize = 1;
const PEER_FIELD: usize = 2;
const STATE_FIELD: usize = 3;
const INODE_FIELD: usize = 9;
/// The state of a socket that waits for others to connect.
const LISTENS: &str = "0A";

/// The connections of the sockets with these inodes; none if there are no sockets.
///
/// # Errors
/// Only what ends an answer: a table that can't be read leaves its sockets uncounted among the named.
pub(super) fn tell(
    process: &Pinned,
    inodes: &FxHashSet<u64>,
    watch: &Watch,
) -> Result<Option<String>, AnswerError> {
    if inodes.is_empty() {
        return Ok(None);
    }
    let mut left = inodes.clone();
    let mut connections = Listing::default();
    for (entry, protocol) in TABLES {
        watch.check()?;
        let Ok(table) = process.read(entry, TABLE_BYTES_MAX) else {
            continue;
        };
        let table = String::from_utf8_lossy(&table.bytes);
        for line in table.lines() {
            if let Some((inode, told)) = connection(line, protocol)
                && left.remove(&inode)
            {
                connections.add(&told);
            }
        }
    }
    let others = left.len();
    Ok(Some(match (connections.is_empty(), others) {
        (true, others) => format!("{others} of no network, or of another protocol"),
        (false, 0) => connections.told(false),
        (false, others) => format!("{}; {others} others", connections.told(false)),
    }))
}

/// A row's inode, and what it says.
fn connection(line: &str, protocol: &str) -> Option<(u64, String)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let local = address(fields.get(LOCAL_FIELD)?)?;
    let peer = address(fields.get(PEER_FIELD)?)?;
    let inode = fields.get(INODE_FIELD)?.parse().ok()?;
    let told = if *fields.get(STATE_FIELD)? == LISTENS && protocol == "tcp" {
        format!("{protocol} {local} listens")
    } else if peer.port() == 0 {
        format!("{protocol} {local}")
    } else {
        format!("{protocol} {local} → {peer}")
    };
    Some((inode, told))
}

/// `0100007F:1F90` as an address: words of 32 bits in the machine's order.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = address.get(at..at.checked_add(8)?)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.as_flattened().try_into().ok()?;
            // An address of the older kind is told as one.
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_a_table_is_a_connection() {
        let row = |local: &str, peer: &str, state: &str| {
            format!(
                "   0: {local} {peer} {state} 00000000:00000000 00:00000000 00000000  1000        0 4711 1"
            )
        };
        let check = |line: &str, expected: Option<&str>| {
            let found = connection(line, "tcp");
            let expected = expected.map(|told| (4711, told.to_owned()));
            assert_eq!(found, expected, "{line}");
        };
        let local = format!("{:08X}:1F90", u32::from_ne_bytes([127, 0, 0, 1]));
        let none = "00000000:0000";
        check(&row(&local, none, "0A"), Some("tcp 127.0.0.1:8080 listens"));
        check(&row(&local, none, "07"), Some("tcp 127.0.0.1:8080"));
        check(
            &row(&local, &local, "01"),
            Some("tcp 127.0.0.1:8080 → 127.0.0.1:8080"),
        );
        let six = "00000000000000000000000000000000:0016";
        check(&row(six, six, "0A"), Some("tcp [::]:22 listens"));
        check("  sl  local_address rem_address   st tx_queue", None);
        check("", None);
        check(&row("xyz", none, "0A"), None);
        check(&row("0000é000:0016", none, "0A"), None);
        check(&row("00:0016", none, "0A"), None);
    }
}
