//! The keys of `[collector]`, `[sandbox]`, `[metrics]` and `[log]`: those of the daemon as a whole.

use super::{Computed, Fallback, GIB, Item, KIB, Key, MIB, Takes, TextRule};
use std::time::Duration;

/// The bytes of a batch stay well under the 8 MiB of a frame, so that every batch can leave over a socket.
const BATCH_BYTES_MAX: u64 = 4 * MIB;

/// `[collector]`.
pub(super) const COLLECTOR: &[Key] = &[
    Key::new(
        "collector.component_name",
        Takes::Text(TextRule::Name),
        Fallback::Value("\"weir\""),
        "What this daemon is called in health events and on the bus.",
    ),
    Key::new(
        "collector.event_buffer_size",
        Takes::Integer {
            min: 16,
            max: 1_000_000,
        },
        Fallback::Value("10000"),
        "Rows that may wait between a source and its batcher.",
    ),
    Key::new(
        "collector.batch_rows_max",
        Takes::Integer {
            min: 1,
            max: 100_000,
        },
        Fallback::Value("1000"),
        "A batch is closed when it has so many rows.",
    ),
    Key::new(
        "collector.batch_bytes_max",
        Takes::Size {
            min: 4 * KIB,
            max: BATCH_BYTES_MAX,
        },
        Fallback::Value("\"1MiB\""),
        "A batch is closed when it has so many bytes.",
    ),
    Key::new(
        "collector.batch_timeout",
        Takes::Duration {
            min: Duration::from_millis(1),
            max: Duration::from_secs(10),
        },
        Fallback::Value("\"20ms\""),
        "A batch is closed when its first row has waited so long.",
    ),
    Key::new(
        "collector.realtime_batch_timeout",
        Takes::Duration {
            min: Duration::from_millis(1),
            max: Duration::from_secs(1),
        },
        Fallback::Value("\"5ms\""),
        "The same for the batches of realtime sources.",
    ),
    Key::new(
        "collector.backpressure_threshold",
        Takes::Float { min: 0.1, max: 1.0 },
        Fallback::Value("0.8"),
        "The share of the event buffer above which periodic sources wait and realtime sources drop.",
    ),
    Key::new(
        "collector.backpressure_wait_max",
        Takes::Duration {
            min: Duration::from_millis(1),
            max: Duration::from_secs(60),
        },
        Fallback::Value("\"500ms\""),
        "A periodic source waits at most so long for room, then its rows are dropped and counted.",
    ),
    Key::new(
        "collector.startup_timeout",
        Takes::Duration {
            min: Duration::from_millis(100),
            max: Duration::from_mins(5),
        },
        Fallback::Value("\"10s\""),
        "A source that hasn't started after this time has failed.",
    ),
    Key::new(
        "collector.shutdown_timeout",
        Takes::Duration {
            min: Duration::from_millis(100),
            max: Duration::from_mins(5),
        },
        Fallback::Value("\"10s\""),
        "Sources, queues, guests and sinks are drained for at most this time when the daemon stops.",
    ),
    Key::new(
        "collector.health_interval",
        Takes::Duration {
            min: Duration::from_millis(100),
            max: Duration::from_hours(1),
        },
        Fallback::Value("\"5s\""),
        "How often every source and slot is asked for its health.",
    ),
    Key::new(
        "collector.sources_max",
        Takes::Integer { min: 1, max: 64 },
        Fallback::Value("16"),
        "At most so many sources.",
    ),
    Key::new(
        "collector.telemetry",
        Takes::Switch,
        Fallback::Value("true"),
        "Whether the daemon publishes its own health and statistics on the bus.",
    ),
];

/// `[sandbox]`.
pub(super) const SANDBOX: &[Key] = &[
    Key::new(
        "sandbox.guest_folders",
        Takes::List {
            of: Item::Path,
            items_max: 16,
        },
        Fallback::Computed {
            from: Computed::GuestFolders,
            example: "[\"/etc/weir/guests\"]",
        },
        "The folders that modules are opened in; a module outside of them is refused.",
    ),
    Key::new(
        "sandbox.cache_folder",
        Takes::Path,
        Fallback::Computed {
            from: Computed::CacheFolder,
            example: "\"/var/cache/weir\"",
        },
        "Where compiled guests are kept; only the daemon's user may write there.",
    ),
    Key::new(
        "sandbox.state_folder",
        Takes::Path,
        Fallback::Computed {
            from: Computed::StateFolder,
            example: "\"/var/lib/weir\"",
        },
        "Where what must survive a restart is kept.",
    ),
    Key::new(
        "sandbox.guests_memory_bytes_max",
        Takes::Size {
            min: MIB,
            max: 64 * GIB,
        },
        Fallback::Value("\"512MiB\""),
        "Memory of all guests together.",
    ),
    Key::new(
        "sandbox.compile_timeout",
        Takes::Duration {
            min: Duration::from_secs(1),
            max: Duration::from_mins(10),
        },
        Fallback::Value("\"60s\""),
        "Compiling one module may take so much CPU time, and ten times as long on a busy host.",
    ),
    Key::new(
        "sandbox.compile_memory_bytes_max",
        Takes::Size {
            min: 64 * MIB,
            max: 16 * GIB,
        },
        Fallback::Value("\"1GiB\""),
        "Compiling one module may take so much memory.",
    ),
    Key::new(
        "sandbox.slots_max",
        Takes::Integer { min: 1, max: 64 },
        Fallback::Value("64"),
        "At most so many slots; each has a thread of its own.",
    ),
];

/// `[metrics]`.
pub(super) const METRICS: &[Key] = &[
    Key::new(
        "metrics.textfile",
        Takes::Path,
        Fallback::Unset {
            meaning: "no metrics are written",
            example: "\"/var/lib/prometheus/node-exporter/weir.prom\"",
        },
        "The file that the daemon's counts are written to, in Prometheus's text format.",
    ),
    Key::new(
        "metrics.interval",
        Takes::Duration {
            min: Duration::from_secs(1),
            max: Duration::from_hours(1),
        },
        Fallback::Value("\"15s\""),
        "How often metrics.textfile is written anew.",
    ),
];

/// `[log]`.
pub(super) const LOG: &[Key] = &[
    Key::new(
        "log.level",
        Takes::Text(TextRule::LogFilter),
        Fallback::Value("\"info\""),
        "How much the daemon logs, for all of it or by target.",
    ),
    Key::new(
        "log.format",
        Takes::Choice {
            of: &["text", "json"],
            not_in_this_build: &[],
        },
        Fallback::Value("\"text\""),
        "How a line of the log looks.",
    ),
];
