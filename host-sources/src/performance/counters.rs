//! From counters to what they counted between two looks.
//!
//! A counter may begin again (a device that was taken out and put back), wrap at 32 bits (the milliseconds of
//! `diskstats` do every 49 days of work), and be looked at too soon or too late. All counters of one object are judged
//! together: one that begins again takes all others with it, one that wraps leaves the others as they are.
//!
//! The invariant: a rate is of a known time and of counters that went on counting, or there is none, and the
//! reason is counted.

use std::collections::BTreeMap;
use std::time::Duration;

use super::metric::WITHHELD;
use super::rows::Rows;

/// The shortest time that a rate is made of: 20 of the 10 ms ticks in which the kernel counts CPU time.
pub(super) const ELAPSED_MIN: Duration = Duration::from_millis(200);
/// The longest, where the source's own interval isn't longer: an average over more says nothing of now.
const ELAPSED_MAX: Duration = Duration::from_mins(15);
/// How many intervals a rate may be of: a look or two may be late.
const INTERVALS_MAX: u32 = 3;
/// Where a 32-bit counter ends.
const WRAP: u64 = 1 << 32;
/// A counter that wrapped was in the last quarter before, and is in the first after.
const QUARTER: u64 = WRAP / 4;
/// Objects of one sort that are followed: cpus, disks, interfaces or groups.
pub(super) const OBJECTS_MAX: usize = 8_192;

/// Why there is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Withheld {
    /// Two looks were too near each other; the next is compared with the earlier one.
    TooShort,
    /// They were too far apart.
    TooLong,
    /// The clock went back.
    TimeBackwards,
    /// The counters began again.
    Reset,
}

impl Withheld {
    const ALL: [(Self, &'static str); 4] = [
        (Self::TooShort, "too-short"),
        (Self::TooLong, "too-long"),
        (Self::TimeBackwards, "time-backwards"),
        (Self::Reset, "reset"),
    ];
}

/// How often there was no rate, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    counts: [u64; 4],
}

impl Ledger {
    fn note(&mut self, why: Withheld) {
        if let Some(count) = self.counts.get_mut(why as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// How often for that reason.
    pub(super) fn count(&self, why: Withheld) -> u64 {
        self.counts.get(why as usize).copied().unwrap_or_default()
    }

    /// Says so in rows; of what never was none.
    pub(super) fn tell(&self, rows: &mut Rows) {
        for (why, name) in Withheld::ALL {
            let count = self.count(why);
            if count > 0 {
                rows.push_of(&WITHHELD, format_args!("{name}"), as_f64(count));
            }
        }
    }
}

/// When a look was taken, by a clock that doesn't follow the wall's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Since the source was started.
    pub(super) at: Duration,
    /// The longest time that a rate may be of.
    pub(super) elapsed_max: Duration,
}

impl Moment {
    /// A moment for a source that looks every `interval`, if it does by itself.
    pub(super) fn new(at: Duration, interval: Option<Duration>) -> Self {
        let intervals = interval.unwrap_or_default().saturating_mul(INTERVALS_MAX);
        Self {
            at,
            elapsed_max: ELAPSED_MAX.max(intervals),
        }
    }
}

/// What counters counted within a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Deltas<const N: usize> {
    pub(super) values: [u64; N],
    pub(super) elapsed_s: f64,
}

impl<const N: usize> Deltas<N> {
    /// Of one counter, each second.
    pub(super) fn rate(&self, index: usize) -> f64 {
        as_f64(self.values.get(index).copied().unwrap_or_default()) / self.elapsed_s
    }
}

/// An object's counters at the last look.
struct Track<const N: usize> {
    identity: u64,
    at: Duration,
    values: [u64; N],
    /// The number of the look that saw it last.
    seen: u64,
}

/// The counters of all objects of one sort, by name.
pub(super) struct Tracks<const N: usize> {
    by_name: BTreeMap<Box<[u8]>, Track<N>>,
    look: u64,
    /// Counters that may go back a little, and then counted nothing: a bit each, the lowest the first.
    may_go_back: u32,
    over: bool,
}

impl<const N: usize> Tracks<N> {
    /// No objects yet. `may_go_back`: a bit for each counter that isn't exact, the lowest for the first.
    pub(super) const fn new(may_go_back: u32) -> Self {
        Self {
            by_name: BTreeMap::new(),
            look: 0,
            may_go_back,
            over: false,
        }
    }

    /// A look begins.
    pub(super) const fn begin(&mut self) {
        self.look = self.look.wrapping_add(1);
        self.over = false;
    }

    /// It has ended: what it didn't see is forgotten. True if there were more than [`OBJECTS_MAX`].
    pub(super) fn end(&mut self) -> bool {
        let look = self.look;
        self.by_name.retain(|_, track| track.seen == look);
        self.over
    }

    /// What an object counted since the last look; none at its first, and where that can't be said. `identity` tells
    /// objects apart that have the same name one after the other.
    pub(super) fn advance(
        &mut self,
        name: &[u8],
        identity: u64,
        moment: &Moment,
        values: [u64; N],
        ledger: &mut Ledger,
    ) -> Option<Deltas<N>> {
        let fresh = Track {
            identity,
            at: moment.at,
            values,
            seen: self.look,
        };
        let Some(track) = self.by_name.get_mut(name) else {
            if self.by_name.len() < OBJECTS_MAX {
                self.by_name.insert(name.into(), fresh);
            } else {
                self.over = true;
            }
            return None;
        };
        if track.identity != identity {
            *track = fresh;
            return None;
        }
        track.seen = self.look;
        let since = since(track, moment, &values, self.may_go_back);
        if since != Err(Withheld::TooShort) {
            *track = fresh;
        }
        since.map_err(|why| ledger.note(why)).ok()
    }
}

fn since<const N: usize>(
    before: &Track<N>,
    moment: &Moment,
    values: &[u64; N],
    may_go_back: u32,
) -> Result<Deltas<N>, Withheld> {
    let elapsed = moment
        .at
        .checked_sub(before.at)
        .ok_or(Withheld::TimeBackwards)?;
    if elapsed > moment.elapsed_max {
        return Err(Withheld::TooLong);
    }
    let deltas = differences(&before.values, values, may_go_back).ok_or(Withheld::Reset);
    if elapsed < ELAPSED_MIN && deltas.is_ok() {
        return Err(Withheld::TooShort);
    }
    Ok(Deltas {
        values: deltas?,
        elapsed_s: elapsed.as_secs_f64(),
    })
}

/// What was counted between; none if the counters began again.
fn differences<const N: usize>(
    before: &[u64; N],
    after: &[u64; N],
    may_go_back: u32,
) -> Option<[u64; N]> {
    let mut deltas = [0; N];
    let mut wrapped = false;
    let mut went_on = false;
    let pairs = before.iter().zip(after).zip(&mut deltas);
    for (index, ((before, after), delta)) in pairs.enumerate() {
        if let Some(more) = after.checked_sub(*before) {
            *delta = more;
            went_on |= *before > 0;
        } else if may_go_back.checked_shr(u32::try_from(index).ok()?)? & 1 == 1 {
            *delta = 0;
        } else {
            let is_wrap = *before < WRAP && *before >= WRAP - QUARTER && *after < QUARTER;
            if !is_wrap {
                return None;
            }
            wrapped = true;
            *delta = (WRAP - *before) + *after;
        }
    }
    // An object of which nothing went on is another one.
    (!wrapped || went_on).then_some(deltas)
}

/// A count as a value: beyond 2^53 the last digits are lost, which no rate shows.
#[expect(
    clippy::cast_precision_loss,
    reason = "values of metrics are floating point; a count beyond 2^53 loses its last digits only"
)]
pub(super) const fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn moment(ms: u64) -> Moment {
        Moment {
            at: Duration::from_millis(ms),
            elapsed_max: Duration::from_secs(60),
        }
    }

    /// Looks at one object after the other; the last one's answer.
    fn look(looks: &[(u64, [u64; 2])]) -> (Option<[u64; 2]>, Ledger) {
        let mut tracks = Tracks::<2>::new(0);
        let mut ledger = Ledger::default();
        let mut last = None;
        for (ms, values) in looks {
            tracks.begin();
            last = tracks.advance(b"x", 0, &moment(*ms), *values, &mut ledger);
            tracks.end();
        }
        (last.map(|deltas| deltas.values), ledger)
    }

    #[test]
    fn counters_that_begin_again_give_no_rate_and_those_that_wrap_do() {
        let near_end = WRAP - 10;
        for (before, after, expected) in [
            ([5, 5], [7, 5], Some([2, 0])),
            ([0, 0], [0, 0], Some([0, 0])),
            // Beyond 32 bits nothing wraps.
            ([WRAP, 5], [3, 6], None),
            ([near_end, 5], [20, 6], Some([30, 1])),
            // Both at once, and nothing that went on: it is another device.
            ([near_end, near_end], [20, 20], None),
            ([near_end, 0], [20, 7], None),
            ([near_end, 5], [20, 4], None),
            // Not near the end, and not near the beginning.
            ([WRAP / 2, 5], [20, 6], None),
            ([near_end, 5], [WRAP / 2, 6], None),
            ([5, 5], [0, 0], None),
            ([u64::MAX, 5], [0, 6], None),
            ([0, 5], [u64::MAX, 6], Some([u64::MAX, 1])),
        ] {
            let (deltas, ledger) = look(&[(0, before), (1_000, after)]);
            assert_eq!(deltas, expected, "{before:?} {after:?}");
            assert_eq!(ledger.count(Withheld::Reset), u64::from(expected.is_none()));
        }
    }

    #[test]
    fn after_a_reset_the_next_look_has_a_rate_again() {
        let (deltas, ledger) = look(&[(0, [9, 9]), (1_000, [1, 1]), (2_000, [4, 2])]);
        assert_eq!(deltas, Some([3, 1]));
        assert_eq!(ledger.count(Withheld::Reset), 1);
    }

    #[test]
    fn looks_too_near_each_other_are_compared_with_the_one_before() {
        let (deltas, ledger) = look(&[(0, [0, 0]), (100, [5, 1]), (199, [9, 2])]);
        assert_eq!((deltas, ledger.count(Withheld::TooShort)), (None, 2));
        let (deltas, _) = look(&[(0, [0, 0]), (100, [5, 1]), (200, [10, 3])]);
        assert_eq!(deltas, Some([10, 3]));
        // One that began again is another at once, however soon.
        let (_, ledger) = look(&[(0, [7, 7]), (100, [0, 1])]);
        assert_eq!(ledger.count(Withheld::Reset), 1);
    }

    #[test]
    fn looks_too_far_apart_or_out_of_order_give_no_rate() {
        let (deltas, ledger) = look(&[(0, [0, 0]), (60_001, [5, 1])]);
        assert_eq!((deltas, ledger.count(Withheld::TooLong)), (None, 1));
        let (deltas, ledger) = look(&[(5_000, [0, 0]), (4_000, [5, 1])]);
        assert_eq!((deltas, ledger.count(Withheld::TimeBackwards)), (None, 1));
        let (deltas, _) = look(&[(5_000, [0, 0]), (4_000, [5, 1]), (5_000, [7, 1])]);
        assert_eq!(deltas, Some([2, 0]));
        assert_eq!(
            Moment::new(Duration::ZERO, Some(Duration::from_hours(1))).elapsed_max,
            Duration::from_hours(3)
        );
    }

    #[test]
    fn another_object_of_the_same_name_begins_anew() {
        let mut tracks = Tracks::<1>::new(0);
        let mut ledger = Ledger::default();
        tracks.begin();
        tracks.advance(b"x", 1, &moment(0), [100], &mut ledger);
        let other = tracks.advance(b"x", 2, &moment(1_000), [200], &mut ledger);
        assert_eq!((other, ledger), (None, Ledger::default()));
        // What a look didn't see is forgotten.
        tracks.end();
        tracks.begin();
        tracks.end();
        tracks.begin();
        let again = tracks.advance(b"x", 2, &moment(2_000), [300], &mut ledger);
        assert_eq!((again, ledger), (None, Ledger::default()));
    }

    #[test]
    fn counters_that_are_not_exact_may_go_back() {
        let mut tracks = Tracks::<2>::new(0b10);
        let mut ledger = Ledger::default();
        tracks.advance(b"x", 0, &moment(0), [5, 9], &mut ledger);
        let deltas = tracks.advance(b"x", 0, &moment(1_000), [6, 8], &mut ledger);
        assert_eq!(deltas.unwrap().values, [1, 0]);
    }

    #[test]
    fn no_more_objects_are_followed_than_may_be() {
        let mut tracks = Tracks::<1>::new(0);
        let mut ledger = Ledger::default();
        tracks.begin();
        for object in 0..=OBJECTS_MAX {
            let name = object.to_string();
            tracks.advance(name.as_bytes(), 0, &moment(0), [1], &mut ledger);
        }
        assert_eq!(tracks.by_name.len(), OBJECTS_MAX);
        assert!(tracks.end());
    }

    proptest! {
        #[test]
        fn a_rate_is_finite_and_never_below_zero(
            looks in prop::collection::vec((0_u64..200_000, any::<[u64; 3]>()), 0..20),
            may_go_back in 0_u32..8,
        ) {
            let mut tracks = Tracks::<3>::new(may_go_back);
            let mut ledger = Ledger::default();
            let mut given = 0_u64;
            let count = looks.len() as u64;
            for (ms, values) in looks {
                tracks.begin();
                if let Some(deltas) = tracks.advance(b"x", 0, &moment(ms), values, &mut ledger) {
                    given += 1;
                    for index in 0..3 {
                        prop_assert!(deltas.rate(index).is_finite() && deltas.rate(index) >= 0.0);
                    }
                }
                tracks.end();
            }
            // The first look, and each that has a rate or a reason why it has none.
            let withheld: u64 = ledger.counts.iter().sum();
            prop_assert_eq!(given + withheld + u64::from(count > 0), count);
        }

        #[test]
        fn what_a_32_bit_counter_counted_is_the_same_across_its_end(
            before in (WRAP - QUARTER)..WRAP,
            counted in 0_u64..QUARTER,
        ) {
            let after = (before + counted) % WRAP;
            let (deltas, _) = look(&[(0, [before, 1]), (1_000, [after, 1])]);
            prop_assert_eq!(deltas, Some([counted, 0]));
        }
    }
}
