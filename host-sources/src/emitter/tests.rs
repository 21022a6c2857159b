//! Promises of the emitter: who waits for room, for how long, and that nothing is lost uncounted.

use tokio::time::Instant;
use weir_bus::event::ProcessEvent;
use weir_bus::{CollectionEvent, DropReason, Settlement, Topic};

use super::*;

/// Rows that the batchers of these tests hold, and those at which they feel the pressure.
const BUFFER_ROWS: usize = 8;
const PRESSURE_ROWS: usize = 4;
const WAIT_MAX: Duration = Duration::from_millis(500);

fn process(pid: u32) -> ProcessEvent {
    ProcessEvent {
        pid,
        lifecycle: "observed".to_owned(),
        ..ProcessEvent::default()
    }
}

fn made(pace: Pace) -> (Arc<Batcher>, Emitter) {
    let limits = BatcherLimits {
        event_buffer_rows_max: BUFFER_ROWS,
        backpressure_threshold: 0.5,
        batch_rows_max: 2,
        ..BatcherLimits::default()
    };
    let batcher = Arc::new(Batcher::new("test", pace, limits.clone()));
    let emitter = Emitter::new(Arc::clone(&batcher), pace, &limits, WAIT_MAX);
    (batcher, emitter)
}

fn batch_of(rows: u32) -> Batch {
    let events: Vec<CollectionEvent> = (0..rows).map(|pid| process(pid).into()).collect();
    let topic = Topic::parse("events.process.observed").unwrap();
    Batch::of_events(topic, "test", 100, &events).unwrap()
}

/// Takes `batches` batches as published; the pids of their rows.
async fn drain(batcher: &Batcher, batches: usize) -> Vec<u32> {
    let mut pids = Vec::new();
    for _ in 0..batches {
        let Some(batch) = batcher.next().await else {
            break;
        };
        batcher.settle(&Settlement {
            published: batch.rows() as u64,
            ..Settlement::default()
        });
        for row in 0..batch.rows() {
            if let Some(CollectionEvent::Process(event)) = batch.row(row) {
                pids.push(event.pid);
            }
        }
    }
    pids
}

#[tokio::test(start_paused = true)]
async fn a_periodic_source_waits_once_for_room_and_then_goes_on() {
    let (batcher, emitter) = made(Pace::Periodic);
    let began = Instant::now();
    for pid in 0..20 {
        emitter.emit(&process(pid)).await;
    }
    let waited = began.elapsed();
    assert!((WAIT_MAX..WAIT_MAX * 2).contains(&waited), "{waited:?}");
    let counts = batcher.counts();
    assert_eq!(counts.dropped.get(DropReason::Backpressure).rows, 12);
    assert!(counts.balances());

    // Once there was room it waits again.
    drain(&batcher, 4).await;
    let began = Instant::now();
    for pid in 0..20 {
        emitter.emit(&process(pid)).await;
    }
    assert!(began.elapsed() >= WAIT_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_periodic_source_that_finds_room_in_time_loses_nothing() {
    let (batcher, emitter) = made(Pace::Periodic);
    let reader = Arc::clone(&batcher);
    let read = tokio::spawn(async move { drain(&reader, usize::MAX).await });
    let rows: Vec<ProcessEvent> = (0..1_000).map(process).collect();
    assert_ne!(emitter.emit_all(&rows).await, Emit::Dropped);
    batcher.close();
    assert_eq!(read.await.unwrap(), (0..1_000).collect::<Vec<_>>());
    assert!(batcher.counts().dropped.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_realtime_source_never_waits() {
    let (batcher, emitter) = made(Pace::Realtime);
    let began = Instant::now();
    let rows: Vec<ProcessEvent> = (0..20).map(process).collect();
    assert_eq!(emitter.emit_all(&rows).await, Emit::Dropped);
    assert_eq!(emitter.emit(&process(20)).await, Emit::Dropped);
    assert_eq!(began.elapsed(), Duration::ZERO);
    let counts = batcher.counts();
    assert_eq!(counts.produced, 21);
    assert_eq!(counts.in_flight(), PRESSURE_ROWS as u64);
    assert!(counts.balances());
}

#[tokio::test(start_paused = true)]
async fn delivering_waits_as_long_as_it_takes() {
    let (batcher, emitter) = made(Pace::Periodic);
    let sent = tokio::spawn(async move {
        for _ in 0..10 {
            assert_eq!(emitter.deliver_batch(&batch_of(21)).await, Emit::Accepted);
        }
    });
    let mut rows = 0;
    while rows < 210 {
        // Far longer than a periodic source would wait otherwise.
        tokio::time::advance(WAIT_MAX * 10).await;
        rows += drain(&batcher, 1).await.len();
    }
    sent.await.unwrap();
    assert_eq!(rows, 210);
    assert!(batcher.counts().dropped.is_empty());
}

#[tokio::test]
async fn a_large_batch_goes_in_parts_of_which_only_the_last_ends_the_snapshot() {
    let (_, emitter) = made(Pace::Periodic);
    let check = |rows: u32, parts: &[usize]| {
        let whole = batch_of(rows);
        let header = BatchHeader {
            snapshot: Some(Snapshot { id: 7, last: true }),
            ..whole.header().clone()
        };
        let whole = Batch::new(header, whole.records().columns().to_vec()).unwrap();
        let made = emitter.parts(&whole);
        let sizes: Vec<usize> = made.iter().map(Batch::rows).collect();
        assert_eq!(sizes, parts);
        let mut row = 0;
        for (index, part) in made.iter().enumerate() {
            let last = index + 1 == made.len();
            assert_eq!(part.header().snapshot, Some(Snapshot { id: 7, last }));
            assert_eq!(part.header().first_sequence, 100 + row as u64);
            for at in 0..part.rows() {
                assert_eq!(part.row(at), whole.row(row));
                row += 1;
            }
        }
        assert_eq!(row, whole.rows());
    };
    check(1, &[1]);
    check(4, &[4]);
    check(5, &[4, 1]);
    check(12, &[4, 4, 4]);
}

#[tokio::test]
async fn a_run_that_was_given_up_hands_over_nothing_more() {
    let (batcher, emitter) = made(Pace::Periodic);
    emitter.close();
    assert_eq!(emitter.emit(&process(1)).await, Emit::Closed);
    assert_eq!(emitter.emit_batch(&batch_of(1)).await, Emit::Closed);
    assert_eq!(emitter.deliver_batch(&batch_of(1)).await, Emit::Closed);
    emitter.begin_snapshot(1);
    emitter.end_snapshot();
    emitter.flush();
    assert_eq!(batcher.counts().produced, 0);
    // The batcher itself goes on, for the next run.
    assert_eq!(batcher.append(&process(1)), Emit::Accepted);
}
