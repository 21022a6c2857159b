//! The keys of `[bus]` and `[bus.access.<name>]`: what carries the batches, and who may reach it from outside.

use super::{Computed, Fallback, Item, KIB, Key, MIB, Takes, TextRule};
use std::time::Duration;

/// At most so many patterns on each side of an access rule: as many as a connection may subscribe to.
const PATTERNS_MAX: usize = 256;

/// `[bus]`.
pub(super) const BUS: &[Key] = &[
    Key::new(
        "bus.kind",
        Takes::Choice {
            of: &["local", "broker", "client", "none"],
            not_in_this_build: &[],
        },
        Fallback::Value("\"broker\""),
        "local: in this process alone; broker: in this process, and others reach it over bus.socket; client: another process's bus, over bus.socket; none: everything that is published is counted as dropped.",
    ),
    Key::new(
        "bus.socket",
        Takes::Path,
        Fallback::Computed {
            from: Computed::Socket,
            example: "\"/run/weir/weir.sock\"",
        },
        "The socket that a broker opens and a client connects to; at most 107 bytes, which is what the system takes.",
    ),
    Key::new(
        "bus.group",
        Takes::Text(TextRule::AccountOrNone),
        Fallback::Value("\"\""),
        "The group that may connect to the socket besides the daemon's user, by name or number; \"\" for none. Without access rules its members may subscribe to events.>, findings.> and system.>, and publish nothing.",
    ),
    Key::new(
        "bus.connections_max",
        Takes::Integer { min: 1, max: 1_000 },
        Fallback::Value("100"),
        "At most so many connections to the socket at a time.",
    ),
    Key::new(
        "bus.heartbeat",
        Takes::Duration {
            min: Duration::from_millis(100),
            max: Duration::from_secs(60),
        },
        Fallback::Value("\"5s\""),
        "How often a quiet connection is asked whether it is alive; after three without a word it is closed.",
    ),
    Key::new(
        "bus.queue_batches_max",
        Takes::Integer {
            min: 1,
            max: 65_536,
        },
        Fallback::Value("1024"),
        "Batches that may wait for a subscriber.",
    ),
    Key::new(
        "bus.queue_bytes_max",
        Takes::Size {
            min: 64 * KIB,
            max: 128 * MIB,
        },
        Fallback::Value("\"16MiB\""),
        "Bytes that the batches which wait for a subscriber may keep alive.",
    ),
    Key::new(
        "bus.bytes_max",
        Takes::Size {
            min: MIB,
            max: 4_096 * MIB,
        },
        Fallback::Value("\"128MiB\""),
        "Bytes that the batches which wait for all subscribers and slots together may keep alive, one that waits for several counted once; over that the fullest queue drops.",
    ),
    Key::new(
        "bus.ring_bytes_max",
        Takes::Size {
            min: 0,
            max: 1_024 * MIB,
        },
        Fallback::Value("\"16MiB\""),
        "Bytes that the last batches may keep alive, which a client gets that lost its connection and comes back; 0: it is only told how many rows it missed.",
    ),
    Key::new(
        "bus.ring_age_max",
        Takes::Duration {
            min: Duration::from_millis(100),
            max: Duration::from_secs(60 * 60),
        },
        Fallback::Value("\"1m\""),
        "For how long such batches are kept.",
    ),
];

/// `[bus.access.<name>]`.
pub(super) const ACCESS: &[Key] = &[
    Key::new(
        "bus.access.<name>.user",
        Takes::Text(TextRule::Account),
        Fallback::Unset {
            meaning: "the rule is for a group",
            example: "\"alice\"",
        },
        "The user that the rule is for, by name or number. A rule has either a user or a group.",
    ),
    Key::new(
        "bus.access.<name>.group",
        Takes::Text(TextRule::Account),
        Fallback::Unset {
            meaning: "the rule is for a user",
            example: "\"observers\"",
        },
        "The group that the rule is for, by name or number. A rule has either a user or a group.",
    ),
    Key::new(
        "bus.access.<name>.publish",
        Takes::List {
            of: Item::Text(TextRule::Pattern),
            items_max: PATTERNS_MAX,
        },
        Fallback::Value("[]"),
        "The topics that they may publish to, and ask requests on.",
    ),
    Key::new(
        "bus.access.<name>.subscribe",
        Takes::List {
            of: Item::Text(TextRule::Pattern),
            items_max: PATTERNS_MAX,
        },
        Fallback::Value("[]"),
        "The topics that they may subscribe to.",
    ),
];
