//! Promises of batches: exact schemas, selections, crossing bytes, the batcher's bounds and counts.

use std::time::Duration;

use super::*;
use crate::event::{PerformanceEvent, ProcessColumns, ProcessEvent};
use crate::{DropReason, EventRow};

fn process(pid: u32) -> ProcessEvent {
    ProcessEvent {
        timestamp: Timestamp(i64::from(pid)),
        pid,
        name: format!("näme-{pid}"),
        executable: pid.is_multiple_of(2).then(|| format!("/bin/{pid}")),
        command_line: (0..pid % 3).map(|at| format!("argument {at}")).collect(),
        cpu_usage: Some(0.5),
        lifecycle: "observed".to_owned(),
        ..ProcessEvent::default()
    }
}

fn batch_of(rows: u32) -> Batch {
    let events: Vec<CollectionEvent> = (0..rows).map(|pid| process(pid).into()).collect();
    let topic = crate::topic::of_event(Kind::Process, "observed");
    Batch::of_events(topic, "test", 0, &events).unwrap()
}

fn pids(batch: &Batch) -> Vec<u32> {
    let columns = ProcessColumns::of(batch).unwrap();
    (0..batch.rows())
        .map(|row| columns.row(row).unwrap().pid())
        .collect()
}

#[test]
fn rows_become_columns_and_rows_again() {
    let batch = batch_of(10);
    for pid in 0..10_u32 {
        let row = batch.row(pid as usize).unwrap();
        assert_eq!(row, process(pid).into());
    }
    assert_eq!(batch.row(10), None);
}

#[test]
fn every_kind_has_a_schema_builder_and_row() {
    for kind in Kind::ALL {
        let json = format!("{{\"kind\":\"{kind}\"}}");
        let event: CollectionEvent = serde_json::from_str(&json).unwrap();
        let topic = crate::topic::of_event(kind, "observed");
        let batch = Batch::of_events(topic, "s", 7, std::slice::from_ref(&event)).unwrap();
        assert_eq!(batch.kind(), kind);
        assert_eq!(batch.records().schema(), kind.schema());
        assert_eq!(batch.row(0), Some(event));
        assert_eq!(kind.as_str().parse::<Kind>(), Ok(kind));
    }
}

#[test]
fn a_selection_keeps_just_its_rows() {
    let table: [(Selection, &[u32]); 7] = [
        (Selection::All, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (Selection::None, &[]),
        (Selection::Rows(vec![]), &[]),
        (Selection::Rows(vec![1, 9]), &[1, 9]),
        (Selection::Mask(vec![0b0000_0101, 0b0000_0010]), &[0, 2, 9]),
        // Bits past the last row mean nothing.
        (Selection::Mask(vec![0b0000_0001, 0b1111_1100]), &[0]),
        (
            Selection::Mask(vec![0xff, 0xff]),
            &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        ),
    ];
    let batch = batch_of(10);
    for (selection, expected) in table {
        let kept = batch.select(&selection).unwrap();
        assert_eq!(pids(&kept), expected, "{selection:?}");
        let first = expected.first().map_or(0, |&pid| u64::from(pid));
        assert_eq!(kept.header().first_sequence, first);
    }
}

#[test]
fn a_selection_that_does_not_fit_is_refused_with_its_value_and_limit() {
    let table = [
        (Selection::Rows(vec![10]), "row 10 of a batch of 10"),
        (
            Selection::Rows(vec![u32::MAX]),
            "row 4294967295 of a batch of 10",
        ),
        (Selection::Rows(vec![3, 3]), "row 3 after row 3"),
        (Selection::Rows(vec![3, 2]), "row 2 after row 3"),
        (
            Selection::Mask(vec![1]),
            "a mask of 1 bytes for 10 rows: it must have 2",
        ),
        (Selection::Mask(vec![0; 3]), "a mask of 3 bytes"),
    ];
    for (selection, message) in table {
        let error = batch_of(10).select(&selection).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn columns_cross_from_row_zero_whatever_was_selected() {
    let batch = batch_of(10).select(&Selection::Rows(vec![3, 4])).unwrap();
    let index = Kind::Process.field_index("pid").unwrap();
    let bytes = batch.column_bytes(index).unwrap();
    assert_eq!(&bytes.values[..], [3, 0, 0, 0, 4, 0, 0, 0]);
    let index = Kind::Process.field_index("executable").unwrap();
    let bytes = batch.column_bytes(index).unwrap();
    assert_eq!(bytes.validity[0] & 0b11, 0b10);
    assert_eq!(&bytes.values[..], b"/bin/4");
    assert_eq!(&bytes.offsets[..], [0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0]);
}

#[test]
fn columns_of_another_kind_are_no_batch() {
    let header = batch_of(1).header().clone();
    let columns = EventBuilder::new(Kind::Network, 0).finish("x");
    let error = Batch::new(header.clone(), columns).unwrap_err().to_string();
    assert!(error.contains("columns, not"), "{error}");
    let mut columns = EventBuilder::new(Kind::Process, 0).finish("x");
    columns.swap(3, 4);
    let error = Batch::new(header, columns).unwrap_err().to_string();
    assert!(error.contains("column `pid` of process events"), "{error}");
}

#[test]
fn a_recording_gives_back_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("process.arrow");
    let mut writer = RecordingWriter::create(&path, Kind::Process).unwrap();
    let batches = [batch_of(10), batch_of(3)];
    for batch in &batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();
    let read: Vec<Batch> = Recording::open(&path)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(read.len(), batches.len());
    for (read, written) in read.iter().zip(&batches) {
        assert_eq!(read.header(), written.header());
        assert_eq!(read.records(), written.records());
    }
    std::fs::write(&path, b"no recording").unwrap();
    let error = Recording::open(&path).err().unwrap().to_string();
    assert!(error.contains("Arrow IPC"), "{error}");
}

fn batcher(pace: Pace, rows_max: usize, buffer: usize) -> Batcher {
    let limits = BatcherLimits {
        batch_rows_max: rows_max,
        event_buffer_rows_max: buffer,
        backpressure_threshold: 0.5,
        ..BatcherLimits::default()
    };
    Batcher::new("test", pace, limits)
}

#[tokio::test(start_paused = true)]
async fn a_batch_closes_on_rows_and_on_age_and_on_flush() {
    let batcher = batcher(Pace::Periodic, 2, 100);
    for pid in 0..5 {
        assert_eq!(batcher.append(&process(pid)), Emit::Accepted);
    }
    assert_eq!(pids(&batcher.next().await.unwrap()), [0, 1]);
    assert_eq!(pids(&batcher.next().await.unwrap()), [2, 3]);
    batcher.flush();
    assert_eq!(pids(&batcher.next().await.unwrap()), [4]);
    batcher.close();
    assert!(batcher.next().await.is_none());
    assert_eq!(batcher.append(&process(9)), Emit::Closed);
}

#[tokio::test]
async fn a_batch_that_grows_old_closes_by_itself() {
    let limits = BatcherLimits {
        batch_age_max: Duration::from_millis(1),
        ..BatcherLimits::default()
    };
    let batcher = Batcher::new("test", Pace::Periodic, limits);
    batcher.append(&process(1));
    assert_eq!(pids(&batcher.next().await.unwrap()), [1]);
}

#[tokio::test]
async fn every_row_is_counted_once_whatever_becomes_of_it() {
    // (pace, rows, taken): a periodic source may fill the buffer, a realtime one half of it.
    let table = [(Pace::Periodic, 30_u64, 20_u64), (Pace::Realtime, 30, 10)];
    for (pace, rows, taken) in table {
        let batcher = batcher(pace, 4, 20);
        for pid in 0..30 {
            batcher.append(&process(pid));
            assert!(batcher.counts().balances());
        }
        let counts = batcher.counts();
        assert_eq!(
            (counts.produced, counts.in_flight()),
            (rows, taken),
            "{pace:?}"
        );
        assert_eq!(counts.dropped.total().rows, rows - taken);
        let batch = batcher.next().await.unwrap();
        assert_eq!(batcher.counts().in_filters, 4);
        let mut settlement = Settlement {
            published: 1,
            removed: 2,
            ..Settlement::default()
        };
        settlement.dropped.add(
            DropReason::Fault,
            crate::Count {
                rows: 1,
                batches: 0,
            },
        );
        assert_eq!(settlement.rows(), batch.rows() as u64);
        batcher.settle(&settlement);
        let counts = batcher.counts();
        assert!(counts.balances(), "{counts:?}");
        assert_eq!(
            (counts.published, counts.removed, counts.in_filters),
            (1, 2, 0)
        );
    }
}

#[tokio::test]
async fn a_snapshot_always_has_a_last_batch() {
    let batcher = batcher(Pace::Periodic, 2, 100);
    batcher.begin_snapshot(7);
    for pid in 0..4 {
        batcher.append(&process(pid));
    }
    let first = batcher.next().await.unwrap();
    assert_eq!(
        first.header().snapshot,
        Some(Snapshot { id: 7, last: false })
    );
    batcher.end_snapshot();
    let second = batcher.next().await.unwrap();
    assert_eq!(
        second.header().snapshot,
        Some(Snapshot { id: 7, last: true })
    );
    // All batches taken before the end: an empty one closes it.
    batcher.begin_snapshot(8);
    batcher.append(&process(1));
    batcher.append(&process(2));
    batcher.next().await.unwrap();
    batcher.end_snapshot();
    let last = batcher.next().await.unwrap();
    assert_eq!(last.header().snapshot, Some(Snapshot { id: 8, last: true }));
    assert_eq!(last.rows(), 0);
}

#[tokio::test]
async fn who_waits_for_room_gets_it_when_batches_are_taken() {
    let batcher = batcher(Pace::Periodic, 4, 8);
    let rows: Vec<ProcessEvent> = (0..8).map(process).collect();
    assert_eq!(batcher.append_all(&rows), Emit::Wait);
    let (_, ()) = tokio::join!(
        async {
            batcher.next().await.unwrap();
            batcher.next().await.unwrap();
        },
        batcher.room()
    );
    assert_eq!(batcher.counts().in_channel, 0);
}

#[test]
fn a_source_that_invents_topics_makes_small_batches_and_no_more() {
    let batcher = batcher(Pace::Realtime, 100, 10_000);
    for pid in 0..100 {
        let mut row = process(pid);
        row.lifecycle = format!("topic-{pid}");
        assert_eq!(row.topic_leaf(), row.lifecycle);
        batcher.append(&row);
    }
    let counts = batcher.counts();
    assert!(counts.in_batcher <= 16, "{counts:?}");
    assert!(counts.balances());
}

#[test]
fn measurements_of_a_subject_share_a_topic() {
    let check = |metric: &str, leaf: &str| {
        let row = PerformanceEvent {
            metric: metric.to_owned(),
            ..PerformanceEvent::default()
        };
        assert_eq!(row.topic_leaf(), leaf);
    };
    check("system.cpu.utilization", "cpu");
    check("system.memory.linux.available", "memory");
    check("process.cpu.utilization", "process");
    check("cgroup.io", "cgroup");
    check("load", "load");
    check("", "");
    check("system.", "");
}

#[tokio::test]
async fn what_a_source_lost_stands_in_its_place_in_the_stream() {
    let batcher = batcher(Pace::Realtime, 100, 1_000);
    batcher.append(&process(1));
    batcher.lost(Kind::Process, None, DropReason::Overflow);
    batcher.append(&process(2));
    batcher.lost(Kind::Process, Some(5), DropReason::Overflow);
    // At the same place it is one loss.
    batcher.lost(Kind::Process, Some(2), DropReason::Overflow);
    batcher.flush();
    let mut stream = Vec::new();
    for _ in 0..4 {
        let batch = batcher.next().await.unwrap();
        let losses = batcher.take_losses();
        let lost: Vec<_> = losses.iter().map(|loss| (loss.kind, loss.rows)).collect();
        stream.push((batch.rows(), lost));
        let settlement = Settlement {
            published: batch.rows() as u64,
            ..Settlement::default()
        };
        batcher.settle(&settlement);
    }
    let expected = [
        (1, vec![]),
        (0, vec![(Kind::Process, None)]),
        (1, vec![]),
        (0, vec![(Kind::Process, Some(7))]),
    ];
    assert_eq!(stream, expected);
    let counts = batcher.counts();
    assert_eq!((counts.produced, counts.lost_unknown), (9, 1));
    assert_eq!(counts.dropped.get(DropReason::Overflow).rows, 7);
    assert!(counts.balances());
}

#[tokio::test]
async fn losses_that_nobody_asks_for_stay_bounded() {
    let batcher = batcher(Pace::Realtime, 100, 1_000);
    for _ in 0..3_000 {
        // Each has a place of its own, up to the row that follows it.
        batcher.lost(Kind::Process, Some(1), DropReason::Overflow);
        batcher.append(&process(1));
        batcher.flush();
        while batcher.next().await.unwrap().rows() == 0 {}
    }
    let losses = batcher.take_losses();
    assert!(losses.len() <= 1_024, "{}", losses.len());
    let rows: u64 = losses.iter().filter_map(|loss| loss.rows).sum();
    assert_eq!(rows, 3_000);
}
