//! Promises of the replay source: nothing lost, in order, at the recorded pace, and errors with a path.

use std::sync::Arc;

use weir_bus::batch::RecordingWriter;
use weir_bus::event::{NetworkEvent, ProcessEvent};
use weir_bus::{BatchHeader, Batcher, BatcherLimits, CollectionEvent, Settlement, Topic};

use super::*;
use crate::emitter::Emitter;

const SECOND_NS: i64 = 1_000_000_000;

fn batch(kind: Kind, closed_s: i64, rows: u32) -> Batch {
    let event = |number| match kind {
        Kind::Network => CollectionEvent::Network(NetworkEvent {
            pid: Some(number),
            ..NetworkEvent::default()
        }),
        _ => CollectionEvent::Process(ProcessEvent {
            pid: number,
            timestamp: Timestamp(i64::from(number)),
            ..ProcessEvent::default()
        }),
    };
    let events: Vec<CollectionEvent> = (0..rows).map(event).collect();
    let topic = Topic::parse("events.recorded").unwrap();
    let batch = Batch::of_events(topic, "observer", 10, &events).unwrap();
    let header = BatchHeader {
        closed: Timestamp(closed_s * SECOND_NS),
        ..batch.header().clone()
    };
    Batch::new(header, batch.records().columns().to_vec()).unwrap()
}

fn record(path: &Path, batches: &[Batch]) {
    let mut writer = RecordingWriter::create(path, batches[0].kind()).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();
}

/// Replays into a buffer of `buffer_rows`; what came out.
async fn replayed(source: ReplaySource, buffer_rows: usize) -> Vec<Batch> {
    let limits = BatcherLimits {
        event_buffer_rows_max: buffer_rows,
        ..BatcherLimits::default()
    };
    let batcher = Arc::new(Batcher::new("replay", Pace::Periodic, limits.clone()));
    let emitter = Emitter::new(
        Arc::clone(&batcher),
        Pace::Periodic,
        &limits,
        Duration::ZERO,
    );
    let (context, handle) = SourceContext::new(emitter, None);
    let reader = Arc::clone(&batcher);
    let read = tokio::spawn(async move {
        let mut batches = Vec::new();
        while let Some(batch) = reader.next().await {
            reader.settle(&Settlement {
                published: batch.rows() as u64,
                ..Settlement::default()
            });
            batches.push(batch);
        }
        batches
    });
    source.start(context).await.unwrap();
    handle.ready().await;
    batcher.close();
    assert!(batcher.counts().dropped.is_empty());
    read.await.unwrap()
}

#[tokio::test]
async fn a_replay_is_what_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.arrow");
    let recorded = [batch(Kind::Process, 1, 1_000), batch(Kind::Process, 2, 3)];
    record(&path, &recorded);
    let source = ReplaySource::open(&path, ReplayPace::Fast).unwrap();
    assert_eq!(source.capabilities(), SourceCaps::PROCESS);
    let batches = replayed(source, 10_000).await;
    assert_eq!(batches.len(), recorded.len());
    for (replayed, recorded) in batches.iter().zip(&recorded) {
        assert_eq!(replayed.records(), recorded.records());
        let header = BatchHeader {
            source: "replay".into(),
            ..recorded.header().clone()
        };
        assert_eq!(replayed.header(), &header);
    }
}

#[tokio::test]
async fn a_buffer_smaller_than_a_batch_loses_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.arrow");
    let recorded = [batch(Kind::Process, 1, 100), batch(Kind::Process, 1, 1)];
    record(&path, &recorded);
    let source = ReplaySource::open(&path, ReplayPace::Fast).unwrap();
    let rows = |batches: &[Batch]| -> Vec<CollectionEvent> {
        let rows = |batch: &Batch| {
            (0..batch.rows())
                .map(|row| batch.row(row).unwrap())
                .collect()
        };
        batches
            .iter()
            .flat_map(|batch| -> Vec<_> { rows(batch) })
            .collect()
    };
    assert_eq!(rows(&replayed(source, 10).await), rows(&recorded));
}

#[tokio::test]
async fn the_recordings_of_a_folder_come_in_the_order_of_their_batches() {
    let folder = tempfile::tempdir().unwrap();
    let connections = [batch(Kind::Network, 2, 1), batch(Kind::Network, 4, 1)];
    record(&folder.path().join("a.arrow"), &connections);
    let processes = [1, 2, 5].map(|closed| batch(Kind::Process, closed, 1));
    record(&folder.path().join("b.arrow"), &processes);
    std::fs::write(folder.path().join("notes.txt"), "no recording").unwrap();
    let source = ReplaySource::open(folder.path(), ReplayPace::Fast).unwrap();
    assert_eq!(source.paths().len(), 2);
    assert_eq!(
        source.capabilities(),
        SourceCaps::PROCESS | SourceCaps::NETWORK
    );
    let order: Vec<(Kind, i64)> = replayed(source, 10_000)
        .await
        .iter()
        .map(|batch| (batch.kind(), batch.header().closed.0 / SECOND_NS))
        .collect();
    let (process, network) = (Kind::Process, Kind::Network);
    let expected = [
        (process, 1),
        (network, 2),
        (process, 2),
        (network, 4),
        (process, 5),
    ];
    assert_eq!(order, expected);
}

#[tokio::test(start_paused = true)]
async fn the_recorded_pace_keeps_the_pauses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.arrow");
    // A clock that was set back makes no pause.
    let closed = [100, 103, 50, 110];
    record(&path, &closed.map(|closed| batch(Kind::Process, closed, 1)));
    let source = ReplaySource::open(&path, ReplayPace::AsRecorded).unwrap();
    let began = Instant::now();
    assert_eq!(replayed(source, 10_000).await.len(), closed.len());
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn what_cannot_be_replayed_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let check = |path: &Path, message: &str| {
        let error = ReplaySource::open(path, ReplayPace::Fast).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert!(error.contains(message), "{error}");
    };
    check(&folder.path().join("missing.arrow"), "No such file");
    check(folder.path(), "names end in .arrow");
    let broken = folder.path().join("broken.arrow");
    std::fs::write(&broken, b"no recording").unwrap();
    check(&broken, "Arrow IPC");
    let whole = folder.path().join("whole.arrow");
    record(&whole, &[batch(Kind::Process, 1, 10)]);
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    check(&broken, "Arrow IPC");
}
