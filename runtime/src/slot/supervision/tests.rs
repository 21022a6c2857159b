//! The supervisor as a whole, on a clock of the test's own.

use super::*;
use crate::config::{LoadRequest, load};
use crate::sandbox::FaultReason;

fn settings() -> SupervisionSettings {
    load(&LoadRequest::default()).unwrap().config.supervision
}

/// A supervisor at some time.
struct Slot {
    supervisor: Supervisor,
    now: Instant,
}

impl Slot {
    fn new(kept: Option<Quarantined>) -> Self {
        let now = Instant::now();
        let mut supervisor = Supervisor::new(settings(), kept, now);
        supervisor.in_force("one", 0.25);
        Self { supervisor, now }
    }

    fn answers(&mut self) -> Option<Told> {
        self.supervisor.answered(self.now)
    }

    fn breaks(&mut self, times: u32, answered: bool) -> Option<Told> {
        let fault = Fault::of(FaultReason::Trap, "it broke");
        let broke = Broke {
            now: self.now,
            wall: UNIX_EPOCH,
            answered,
            fault: &fault,
            chance: 1.0,
        };
        let told = (0..times).map(|_| self.supervisor.broke(broke));
        told.last().flatten()
    }

    fn permit(&self) -> Permit {
        self.supervisor.permit(self.now)
    }
}

#[test]
fn a_guest_that_breaks_is_paused_then_quarantined_then_tried() {
    let mut slot = Slot::new(None);
    assert_eq!(slot.permit(), Permit::Call);
    slot.breaks(1, false);
    assert_eq!(slot.permit(), Permit::Call);
    slot.breaks(1, false);
    assert_eq!(slot.permit(), Permit::BackingOff);
    assert_eq!(slot.supervisor.state(slot.now), "backing-off");
    let pause = settings().quarantine_pause_min;
    assert_eq!(slot.breaks(3, false), Some(Told::Quarantined(pause)));
    assert_eq!(slot.permit(), Permit::Quarantined);
    assert_eq!(slot.supervisor.wait(slot.now), None);
    let status = slot.supervisor.quarantine_status(slot.now).unwrap();
    assert_eq!(
        (status.why.faults, status.why.reason),
        (5, FaultReason::Trap)
    );
    assert_eq!(u128::from(status.tried_in_ms), pause.as_millis());
    slot.now += pause;
    assert_eq!(slot.permit(), Permit::Try);
    assert_eq!(slot.breaks(1, false), Some(Told::Quarantined(2 * pause)));
    slot.now += 2 * pause;
    assert_eq!(slot.answers(), None);
    assert_eq!(slot.answers(), None);
    assert_eq!(slot.answers(), Some(Told::Released));
    assert_eq!(slot.permit(), Permit::Call);
    assert_eq!(slot.supervisor.quarantined(), None);
}

#[test]
fn a_guest_that_answers_the_other_rows_is_never_paused() {
    let mut slot = Slot::new(None);
    for _ in 0..4 {
        slot.breaks(1, true);
        assert_eq!(slot.permit(), Permit::Call);
    }
}

#[test]
fn a_quarantine_outlives_the_process_and_goes_with_the_module() {
    let mut slot = Slot::new(None);
    slot.breaks(5, false);
    let kept = slot.supervisor.quarantined();
    let mut next = Slot::new(kept);
    assert_eq!(next.permit(), Permit::Quarantined);
    assert!(!next.supervisor.in_force("one", 0.25), "the same module");
    assert_eq!(next.permit(), Permit::Quarantined);
    assert!(next.supervisor.in_force("two", 0.25), "another one");
    assert_eq!(next.permit(), Permit::Call);
    assert_eq!(next.supervisor.quarantined(), None);
    assert!(next.supervisor.in_force("one", 0.25), "it comes back");
    assert_eq!(next.permit(), Permit::Quarantined, "and is held as before");
    assert!(next.supervisor.in_force("three", 0.25));
    assert!(next.supervisor.in_force("one", 0.25), "once more");
    assert_eq!(next.permit(), Permit::Quarantined);
}

#[test]
fn a_thread_whose_guest_took_long_is_replaced_when_it_has_behaved_for_a_minute() {
    let mut slot = Slot::new(None);
    assert!(!slot.supervisor.is_slow());
    slot.supervisor.was_slow(slot.now);
    slot.now += Duration::from_secs(30);
    slot.supervisor.was_slow(slot.now);
    slot.now += Duration::from_secs(59);
    assert!(slot.supervisor.is_slow());
    assert!(!slot.supervisor.deserves_a_fresh_thread(slot.now));
    slot.now += Duration::from_secs(1);
    assert!(slot.supervisor.deserves_a_fresh_thread(slot.now));
    slot.supervisor.on_a_fresh_thread();
    assert!(!slot.supervisor.deserves_a_fresh_thread(slot.now), "once");
}

#[test]
fn a_slot_over_its_share_waits_and_one_in_quarantine_does_not() {
    let mut slot = Slot::new(None);
    slot.supervisor.used(slot.now, Duration::from_secs(3));
    let until = slot.now + Duration::from_secs(2);
    assert_eq!(slot.supervisor.wait(slot.now), Some(Wait::Throttled(until)));
    assert_eq!(slot.supervisor.state(slot.now), "throttled");
    slot.breaks(5, false);
    assert_eq!(slot.supervisor.wait(slot.now), None);
}
