//! Whatever the files hold, and whatever goes while they are read: looks end, and their rows are right or absent.

use proptest::prelude::*;

use super::super::fuzzing;
use super::ordinary::Machine;

/// Every file that a look reads.
const FILES: [&str; 17] = [
    "proc/stat",
    "proc/loadavg",
    "proc/uptime",
    "proc/meminfo",
    "proc/vmstat",
    "proc/diskstats",
    "proc/net/dev",
    "proc/pressure/cpu",
    "proc/pressure/memory",
    "proc/pressure/io",
    "proc/pressure/irq",
    "proc/self/stat",
    "sys/fs/cgroup/cgroup.controllers",
    "sys/fs/cgroup/a.slice/cpu.stat",
    "sys/fs/cgroup/a.slice/memory.current",
    "sys/fs/cgroup/a.slice/pids.current",
    "sys/fs/cgroup/a.slice/io.stat",
];

/// Bytes that look like what the kernel writes, and don't.
fn contents() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("cpu"),
        Just("cpu0"),
        Just("MemTotal:"),
        Just("some"),
        Just("full"),
        Just("avg10=1.5"),
        Just("avg60=100.01"),
        Just("avg300=nan"),
        Just("total=18446744073709551615"),
        Just("eth0:"),
        Just(":"),
        Just("8"),
        Just("0"),
        Just("sda"),
        Just("18446744073709551615"),
        Just("18446744073709551616"),
        Just("-1"),
        Just("pgfault"),
        Just("pgmajfault"),
        Just("user_usec"),
        Just("rbytes=1"),
        Just(") R 1"),
        Just("\0"),
        Just("kB"),
        Just("processes"),
        Just("1e308"),
        Just("\u{fffd}"),
    ];
    let lines = prop::collection::vec(prop::collection::vec(word, 0..24), 0..12);
    let worded = lines.prop_map(|lines| {
        let lines: Vec<String> = lines.into_iter().map(|words| words.join(" ")).collect();
        lines.join("\n").into_bytes()
    });
    prop_oneof![worded, prop::collection::vec(any::<u8>(), 0..512)]
}

/// What happens to a file between two looks.
#[derive(Clone, Debug)]
enum Change {
    Write(Vec<u8>),
    /// Keep so many bytes of it.
    Truncate(u64),
    Remove,
    Folder,
    Unreadable,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => contents().prop_map(Change::Write),
        2 => (0_u64..400).prop_map(Change::Truncate),
        1 => Just(Change::Remove),
        1 => Just(Change::Folder),
        1 => Just(Change::Unreadable),
    ]
}

fn apply(machine: &Machine, file: &str, change: &Change) {
    let path = machine.fake.path().join(file);
    let is_there = path.symlink_metadata().is_ok();
    if is_there && !matches!(change, Change::Truncate(_)) {
        machine.fake.remove(file);
    }
    match change {
        Change::Write(bytes) => machine.fake.write(file, bytes),
        Change::Truncate(bytes) => {
            if let Ok(opened) = std::fs::File::options().write(true).open(&path) {
                opened.set_len(*bytes).unwrap();
            }
        }
        Change::Remove => {}
        Change::Folder => std::fs::create_dir_all(&path).unwrap(),
        Change::Unreadable => {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            // A loop of links, which root can't read either.
            std::os::unix::fs::symlink(&path, &path).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn looks_at_anything_end_in_finite_rows_or_a_reason(
        changes in prop::collection::vec(prop::collection::vec((0..FILES.len(), change()), 0..6), 1..4),
    ) {
        let mut machine = Machine::new();
        machine.look();
        for step in &changes {
            for (file, change) in step {
                apply(&machine, FILES[*file], change);
            }
            machine.look();
            for row in machine.rows() {
                prop_assert!(row.value.is_finite() && row.value >= 0.0, "{row:?}");
                let is_share = row.metric.contains("pressure") || row.metric == "system.cpu.utilization";
                prop_assert!(!is_share || row.value <= 1.0, "{row:?}");
            }
        }
    }

    #[test]
    fn parsers_take_any_bytes(bytes in contents()) {
        for target in [fuzzing::proc_stat, fuzzing::diskstats, fuzzing::net_dev, fuzzing::pressure, fuzzing::named_values] {
            target(&bytes);
        }
    }
}
