//! Promises of the queue: order, gaps where rows are missing, counts that balance, waiting that ends.

mod bounds;
mod policies;
mod threads;

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// A deadline that no test reaches.
const NEVER: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    rows: u64,
    bytes: u64,
}

impl Weigh for Item {
    fn rows(&self) -> u64 {
        self.rows
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn item(rows: u64) -> Item {
    Item { rows, bytes: 10 }
}

fn queue(policy: QueuePolicy, items_max: usize, bytes_max: u64) -> Queue<Item> {
    Queue::new(
        policy,
        QueueLimits {
            items_max,
            bytes_max,
        },
    )
}

fn batch(position: u64, rows: u64) -> Delivery<Item> {
    Delivery::Batch {
        position,
        item: item(rows),
    }
}

fn gap(missed: u64, reason: DropReason, from: u64, to: u64) -> Delivery<Item> {
    Delivery::Gap(Box::new(Gap {
        missed: Some(missed),
        reason,
        from,
        to,
        incarnations: None,
    }))
}

fn drain(queue: &Queue<Item>) -> Vec<Delivery<Item>> {
    std::iter::from_fn(|| queue.try_recv().got()).collect()
}

fn balanced(queue: &Queue<Item>) -> QueueCounts {
    let counts = queue.counts();
    assert!(counts.balances(), "{counts:?}");
    counts
}

/// Pushes items of 1, 2, 3… rows at positions 1, 2, 3… into a queue of 3 and reads it out.
fn check_policy(policy: QueuePolicy, pushes: u64, expected: &[Delivery<Item>]) {
    let queue = queue(policy, 3, 1_000);
    for position in 1..=pushes {
        queue.push(position, item(position));
        balanced(&queue);
    }
    assert_eq!(drain(&queue), expected, "{policy:?}");
    let counts = balanced(&queue);
    assert_eq!(counts.matched, Count::new((1..=pushes).sum(), pushes));
    assert_eq!(counts.queued, Count::ZERO);
    assert_eq!(counts.queued_bytes, 0);
}

#[test]
fn a_gap_stands_where_the_rows_were_dropped() {
    use DropReason::{Blocked, QueueFull};
    let three = [batch(1, 1), batch(2, 2), batch(3, 3)];
    let block = QueuePolicy::Block {
        deadline: Duration::ZERO,
    };
    for policy in [QueuePolicy::DropOldest, QueuePolicy::DropNewest, block] {
        check_policy(policy, 0, &[]);
        check_policy(policy, 3, &three);
    }
    let [one, two, three] = three;
    check_policy(
        QueuePolicy::DropOldest,
        5,
        &[
            gap(3, QueueFull, 1, 2),
            three.clone(),
            batch(4, 4),
            batch(5, 5),
        ],
    );
    let newest = |reason| {
        [
            one.clone(),
            two.clone(),
            three.clone(),
            gap(9, reason, 4, 5),
        ]
    };
    check_policy(QueuePolicy::DropNewest, 5, &newest(QueueFull));
    check_policy(block, 5, &newest(Blocked));
}

#[test]
fn a_gap_between_two_items_stays_between_them() {
    let queue = queue(QueuePolicy::DropNewest, 2, 1_000);
    for position in 1..=3 {
        queue.push(position, item(1));
    }
    assert_eq!(queue.try_recv(), Recv::Got(batch(1, 1)));
    for position in 4..=6 {
        queue.push(position, item(1));
    }
    let expected = [
        batch(2, 1),
        gap(1, DropReason::QueueFull, 3, 3),
        batch(4, 1),
        gap(2, DropReason::QueueFull, 5, 6),
    ];
    assert_eq!(drain(&queue), expected);
    balanced(&queue);
}

#[test]
fn bytes_bound_a_queue_as_items_do() {
    let queue = queue(QueuePolicy::DropOldest, 100, 30);
    for position in 1..=3 {
        queue.push(position, item(1));
    }
    let large = Item { rows: 7, bytes: 25 };
    queue.push(4, large.clone());
    let counts = balanced(&queue);
    assert_eq!((counts.queued, counts.queued_bytes), (Count::batch(7), 25));
    let kept = Delivery::Batch {
        position: 4,
        item: large,
    };
    assert_eq!(drain(&queue), [gap(3, DropReason::QueueFull, 1, 3), kept]);
}

#[test]
fn an_item_larger_than_the_queue_is_dropped_and_counted_and_pushes_nothing_out() {
    let block = QueuePolicy::Block { deadline: NEVER };
    for policy in [QueuePolicy::DropOldest, QueuePolicy::DropNewest, block] {
        for bytes in [101, u64::MAX] {
            let queue = queue(policy, 10, 100);
            queue.push(1, item(1));
            let huge = Item { rows: 5, bytes };
            let dropped = Pushed::Dropped(DropReason::TooLarge);
            assert_eq!(queue.push(2, huge), dropped);
            queue.push(3, item(1));
            let expected = [batch(1, 1), gap(5, DropReason::TooLarge, 2, 2), batch(3, 1)];
            assert_eq!(drain(&queue), expected);
            balanced(&queue);
        }
    }
}

#[test]
fn at_one_place_there_is_one_gap_for_each_reason() {
    let queue = queue(QueuePolicy::DropOldest, 1, 100);
    for position in (1..=30).step_by(2) {
        queue.push(position, item(1));
        queue.push(
            position + 1,
            Item {
                rows: 3,
                bytes: 101,
            },
        );
    }
    let expected = [
        gap(14, DropReason::QueueFull, 1, 27),
        gap(42, DropReason::TooLarge, 2, 28),
        batch(29, 1),
        gap(3, DropReason::TooLarge, 30, 30),
    ];
    assert_eq!(drain(&queue), expected);
    balanced(&queue);
}

#[test]
fn gaps_are_bounded_and_what_they_swallow_is_counted() {
    let queue = queue(QueuePolicy::DropOldest, 10 * QUEUE_GAPS_MAX, u64::MAX >> 40);
    let pairs = QUEUE_GAPS_MAX as u64 + 100;
    for pair in 0..pairs {
        queue.push(2 * pair, item(1));
        queue.push(
            2 * pair + 1,
            Item {
                rows: 1,
                bytes: 1 << 24,
            },
        );
        balanced(&queue);
    }
    let deliveries = drain(&queue);
    let gaps = deliveries
        .iter()
        .filter(|delivery| matches!(delivery, Delivery::Gap(_)));
    assert_eq!(gaps.count(), QUEUE_GAPS_MAX);
    let missed = check_stream(&deliveries, 2 * pairs);
    let counts = balanced(&queue);
    assert_eq!(counts.dropped.total(), Count::new(missed, missed));
    assert_eq!(
        counts.dropped.get(DropReason::QueueFull),
        Count::new(100, 100)
    );
}

/// Positions 0, 1, 2… of one row each: each is there or in the gap that stands at its place. Returns
/// how many are missing.
fn check_stream(deliveries: &[Delivery<Item>], end: u64) -> u64 {
    let (mut next, mut pending, mut missed) = (0, 0, 0);
    for delivery in deliveries {
        match delivery {
            Delivery::Batch { position, .. } => {
                assert_eq!(*position, next + pending, "a hole without its gap");
                (next, pending) = (position + 1, 0);
            }
            Delivery::Gap(gap) => {
                assert!(gap.from >= next, "a gap before its place");
                pending += gap.missed.unwrap();
                missed += gap.missed.unwrap();
            }
        }
    }
    assert_eq!(next + pending, end, "a hole at the end");
    missed
}

#[derive(Debug, Clone)]
enum Step {
    Push(u64),
    Take,
    TakeMany(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop_oneof![Just(10_u64), Just(30), Just(60), Just(101)].prop_map(Step::Push),
        1 => Just(Step::Take),
        1 => (1_usize..8).prop_map(Step::TakeMany),
    ];
    prop::collection::vec(step, 0..200)
}

fn policies() -> impl Strategy<Value = QueuePolicy> {
    let deadline = Duration::ZERO;
    prop_oneof![
        Just(QueuePolicy::DropOldest),
        Just(QueuePolicy::DropNewest),
        Just(QueuePolicy::Block { deadline }),
        Just(QueuePolicy::Latest),
        // Cut off for a moment, or for the whole test.
        (1_u32..4, prop_oneof![Just(Duration::ZERO), Just(NEVER)])
            .prop_map(|(times, pause)| QueuePolicy::Disconnect { times, pause }),
    ]
}

proptest! {
    #[test]
    fn every_row_is_in_the_stream_or_in_its_gap(policy in policies(), steps in steps()) {
        let queue = queue(policy, 4, 100);
        let (mut position, mut seen) = (0, Vec::new());
        let mut many = Vec::new();
        for step in steps {
            match step {
                Step::Push(bytes) => {
                    queue.push(position, Item { rows: 1, bytes });
                    position += 1;
                }
                Step::Take => seen.extend(queue.try_recv().got()),
                Step::TakeMany(max) => {
                    if let Recv::Got(count) = queue.recv_many_timeout(&mut many, max, Duration::ZERO) {
                        prop_assert!(count <= max && count == many.len());
                        seen.append(&mut many);
                    }
                }
            }
            let counts = queue.counts();
            prop_assert!(counts.balances());
            prop_assert!(counts.queued.batches <= 4 && counts.queued_bytes <= 100);
        }
        seen.extend(drain(&queue));
        let missed = check_stream(&seen, position);
        let counts = queue.counts();
        prop_assert_eq!(counts.dropped.total().rows, missed);
        prop_assert_eq!(counts.delivered.rows + missed, position);
    }
}

#[test]
fn a_closed_queue_gives_what_it_has_and_counts_what_it_refuses() {
    let queue = queue(QueuePolicy::DropOldest, 10, 1_000);
    queue.push(1, item(4));
    queue.close();
    let dropped = Pushed::Dropped(DropReason::Closed);
    assert_eq!(queue.push(2, item(3)), dropped);
    assert_eq!(queue.recv_blocking(), Recv::Got(batch(1, 4)));
    assert_eq!(queue.recv_blocking(), Recv::Closed);
    assert_eq!(queue.try_recv(), Recv::Closed);
    assert_eq!(queue.recv_many_blocking(&mut Vec::new(), 5), Recv::Closed);
    let counts = balanced(&queue);
    assert_eq!(counts.dropped.get(DropReason::Closed), Count::batch(3));
}

#[test]
fn a_retired_queue_counts_what_it_had_as_closed_and_nothing_after() {
    let queue = queue(QueuePolicy::DropNewest, 2, 1_000);
    for position in 1..=4 {
        queue.push(position, item(1));
    }
    let counts = queue.retire();
    assert!(counts.balances());
    assert_eq!(counts.queued, Count::ZERO);
    assert_eq!(counts.dropped.get(DropReason::Closed), Count::new(2, 2));
    assert_eq!(counts.dropped.get(DropReason::QueueFull), Count::new(2, 2));
    assert_eq!(queue.push(5, item(1)), Pushed::Gone);
    let huge = Item {
        rows: 1,
        bytes: u64::MAX,
    };
    assert_eq!(queue.push(6, huge), Pushed::Gone);
    assert_eq!(balanced(&queue), counts);
    assert_eq!(queue.recv_blocking(), Recv::Closed);
}

#[test]
fn many_are_appended_to_what_a_vector_has() {
    let queue = queue(QueuePolicy::DropNewest, 3, 1_000);
    let mut out = vec![batch(0, 1)];
    for position in 1..=4 {
        queue.push(position, item(1));
    }
    assert_eq!(queue.recv_many_blocking(&mut out, 2), Recv::Got(2));
    assert_eq!(queue.recv_many_blocking(&mut out, 0), Recv::Got(1));
    assert_eq!(queue.recv_many_blocking(&mut out, 9), Recv::Got(1));
    let expected = [
        batch(0, 1),
        batch(1, 1),
        batch(2, 1),
        batch(3, 1),
        gap(1, DropReason::QueueFull, 4, 4),
    ];
    assert_eq!(out, expected);
}

#[test]
fn the_hot_half_of_the_state_fits_two_cache_lines() {
    assert!(size_of::<Mutex<State<Arc<Batch>>>>() <= 128);
    assert_eq!(size_of::<Delivery<Arc<Batch>>>(), 16);
}
