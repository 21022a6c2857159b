//! A guest on probation: what it does in sums, beside its predecessor's, and what follows from it.
//!
//! Decides and does nothing: sums and times come in, a verdict goes out. A fault needs no sums: it ends the
//! probation where it happens.

use std::time::Instant;

use serde::Serialize;

use crate::config::SwapSettings;

/// From so many rows on, in so many batches, sums say something: a single batch of two rows doesn't.
const ROWS_MIN: u64 = 100;
const BATCHES_MIN: u64 = 4;

/// What a generation did, in sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Batches that it answered.
    pub batches: u64,
    /// Rows of these.
    pub rows: u64,
    /// Fuel for these.
    pub fuel: u64,
    /// Rows that it selected, or fired on.
    pub selected: u64,
}

impl Tally {
    pub(super) const fn add(&mut self, rows: u64, fuel: u64, selected: u64) {
        self.batches = self.batches.saturating_add(1);
        self.rows = self.rows.saturating_add(rows);
        self.fuel = self.fuel.saturating_add(fuel);
        self.selected = self.selected.saturating_add(selected);
    }

    const fn says_something(&self) -> bool {
        self.rows >= ROWS_MIN && self.batches >= BATCHES_MIN
    }

    fn per_row(&self, sum: u64) -> f64 {
        ratio(sum, self.rows)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of counts")]
fn ratio(sum: u64, of: u64) -> f64 {
    sum as f64 / of.max(1) as f64
}

/// What follows from what a guest has done on probation.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Standing {
    /// Nothing yet.
    GoesOn,
    /// It has proved itself.
    Confirmed,
    /// It goes back, for that reason.
    GoesBack(String),
}

/// What follows from that.
pub(super) fn judge(
    settings: &SwapSettings,
    before: &Tally,
    own: &Tally,
    since: Instant,
    now: Instant,
) -> Standing {
    if before.says_something() && own.says_something() {
        let (fuel, fuel_before) = (own.per_row(own.fuel), before.per_row(before.fuel));
        if fuel > fuel_before.max(1.0) * settings.fuel_factor_max {
            return Standing::GoesBack(format!(
                "{fuel:.0} fuel a row, and {fuel_before:.0} before it: more than {} times as much",
                settings.fuel_factor_max
            ));
        }
        let (share, share_before) = (own.per_row(own.selected), before.per_row(before.selected));
        if (share - share_before).abs() > settings.share_difference_max {
            return Standing::GoesBack(format!(
                "selects {:.1} % of the rows, and {:.1} % before it: further off than {:.0} points",
                share * 100.0,
                share_before * 100.0,
                settings.share_difference_max * 100.0
            ));
        }
    }
    let is_old = now.saturating_duration_since(since) >= settings.probation_time;
    if own.batches >= settings.probation_batches || (is_old && own.batches > 0) {
        Standing::Confirmed
    } else {
        Standing::GoesOn
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{LoadRequest, load};

    fn tally(batches: u64, rows: u64, fuel: u64, selected: u64) -> Tally {
        Tally {
            batches,
            rows,
            fuel,
            selected,
        }
    }

    #[test]
    fn a_guest_goes_back_for_its_cost_or_its_choice_and_is_confirmed_by_number_or_by_time() {
        let settings = load(&LoadRequest::default()).unwrap().config.swap;
        let since = Instant::now();
        let before = tally(50, 5_000, 500_000, 100);
        let check = |before: &Tally, own: &Tally, seconds: u64, expected: &str| {
            let now = since + Duration::from_secs(seconds);
            let found = match judge(&settings, before, own, since, now) {
                Standing::GoesOn => "goes on".to_owned(),
                Standing::Confirmed => "confirmed".to_owned(),
                Standing::GoesBack(why) => why,
            };
            assert!(found.starts_with(expected), "{own:?}: {found}");
        };
        let same = tally(50, 5_000, 600_000, 200);
        check(&before, &same, 1, "goes on");
        check(&before, &same, 60, "confirmed");
        check(
            &before,
            &tally(1_000, 100_000, 10_000_000, 2_000),
            1,
            "confirmed",
        );
        check(
            &before,
            &tally(4, 400, 400_000, 8),
            1,
            "1000 fuel a row, and 100 before it",
        );
        check(
            &before,
            &tally(4, 400, 40_000, 400),
            1,
            "selects 100.0 % of the rows, and 2.0 %",
        );
        // Too little to say something, of one or of the other.
        check(&before, &tally(3, 400, 400_000, 400), 1, "goes on");
        check(&before, &tally(4, 99, 400_000, 99), 1, "goes on");
        check(
            &tally(1, 10, 100, 0),
            &tally(40, 4_000, 400_000, 4_000),
            1,
            "goes on",
        );
        // Nothing came: nothing is proved, however long it takes.
        check(&before, &Tally::default(), 600, "goes on");
    }
}
