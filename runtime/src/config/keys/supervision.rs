//! The keys of `[supervision]`, `[swap]` and `[dead_letters]`: what becomes of guests that break, how they change
//! places, and what becomes of the rows that break them.

use super::{Fallback, GIB, KIB, Key, Takes};
use std::time::Duration;

/// `[supervision]`.
pub(super) const SUPERVISION: &[Key] = &[
    Key::new(
        "supervision.restart_pause_min",
        Takes::Duration {
            min: Duration::from_millis(1),
            max: Duration::from_mins(10),
        },
        Fallback::Value("\"100ms\""),
        "A guest that broke on two batches in a row, and answered nothing of them, is called again after this time; it doubles with each further one.",
    ),
    Key::new(
        "supervision.restart_pause_max",
        Takes::Duration {
            min: Duration::from_millis(1),
            max: Duration::from_hours(1),
        },
        Fallback::Value("\"30s\""),
        "It doubles up to this, and is never less than the first.",
    ),
    Key::new(
        "supervision.healthy_after",
        Takes::Duration {
            min: Duration::from_millis(100),
            max: Duration::from_hours(24),
        },
        Fallback::Value("\"60s\""),
        "A guest that has not broken for so long is taken for healthy: what was counted against it is forgotten.",
    ),
    Key::new(
        "supervision.quarantine_faults",
        Takes::Integer {
            min: 1,
            max: 10_000,
        },
        Fallback::Value("5"),
        "So many batches that broke the guest within supervision.quarantine_window put its module in quarantine.",
    ),
    Key::new(
        "supervision.quarantine_window",
        Takes::Duration {
            min: Duration::from_millis(100),
            max: Duration::from_hours(1),
        },
        Fallback::Value("\"60s\""),
        "The time within which these batches count.",
    ),
    Key::new(
        "supervision.quarantine_pause_min",
        Takes::Duration {
            min: Duration::from_millis(10),
            max: Duration::from_hours(24),
        },
        Fallback::Value("\"30s\""),
        "A module in quarantine is tried with one batch after this time; it doubles with each batch that breaks it.",
    ),
    Key::new(
        "supervision.quarantine_pause_max",
        Takes::Duration {
            min: Duration::from_millis(10),
            max: Duration::from_hours(24),
        },
        Fallback::Value("\"1h\""),
        "It doubles up to this, and is never less than the first.",
    ),
    Key::new(
        "supervision.quarantine_answers",
        Takes::Integer { min: 1, max: 1_000 },
        Fallback::Value("3"),
        "So many batches answered in a row end a quarantine.",
    ),
    Key::new(
        "supervision.memory_share_max",
        Takes::Float { min: 0.1, max: 1.0 },
        Fallback::Value("0.8"),
        "A guest whose memory is past this share of limits.memory_bytes_max gets a fresh instance between two batches; 1 switches that off.",
    ),
];

/// `[swap]`.
pub(super) const SWAP: &[Key] = &[
    Key::new(
        "swap.probation_batches",
        Takes::Integer {
            min: 1,
            max: 1_000_000,
        },
        Fallback::Value("1000"),
        "A guest that took over is confirmed after so many batches; until then the one before comes back by itself where it breaks.",
    ),
    Key::new(
        "swap.probation_time",
        Takes::Duration {
            min: Duration::from_millis(10),
            max: Duration::from_hours(24),
        },
        Fallback::Value("\"60s\""),
        "Or after this time, if it has answered at all.",
    ),
    Key::new(
        "swap.fuel_factor_max",
        Takes::Float {
            min: 1.0,
            max: 1_000_000.0,
        },
        Fallback::Value("4.0"),
        "The one before comes back if a row costs the new one more than so many times the fuel.",
    ),
    Key::new(
        "swap.share_difference_max",
        Takes::Float { min: 0.0, max: 1.0 },
        Fallback::Value("0.5"),
        "The one before comes back if the share of rows that the new one selects is further off than this; 0.5 are 50 points.",
    ),
    Key::new(
        "swap.replay_batches",
        Takes::Integer { min: 0, max: 64 },
        Fallback::Value("8"),
        "So many of the slot's last batches are shown to the old and the new guest before they change places, and how their verdicts differ is told; 0: none.",
    ),
    Key::new(
        "swap.max_difference",
        Takes::Float { min: 0.0, max: 1.0 },
        Fallback::Value("1.0"),
        "A guest whose verdicts on these batches differ on a larger share of the rows is refused; 1 allows any, as new rules are meant to differ.",
    ),
];

/// `[dead_letters]`.
pub(super) const DEAD_LETTERS: &[Key] = &[
    Key::new(
        "dead_letters.path",
        Takes::Path,
        Fallback::Unset {
            meaning: "dead-letters.jsonl in sandbox.state_folder",
            example: "\"/var/log/weir/dead-letters.jsonl\"",
        },
        "The file that rows which break a guest are written to, with the fault, as lines of JSON.",
    ),
    Key::new(
        "dead_letters.rotate_bytes_max",
        Takes::Size {
            min: 64 * KIB,
            max: 64 * GIB,
        },
        Fallback::Value("\"16MiB\""),
        "A new file is begun when the file has so many bytes.",
    ),
    Key::new(
        "dead_letters.rotate_files_max",
        Takes::Integer { min: 1, max: 1_000 },
        Fallback::Value("4"),
        "So many files are kept, the current one included.",
    ),
];
