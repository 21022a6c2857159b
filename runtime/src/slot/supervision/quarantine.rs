//! Quarantine: a module that breaks again and again is not called any more, but for a try now and then.
//!
//! Knows no module and no disk: faulted and answered batches come in, permits go out, all at times
//! that the caller tells.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config::SupervisionSettings;

/// When a quarantine begins, and how it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) faults: usize,
    pub(super) window: Duration,
    pub(super) pause_min: Duration,
    pub(super) pause_max: Duration,
    pub(super) answers: u32,
    pub(super) healthy_after: Duration,
}

impl From<&SupervisionSettings> for Rules {
    fn from(settings: &SupervisionSettings) -> Self {
        Self {
            faults: settings.quarantine_faults,
            window: settings.quarantine_window,
            pause_min: settings.quarantine_pause_min,
            pause_max: settings.quarantine_pause_max,
            answers: settings.quarantine_answers,
            healthy_after: settings.healthy_after,
        }
    }
}

/// Whether a batch may be shown to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// It may.
    Free,
    /// It may, as a try.
    Try,
    /// It may not, until then.
    Held(Instant),
}

/// What a batch changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing that anybody else need know.
    None,
    /// The quarantine began, or goes on with this pause.
    Held(Duration),
    /// The quarantine is over.
    Released,
}

/// How often a module has broken, and whether it may be called.
#[derive(Clone, Debug)]
pub(super) struct Quarantine {
    rules: Rules,
    /// When batches broke it: at most as many as it takes.
    faulted: VecDeque<Instant>,
    /// The pause of the last quarantine: one that comes soon after goes on from there.
    pause: Option<Duration>,
    /// When it broke last, or was let go.
    troubled: Option<Instant>,
    held: Option<Held>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    until: Instant,
    pause: Duration,
    answers: u32,
}

impl Quarantine {
    pub(super) const fn new(rules: Rules) -> Self {
        Self {
            rules,
            faulted: VecDeque::new(),
            pause: None,
            troubled: None,
            held: None,
        }
    }

    pub(super) fn pass(&self, now: Instant) -> Pass {
        match self.held {
            None => Pass::Free,
            Some(held) if now < held.until => Pass::Held(held.until),
            Some(_) => Pass::Try,
        }
    }

    pub(super) const fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// A batch broke the guest: with its repetition and its search, it is one.
    pub(super) fn broke(&mut self, now: Instant) -> Change {
        self.heal(now);
        self.troubled = Some(now);
        if let Some(held) = self.held {
            return self.hold(now, held.pause.saturating_mul(2));
        }
        self.faulted.push_back(now);
        while self.faulted.len() > self.rules.faults {
            self.faulted.pop_front();
        }
        let window = self.rules.window;
        self.faulted
            .retain(|at| now.saturating_duration_since(*at) < window);
        if self.faulted.len() < self.rules.faults {
            return Change::None;
        }
        let pause = self.pause.map(|pause| pause.saturating_mul(2));
        self.hold(now, pause.unwrap_or(self.rules.pause_min))
    }

    /// A batch was answered, and broke nothing.
    pub(super) fn answered(&mut self, now: Instant) -> Change {
        let Some(held) = &mut self.held else {
            self.heal(now);
            return Change::None;
        };
        held.answers += 1;
        if held.answers < self.rules.answers {
            return Change::None;
        }
        self.pause = Some(held.pause);
        self.held = None;
        self.faulted.clear();
        self.troubled = Some(now);
        Change::Released
    }

    /// A quarantine that an earlier process began: its pause begins anew.
    pub(super) fn resume(&mut self, now: Instant, pause: Duration) {
        self.hold(now, pause);
    }

    /// The operator lets it go, or another module comes: nothing is held against it.
    pub(super) fn release(&mut self) -> bool {
        let was_held = self.held.is_some();
        *self = Self::new(self.rules);
        was_held
    }

    fn hold(&mut self, now: Instant, pause: Duration) -> Change {
        let longest = self.rules.pause_max.max(self.rules.pause_min);
        let pause = pause.clamp(self.rules.pause_min, longest);
        self.held = Some(Held {
            until: now.checked_add(pause).unwrap_or(now),
            pause,
            answers: 0,
        });
        self.faulted.clear();
        Change::Held(pause)
    }

    /// After a healthy time, what was is forgotten.
    fn heal(&mut self, now: Instant) {
        let is_healthy = self.troubled.is_some_and(|troubled| {
            now.saturating_duration_since(troubled) >= self.rules.healthy_after
        });
        if is_healthy && self.held.is_none() {
            self.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: Rules = Rules {
        faults: 5,
        window: Duration::from_secs(60),
        pause_min: Duration::from_secs(30),
        pause_max: Duration::from_hours(1),
        answers: 3,
        healthy_after: Duration::from_secs(60),
    };

    /// Breaks it so often, so many seconds apart, from `at` on.
    fn breaks(one: &mut Quarantine, start: Instant, at: u64, times: u64, apart: u64) -> Change {
        let mut change = Change::None;
        for number in 0..times {
            change = one.broke(start + Duration::from_secs(at + number * apart));
        }
        change
    }

    #[test]
    fn five_faulted_batches_in_a_minute_are_quarantine_and_slower_ones_are_not() {
        // (times, seconds apart, held)
        for (times, apart, held) in [(4, 1, false), (5, 1, true), (5, 14, true), (20, 15, false)] {
            let (mut one, start) = (Quarantine::new(RULES), Instant::now());
            let change = breaks(&mut one, start, 0, times, apart);
            assert_eq!(one.is_held(), held, "{times} times, {apart} s apart");
            assert_eq!(change == Change::Held(RULES.pause_min), held);
        }
    }

    #[test]
    fn a_healthy_minute_clears_the_count() {
        let (mut one, start) = (Quarantine::new(RULES), Instant::now());
        breaks(&mut one, start, 0, 4, 1);
        one.answered(start + Duration::from_secs(64));
        breaks(&mut one, start, 65, 4, 1);
        assert!(!one.is_held());
    }

    #[test]
    fn each_try_that_breaks_doubles_the_pause_up_to_the_longest() {
        let (mut one, mut now) = (Quarantine::new(RULES), Instant::now());
        let mut change = breaks(&mut one, now, 0, 5, 0);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let Change::Held(pause) = change else {
                panic!("{change:?}");
            };
            pauses.push(pause.as_secs());
            assert!(matches!(one.pass(now + pause / 2), Pass::Held(_)));
            now += pause;
            assert_eq!(one.pass(now), Pass::Try);
            change = one.broke(now);
        }
        assert_eq!(pauses, [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
    }

    #[test]
    fn three_answers_in_a_row_end_it() {
        let (mut one, start) = (Quarantine::new(RULES), Instant::now());
        breaks(&mut one, start, 0, 5, 0);
        let later = start + RULES.pause_min;
        assert_eq!(one.answered(later), Change::None);
        assert_eq!(one.answered(later), Change::None);
        assert_eq!(one.answered(later), Change::Released);
        assert_eq!(one.pass(later), Pass::Free);
    }

    #[test]
    fn one_that_comes_soon_after_goes_on_from_the_last_pause() {
        let (mut one, start) = (Quarantine::new(RULES), Instant::now());
        breaks(&mut one, start, 0, 5, 0);
        for _ in 0..3 {
            one.answered(start + Duration::from_secs(30));
        }
        assert_eq!(
            breaks(&mut one, start, 31, 5, 1),
            Change::Held(2 * RULES.pause_min)
        );
        let (mut one, start) = (Quarantine::new(RULES), Instant::now());
        breaks(&mut one, start, 0, 5, 0);
        for _ in 0..3 {
            one.answered(start + Duration::from_secs(30));
        }
        // A healthy minute lies between them.
        assert_eq!(
            breaks(&mut one, start, 91, 5, 1),
            Change::Held(RULES.pause_min)
        );
    }

    #[test]
    fn what_is_released_begins_anew() {
        let (mut one, start) = (Quarantine::new(RULES), Instant::now());
        assert!(!one.release());
        breaks(&mut one, start, 0, 5, 0);
        assert!(one.release());
        assert_eq!(breaks(&mut one, start, 1, 4, 0), Change::None);
        assert_eq!(one.pass(start), Pass::Free);
    }

    #[test]
    fn an_earlier_ones_pause_begins_anew() {
        let (mut one, start) = (Quarantine::new(RULES), Instant::now());
        one.resume(start, Duration::from_secs(240));
        assert_eq!(
            one.pass(start),
            Pass::Held(start + Duration::from_secs(240))
        );
    }

    proptest! {
        #[test]
        fn it_is_never_held_without_enough_faults_in_the_window(
            steps in prop::collection::vec((any::<bool>(), 0_u64..30), 0..100),
        ) {
            let (mut one, start) = (Quarantine::new(RULES), Instant::now());
            let (mut now, mut faults) = (start, Vec::new());
            for (broke, seconds) in steps {
                now += Duration::from_secs(seconds);
                if one.is_held() {
                    break;
                }
                if broke {
                    faults.push(now);
                    one.broke(now);
                    let recent = faults.iter().filter(|at| now - **at < RULES.window).count();
                    prop_assert_eq!(one.is_held(), recent >= RULES.faults);
                } else {
                    one.answered(now);
                }
            }
        }
    }
}
