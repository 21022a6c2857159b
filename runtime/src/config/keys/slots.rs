//! The keys of `[slots.<name>]`: which guest runs, with what, and what it may reach.

use super::{Fallback, Item, Key, Takes, TextRule};
use super::{KIB, MIB};
use std::time::Duration;

/// What a slot's guest may import beyond its columns, by name.
pub(super) const GRANTS: &[&str] = &["log", "state", "metrics", "inspect"];

/// `[slots.<name>]`.
pub(super) const SLOTS: &[Key] = &[
    Key::new(
        "slots.<name>.module",
        Takes::Text(TextRule::Module),
        Fallback::Required {
            example: "\"builtin:NAME\"",
        },
        "The component that runs: one that the daemon brings along, or a file under sandbox.guest_folders.",
    ),
    Key::new(
        "slots.<name>.enabled",
        Takes::Switch,
        Fallback::Value("true"),
        "false switches the slot off.",
    ),
    Key::new(
        "slots.<name>.order",
        Takes::Integer {
            min: 0,
            max: 1_000_000,
        },
        Fallback::Value("100"),
        "Filters run in this order, and by name where it is the same.",
    ),
    Key::new(
        "slots.<name>.settings",
        Takes::Free,
        Fallback::Value("{}"),
        "What the guest gets as its config, as JSON; only the guest knows the keys.",
    ),
    Key::new(
        "slots.<name>.grants",
        Takes::List {
            of: Item::Choice(GRANTS),
            items_max: GRANTS.len(),
        },
        Fallback::Value("[\"log\"]"),
        "What the guest may import; what isn't granted is absent.",
    ),
    Key::new(
        "slots.<name>.on_fault",
        Takes::Choice {
            of: &["pass", "drop", "dead-letter"],
            not_in_this_build: &[],
        },
        Fallback::Value("\"pass\""),
        "What happens to rows that got no verdict: they go on, are dropped, or are dropped and kept among the dead letters.",
    ),
    Key::new(
        "slots.<name>.triggers",
        Takes::List {
            of: Item::Text(TextRule::Name),
            items_max: 64,
        },
        Fallback::Value("[]"),
        "For a stage: the trigger slots whose requests without a target it analyses by itself; an empty list means all, and none where a chain names the slot.",
    ),
    Key::new(
        "slots.<name>.sha256",
        Takes::Text(TextRule::Sha256),
        Fallback::Unset {
            meaning: "the module isn't pinned",
            example: "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"",
        },
        "The module must have this digest.",
    ),
    Key::new(
        "slots.<name>.signed_by",
        Takes::List {
            of: Item::Text(TextRule::Name),
            items_max: 16,
        },
        Fallback::Value("[]"),
        "The names in trust.keys of which one must have signed the module; an empty list means any, and that it needn't be signed unless trust.required says so.",
    ),
    Key::new(
        "slots.<name>.state",
        Takes::Choice {
            of: &["keep", "reset"],
            not_in_this_build: &[],
        },
        Fallback::Value("\"keep\""),
        "What happens when a guest that takes over can't restore what the one before has in memory: keep: it is refused; reset: it begins without.",
    ),
    Key::new(
        "slots.<name>.shadow",
        Takes::Text(TextRule::Module),
        Fallback::Unset {
            meaning: "nobody watches the guest",
            example: "\"candidate.wasm\"",
        },
        "A second module of the same world, with the same settings and grants, that sees the same batches: its verdicts are compared and go nowhere.",
    ),
    Key::new(
        "slots.<name>.queue_batches_max",
        Takes::Integer {
            min: 1,
            max: 65_536,
        },
        Fallback::SameAs("bus.queue_batches_max"),
        "Batches that may wait for the guest.",
    ),
    Key::new(
        "slots.<name>.queue_bytes_max",
        Takes::Size {
            min: 64 * KIB,
            max: 128 * MIB,
        },
        Fallback::SameAs("bus.queue_bytes_max"),
        "Bytes that the batches which wait for the guest may keep alive.",
    ),
    Key::new(
        "slots.<name>.queue_policy",
        Takes::Choice {
            of: &["drop-oldest", "drop-newest", "block"],
            not_in_this_build: &["disconnect", "latest"],
        },
        Fallback::Value("\"drop-oldest\""),
        "What happens when the queue is full. A stage's queue makes nobody wait: block is drop-newest there.",
    ),
    Key::new(
        "slots.<name>.block_deadline",
        Takes::Duration {
            min: Duration::from_millis(1),
            max: Duration::from_secs(60),
        },
        Fallback::Value("\"100ms\""),
        "With queue_policy = \"block\": a batch waits at most so long for room, then it is dropped and counted.",
    ),
];
