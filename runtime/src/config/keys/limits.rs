//! The keys of `[slots.<name>.limits]`: what a guest may use. The upper end of a range is the operator's ceiling.

use super::{Fallback, GIB, KIB, Key, MIB, Takes};
use std::time::Duration;

/// `[slots.<name>.limits]`.
pub(super) const LIMITS: &[Key] = &[
    Key::new(
        "slots.<name>.limits.fuel_call",
        Takes::Integer {
            min: 1,
            max: 1_000_000_000_000,
        },
        Fallback::Value("500000000"),
        "Fuel for a call; one unit is about one instruction.",
    ),
    Key::new(
        "slots.<name>.limits.fuel_row",
        Takes::Integer {
            min: 0,
            max: 1_000_000_000,
        },
        Fallback::Value("200000"),
        "Fuel that a call gets besides for each row of its batch.",
    ),
    Key::new(
        "slots.<name>.limits.cpu_call",
        Takes::Duration {
            min: Duration::from_millis(10),
            max: Duration::from_secs(60),
        },
        Fallback::Unset {
            meaning: "250ms for filters and triggers, 1s for stages",
            example: "\"250ms\"",
        },
        "CPU time of a call.",
    ),
    Key::new(
        "slots.<name>.limits.wall_factor",
        Takes::Integer { min: 1, max: 1_000 },
        Fallback::Value("10"),
        "A call that takes so many times its CPU limit by the clock has stalled.",
    ),
    Key::new(
        "slots.<name>.limits.cpu_share",
        Takes::Float { min: 0.0, max: 1.0 },
        Fallback::Value("0.25"),
        "The share of a core that the slot's thread may use over 10 seconds; past it, batches wait. 0 means no bound.",
    ),
    Key::new(
        "slots.<name>.limits.memory_bytes_max",
        Takes::Size {
            min: 64 * KIB,
            max: 4 * GIB,
        },
        Fallback::Value("\"64MiB\""),
        "Linear memory of the guest.",
    ),
    Key::new(
        "slots.<name>.limits.tables_max",
        Takes::Integer { min: 1, max: 128 },
        Fallback::Value("4"),
        "Tables of the guest.",
    ),
    Key::new(
        "slots.<name>.limits.table_elements_max",
        Takes::Integer {
            min: 1,
            max: 10_000_000,
        },
        Fallback::Value("20000"),
        "Elements of each table of the guest.",
    ),
    Key::new(
        "slots.<name>.limits.core_instances_max",
        Takes::Integer { min: 1, max: 128 },
        Fallback::Value("16"),
        "Core instances in the component; guests that carry an interpreter need many.",
    ),
    Key::new(
        "slots.<name>.limits.host_bytes_call_max",
        Takes::Size {
            min: KIB,
            max: 256 * MIB,
        },
        Fallback::Value("\"4MiB\""),
        "Bytes that the guest can make the host allocate in one host call.",
    ),
    Key::new(
        "slots.<name>.limits.host_bytes_batch_max",
        Takes::Size { min: KIB, max: GIB },
        Fallback::Value("\"16MiB\""),
        "Bytes that the guest can make the host allocate for one batch.",
    ),
    Key::new(
        "slots.<name>.limits.host_calls_batch_max",
        Takes::Integer {
            min: 1,
            max: 100_000_000,
        },
        Fallback::Value("20000"),
        "Host calls for one batch.",
    ),
    Key::new(
        "slots.<name>.limits.handles_max",
        Takes::Integer {
            min: 1,
            max: 1_000_000,
        },
        Fallback::Value("1024"),
        "Handles of host resources that the guest may hold at a time.",
    ),
    Key::new(
        "slots.<name>.limits.output_rows_factor",
        Takes::Integer { min: 1, max: 1_000 },
        Fallback::Value("4"),
        "A guest may answer with so many items for each row of its batch.",
    ),
    Key::new(
        "slots.<name>.limits.output_bytes_max",
        Takes::Size {
            min: KIB,
            max: 256 * MIB,
        },
        Fallback::Value("\"4MiB\""),
        "Bytes of the answers for one batch.",
    ),
    Key::new(
        "slots.<name>.limits.log_lines_per_second",
        Takes::Integer {
            min: 1,
            max: 100_000,
        },
        Fallback::Value("100"),
        "Log lines a second, in the long run; more are counted, not written.",
    ),
    Key::new(
        "slots.<name>.limits.log_burst",
        Takes::Integer {
            min: 1,
            max: 1_000_000,
        },
        Fallback::Value("500"),
        "Log lines at once.",
    ),
    Key::new(
        "slots.<name>.limits.log_line_bytes_max",
        Takes::Size {
            min: 64,
            max: 64 * KIB,
        },
        Fallback::Value("\"1KiB\""),
        "Bytes of a log line; the rest is cut off.",
    ),
    Key::new(
        "slots.<name>.limits.state_bytes_max",
        Takes::Size { min: KIB, max: GIB },
        Fallback::Value("\"1MiB\""),
        "Bytes of keys and values in the guest's state store.",
    ),
    Key::new(
        "slots.<name>.limits.state_keys_max",
        Takes::Integer {
            min: 1,
            max: 10_000_000,
        },
        Fallback::Value("4096"),
        "Keys in the guest's state store.",
    ),
    Key::new(
        "slots.<name>.limits.state_value_bytes_max",
        Takes::Size {
            min: 64,
            max: 64 * MIB,
        },
        Fallback::Value("\"64KiB\""),
        "Bytes of one value in the guest's state store.",
    ),
    Key::new(
        "slots.<name>.limits.snapshot_bytes_max",
        Takes::Size {
            min: KIB,
            max: 256 * MIB,
        },
        Fallback::Value("\"1MiB\""),
        "Bytes of a snapshot of the guest's memory.",
    ),
    Key::new(
        "slots.<name>.limits.snapshot_time_max",
        Takes::Duration {
            min: Duration::from_millis(10),
            max: Duration::from_secs(10),
        },
        Fallback::Value("\"250ms\""),
        "CPU time that taking a snapshot may need.",
    ),
    Key::new(
        "slots.<name>.limits.component_bytes_max",
        Takes::Size {
            min: KIB,
            max: 128 * MIB,
        },
        Fallback::Value("\"32MiB\""),
        "Bytes of the component.",
    ),
];
