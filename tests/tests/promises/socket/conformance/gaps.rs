//! What stands in a stream where a queue was full.

use weir_bus::pubsub::{QueueLimits, QueuePolicy};
use weir_tests::buses::{Seen, rows_of, seen};

use super::{OBSERVED, everything, label, on_every_make, process};

/// What is done to a full queue.
enum Act {
    /// So many rows more, each a batch.
    Publish(u32),
    /// So many are received.
    Receive(usize),
}

/// What a queue for four batches hands out where its receiver is slow.
fn check_gaps(policy: QueuePolicy, bytes_max: u64, acts: &[Act], expected: &[&str]) {
    on_every_make(|bus| {
        let (writer, reader) = (bus.party("writer"), bus.party("reader"));
        let limits = QueueLimits {
            items_max: 4,
            bytes_max,
        };
        let slow = reader.subscribe(everything("slow").policy(policy).limits(limits));
        let (mut pid, mut found) = (0, Vec::new());
        for act in acts {
            match act {
                Act::Publish(count) => {
                    for _ in 0..*count {
                        pid += 1;
                        writer.publish(OBSERVED, &[process(pid)]);
                        // One at a time, so that it's the receiver's queue that is full, exactly.
                        bus.settle();
                    }
                }
                Act::Receive(count) => {
                    found.extend((0..*count).filter_map(|_| slow.try_recv().got()));
                }
            }
        }
        found.extend(std::iter::from_fn(|| slow.try_recv().got()));
        let found: Vec<String> = found
            .into_iter()
            .flat_map(rows_of)
            .map(|seen| label(&seen))
            .collect();
        assert_eq!(found, expected, "{:?}: {policy:?}", bus.make);
        let _balanced = bus.balanced();
    });
}

#[test]
fn what_a_full_queue_drops_is_a_gap_in_its_place() {
    use Act::{Publish, Receive};
    let acts = [Publish(7), Receive(3), Publish(4), Receive(1), Publish(1)];
    let bytes_max = QueueLimits::default().bytes_max;
    check_gaps(
        QueuePolicy::DropOldest,
        bytes_max,
        &acts,
        &[
            "gap 3 queue-full 1-3",
            "4",
            "5",
            "gap 2 queue-full 6-7",
            "gap 1 queue-full 8-8",
            "9",
            "10",
            "11",
            "12",
        ],
    );
    check_gaps(
        QueuePolicy::DropNewest,
        bytes_max,
        &acts,
        &[
            "1",
            "2",
            "3",
            "4",
            "gap 3 queue-full 5-7",
            "8",
            "9",
            "10",
            "gap 1 queue-full 11-11",
            "12",
        ],
    );
    let too_large = ["gap 12 too-large 1-12"];
    check_gaps(QueuePolicy::DropOldest, 1, &[Publish(12)], &too_large);
    check_gaps(QueuePolicy::DropNewest, 1, &[Publish(12)], &too_large);
}

#[test]
fn in_a_burst_every_row_arrives_or_is_counted_where_it_is_missing() {
    const EACH: u32 = 400;
    on_every_make(|bus| {
        let (writer, reader) = (bus.party("writer"), bus.party("reader"));
        let limits = QueueLimits {
            items_max: 3,
            ..QueueLimits::default()
        };
        let slow = |policy| {
            let options = everything(&format!("{policy:?}"));
            reader.subscribe(options.policy(policy).limits(limits))
        };
        let subscribers = [QueuePolicy::DropOldest, QueuePolicy::DropNewest].map(slow);
        let mut found = [Vec::new(), Vec::new()];
        for burst in 0..4 {
            for pid in burst * EACH..(burst + 1) * EACH {
                writer.publish(OBSERVED, &[process(pid)]);
            }
            // In the midst of it, whatever there is.
            for (found, subscriber) in found.iter_mut().zip(&subscribers) {
                found.extend(seen(subscriber));
            }
            bus.settle();
        }
        for (mut found, subscriber) in found.into_iter().zip(&subscribers) {
            found.extend(seen(subscriber));
            assert_eq!(rows_accounted(&found), 4 * EACH, "{:?}", bus.make);
            let counts = subscriber.counts();
            assert_eq!(counts.matched.rows, u64::from(4 * EACH));
        }
        let _balanced = bus.balanced();
    });
}

/// Walks a stream in which the rows' pids count up from 0: each row stands where the rows and gaps
/// before it say. Gives what is there and missing in all.
fn rows_accounted(stream: &[Seen]) -> u32 {
    let mut next = 0;
    for seen in stream {
        let label = label(seen);
        match label.strip_prefix("gap ") {
            None => {
                assert_eq!(label, next.to_string(), "{stream:?}");
                next += 1;
            }
            Some(gap) => {
                let missed = gap.split(' ').next().map(str::parse::<u32>);
                next += missed.and_then(Result::ok).expect("rows that are known");
            }
        }
    }
    next
}
