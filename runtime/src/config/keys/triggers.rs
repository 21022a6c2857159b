//! The keys of `[admission]`, `[[trigger]]` and `[[exception]]`.

use super::{Fallback, Item, Key, Takes, TextRule};
use std::time::Duration;

/// The longest window: a week. Within it nobody has forgotten what a finding said.
const WINDOW_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);
/// A millisecond: shorter windows would measure the machine.
const WINDOW_MIN: Duration = Duration::from_millis(1);

const KINDS: &[&str] = &[
    "process",
    "network",
    "filesystem",
    "performance",
    "inventory",
    "trigger",
    "finding",
];

const RATE: Takes = Takes::Integer {
    min: 1,
    max: 1_000_000,
};
const WINDOW: Takes = Takes::Duration {
    min: WINDOW_MIN,
    max: WINDOW_MAX,
};
const DEDUP_WINDOW: Takes = Takes::Duration {
    min: Duration::ZERO,
    max: WINDOW_MAX,
};
const COLUMNS: Takes = Takes::List {
    of: Item::Text(TextRule::Name),
    items_max: 16,
};

/// `[rules]`.
pub(super) const RULES: &[Key] = &[Key::new(
    "rules.builtin",
    Takes::Switch,
    Fallback::Value("false"),
    "Whether the rules that come with the daemon hold, too, with the chain that answers them; `weir config` shows them. Where no config file is, they do.",
)];

/// `[admission]`.
pub(super) const ADMISSION: &[Key] = &[
    Key::new(
        "admission.rate_max",
        RATE,
        Fallback::Value("100"),
        "A trigger may have so many requests within rate_window; more are refused and counted.",
    ),
    Key::new(
        "admission.rate_window",
        WINDOW,
        Fallback::Value("\"60s\""),
        "The window of rate_max. The allowance comes back evenly over it.",
    ),
    Key::new(
        "admission.dedup_window",
        DEDUP_WINDOW,
        Fallback::Value("\"300s\""),
        "After a request the same trigger is silent about the same for so long; \"0s\" switches that off.",
    ),
    Key::new(
        "admission.dedup_entries_max",
        Takes::Integer {
            min: 1,
            max: 10_000_000,
        },
        Fallback::Value("100000"),
        "So many subjects are known again; the oldest are forgotten, and counted.",
    ),
    Key::new(
        "admission.queue_requests_max",
        Takes::Integer {
            min: 1,
            max: 100_000,
        },
        Fallback::Value("1000"),
        "So many requests may wait; when it is full all are refused.",
    ),
    Key::new(
        "admission.low_share_max",
        Takes::Float { min: 0.0, max: 1.0 },
        Fallback::Value("0.8"),
        "The share of queue_requests_max from which on requests of low priority are refused.",
    ),
    Key::new(
        "admission.depth_max",
        Takes::Integer { min: 0, max: 64 },
        Fallback::Value("5"),
        "The most requests that may come before one in its cascade, where what guests say leads to more requests.",
    ),
    Key::new(
        "admission.summary_interval",
        Takes::Duration {
            min: Duration::from_secs(1),
            max: Duration::from_secs(3_600),
        },
        Fallback::Value("\"30s\""),
        "How often what was suppressed is summed up, on control.suppressed.<trigger>.",
    ),
];

/// `[trigger.<name>]`, or `[[trigger]]` with a `name`.
pub(super) const TRIGGER: &[Key] = &[
    Key::new(
        "trigger.<name>.kind",
        Takes::Choice {
            of: KINDS,
            not_in_this_build: &[],
        },
        Fallback::Value("\"process\""),
        "The kind of events that the condition is about.",
    ),
    Key::new(
        "trigger.<name>.condition",
        Takes::Text(TextRule::Any),
        Fallback::Required {
            example: "\"executable LIKE '/tmp/%'\"",
        },
        "The condition, in SQL over the kind's columns; docs/conditions.md has the dialect.",
    ),
    Key::new(
        "trigger.<name>.enabled",
        Takes::Switch,
        Fallback::Value("true"),
        "false switches the trigger off.",
    ),
    Key::new(
        "trigger.<name>.priority",
        Takes::Choice {
            of: &["critical", "high", "normal", "low"],
            not_in_this_build: &[],
        },
        Fallback::Value("\"normal\""),
        "How urgent its requests are: more urgent ones are answered before all others, low ones are refused first.",
    ),
    Key::new(
        "trigger.<name>.target",
        Takes::Text(TextRule::NameOrNone),
        Fallback::Value("\"\""),
        "The chain, or the source of kind binary-hash or process-details, that answers; \"\": the stages that no chain has.",
    ),
    Key::new(
        "trigger.<name>.analysis",
        Takes::Text(TextRule::NameOrNone),
        Fallback::Value("\"\""),
        "What kind of answer is wanted of a source; \"\": what it gives.",
    ),
    Key::new(
        "trigger.<name>.message",
        Takes::Text(TextRule::Any),
        Fallback::Unset {
            meaning: "the finding is told by the trigger's name",
            example: "\"{name} runs {executable}\"",
        },
        "What is said of a row, with {column} for its values.",
    ),
    Key::new(
        "trigger.<name>.dedup_by",
        COLUMNS,
        Fallback::Value("[]"),
        "By which columns the same is known again; an empty list: the executable or the file's path, else the process.",
    ),
    Key::new(
        "trigger.<name>.dedup_window",
        DEDUP_WINDOW,
        Fallback::SameAs("admission.dedup_window"),
        "After a request the trigger is silent about the same for so long.",
    ),
    Key::new(
        "trigger.<name>.rate_max",
        RATE,
        Fallback::SameAs("admission.rate_max"),
        "It may have so many requests within rate_window.",
    ),
    Key::new(
        "trigger.<name>.rate_window",
        WINDOW,
        Fallback::SameAs("admission.rate_window"),
        "The window of rate_max.",
    ),
    Key::new(
        "trigger.<name>.threshold.count",
        Takes::Integer {
            min: 1,
            max: 10_000,
        },
        Fallback::Value("1"),
        "It fires only where so many rows come within threshold.window.",
    ),
    Key::new(
        "trigger.<name>.threshold.window",
        WINDOW,
        Fallback::Value("\"60s\""),
        "The window of threshold.count, by the events' own time.",
    ),
    Key::new(
        "trigger.<name>.threshold.by",
        COLUMNS,
        Fallback::Value("[]"),
        "The rows that count together have the same values in these columns.",
    ),
];

/// `[exception.<name>]`, or `[[exception]]`.
pub(super) const EXCEPTION: &[Key] = &[
    Key::new(
        "exception.<name>.trigger",
        Takes::Text(TextRule::Name),
        Fallback::Required {
            example: "\"temporary-executable\"",
        },
        "The trigger that is silent.",
    ),
    Key::new(
        "exception.<name>.column",
        Takes::Text(TextRule::Name),
        Fallback::Required {
            example: "\"executable\"",
        },
        "The column that tells the known good one.",
    ),
    Key::new(
        "exception.<name>.value",
        Takes::Text(TextRule::Any),
        Fallback::Required {
            example: "\"/tmp/installer\"",
        },
        "The value that it has there, as a text, whole.",
    ),
    Key::new(
        "exception.<name>.enabled",
        Takes::Switch,
        Fallback::Value("true"),
        "false lets it fire again.",
    ),
];
