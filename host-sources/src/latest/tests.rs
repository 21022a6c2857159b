//! Promises of the latest table: who is in it, for how long, and its bounds.

use weir_bus::{BatchHeader, CollectionEvent, Topic};

use super::*;

/// pid, start time, lifecycle.
type Row = (u32, i64, &'static str);

fn batch(source: &str, snapshot: Option<(u64, bool)>, rows: &[Row]) -> Batch {
    let events: Vec<CollectionEvent> = rows
        .iter()
        .map(|&(pid, start, lifecycle)| {
            CollectionEvent::Process(ProcessEvent {
                pid,
                start_time: Timestamp(start),
                name: format!("{source}-{pid}"),
                lifecycle: lifecycle.to_owned(),
                ..ProcessEvent::default()
            })
        })
        .collect();
    let topic = Topic::parse("events.process.observed").unwrap();
    let batch = Batch::of_events(topic, source, 0, &events).unwrap();
    let header = BatchHeader {
        snapshot: snapshot.map(|(id, last)| Snapshot { id, last }),
        ..batch.header().clone()
    };
    Batch::new(header, batch.records().columns().to_vec()).unwrap()
}

const SEEN: &str = "observed";
const GONE: &str = "exited";

/// Feeds batches, and compares who is known afterwards.
fn check(batches: &[Batch], expected: &[(u32, i64)]) {
    let table = ProcessTable::default();
    for batch in batches {
        table.update(batch);
    }
    for pid in 0..10 {
        for start in 0..10 {
            let found = table.get(pid, Timestamp(start)).is_some();
            let wanted = expected.contains(&(pid, start));
            assert_eq!(found, wanted, "({pid}, {start})");
        }
    }
    assert_eq!(table.statistics().entries, expected.len());
    assert_eq!(table.statistics().rows_lost, 0);
}

#[test]
fn what_a_complete_snapshot_does_not_show_is_gone() {
    let first = batch("a", Some((1, true)), &[(1, 0, SEEN), (2, 0, SEEN)]);
    check(std::slice::from_ref(&first), &[(1, 0), (2, 0)]);
    let half = batch("a", Some((2, false)), &[(3, 0, SEEN)]);
    let before_its_end = [first.clone(), half.clone()];
    check(&before_its_end, &[(1, 0), (2, 0), (3, 0)]);
    let end = batch("a", Some((2, true)), &[(2, 0, SEEN)]);
    check(&[first.clone(), half.clone(), end], &[(2, 0), (3, 0)]);
    let empty_end = batch("a", Some((2, true)), &[]);
    check(&[first.clone(), half, empty_end], &[(3, 0)]);
    let of_another = batch("b", Some((1, true)), &[(4, 0, SEEN)]);
    check(&[first, of_another], &[(1, 0), (2, 0), (4, 0)]);
}

#[test]
fn who_exited_stays_for_one_more_snapshot() {
    let first = batch("a", Some((1, true)), &[(1, 0, SEEN), (2, 0, SEEN)]);
    let exit = batch("a", Some((2, true)), &[(1, 0, GONE), (2, 0, SEEN)]);
    let then = batch("a", Some((3, true)), &[(2, 0, SEEN)]);
    check(&[first.clone(), exit.clone()], &[(1, 0), (2, 0)]);
    check(&[first.clone(), exit, then.clone()], &[(2, 0)]);
    // Outside of a snapshot as well.
    let exit = batch("events", None, &[(1, 0, GONE)]);
    let second = batch("a", Some((2, true)), &[(2, 0, SEEN)]);
    check(
        &[first.clone(), exit.clone(), second.clone()],
        &[(1, 0), (2, 0)],
    );
    check(&[first, exit, second, then], &[(2, 0)]);
}

#[test]
fn what_was_only_seen_outside_of_snapshots_stays_until_one_misses_it() {
    let live = batch("events", None, &[(5, 0, "started")]);
    let missing = batch("a", Some((1, true)), &[(1, 0, SEEN)]);
    check(&[live.clone(), missing.clone()], &[(1, 0)]);
    // It came after the snapshot had begun, which may have looked before.
    let begun = batch("a", Some((1, false)), &[(2, 0, SEEN)]);
    check(&[begun, live, missing], &[(1, 0), (2, 0), (5, 0)]);
}

#[test]
fn a_pid_that_is_used_again_names_two_processes() {
    let table = ProcessTable::default();
    table.update(&batch("a", Some((1, true)), &[(1, 3, SEEN)]));
    let reused = [(1, 3, GONE), (1, 7, "started")];
    table.update(&batch("a", Some((2, true)), &reused));
    let lifecycle = |start| table.get(1, Timestamp(start)).map(|row| row.lifecycle);
    assert_eq!(lifecycle(3).as_deref(), Some(GONE));
    assert_eq!(lifecycle(7).as_deref(), Some("started"));
    assert_eq!(
        table.by_pid(1).map(|row| row.start_time),
        Some(Timestamp(7))
    );
    assert_eq!(table.by_pid(2), None);
}

#[test]
fn entries_and_bytes_are_bounded_and_what_finds_no_room_is_counted() {
    let table = ProcessTable::new(2, usize::MAX);
    table.update(&batch(
        "a",
        None,
        &[(1, 0, SEEN), (2, 0, SEEN), (3, 0, SEEN)],
    ));
    // The known ones still find their place.
    table.update(&batch("a", None, &[(2, 0, SEEN), (4, 0, SEEN)]));
    let statistics = table.statistics();
    assert_eq!((statistics.entries, statistics.rows_lost), (2, 2));

    let one = batch("a", None, &[(1, 0, SEEN)]);
    let table = ProcessTable::new(usize::MAX, one.bytes() * 2);
    for pid in 1..=3 {
        table.update(&batch("a", None, &[(pid, 0, SEEN)]));
    }
    let statistics = table.statistics();
    assert_eq!((statistics.entries, statistics.rows_lost), (2, 1));
    assert!(statistics.bytes <= one.bytes() * 2);
}

#[test]
fn a_batch_is_kept_only_while_it_holds_a_latest_row() {
    let table = ProcessTable::default();
    for id in 1..100 {
        let rows = [(1, 0, SEEN), (2, i64::try_from(id).unwrap(), SEEN)];
        table.update(&batch("a", Some((id, true)), &rows));
    }
    let last = batch("a", Some((100, true)), &[(1, 0, SEEN)]);
    table.update(&last);
    assert_eq!(table.statistics().bytes, last.bytes());
    assert_eq!(table.statistics().entries, 1);
}

#[test]
fn exits_without_snapshots_do_not_pile_up() {
    let table = ProcessTable::default();
    for pid in 0..u32::try_from(EXITED_MAX).unwrap() * 2 {
        table.update(&batch("events", None, &[(pid, 0, GONE)]));
    }
    assert_eq!(table.statistics().entries, EXITED_MAX);
    assert_eq!(table.statistics().rows_lost, 0);
}
