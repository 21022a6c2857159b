//! What stands in a stream where a queue was full.

use std::time::Duration;

use weir_bus::DropReason;
use weir_bus::pubsub::{QueueLimits, QueuePolicy, Standing};
use weir_tests::buses::{Fixture, Make, Seen, rows_of, seen, subscription};

use super::{OBSERVED, everything, label, labels, on_every_make, pids, process};

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
    let deadline = Duration::ZERO;
    check_gaps(
        QueuePolicy::Block { deadline },
        bytes_max,
        &acts,
        &[
            "1",
            "2",
            "3",
            "4",
            "gap 3 blocked 5-7",
            "8",
            "9",
            "10",
            "gap 1 blocked 11-11",
            "12",
        ],
    );
    let disconnect = QueuePolicy::Disconnect {
        times: 2,
        pause: Duration::from_secs(600),
    };
    check_gaps(
        disconnect,
        bytes_max,
        &acts,
        &[
            "1",
            "2",
            "3",
            "4",
            "gap 2 queue-full 5-6",
            "gap 6 cut-off 7-12",
        ],
    );
    check_gaps(
        QueuePolicy::Latest,
        bytes_max,
        &acts,
        &[
            "gap 6 superseded 1-6",
            "7",
            "gap 3 superseded 8-10",
            "gap 1 superseded 11-11",
            "12",
        ],
    );
    let too_large = ["gap 12 too-large 1-12"];
    check_gaps(QueuePolicy::DropOldest, 1, &[Publish(12)], &too_large);
    check_gaps(QueuePolicy::DropNewest, 1, &[Publish(12)], &too_large);
}

#[test]
fn who_was_cut_off_is_let_in_again_when_it_receives() {
    on_every_make(|bus| {
        let (writer, reader) = (bus.party("writer"), bus.party("reader"));
        let policy = QueuePolicy::Disconnect {
            times: 1,
            pause: Duration::from_millis(20),
        };
        let limits = QueueLimits {
            items_max: 1,
            ..QueueLimits::default()
        };
        let slow = reader.subscribe(everything("slow").policy(policy).limits(limits));
        let publish = |pid| {
            writer.publish(OBSERVED, &[process(pid)]);
            bus.settle();
        };
        (0..3).for_each(publish);
        let mut found = seen(&slow);
        let standing = || {
            let statistics = reader.bus.statistics();
            statistics.subscriber("slow").and_then(|slow| slow.standing)
        };
        assert!(
            matches!(standing(), Some(Standing::CutOff { .. })),
            "{:?}",
            standing()
        );
        // The pause ends by itself, and then what comes is a trial.
        let until = std::time::Instant::now() + weir_tests::PATIENCE;
        let mut next = 3;
        while matches!(standing(), Some(Standing::CutOff { .. })) {
            assert!(std::time::Instant::now() < until, "{:?}", standing());
            publish(next);
            next += 1;
        }
        assert_eq!(standing(), Some(Standing::HalfOpen), "{:?}", bus.make);
        found.extend(seen(&slow));
        assert_eq!(standing(), Some(Standing::LetIn { full_times: 0 }));
        assert_eq!(rows_accounted(&found), next, "{:?}", bus.make);
        let _balanced = bus.balanced();
    });
}

#[test]
fn all_queues_together_keep_their_bound_and_the_fullest_drops() {
    const BYTES_MAX: u64 = 300_000;
    for make in Make::ALL {
        let bus = Fixture::within(make, BYTES_MAX);
        let (writer, reader) = (bus.party("writer"), bus.party("reader"));
        let stalled = reader.subscribe(subscription("stalled", &["events.process.observed"]));
        let fast = reader.subscribe(subscription("fast", &["events.process.started"]));
        for pid in 0..300 {
            writer.publish(OBSERVED, &[process(pid)]);
            writer.publish("events.process.started", &[process(pid)]);
            bus.settle();
            assert_eq!(labels(&fast), [pid.to_string()], "{make:?}");
            let statistics = reader.bus.statistics();
            assert!(statistics.bytes <= BYTES_MAX, "{make:?}: {statistics:?}");
        }
        let lost = stalled.counts().dropped.get(DropReason::BusFull).rows;
        assert!(lost > 0, "{make:?}: {:?}", stalled.counts());
        let (first, found) = (u32::try_from(lost), labels(&stalled));
        let first = first.expect("few rows");
        // From the oldest on, one after the other, so that the positions are odd.
        assert_eq!(
            found[0],
            format!("gap {first} bus-full 1-{}", 2 * first - 1)
        );
        assert_eq!(found[1..], pids(first..300), "{make:?}");
        assert_eq!(reader.bus.statistics().bytes, 0);
        let _balanced = bus.balanced();
    }
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
