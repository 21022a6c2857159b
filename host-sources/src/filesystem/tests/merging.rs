//! Bursts become one, and nothing else is left out.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::happened::{Happened, Operation};
use super::super::merge::Merger;

const WINDOW: Duration = Duration::from_millis(100);

fn happened(operation: Operation, path: &str, pid: u32) -> Happened {
    Happened {
        operation,
        path: PathBuf::from(path),
        new_path: (operation == Operation::Rename).then(|| PathBuf::from("new")),
        pid: Some(pid),
    }
}

/// What comes of operations at so many milliseconds, and at the end.
fn merged(operations: &[(u64, Happened)]) -> Vec<Happened> {
    let start = Instant::now();
    let mut merger = Merger::new(WINDOW);
    let mut out = Vec::new();
    for (at_ms, one) in operations {
        merger.push(one.clone(), start + Duration::from_millis(*at_ms), &mut out);
    }
    merger.flush(&mut out);
    out
}

#[test]
fn a_burst_is_told_once_a_window_and_each_change_of_operation_at_once() {
    use Operation::{Create, Delete, Execute, Modify, Rename};
    let check = |operations: &[(u64, Operation, &str, u32)],
                 expected: &[(Operation, &str, u32)]| {
        let operations: Vec<_> = operations
            .iter()
            .map(|(at, operation, path, pid)| (*at, happened(*operation, path, *pid)))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(operation, path, pid)| happened(*operation, path, *pid))
            .collect();
        assert_eq!(merged(&operations), expected);
    };
    check(&[], &[]);
    check(
        &[
            (0, Modify, "a", 1),
            (50, Modify, "a", 1),
            (99, Modify, "a", 1),
        ],
        &[(Modify, "a", 1)],
    );
    check(
        &[(0, Modify, "a", 1), (100, Modify, "a", 1)],
        &[(Modify, "a", 1); 2],
    );
    check(
        &[(0, Modify, "a", 1), (1, Modify, "a", 2)],
        &[(Modify, "a", 1), (Modify, "a", 2)],
    );
    check(
        &[
            (0, Execute, "a", 1),
            (9, Execute, "a", 1),
            (120, Execute, "a", 1),
        ],
        &[(Execute, "a", 1); 2],
    );
    // Of a file that comes and goes nothing is left out.
    let life = [
        (Create, "a", 1),
        (Modify, "a", 1),
        (Delete, "a", 1),
        (Create, "a", 1),
        (Delete, "a", 1),
    ];
    check(
        &life.map(|(operation, path, pid)| (0, operation, path, pid)),
        &life,
    );
    // A modification waits for its window, and others overtake it; not on the same file.
    check(
        &[
            (0, Modify, "a", 1),
            (0, Create, "b", 1),
            (1, Modify, "new", 1),
            (2, Rename, "a", 1),
        ],
        &[
            (Create, "b", 1),
            (Modify, "a", 1),
            (Modify, "new", 1),
            (Rename, "a", 1),
        ],
    );
    // Renames are never alike: each goes elsewhere.
    check(
        &[(0, Rename, "a", 1), (0, Rename, "a", 1)],
        &[(Rename, "a", 1); 2],
    );
}

proptest! {
    #[test]
    fn nothing_is_made_up_and_no_operation_is_left_out(
        operations in proptest::collection::vec((0_u64..40, 0_usize..6, 0_usize..3, 0_u32..2), 0..60)
    ) {
        use Operation::{Access, Create, Delete, Execute, Modify, Rename};
        let kinds = [Create, Modify, Delete, Rename, Access, Execute];
        let mut at = 0;
        let operations: Vec<_> = operations
            .iter()
            .map(|(pause, kind, path, pid)| {
                at += pause;
                (at, happened(kinds[*kind], ["a", "b", "new"][*path], *pid))
            })
            .collect();
        let out = merged(&operations);
        for path in ["a", "b", "new"] {
            let of_path = |one: &&Happened| one.path.as_os_str() == path;
            let mut told: Vec<_> = out.iter().filter(of_path).collect();
            let all = operations.iter().map(|(_, one)| one);
            let mut all: Vec<_> = all.filter(of_path).collect();
            // But for repetitions, it is the same life.
            prop_assert!(told.len() <= all.len());
            told.dedup();
            all.dedup();
            prop_assert_eq!(told, all);
        }
    }
}
