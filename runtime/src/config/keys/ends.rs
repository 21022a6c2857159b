//! The keys of `[sources.<name>]` and `[sinks.<name>]`: the two ends of an event's way.

use super::{Fallback, GIB, Item, KIB, Key, Takes, TextRule};
use std::time::Duration;
use weir_sources::schedule::COST_SHARE_MIN;
use weir_sources::triggerable::{ANSWER_TIME_CEILING, FILE_BYTES_CEILING};

/// Folders that a source of files watches, and patterns of one of its lists: what the source itself takes.
const FOLDERS_MAX: usize = 64;
const PATTERNS_MAX: usize = 256;

/// The kinds of sources that answer requests.
pub(crate) const TRIGGERABLE: [&str; 2] = ["binary-hash", "process-details"];

/// `[sources.<name>]`.
pub(super) const SOURCES: &[Key] = &[
    Key::new(
        "sources.<name>.kind",
        Takes::Choice {
            of: &[
                "process",
                "network",
                "filesystem",
                "performance",
                "inventory",
                "binary-hash",
                "process-details",
                "replay",
            ],
            not_in_this_build: &[],
        },
        Fallback::Required {
            example: "\"process\"",
        },
        "process: the processes of this machine; network: its sockets; filesystem: what happens to files; performance: its load; inventory: what it consists of; binary-hash and process-details: answers about a file or process, when a trigger or a stage asks; replay: a recording.",
    ),
    Key::new(
        "sources.<name>.enabled",
        Takes::Switch,
        Fallback::Value("true"),
        "false switches the source off.",
    ),
    Key::new(
        "sources.<name>.interval",
        Takes::DurationOrOff {
            min: Duration::from_millis(10),
            max: Duration::from_hours(1),
        },
        Fallback::OfKind(&[
            ("process", "\"1s\""),
            ("network", "\"1s\""),
            ("performance", "\"10s\""),
            ("inventory", "\"5m\""),
        ]),
        "How often the source looks by itself. Who asks for its tables more often has it look more often; \"off\": it looks only while somebody asks.",
    )
    .only_for(&["process", "network", "performance", "inventory"]),
    Key::new(
        "sources.<name>.cost_share",
        Takes::Float {
            min: COST_SHARE_MIN,
            max: 1.0,
        },
        Fallback::Value("0.01"),
        "The share of a core that the source's looks may cost; what costs more looks more seldom, whoever asks, and says so.",
    )
    .only_for(&["process", "network", "performance", "inventory"]),
    Key::new(
        "sources.<name>.events",
        Takes::Switch,
        Fallback::Value("true"),
        "Whether forks, execs and exits are told as they happen, by a source beside it that is called NAME-events. It counts as a source of its own; where the host can't tell them it is left out, with the reason.",
    )
    .only_for(&["process"]),
    Key::new(
        "sources.<name>.hashes",
        Takes::Switch,
        Fallback::Value("true"),
        "Whether rows have the SHA-256 of their executable, and the one first seen at its path. Each file is read once, at the lowest priority; until then there is none.",
    )
    .only_for(&["process"]),
    Key::new(
        "sources.<name>.folders",
        Takes::List {
            of: Item::Path,
            items_max: FOLDERS_MAX,
        },
        Fallback::Required {
            example: "[\"/etc\", \"/usr/bin\"]",
        },
        "The folders that are watched, each with all that is below it. No links: the paths that the kernel knows.",
    )
    .only_for(&["filesystem"]),
    Key::new(
        "sources.<name>.include",
        Takes::List {
            of: Item::Text(TextRule::PathPattern),
            items_max: PATTERNS_MAX,
        },
        Fallback::Value("[]"),
        "Only what one of these matches is told, and what is below it; none: everything. `*` stands for anything but `/`, `**` for any folders.",
    )
    .only_for(&["filesystem"]),
    Key::new(
        "sources.<name>.exclude",
        Takes::List {
            of: Item::Text(TextRule::PathPattern),
            items_max: PATTERNS_MAX,
        },
        Fallback::Value("[]"),
        "What one of these matches isn't told, nor what is below it.",
    )
    .only_for(&["filesystem"]),
    Key::new(
        "sources.<name>.merge_window",
        Takes::Duration {
            min: Duration::ZERO,
            max: Duration::from_mins(1),
        },
        Fallback::Value("\"100ms\""),
        "Within it the same operation on the same file by the same process is told once; \"0ms\": each is told.",
    )
    .only_for(&["filesystem"]),
    Key::new(
        "sources.<name>.access",
        Takes::Switch,
        Fallback::Value("false"),
        "Whether reads are told, too: many, on most hosts.",
    )
    .only_for(&["filesystem"]),
    Key::new(
        "sources.<name>.method",
        Takes::Choice {
            of: &["best", "inotify"],
            not_in_this_build: &[],
        },
        Fallback::Value("\"best\""),
        "best: fanotify, with pids and executions, and inotify where that can't be; inotify: that alone.",
    )
    .only_for(&["filesystem"]),
    Key::new(
        "sources.<name>.path",
        Takes::Path,
        Fallback::Required {
            example: "\"/var/lib/weir/events.arrow\"",
        },
        "The recording to play.",
    )
    .only_for(&["replay"]),
    Key::new(
        "sources.<name>.pace",
        Takes::Choice {
            of: &["fast", "recorded"],
            not_in_this_build: &[],
        },
        Fallback::Value("\"fast\""),
        "fast: as fast as it goes; recorded: with the pauses of the recording.",
    )
    .only_for(&["replay"]),
    Key::new(
        "sources.<name>.roots",
        Takes::List {
            of: Item::Path,
            items_max: 64,
        },
        Fallback::Value("[\"/\"]"),
        "The folders under which files may be read; no link leads out of them. What the kernel makes up (/proc, /sys) and devices are never read.",
    )
    .only_for(&["binary-hash"]),
    Key::new(
        "sources.<name>.file_bytes_max",
        Takes::Size {
            min: KIB,
            max: FILE_BYTES_CEILING,
        },
        Fallback::Value("\"512MiB\""),
        "A larger file has no digest.",
    )
    .only_for(&["binary-hash"]),
    Key::new(
        "sources.<name>.timeout",
        Takes::Duration {
            min: Duration::from_millis(10),
            max: ANSWER_TIME_CEILING,
        },
        Fallback::Value("\"10s\""),
        "An answer takes at most so long.",
    )
    .only_for(&["binary-hash", "process-details"]),
];

/// `[sinks.<name>]`.
pub(super) const SINKS: &[Key] = &[
    Key::new(
        "sinks.<name>.kind",
        Takes::Choice {
            of: &["terminal", "json", "recording"],
            not_in_this_build: &[],
        },
        Fallback::Required {
            example: "\"terminal\"",
        },
        "terminal: for people; json: a line an event; recording: Arrow IPC files.",
    ),
    Key::new(
        "sinks.<name>.enabled",
        Takes::Switch,
        Fallback::Value("true"),
        "false switches the sink off.",
    ),
    Key::new(
        "sinks.<name>.patterns",
        Takes::List {
            of: Item::Text(TextRule::Pattern),
            items_max: 256,
        },
        Fallback::Value("[\"findings.>\"]"),
        "The topics that go to the sink.",
    ),
    Key::new(
        "sinks.<name>.path",
        Takes::Path,
        Fallback::Unset {
            meaning: "a json sink writes to stdout; a recording must have a path",
            example: "\"/var/log/weir/findings.json\"",
        },
        "The file to write.",
    )
    .only_for(&["json", "recording"]),
    Key::new(
        "sinks.<name>.rotate_bytes_max",
        Takes::Size {
            min: 64 * KIB,
            max: 64 * GIB,
        },
        Fallback::Value("\"64MiB\""),
        "A new file is begun when the file has so many bytes.",
    )
    .only_for(&["json", "recording"]),
    Key::new(
        "sinks.<name>.rotate_files_max",
        Takes::Integer { min: 1, max: 1_000 },
        Fallback::Value("8"),
        "So many files are kept, then the oldest is removed.",
    )
    .only_for(&["json", "recording"]),
];
