//! The account of a run's effects: each must have come once, in order, with the number of its row.

use anyhow::{Context as _, ensure};
use weir_bus::Timestamp;
use weir_bus::event::TriggerRow;

use crate::live::sink;
use crate::measure::figure;

/// A firing of the guest that counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effect {
    /// The number that the guest gave the row; none if it told none.
    number: Option<u64>,
    /// The row's pid: one more than its number.
    pid: u32,
    /// How long it was on its way.
    age_ns: u64,
}

impl Effect {
    /// What a trigger's event tells of it.
    pub(super) fn of(firing: &TriggerRow<'_>, now: Timestamp) -> Option<Self> {
        let mut metadata = firing.metadata().iter();
        let number = metadata.find_map(|text| text.strip_prefix("message=")?.parse().ok());
        Some(Self {
            number,
            pid: firing.target_pid().unwrap_or(0),
            age_ns: sink::age_ns(firing, now).unwrap_or(0),
        })
    }
}

/// What became of the effects of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Account {
    pub(super) lost: u64,
    pub(super) doubled: u64,
    /// Of all effects, in milliseconds, sorted.
    pub(super) latencies: Vec<f64>,
}

/// Counts effects that did not come, and those that came again.
///
/// # Errors
/// If the guest gave a row another number than its own: its memory is not what it has seen. If effects came
/// out of order.
pub(super) fn account(effects: &[Effect], rows: u64, fires_every: u64) -> anyhow::Result<Account> {
    let expected = usize::try_from(rows.div_ceil(fires_every))?;
    let mut came = vec![0_u64; expected];
    let mut account = Account::default();
    let mut last = 0;
    for effect in effects {
        let number = effect.number.context("a firing without a number")?;
        ensure!(
            u64::from(effect.pid) == number + 1,
            "the guest took row {} for row {number}: its memory is not what it has seen",
            i64::from(effect.pid) - 1
        );
        ensure!(number >= last, "row {number} fired after row {last}");
        last = number;
        let place = usize::try_from(number / fires_every)?;
        let is_due = number.is_multiple_of(fires_every);
        let times = came.get_mut(place).filter(|_| is_due);
        *times.with_context(|| format!("row {number} doesn't fire"))? += 1;
        account.latencies.push(figure(effect.age_ns) / 1e6);
    }
    for times in came {
        account.lost += u64::from(times == 0);
        account.doubled += times.saturating_sub(1);
    }
    account.latencies.sort_by(f64::total_cmp);
    Ok(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effects(numbers: &[(u64, u32)]) -> Vec<Effect> {
        let effect = |(number, pid): &(u64, u32)| Effect {
            number: Some(*number),
            pid: *pid,
            age_ns: 1_500_000,
        };
        numbers.iter().map(effect).collect()
    }

    #[test]
    fn what_is_lost_doubled_or_out_of_step_is_seen() {
        for (numbers, lost, doubled) in [
            (&[(0, 1), (10, 11), (20, 21)][..], 0, 0),
            (&[(0, 1), (20, 21)], 1, 0),
            (&[(0, 1), (10, 11), (10, 11), (20, 21)], 0, 1),
            (&[], 3, 0),
        ] {
            let account = account(&effects(numbers), 21, 10).unwrap();
            assert_eq!((account.lost, account.doubled), (lost, doubled));
        }
        for wrong in [
            // It has forgotten ten rows.
            &[(0, 1), (0, 11)][..],
            &[(10, 11), (0, 1)],
            &[(5, 6)],
            &[(30, 31)],
        ] {
            assert!(account(&effects(wrong), 21, 10).is_err(), "{wrong:?}");
        }
    }
}
