//! Whatever the files hold, and whatever goes while they are read: looks end, and what they tell is bounded.

use proptest::prelude::*;

use super::super::fuzzing;
use super::fixtures::{Machine, ORDINARY};

/// Bytes that look like what the kernel writes, and don't.
fn contents() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("36"),
        Just("-"),
        Just("/a\\040b"),
        Just("\\"),
        Just("\\0"),
        Just("\\777"),
        Just("rw,password=x"),
        Just("tmpfs"),
        Just("0-3,7"),
        Just("0-18446744073709551615"),
        Just("model name\t: x"),
        Just("flags\t\t: hypervisor"),
        Just("MemTotal:"),
        Just("18446744073709551615"),
        Just("ID=\"a"),
        Just("NAME='"),
        Just("btime"),
        Just("\0"),
    ];
    let lines = prop::collection::vec(prop::collection::vec(word, 0..14), 0..10);
    let worded = lines.prop_map(|lines| {
        let lines: Vec<String> = lines.into_iter().map(|words| words.join(" ")).collect();
        lines.join("\n").into_bytes()
    });
    prop_oneof![worded, prop::collection::vec(any::<u8>(), 0..400)]
}

/// What happens to a file between two looks; none: it is removed.
fn changes() -> impl Strategy<Value = Vec<(usize, Option<Vec<u8>>)>> {
    prop::collection::vec(
        (0..ORDINARY.len(), prop::option::weighted(0.7, contents())),
        0..8,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn looks_at_anything_end_and_a_second_look_finds_nothing_new(steps in prop::collection::vec(changes(), 1..4)) {
        let mut machine = Machine::new();
        machine.changes();
        for step in &steps {
            for (file, change) in step {
                let (path, _) = ORDINARY[*file];
                let is_there = machine.fake.path().join(path).symlink_metadata().is_ok();
                match change {
                    Some(bytes) => machine.fake.write(path, bytes),
                    None if is_there => machine.fake.remove(path),
                    None => {}
                }
            }
            for change in machine.changes() {
                let row = change.row(weir_bus::Timestamp(1));
                prop_assert!(row.value.len() <= 4_096 && row.item.len() <= 4_096);
            }
            prop_assert_eq!(machine.changes(), []);
        }
    }

    #[test]
    fn parsers_take_any_bytes(bytes in contents()) {
        for target in [fuzzing::mountinfo, fuzzing::cpus, fuzzing::os_release] {
            target(&bytes);
        }
    }
}
