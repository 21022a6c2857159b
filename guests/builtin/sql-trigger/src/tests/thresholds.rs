//! Thresholds: so many rows within so long, for each group.

use super::Random;
use super::batch::{Row, columns, raw, text};
use crate::columns::Cell;
use crate::conditions::Conditions;
use crate::settings::{RawCondition, RawThreshold};
use crate::threshold::{Limit, Windows};

const SECOND: i64 = 1_000_000_000;

fn limit(count: usize, window_ns: i64) -> Limit {
    Limit {
        print: 1,
        count,
        window_ns,
    }
}

/// Which of the times fire.
fn fired(count: usize, window_ns: i64, times: &[i64]) -> Vec<usize> {
    let mut windows = Windows::new(10);
    let fires = |(_, time): &(usize, &i64)| windows.count(limit(count, window_ns), b"", **time);
    times
        .iter()
        .enumerate()
        .filter(fires)
        .map(|(row, _)| row)
        .collect()
}

#[test]
fn it_fires_when_so_many_came_within_the_window_and_begins_anew() {
    assert_eq!(fired(3, 10, &[0, 5, 10]), [2]);
    assert_eq!(fired(3, 10, &[0, 5, 11]), [0; 0]);
    assert_eq!(fired(3, 10, &[0, 5, 11, 12]), [3]);
    assert_eq!(fired(3, 10, &[0, 1, 2, 3, 4, 5, 6]), [2, 5]);
    assert_eq!(fired(1, 10, &[0, 100]), [0, 1]);
    // One that comes late counts all the same.
    assert_eq!(fired(3, 10, &[5, 12, 4]), [2]);
    // A wrong clock holds it up for as many rows as it counts.
    assert_eq!(fired(3, 10, &[i64::MAX, 0, 1, 2]), [3]);
    assert_eq!(fired(2, 10, &[i64::MIN, i64::MAX]), [0; 0]);
}

#[test]
fn it_fires_as_the_naive_model_does() {
    let mut random = Random::new(5);
    for _ in 0..300 {
        let (count, window) = (
            1 + random.below(6),
            i64::try_from(random.below(50)).unwrap(),
        );
        let mut windows = Windows::new(100);
        // Each group's times since it fired last.
        let mut model: Vec<Vec<i64>> = vec![Vec::new(); 4];
        let mut time = 0;
        for _ in 0..200 {
            time += i64::try_from(random.below(12)).unwrap() - 2;
            let group = random.below(4);
            let times = &mut model[group];
            times.push(time);
            let last = &times[times.len().saturating_sub(count)..];
            let span = last.iter().max().unwrap() - last.iter().min().unwrap();
            let expected = last.len() == count && span <= window;
            if expected {
                times.clear();
            }
            let fires = windows.count(limit(count, window), &[u8::try_from(group).unwrap()], time);
            assert_eq!(fires, expected, "{count} within {window}");
        }
    }
}

#[test]
fn the_oldest_groups_are_forgotten_and_counted() {
    let mut windows = Windows::new(100);
    let two = limit(2, 1_000);
    for group in 0..150_u64 {
        assert!(!windows.count(two, &group.to_le_bytes(), 0));
    }
    assert_eq!(windows.forgotten(), 50);
    assert!(windows.count(two, &149_u64.to_le_bytes(), 1));
    assert!(!windows.count(two, &0_u64.to_le_bytes(), 1));
    // Long values take their part of the memory, too.
    let mut windows = Windows::new(100);
    for group in 0..100_u64 {
        let mut values = vec![0; 1 << 20];
        values.extend(group.to_le_bytes());
        windows.count(two, &values, 0);
    }
    assert!(windows.forgotten() >= 84, "{}", windows.forgotten());
}

fn restarts() -> RawCondition {
    RawCondition {
        message: Some(
            "{name} started again and again, by {ppid} {{{command_line}}} {cpu_usage}".to_owned(),
        ),
        threshold: Some(RawThreshold {
            count: 3,
            window_ms: 60_000,
            by: vec!["name".to_owned(), "PPID".to_owned()],
        }),
        ..raw("lifecycle = 'started'")
    }
}

fn started(name: &str, ppid: Option<i128>, second: i64) -> Row {
    vec![
        ("timestamp", Cell::Time(second * SECOND)),
        ("name", text(name)),
        ("ppid", ppid.map_or(Cell::Null, Cell::Integer)),
        ("lifecycle", text("started")),
        ("command_line", super::batch::texts(&["a", "b"])),
    ]
}

#[test]
fn rows_are_counted_by_their_columns_over_batches() {
    let conditions = Conditions::compile(&[restarts()]).unwrap();
    let of_kind = conditions.of("process").unwrap();
    let mut windows = Windows::new(100);
    let mut fired = |rows: &[Row]| {
        let columns = columns(of_kind.kind, rows);
        let (verdicts, _) = conditions.verdicts(of_kind, &columns, &mut windows);
        verdicts.firings
    };
    let first = fired(&[
        started("a", Some(1), 0),
        started("a", Some(2), 1),
        started("b", Some(1), 2),
        started("a", None, 2),
        started("a", Some(1), 30),
    ]);
    assert!(first.is_empty());
    let second = fired(&[
        started("a", None, 3),
        started("a", Some(1), 60),
        started("a", None, 4),
    ]);
    let shown: Vec<_> = second
        .iter()
        .map(|firing| (firing.row, firing.message.as_deref().unwrap()))
        .collect();
    assert_eq!(
        shown,
        [
            (1, "a started again and again, by 1 {a b} unknown"),
            (2, "a started again and again, by unknown {a b} unknown")
        ]
    );
    assert!(fired(&[started("a", Some(1), 61), started("b", Some(1), 63)]).is_empty());
}

#[test]
fn a_message_is_cut_at_a_thousand_characters() {
    let condition = RawCondition {
        message: Some("{name}".to_owned()),
        ..raw("true")
    };
    let rows = [
        vec![("name", text(&"é".repeat(2_000)))],
        vec![("name", text(&"é".repeat(1_000)))],
    ];
    let firings = super::batch::verdicts(&[condition], &rows).firings;
    let message = firings[0].message.as_deref().unwrap();
    assert_eq!(
        (message.chars().count(), message.ends_with("é…")),
        (1_000, true)
    );
    assert_eq!(
        firings[1].message.as_deref(),
        Some("é".repeat(1_000).as_str())
    );
}
