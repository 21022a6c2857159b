//! What arrives, and in which order.

use std::sync::Arc;

use weir_bus::event::ProcessEvent;
use weir_bus::pubsub::{Comparison, Delivery, EventBus as _, EventFilter, Operator, Recv};
use weir_bus::{Batch, BatchHeader, CollectionEvent, Count, Kind, Snapshot, Timestamp};
use weir_tests::PATIENCE;
use weir_tests::buses::{Seen, seen};

use super::{OBSERVED, everything, on_every_make, process};

#[test]
fn a_batch_arrives_as_it_was_published() {
    on_every_make(|bus| {
        let (writer, reader) = (bus.party("writer"), bus.party("reader"));
        let all = reader.subscribe(everything("all"));
        let rows = [process(1), process(2)];
        let drawn = writer.batch(OBSERVED, &rows);
        let header = BatchHeader {
            opened: Timestamp(-1),
            closed: Timestamp(i64::MAX),
            snapshot: Some(Snapshot { id: 9, last: true }),
            first_sequence: 1 << 60,
            ..drawn.header().clone()
        };
        let columns = drawn.records().columns().to_vec();
        let published = Batch::new(header, columns).expect("a batch");
        let from = writer.publisher;
        let receipt = writer.bus.publish(from, Arc::new(published.clone()));
        receipt.expect("an open bus");
        let Recv::Got(Delivery::Batch { position, item }) = all.recv_timeout(PATIENCE) else {
            panic!("{:?}: no batch", bus.make);
        };
        assert_eq!((position, item.header()), (1, published.header()));
        assert_eq!(item.records(), published.records());
        assert_eq!(item.stamp(1), Some((&*writer.source, 1)));
    });
}

#[test]
fn a_batch_without_rows_goes_nowhere_unless_it_ends_a_snapshot() {
    on_every_make(|bus| {
        let (writer, reader) = (bus.party("writer"), bus.party("reader"));
        let all = reader.subscribe(everything("all"));
        let columns = writer.batch(OBSERVED, &[]).records().columns().to_vec();
        let (id, from) = (9, writer.publisher);
        for snapshot in [
            None,
            Some(Snapshot { id, last: false }),
            Some(Snapshot { id, last: true }),
        ] {
            let header = BatchHeader {
                snapshot,
                ..writer.batch(OBSERVED, &[]).header().clone()
            };
            let batch = Batch::new(header, columns.clone()).expect("a batch");
            let published = writer.bus.publish(from, Arc::new(batch));
            published.expect("an open bus");
            // Who publishes from the broker's own process reaches the same clients.
            let none = Batch::of_events(
                weir_bus::topic::of_event(Kind::Process, "none"),
                "core",
                0,
                &[],
            );
            let published = bus.core.publish(from, Arc::new(none.expect("a batch")));
            published.expect("an open bus");
        }
        writer.publish(OBSERVED, &[process(1)]);
        bus.settle();
        let batches = std::iter::from_fn(|| all.try_recv().got());
        let shapes: Vec<_> = batches.map(|delivery| shape(&delivery)).collect();
        assert_eq!(shapes, [(1, 0, true), (2, 1, false)], "{:?}", bus.make);
        assert_eq!(bus.balanced().published, Count::new(1, 2), "{:?}", bus.make);
        assert_eq!(writer.bus.statistics().published.rows, 1);
    });
}

/// The position of a batch, its rows, and whether it belongs to a snapshot.
fn shape(delivery: &Delivery<Arc<Batch>>) -> (u64, usize, bool) {
    match delivery {
        Delivery::Batch { position, item } => {
            (*position, item.rows(), item.header().snapshot.is_some())
        }
        Delivery::Gap(gap) => panic!("{gap:?}"),
    }
}

#[test]
fn each_publishers_rows_reach_each_subscriber_in_their_order() {
    const EACH: u32 = 400;
    on_every_make(|bus| {
        let writers = [bus.party("first"), bus.party("second")];
        let reader = bus.party("reader");
        let odd = Comparison::new("ppid", Operator::Equal, 1_u32);
        let odd = everything("odd").filter(EventFilter::new().compare(odd));
        let subscribers = [
            (reader.subscribe(everything("all")), 1),
            (writers[0].subscribe(everything("publishes too")), 1),
            (reader.subscribe(odd), 2),
        ];
        std::thread::scope(|scope| {
            for (number, writer) in (0..).zip(&writers) {
                scope.spawn(move || {
                    for pid in 0..EACH {
                        writer.publish(OBSERVED, &[numbered(number, pid)]);
                    }
                });
            }
        });
        bus.settle();
        for (subscriber, step) in &subscribers {
            let found = seen(subscriber);
            for (number, name) in (0..).zip(["first", "second"]) {
                let found: Vec<u32> = found.iter().filter_map(|row| pid_of(row, number)).collect();
                let expected: Vec<u32> = (step - 1..EACH).step_by(*step as usize).collect();
                assert_eq!(found, expected, "{:?}: {name}", bus.make);
            }
        }
    });
}

/// A publisher's row of that number.
fn numbered(publisher: u32, pid: u32) -> CollectionEvent {
    let row = ProcessEvent {
        pid,
        ppid: Some(pid % 2),
        user_id: Some(publisher),
        ..ProcessEvent::default()
    };
    row.into()
}

fn pid_of(row: &Seen, publisher: u32) -> Option<u32> {
    let Seen::Row { event, .. } = row else {
        panic!("nothing may be missing, and {row:?} is");
    };
    match &**event {
        CollectionEvent::Process(process) => {
            (process.user_id == Some(publisher)).then_some(process.pid)
        }
        other => panic!("nobody published {other:?}"),
    }
}
