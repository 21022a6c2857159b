//! What becomes of a slot whose guest breaks: pauses, quarantine, its share of the CPU, its place among
//! the threads.
//!
//! [`Supervisor`] is told how batches end, and says what may happen next. It decides, and does
//! nothing: times and numbers come in, decisions go out; threads, guests and disks are its callers'.
//! What isn't the guest's fault never comes here.

mod backoff;
pub(super) mod cpu_share;
pub(super) mod ledger;
mod quarantine;
pub(super) mod search;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::config::SupervisionSettings;
use crate::sandbox::Fault;
use backoff::Backoff;
use cpu_share::CpuShare;
use ledger::Quarantined;
use quarantine::{Change, Pass, Quarantine};

/// What is kept of a fault's message with a quarantine.
const MESSAGE_BYTES_MAX: usize = 1 << 10;

/// What may be done with the next batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    /// The guest is asked.
    Call,
    /// The guest is asked once, and not again if it breaks.
    Try,
    /// It is not: it broke a moment ago.
    BackingOff,
    /// It is not: its module is in quarantine.
    Quarantined,
}

/// Why the next batch waits, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The slot has used its share of the CPU.
    Throttled(Instant),
    /// The guest broke a moment ago.
    BackingOff(Instant),
}

/// A batch that broke the guest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broke<'a> {
    pub(super) now: Instant,
    pub(super) wall: SystemTime,
    /// It answered all the same, about a part of it.
    pub(super) answered: bool,
    /// The last fault.
    pub(super) fault: &'a Fault,
    /// Chance, in 0..1.
    pub(super) chance: f64,
}

/// A quarantine, as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuarantineStatus {
    /// Why, since when, how often.
    #[serde(flatten)]
    pub why: Quarantined,
    /// Until the module is tried again, in milliseconds; 0: with the next batch.
    pub tried_in_ms: u64,
}

/// What a slot's guests have done, and what follows from it.
#[derive(Debug)]
pub(super) struct Supervisor {
    settings: SupervisionSettings,
    backoff: Backoff,
    quarantine: Quarantine,
    quarantined: Option<Quarantined>,
    digest: String,
    /// What is held against the module before, which may come back.
    before: Option<Record>,
    share: CpuShare,
    /// When a call of this thread took long last, where one did.
    slow: Option<Instant>,
}

/// What is held against a module that is not in force.
#[derive(Debug)]
struct Record {
    digest: String,
    quarantine: Quarantine,
    quarantined: Option<Quarantined>,
}

impl Supervisor {
    /// Of a slot of which that is kept from an earlier process.
    pub(super) fn new(
        settings: SupervisionSettings,
        kept: Option<Quarantined>,
        now: Instant,
    ) -> Self {
        let mut quarantine = Quarantine::new((&settings).into());
        if let Some(kept) = &kept {
            quarantine.resume(now, Duration::from_millis(kept.pause_ms));
        }
        Self {
            backoff: Backoff::new(settings.restart_pause_min, settings.restart_pause_max),
            digest: kept
                .as_ref()
                .map(|kept| kept.digest.clone())
                .unwrap_or_default(),
            quarantine,
            quarantined: kept,
            before: None,
            share: CpuShare::new(0.0),
            slow: None,
            settings,
        }
    }

    /// A guest comes into force. Another module is not held for what the last one did; the last one is, should it
    /// come back. Whether what is to be kept on disk has changed.
    pub(super) fn in_force(&mut self, digest: &str, cpu_share: f64) -> bool {
        self.backoff.answered();
        self.share.set(cpu_share);
        if self.digest == digest {
            return false;
        }
        let known = self.before.take().filter(|before| before.digest == digest);
        let next = known.unwrap_or_else(|| Record {
            digest: digest.to_owned(),
            quarantine: Quarantine::new((&self.settings).into()),
            quarantined: None,
        });
        let changes = self.quarantined.is_some() || next.quarantined.is_some();
        self.before = Some(Record {
            digest: std::mem::replace(&mut self.digest, next.digest),
            quarantine: std::mem::replace(&mut self.quarantine, next.quarantine),
            quarantined: std::mem::replace(&mut self.quarantined, next.quarantined),
        });
        changes
    }

    /// What may be done with a batch that is there.
    pub(super) fn permit(&self, now: Instant) -> Permit {
        match self.quarantine.pass(now) {
            Pass::Held(_) => Permit::Quarantined,
            Pass::Try => Permit::Try,
            Pass::Free if self.backoff.until(now).is_some() => Permit::BackingOff,
            Pass::Free => Permit::Call,
        }
    }

    /// Whether to wait before the next batch is taken.
    pub(super) fn wait(&self, now: Instant) -> Option<Wait> {
        if matches!(self.quarantine.pass(now), Pass::Held(_)) {
            // Nothing is called: what comes is settled at once.
            return None;
        }
        let backing_off = || self.backoff.until(now).map(Wait::BackingOff);
        let throttled = self.share.until(now).map(Wait::Throttled);
        throttled.or_else(backing_off)
    }

    /// The slot's thread has used CPU time.
    pub(super) fn used(&mut self, now: Instant, cpu: Duration) {
        self.share.used(now, cpu);
    }

    /// A call took long: its thread has a low priority from now on.
    pub(super) const fn was_slow(&mut self, now: Instant) {
        self.slow = Some(now);
    }

    /// Whether the thread has a low priority.
    pub(super) const fn is_slow(&self) -> bool {
        self.slow.is_some()
    }

    /// Whether the thread has behaved for long enough to be replaced by one of the usual priority:
    /// lowering a thread's nice value needs a privilege.
    pub(super) fn deserves_a_fresh_thread(&self, now: Instant) -> bool {
        self.slow
            .is_some_and(|at| now.saturating_duration_since(at) >= self.settings.healthy_after)
    }

    /// A fresh thread has taken over.
    pub(super) const fn on_a_fresh_thread(&mut self) {
        self.slow = None;
    }

    /// A batch broke nothing. What changed, if anything that must be kept and told.
    pub(super) fn answered(&mut self, now: Instant) -> Option<Told> {
        self.backoff.answered();
        if self.quarantine.answered(now) != Change::Released {
            return None;
        }
        self.quarantined = None;
        Some(Told::Released)
    }

    /// A batch broke the guest. What changed, if anything that must be kept and told.
    pub(super) fn broke(&mut self, broke: Broke<'_>) -> Option<Told> {
        if broke.answered {
            self.backoff.answered();
        } else {
            self.backoff.broke(broke.now, broke.chance);
        }
        let Change::Held(pause) = self.quarantine.broke(broke.now) else {
            return None;
        };
        self.hold(broke.wall, pause, broke.fault);
        Some(Told::Quarantined(pause))
    }

    fn hold(&mut self, wall: SystemTime, pause: Duration, fault: &Fault) {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let message = &fault.message;
        let message = message.get(..message.floor_char_boundary(MESSAGE_BYTES_MAX));
        let earlier = self.quarantined.as_ref();
        self.quarantined = Some(Quarantined {
            digest: self.digest.clone(),
            reason: fault.reason,
            message: message.unwrap_or_default().to_owned(),
            faults: earlier.map_or(self.settings.quarantine_faults as u64, |one| {
                one.faults.saturating_add(1)
            }),
            since_ms: earlier.map_or_else(
                || ms(wall.duration_since(UNIX_EPOCH).unwrap_or_default()),
                |one| one.since_ms,
            ),
            pause_ms: ms(pause),
        });
    }

    /// Lets a module go; false if it wasn't held.
    pub(super) fn release(&mut self) -> bool {
        self.backoff.answered();
        self.quarantined = None;
        self.quarantine.release()
    }

    /// What is to be kept on disk.
    pub(super) fn quarantined(&self) -> Option<Quarantined> {
        self.quarantined.clone()
    }

    /// The quarantine, as the operator sees it.
    pub(super) fn quarantine_status(&self, now: Instant) -> Option<QuarantineStatus> {
        let tried_in = match self.quarantine.pass(now) {
            Pass::Held(until) => until.saturating_duration_since(now),
            Pass::Free | Pass::Try => Duration::ZERO,
        };
        Some(QuarantineStatus {
            why: self.quarantined.clone()?,
            tried_in_ms: u64::try_from(tried_in.as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// How the slot does, in a word.
    pub(super) fn state(&self, now: Instant) -> &'static str {
        if self.quarantine.is_held() {
            return "quarantined";
        }
        match self.wait(now) {
            Some(Wait::BackingOff(_)) => "backing-off",
            Some(Wait::Throttled(_)) => "throttled",
            None => "running",
        }
    }
}

/// What is to be told, and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The module is in quarantine, for this time.
    Quarantined(Duration),
    /// It is not any more.
    Released,
}

#[cfg(test)]
mod tests;
