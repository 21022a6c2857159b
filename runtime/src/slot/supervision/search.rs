//! The search for the rows that break a guest: which rows to run next, and when to stop.
//!
//! Knows row numbers only: no guest, no clock. Rows are run from the first to the last, so that what
//! comes out of the runs is in the order of the batch. Invariant: a batch costs at most
//! [`RUNS_PER_ROW_MAX`] runs for each row that is found, and [`RUNS_MAX`] in all, whatever the guest
//! does.

use std::ops::Range;

/// Runs that may be spent on each row that is found. Halving 2,048 rows down to one takes two for each
/// of eleven levels; the first run and its repetition are the other two.
pub(crate) const RUNS_PER_ROW_MAX: u32 = 24;
/// Runs of a batch in all.
pub(crate) const RUNS_MAX: u32 = 96;

/// What a fault leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::slot) enum Found {
    /// The same rows once more, on a fresh instance: it may have been the instance.
    Again,
    /// Its halves, one after the other.
    Halves,
    /// Nothing is left to halve: this is what does it.
    Poison(Range<usize>),
}

/// Where the search through one batch is.
#[derive(Clone, Debug)]
pub(in crate::slot) struct Search {
    /// The rows of the next run; none at the end.
    current: Option<Range<usize>>,
    /// What comes after them, the nearest last. Together they reach to the batch's end.
    pending: Vec<Range<usize>>,
    runs: u32,
    found: u32,
    runs_max: u32,
    repeated: bool,
}

impl Search {
    /// Through a batch of that many rows.
    pub(in crate::slot) const fn new(rows: usize) -> Self {
        Self {
            current: Some(0..rows),
            pending: Vec::new(),
            runs: 0,
            found: 0,
            runs_max: RUNS_MAX,
            repeated: false,
        }
    }

    /// One run of the whole batch, however it ends.
    pub(in crate::slot) const fn probe(rows: usize) -> Self {
        let mut search = Self::new(rows);
        search.runs_max = 1;
        search
    }

    /// No more runs: what is left goes unevaluated.
    pub(in crate::slot) const fn stop(&mut self) {
        self.runs_max = self.runs;
    }

    /// The rows of the next run, which is counted; none if there are none left, or no runs.
    pub(in crate::slot) fn next(&mut self) -> Option<Range<usize>> {
        let rows = self.current.clone()?;
        if !self.may_run() {
            return None;
        }
        self.runs += 1;
        Some(rows)
    }

    /// Whether there are runs left.
    fn may_run(&self) -> bool {
        let of_rows = RUNS_PER_ROW_MAX.saturating_mul(self.found.saturating_add(1));
        self.runs < of_rows.min(self.runs_max)
    }

    /// The guest wants these rows once more: false if it may not have them.
    pub(in crate::slot) fn asks_again(&mut self) -> bool {
        if !self.may_run() {
            return false;
        }
        self.runs += 1;
        true
    }

    /// The run is settled: on to the rows behind it.
    pub(in crate::slot) fn go_on(&mut self) {
        self.current = self.pending.pop();
    }

    /// The run ended in a fault.
    pub(in crate::slot) fn faulted(&mut self) -> Found {
        let rows = self.current.clone().unwrap_or_default();
        if !self.repeated {
            self.repeated = true;
            return Found::Again;
        }
        if rows.len() <= 1 {
            self.found += 1;
            self.go_on();
            return Found::Poison(rows);
        }
        let middle = rows.start + rows.len() / 2;
        self.pending.push(middle..rows.end);
        self.current = Some(rows.start..middle);
        Found::Halves
    }

    /// The rows that no run has settled; none if there are none.
    #[cfg(test)]
    pub(in crate::slot) fn rest(&self) -> Option<Range<usize>> {
        let current = self.current.clone()?;
        let end = self.pending.first().map_or(current.end, |last| last.end);
        Some(current.start..end)
    }

    /// Runs so far.
    #[cfg(test)]
    pub(in crate::slot) const fn runs(&self) -> u32 {
        self.runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// How a search through a batch ended.
    #[derive(Debug, Default)]
    struct Ended {
        found: Vec<usize>,
        answered: Vec<usize>,
        unevaluated: Vec<usize>,
        runs: u32,
    }

    /// Runs a search through `rows` rows of a guest that breaks on every run that `breaks` says.
    fn search(rows: usize, breaks: impl Fn(&Range<usize>) -> bool) -> Ended {
        let mut search = Search::new(rows);
        let mut ended = Ended::default();
        while let Some(range) = search.next() {
            if breaks(&range) {
                if let Found::Poison(range) = search.faulted() {
                    ended.found.extend(range);
                }
            } else {
                ended.answered.extend(range);
                search.go_on();
            }
        }
        ended
            .unevaluated
            .extend(search.rest().into_iter().flatten());
        ended.runs = search.runs();
        ended
    }

    fn poisoned(rows: usize, poison: &[usize]) -> Ended {
        search(rows, |range| poison.iter().any(|row| range.contains(row)))
    }

    #[test]
    fn poisonous_rows_are_found_and_all_others_answered() {
        // (rows, which of them, most runs)
        for (rows, poison, runs_max) in [
            (1, &[0][..], 2),
            (2, &[1], 4),
            (1_000, &[0], 24),
            (1_000, &[499], 24),
            (1_000, &[999], 24),
            (1_000, &[0, 999], 48),
            (1_000, &[499, 500], 48),
            (1_000, &[3, 300, 700], 72),
            (2_048, &[2_047], 24),
        ] {
            let ended = poisoned(rows, poison);
            assert_eq!(ended.found, poison, "{rows} rows");
            assert!(ended.unevaluated.is_empty(), "{rows} rows: {ended:?}");
            assert_eq!(ended.answered.len(), rows - poison.len());
            assert!(ended.answered.is_sorted(), "{ended:?}");
            assert!(ended.runs <= runs_max, "{rows}, {poison:?}: {}", ended.runs);
        }
    }

    #[test]
    fn a_batch_that_only_breaks_as_a_whole_is_answered_in_halves() {
        let ended = search(1_000, |range| range.len() > 500);
        assert_eq!((ended.answered.len(), ended.runs), (1_000, 4));
    }

    #[test]
    fn a_fault_that_does_not_come_again_costs_one_run() {
        let mut search = Search::new(10);
        assert_eq!(search.next(), Some(0..10));
        assert_eq!(search.faulted(), Found::Again);
        assert_eq!(search.next(), Some(0..10));
        search.go_on();
        assert_eq!(
            (search.next(), search.rest(), search.runs()),
            (None, None, 2)
        );
    }

    #[test]
    fn a_guest_that_always_breaks_has_its_96_runs_and_no_more() {
        let ended = search(1_000, |_| true);
        assert_eq!(ended.runs, RUNS_MAX);
        assert_eq!(ended.found.len() + ended.unevaluated.len(), 1_000);
    }

    #[test]
    fn what_24_runs_cannot_find_goes_unevaluated() {
        let ended = poisoned(100_000, &[99_999]);
        assert_eq!((ended.runs, ended.found.len()), (24, 0));
        assert!(ended.unevaluated.contains(&99_999));
        assert!(ended.unevaluated.len() < 100);
    }

    #[test]
    fn a_probe_is_one_run() {
        let mut search = Search::probe(10);
        assert_eq!(search.next(), Some(0..10));
        search.faulted();
        assert_eq!((search.next(), search.rest()), (None, Some(0..10)));
    }

    #[test]
    fn what_is_left_when_a_search_is_stopped_goes_unevaluated() {
        let mut search = Search::new(8);
        for _ in 0..3 {
            search.next();
            search.faulted();
        }
        assert_eq!(search.next(), Some(0..2));
        search.go_on();
        search.stop();
        assert_eq!((search.next(), search.rest()), (None, Some(2..8)));
    }

    proptest! {
        #[test]
        fn every_row_comes_out_once_in_order_within_the_bounds(
            rows in 0_usize..5_000,
            seeds in prop::collection::btree_set(0_usize..5_000, 0..8),
        ) {
            let poison: BTreeSet<usize> = seeds.into_iter().filter(|row| *row < rows).collect();
            let ended = poisoned(rows, &poison.iter().copied().collect::<Vec<_>>());
            let found = u32::try_from(ended.found.len()).unwrap();
            prop_assert!(ended.runs <= RUNS_MAX);
            prop_assert!(ended.runs <= RUNS_PER_ROW_MAX * (found + 1));
            prop_assert!(ended.found.iter().all(|row| poison.contains(row)));
            prop_assert!(ended.answered.iter().all(|row| !poison.contains(row)));
            let mut all = [ended.found, ended.answered, ended.unevaluated].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..rows).collect::<Vec<_>>());
            if rows <= 2_048 && poison.len() <= 4 {
                prop_assert_eq!(found as usize, poison.len());
            }
        }

        #[test]
        fn whatever_a_guest_does_the_runs_are_bounded(
            rows in 0_usize..3_000,
            breaks in prop::collection::vec(any::<bool>(), 200),
        ) {
            let run = std::cell::Cell::new(0);
            let ended = search(rows, |_| {
                run.set(run.get() + 1);
                breaks[run.get() - 1]
            });
            prop_assert!(ended.runs <= RUNS_MAX);
            let found = ended.found.len() + ended.answered.len() + ended.unevaluated.len();
            prop_assert_eq!(found, rows);
        }
    }
}
