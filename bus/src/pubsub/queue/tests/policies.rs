//! Promises of `disconnect` and `latest`.

use super::*;

const PAUSE: Duration = Duration::from_secs(1);

/// What is done to a queue.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// So many items of a row each are pushed.
    Push(u64),
    /// So many deliveries are taken; what they are goes to the stream.
    Take(usize),
    /// Time passes, in ms.
    Wait(u64),
    /// It stands so.
    Stands(Standing),
}

use Act::{Push, Stands, Take, Wait};

fn label(delivery: &Delivery<Item>) -> String {
    match delivery {
        Delivery::Batch { position, .. } => position.to_string(),
        Delivery::Gap(gap) => format!(
            "{} {} {}-{}",
            gap.missed.unwrap(),
            gap.reason,
            gap.from,
            gap.to
        ),
    }
}

/// What a queue of two items hands out, that cuts off after two times full in a row, at first for a second.
fn check_disconnect(acts: &[Act], expected: &str) {
    let clock = Clock::manual();
    let policy = QueuePolicy::Disconnect {
        times: 2,
        pause: PAUSE,
    };
    let limits = QueueLimits {
        items_max: 2,
        bytes_max: 1_000,
    };
    let queue = Queue::with_clock(policy, limits, clock.clone());
    let (mut position, mut found) = (0, Vec::new());
    for (number, act) in acts.iter().enumerate() {
        match *act {
            Push(count) => {
                for _ in 0..count {
                    position += 1;
                    queue.push(position, item(1));
                }
            }
            Take(count) => found.extend((0..count).filter_map(|_| queue.try_recv().got())),
            Wait(ms) => clock.advance(Duration::from_millis(ms)),
            Stands(standing) => assert_eq!(queue.standing(), Some(standing), "act {number}"),
        }
        balanced(&queue);
    }
    found.extend(drain(&queue));
    let found: Vec<_> = found.iter().map(label).collect();
    assert_eq!(found.join(", "), expected, "{acts:?}");
    check_counts(&queue.counts(), &found);
}

/// The sums of the gaps are the sums of the drops.
fn check_counts(counts: &QueueCounts, found: &[String]) {
    let missed = |reason: DropReason| -> u64 {
        let words = found
            .iter()
            .map(|label| label.split(' ').collect::<Vec<_>>());
        let of_reason = words.filter(|words| words.get(1) == Some(&reason.as_str()));
        of_reason
            .map(|words| words[0].parse::<u64>().unwrap())
            .sum()
    };
    for reason in DropReason::ALL {
        assert_eq!(counts.dropped.get(reason).rows, missed(reason), "{reason}");
    }
}

const fn full(full_times: u32) -> Act {
    Stands(Standing::LetIn { full_times })
}

const fn cut_off(ms: u64) -> Act {
    Stands(Standing::CutOff {
        pause_left: Duration::from_millis(ms),
    })
}

const HALF_OPEN: Act = Stands(Standing::HalfOpen);

#[test]
fn who_is_full_too_often_is_cut_off_and_keeps_what_is_queued() {
    check_disconnect(&[full(0), Push(3), full(1)], "1, 2, 1 queue-full 3-3");
    check_disconnect(
        &[Push(9), cut_off(1_000), Wait(400), cut_off(600), Push(1)],
        "1, 2, 2 queue-full 3-4, 6 cut-off 5-10",
    );
}

#[test]
fn only_full_times_in_a_row_cut_off() {
    check_disconnect(
        &[
            Push(3),
            Take(1),
            full(0),
            Push(2),
            full(1),
            Take(1),
            Push(2),
        ],
        "1, 2, 1 queue-full 3-3, 4, 1 queue-full 5-5, 6, 1 queue-full 7-7",
    );
    // Reading a gap is receiving nothing.
    check_disconnect(
        &[
            Push(3),
            Take(2),
            Push(2),
            Take(1),
            full(0),
            Push(2),
            cut_off(1_000),
        ],
        "1, 2, 1 queue-full 3-3, 4, 5, 2 queue-full 6-7",
    );
}

#[test]
fn receiving_ends_no_pause() {
    check_disconnect(
        &[Push(4), Take(4), Push(1), Wait(999), Push(1), cut_off(1)],
        "1, 2, 2 queue-full 3-4, 2 cut-off 5-6",
    );
}

#[test]
fn after_the_pause_a_trial_that_is_received_lets_in() {
    check_disconnect(
        &[
            Push(5),
            Wait(1_000),
            Take(1),
            cut_off(0),
            Push(1),
            HALF_OPEN,
            // What was there before the trial proves nothing.
            Take(1),
            HALF_OPEN,
            Take(2),
            HALF_OPEN,
            Take(1),
            full(0),
            Push(4),
            cut_off(1_000),
        ],
        "1, 2, 2 queue-full 3-4, 1 cut-off 5-5, 6, 7, 8, 2 queue-full 9-10",
    );
}

#[test]
fn a_trial_that_finds_the_queue_full_cuts_off_anew_for_twice_as_long() {
    check_disconnect(
        &[
            Push(4),
            Wait(1_000),
            // Nothing was received in the pause.
            Push(1),
            cut_off(2_000),
            Wait(2_000),
            Take(2),
            Push(2),
            HALF_OPEN,
            // Once is enough.
            Push(1),
            cut_off(4_000),
            Wait(4_000),
            Take(4),
            Push(1),
            HALF_OPEN,
            Take(2),
            full(0),
            // And the pause is the first again.
            Push(4),
            cut_off(1_000),
        ],
        "1, 2, 2 queue-full 3-4, 1 cut-off 5-5, 6, 7, 1 cut-off 8-8, 9, 10, 11, 2 queue-full 12-13",
    );
}

#[test]
fn pauses_double_to_their_maximum() {
    let clock = Clock::manual();
    let check = |pause: Duration, longest: Duration| {
        let policy = QueuePolicy::Disconnect { times: 1, pause };
        let limits = QueueLimits {
            items_max: 1,
            bytes_max: 100,
        };
        let queue = Queue::with_clock(policy, limits, clock.clone());
        let mut expected = pause;
        for position in 0..20 {
            queue.push(position, item(1));
            if position == 0 {
                continue;
            }
            let pause_left = expected;
            assert_eq!(queue.standing(), Some(Standing::CutOff { pause_left }));
            clock.advance(expected);
            expected = (expected * 2).min(longest);
        }
    };
    check(PAUSE, CUT_OFF_PAUSE_MAX);
    check(CUT_OFF_PAUSE_MAX * 2, CUT_OFF_PAUSE_MAX * 2);
    check(Duration::ZERO, Duration::ZERO);
}

/// What is pushed: its key, and the snapshot that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Keyed {
    topic: char,
    source: char,
    snapshot: Option<u64>,
}

impl Weigh for Keyed {
    fn rows(&self) -> u64 {
        1
    }

    fn bytes(&self) -> u64 {
        10
    }

    fn overtakes(&self, older: &Self) -> bool {
        header(self).overtakes(&header(older))
    }
}

fn header(keyed: &Keyed) -> crate::batch::BatchHeader {
    let kind = crate::event::Kind::Process;
    crate::batch::BatchHeader {
        kind,
        topic: crate::topic::of_event(kind, &keyed.topic.to_string()),
        source: keyed.source.to_string().into(),
        first_sequence: 0,
        opened: crate::event::Timestamp(0),
        closed: crate::event::Timestamp(0),
        snapshot: keyed
            .snapshot
            .map(|id| crate::batch::Snapshot { id, last: false }),
    }
}

/// Pushes `topic source snapshot` one after the other into a queue of `items_max`, and says what is in it.
fn check_latest(items_max: usize, pushes: &str, expected: &str) {
    let limits = QueueLimits {
        items_max,
        bytes_max: 1_000,
    };
    let queue = Queue::new(QueuePolicy::Latest, limits);
    for (position, push) in (1..).zip(pushes.split(' ')) {
        let mut letters = push.chars();
        let keyed = Keyed {
            topic: letters.next().unwrap(),
            source: letters.next().unwrap(),
            snapshot: letters
                .next()
                .map(|digit| digit.to_digit(10).unwrap().into()),
        };
        assert_eq!(queue.push(position, keyed), Pushed::Queued);
        assert!(queue.counts().balances(), "{:?}", queue.counts());
    }
    let deliveries: Vec<_> = std::iter::from_fn(|| queue.try_recv().got()).collect();
    let found: Vec<_> = deliveries
        .iter()
        .map(|delivery| match delivery {
            Delivery::Batch { position, .. } => position.to_string(),
            Delivery::Gap(gap) => {
                let missed = gap.missed.unwrap();
                format!("{missed} {} {}-{}", gap.reason, gap.from, gap.to)
            }
        })
        .collect();
    assert_eq!(found.join(", "), expected, "{pushes}");
    check_counts(&queue.counts(), &found);
}

#[test]
fn the_latest_of_each_key_is_kept_and_a_gap_stands_for_what_was_overtaken() {
    let check = |pushes, expected| check_latest(9, pushes, expected);
    check("ax ax ax", "2 superseded 1-2, 3");
    check("ax bx ay", "1, 2, 3");
    check("ax bx ax", "1 superseded 1-1, 2, 3");
    check("ax bx by bx cx", "1, 1 superseded 2-2, 3, 4, 5");
    // Gaps that nothing stands between any more become one.
    check("ax bx cx ax cx bx", "3 superseded 1-3, 4, 5, 6");
}

#[test]
fn a_newer_snapshot_takes_the_place_of_the_older_one_as_a_whole() {
    let check = |pushes, expected| check_latest(9, pushes, expected);
    check("ax1 bx1 ax1", "1, 2, 3");
    check("ax1 bx1 ax1 cx2", "3 superseded 1-3, 4");
    check("ax1 ay1 bx2", "1 superseded 1-1, 2, 3");
    // Ids name, they don't count: a source that began anew may begin with any.
    check("ax7 ax1", "1 superseded 1-1, 2");
    // A batch outside of snapshots tears none apart, nor the other way.
    check("ax1 ax bx1 ax", "1, 1 superseded 2-2, 3, 4");
    check("ax ax1 ax2", "1, 1 superseded 2-2, 3");
}

#[test]
fn keys_that_do_not_fit_make_room_by_age() {
    check_latest(2, "ax bx cx", "1 queue-full 1-1, 2, 3");
    check_latest(2, "ax bx bx cx", "1 queue-full 1-1, 1 superseded 2-2, 3, 4");
    check_latest(2, "ax1 bx1 cx1", "1 queue-full 1-1, 2, 3");
}

#[test]
fn a_queue_that_nobody_reads_keeps_little_of_it_until_somebody_does() {
    // 64 items of 10 bytes; 1/64 of that is one.
    let queue = queue(QueuePolicy::DropOldest, 1_000, 640);
    let push = |positions: std::ops::RangeInclusive<u64>| {
        for position in positions {
            assert_eq!(queue.push(position, item(1)), Pushed::Queued);
        }
        balanced(&queue).queued.batches
    };
    assert_eq!(push(1..=64), 64);
    assert_eq!(push(65..=127), 64, "not yet once over");
    assert_eq!(
        push(128..=128),
        56,
        "what it held is gone: no push drops all at once"
    );
    assert_eq!(push(129..=140), 1);
    assert_eq!(
        queue.try_recv(),
        Recv::Got(gap(139, DropReason::QueueFull, 1, 139))
    );
    assert_eq!(push(141..=150), 1, "a gap is no item");
    assert_eq!(
        queue.try_recv(),
        Recv::Got(gap(10, DropReason::QueueFull, 140, 149))
    );
    assert_eq!(queue.try_recv(), Recv::Got(batch(150, 1)));
    assert_eq!(push(151..=214), 64, "somebody reads");
}
