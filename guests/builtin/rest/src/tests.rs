//! What rests and what goes on.

use super::*;
use crate::process::Columns;
use crate::sample::snapshot;
use weir_guest::{BoolColumn, FixedColumn, TextColumn, TextListColumn, settings};

fn rest(json: &str) -> Rest {
    Rest::new(settings(Rest::DEFAULTS, json).unwrap()).unwrap()
}

/// Which rows of each snapshot go on.
fn check(json: &str, snapshots: &[Columns], expected: &[&[usize]]) {
    let mut rest = rest(json);
    let kept: Vec<Vec<usize>> = snapshots
        .iter()
        .map(|snapshot| rest.moved(snapshot).iter().collect())
        .collect();
    assert_eq!(kept, expected);
}

#[test]
fn unchanged_rows_rest_and_new_ones_go_on() {
    check(
        "",
        &[
            snapshot(&[(1, "init"), (2, "sh")]),
            snapshot(&[(1, "init"), (2, "sh")]),
            snapshot(&[(2, "sh"), (3, "ls"), (1, "init")]),
            snapshot(&[]),
        ],
        &[&[0, 1], &[], &[1], &[]],
    );
}

#[test]
fn a_reused_pid_is_a_new_process() {
    let again = Columns {
        start_time: FixedColumn::of(&[Some(5)]),
        ..snapshot(&[(9, "sh")])
    };
    check(
        "",
        &[snapshot(&[(9, "sh")]), again.clone(), again],
        &[&[0], &[0], &[]],
    );
}

#[test]
fn any_field_that_changes_goes_on_once() {
    let of = || snapshot(&[(4, "sh")]);
    let text = || TextColumn::of(&[Some("other")]);
    let yes = || BoolColumn::of(&[Some(true)]);
    let changes = [
        Columns {
            name: text(),
            ..of()
        },
        Columns {
            executable: text(),
            ..of()
        },
        Columns {
            executable: TextColumn::of(&[None]),
            ..of()
        },
        Columns {
            executable_deleted: yes(),
            ..of()
        },
        Columns {
            command_line: TextListColumn::of(&[Some(&["s", "h"])]),
            ..of()
        },
        Columns {
            command_line: TextListColumn::of(&[Some(&[])]),
            ..of()
        },
        Columns {
            ppid: FixedColumn::of(&[Some(2)]),
            ..of()
        },
        Columns {
            ppid: FixedColumn::of(&[None]),
            ..of()
        },
        Columns {
            parent_start_time: FixedColumn::of(&[Some(2)]),
            ..of()
        },
        Columns {
            parent_name: text(),
            ..of()
        },
        Columns {
            parent_executable: text(),
            ..of()
        },
        Columns {
            user_id: FixedColumn::of(&[Some(1000)]),
            ..of()
        },
        Columns {
            cgroup: text(),
            ..of()
        },
        Columns {
            container_id: text(),
            ..of()
        },
        Columns {
            executable_hash: text(),
            ..of()
        },
        Columns {
            hash_algorithm: text(),
            ..of()
        },
        Columns {
            hash_baseline: text(),
            ..of()
        },
        Columns {
            accessible: BoolColumn::of(&[Some(false)]),
            ..of()
        },
        Columns {
            file_exists: yes(),
            ..of()
        },
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut rest = rest("");
        let counts =
            [of(), change.clone(), change, of()].map(|columns| rest.moved(&columns).count());
        assert_eq!(counts, [1, 1, 0, 1], "change {index}");
    }
}

#[test]
fn cpu_and_memory_go_on_when_they_move_by_a_step() {
    let cpu = |value| Columns {
        cpu_usage: FixedColumn::of(&[value]),
        ..snapshot(&[(4, "sh")])
    };
    check(
        r#"{"cpu_step_percent": 10}"#,
        &[
            cpu(None),
            cpu(Some(9.0)),
            cpu(Some(10.0)),
            cpu(Some(19.0)),
            cpu(None),
            cpu(Some(0.0)),
        ],
        &[&[0], &[], &[0], &[], &[], &[0]],
    );
    let memory = |value| Columns {
        memory_bytes: FixedColumn::of(&[value]),
        ..snapshot(&[(4, "sh")])
    };
    check(
        r#"{"memory_step_bytes": 100}"#,
        &[
            memory(Some(50)),
            memory(Some(149)),
            memory(Some(150)),
            memory(Some(60)),
            memory(None),
        ],
        &[&[0], &[], &[0], &[], &[]],
    );
}

#[test]
fn starts_and_exits_always_go_on_and_an_exit_is_forgotten() {
    let in_life = |lifecycle| {
        let lifecycle = TextColumn::of(&[Some(lifecycle)]);
        Columns {
            lifecycle,
            ..snapshot(&[(4, "sh")])
        }
    };
    check(
        "",
        &[
            in_life("started"),
            in_life("observed"),
            in_life("started"),
            in_life("exited"),
            in_life("exited"),
            in_life("observed"),
        ],
        &[&[0], &[], &[0], &[0], &[0], &[0]],
    );
}

#[test]
fn memory_is_bounded_and_what_is_forgotten_goes_on_again() {
    let mut rest = rest(r#"{"entries_max": 4}"#);
    for pid in 1..100 {
        assert_eq!(rest.moved(&snapshot(&[(pid, "sh")])).count(), 1);
    }
    assert_eq!(
        rest.moved(&snapshot(&[(99, "sh"), (1, "sh")]))
            .iter()
            .collect::<Vec<_>>(),
        [1]
    );
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let cases = [
        (
            r#"{"entries_max": 1}"#,
            "settings: entries_max: 1 is not within 2 to 200000",
        ),
        (
            r#"{"cpu_step_percent": 0}"#,
            "settings: cpu_step_percent: 0 is not above 0",
        ),
        (
            r#"{"memory_step_bytes": 0}"#,
            "settings: memory_step_bytes: 0 is not above 0",
        ),
    ];
    for (json, expected) in cases {
        let error = Rest::new(settings(Rest::DEFAULTS, json).unwrap()).unwrap_err();
        assert_eq!(error, expected);
    }
}

#[test]
fn the_self_test_passes_and_leaves_no_trace() {
    let mut rest = rest("");
    assert_eq!(rest.self_test(), Ok(()));
    assert_eq!(rest.moved(&snapshot(&[(1, "init")])).count(), 1);
}
