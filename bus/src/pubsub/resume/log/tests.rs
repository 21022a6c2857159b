//! What is confirmed, handed out again, and missing.

use super::*;

fn sent(positions: impl IntoIterator<Item = u64>) -> Log {
    let mut log = Log::default();
    for position in positions {
        log.send(Entry::batch(position, position * 10));
    }
    log
}

/// What comes next: positions with rows, skipped ones, and whether it is again; `-rows` for gaps.
fn next(log: &mut Log, kept: &[u64]) -> Vec<(u64, i64, u64, bool)> {
    let is_kept = |position: u64| kept.contains(&position);
    let mut found = Vec::new();
    loop {
        log.settle(is_kept);
        match log.take(is_kept) {
            None => return found,
            Some(Next::Gap(gap)) => {
                let missed = gap.missed.map_or(0, |rows| i64::try_from(rows).unwrap());
                found.push((gap.to, -missed, 0, false));
            }
            Some(Next::Batch {
                position,
                rows,
                skip,
                again,
            }) => {
                found.push((position, i64::try_from(rows).unwrap(), skip, again));
            }
        }
    }
}

#[test]
fn what_was_not_read_comes_again_and_what_was_read_does_not() {
    let all = [1, 2, 3, 4, 5];
    let check = |read: u64, expected: &[u64]| {
        let mut log = sent(1..=3);
        log.push(Entry::batch(4, 40));
        log.push(Entry::batch(5, 50));
        log.resume(read, 0).unwrap();
        let found = next(&mut log, &all);
        let positions: Vec<_> = found.iter().map(|one| one.0).collect();
        assert_eq!(positions, expected);
        assert!(found.iter().all(|one| one.3 == (one.0 <= 3)), "{found:?}");
        assert_eq!(log.mark(), 3 + expected.len() as u64);
    };
    check(0, &[1, 2, 3, 4, 5]);
    check(1, &[2, 3, 4, 5]);
    check(3, &[4, 5]);
}

#[test]
fn who_has_read_what_was_not_sent_or_is_forgotten_is_unknown() {
    let mut log = sent(1..=3);
    log.confirm(2);
    assert_eq!(log.sent_count(), Count::batch(30));
    for position in [0, 1, 4] {
        assert_eq!(log.resume(position, 0), Err(Unknown), "{position}");
    }
    for rows in [30, 31, u64::MAX] {
        assert_eq!(log.resume(2, rows), Err(Unknown), "{rows} rows");
    }
    assert_eq!(log.resume(2, 0), Ok(Count::ZERO));
    // A hostile reader confirms nothing for hours: what is kept in mind is bounded.
    let mut log = sent(1..=SENT_MAX as u64 + 7);
    assert_eq!(log.sent_count().batches, SENT_MAX as u64);
    assert_eq!(log.resume(6, 0), Err(Unknown));
    assert_eq!(log.resume(7, 0), Ok(Count::ZERO));
}

#[test]
fn what_is_not_kept_is_a_gap_in_its_place() {
    let mut log = sent([1, 2]);
    for position in 3..=8 {
        log.push(Entry::batch(position, position * 10));
    }
    log.push(Entry::Gap(Box::new(Gap::of(9, 90, DropReason::QueueFull))));
    log.push(Entry::batch(10, 100));
    // While it isn't known what was read, what was sent stands.
    assert_eq!(log.settle(|position| position > 4), Count::new(70, 2));
    assert_eq!(log.resume(1, 0), Ok(Count::batch(10)));
    let found = next(&mut log, &[5, 6, 8]);
    let expected = [
        // The 20 rows of position 2, and the 70 that were gone before.
        (4, -90, 0, false),
        (5, 50, 0, false),
        (6, 60, 0, false),
        (7, -70, 0, false),
        (8, 80, 0, false),
        (10, -100, 0, false),
        (9, -90, 0, false),
    ];
    let sorted = |mut found: Vec<(u64, i64, u64, bool)>| {
        // Gaps for two reasons at one place have no order.
        found[5..].sort_unstable();
        found
    };
    assert_eq!(sorted(found), sorted(expected.to_vec()));
    assert!(log.is_drained());
}

#[test]
fn a_batch_that_was_read_in_part_goes_on_where_it_was_cut() {
    let mut log = sent([1, 2]);
    assert_eq!(log.resume(1, 5), Ok(Count::new(15, 1)));
    assert_eq!(next(&mut log, &[2]), [(2, 15, 5, true)]);
    // Cut once more: the client's count goes on from where it was.
    assert_eq!(log.resume(1, 4), Err(Unknown));
    assert_eq!(log.resume(1, 9), Ok(Count::new(4, 0)));
    assert_eq!(next(&mut log, &[2]), [(2, 11, 9, true)]);
    assert_eq!(log.resume(2, 0), Ok(Count::batch(11)));
    log.send(Entry::batch(3, 30));
    assert_eq!(log.resume(2, 1), Ok(Count::new(1, 0)));
    assert_eq!(next(&mut log, &[]), [(3, -29, 0, false)]);
}
