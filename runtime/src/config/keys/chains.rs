//! The keys of `[chains]`, `[chain.<name>]` and its stages: what works on a request, in which order.

use super::{Fallback, Item, Key, Takes, TextRule};
use crate::chain::plan::STAGES_MAX;
use std::time::Duration;

/// `[chains]`.
pub(super) const CHAINS: &[Key] = &[
    Key::new(
        "chains.runs_max",
        Takes::Integer { min: 1, max: 1_000 },
        Fallback::Value("50"),
        "At most so many requests are worked on at a time; the others wait, the most urgent first.",
    ),
    Key::new(
        "chains.request_timeout",
        Takes::Duration {
            min: Duration::from_millis(10),
            max: Duration::from_hours(1),
        },
        Fallback::Value("\"30s\""),
        "A request that has been worked on for so long has timed out.",
    ),
    Key::new(
        "chains.ended_max",
        Takes::Integer {
            min: 0,
            max: 10_000,
        },
        Fallback::Value("200"),
        "So many of the last runs that ended are kept for the status.",
    ),
];

/// `[chain.<name>]`.
pub(super) const CHAIN: &[Key] = &[
    Key::new(
        "chain.<name>.enabled",
        Takes::Switch,
        Fallback::Value("true"),
        "false switches the chain off; slots that are named in it then take requests by themselves.",
    ),
    Key::new(
        "chain.<name>.timeout",
        Takes::Duration {
            min: Duration::from_millis(10),
            max: Duration::from_hours(1),
        },
        Fallback::SameAs("chains.request_timeout"),
        "A run of the chain that takes longer has timed out.",
    ),
];

/// `[chain.<name>.stages.<name>]`.
pub(super) const STAGES: &[Key] = &[
    Key::new(
        "chain.<name>.stages.<name>.slot",
        Takes::Text(TextRule::Name),
        Fallback::Unset {
            meaning: "the slot or source of the stage's own name",
            example: "\"lineage\"",
        },
        "The slot whose guest does the stage. A stage has either a slot or a source.",
    ),
    Key::new(
        "chain.<name>.stages.<name>.source",
        Takes::Text(TextRule::Name),
        Fallback::Unset {
            meaning: "the slot or source of the stage's own name",
            example: "\"hash\"",
        },
        "The source that does the stage: one that answers requests. A stage has either a slot or a source.",
    ),
    Key::new(
        "chain.<name>.stages.<name>.after",
        Takes::List {
            of: Item::Text(TextRule::Name),
            items_max: STAGES_MAX,
        },
        Fallback::Value("[]"),
        "The stages of the chain whose findings it is given; it begins when all of them have ended.",
    ),
    Key::new(
        "chain.<name>.stages.<name>.optional",
        Takes::Switch,
        Fallback::Value("false"),
        "Whether a failure of the stage is none of the chain's: it is skipped then, and those after it begin without its findings. If one that isn't optional fails, all after it fail, and so does the run.",
    ),
    Key::new(
        "chain.<name>.stages.<name>.timeout",
        Takes::Duration {
            min: Duration::from_millis(10),
            max: Duration::from_hours(1),
        },
        Fallback::Value("\"10s\""),
        "An attempt that takes longer, its wait in the queue of its slot included, is given up.",
    ),
    Key::new(
        "chain.<name>.stages.<name>.retries",
        Takes::Integer { min: 0, max: 10 },
        Fallback::Value("0"),
        "So many more attempts follow a first one that failed.",
    ),
    Key::new(
        "chain.<name>.stages.<name>.retry_pause",
        Takes::Duration {
            min: Duration::from_millis(1),
            max: Duration::from_secs(30),
        },
        Fallback::Value("\"100ms\""),
        "The pause before the first of them, give or take half of it; it doubles with each, up to 30s.",
    ),
];
