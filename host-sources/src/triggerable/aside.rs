//! Work on a thread of its own, which is waited for until a deadline and not longer.
//!
//! Between two steps work looks at the deadline by itself ([`Watch::check`]). Within a step it can't: a
//! file on a network or a user's own file system may never answer, and a process can make its own
//! entries in `/proc` wait for such a file. Such a thread is given up, and keeps its place among the
//! [`ANSWERS_MAX`] until the system lets it go.
//!
//! The invariant: whoever asks has an answer or an error at the deadline, and there are never more
//! threads than places.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::{ANSWERS_MAX, AnswerError};

/// How often who waits looks whether to stop.
const LOOK: Duration = Duration::from_millis(10);
/// The nice value of the threads: an answer may take a whole core for seconds.
const NICE: i32 = 10;

/// The places of one source.
#[derive(Clone, Default)]
pub(super) struct Aside(Arc<Places>);

#[derive(Default)]
struct Places {
    taken: Mutex<usize>,
    freed: Condvar,
}

/// A place that is taken until this is dropped.
struct Place(Arc<Places>);

/// What work looks at between its steps.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    until: Instant,
    time_max: Duration,
    given_up: Arc<AtomicBool>,
}

impl Watch {
    /// # Errors
    /// If the answer isn't wanted any more, or would come too late.
    pub(super) fn check(&self) -> Result<(), AnswerError> {
        if self.given_up.load(Ordering::Relaxed) {
            return Err(AnswerError::Stopped);
        }
        if Instant::now() >= self.until {
            return Err(self.late());
        }
        Ok(())
    }

    const fn late(&self) -> AnswerError {
        AnswerError::TookLonger {
            time_max: self.time_max,
        }
    }
}

impl Aside {
    /// Does the work, and waits for it until the deadline, at most `time_max`. The answer comes with the CPU time
    /// that the work took.
    pub(super) fn run<T: Send + 'static>(
        &self,
        (until, time_max): (Instant, Duration),
        stop: &AtomicBool,
        work: impl FnOnce(&Watch) -> Result<T, AnswerError> + Send + 'static,
    ) -> Result<(T, Duration), AnswerError> {
        let now = Instant::now();
        let time_max = time_max.min(until.saturating_duration_since(now));
        let watch = Watch {
            until: now + time_max,
            time_max,
            given_up: Arc::new(AtomicBool::new(false)),
        };
        let place = self.place(&watch, stop)?;
        let (answers, answer) = mpsc::sync_channel(1);
        let theirs = watch.clone();
        let thread = std::thread::Builder::new().name("weir-answer".to_owned());
        let spawned = thread.spawn(move || {
            let _place = place;
            be_patient(NICE);
            // Nobody waits any more if the answer can't be sent.
            let answer = work(&theirs);
            let _ = answers.send(answer.map(|answer| (answer, cpu_of_this_thread())));
        });
        if spawned.is_err() {
            return Err(AnswerError::Unreadable);
        }
        loop {
            let left = watch.until.saturating_duration_since(Instant::now());
            match answer.recv_timeout(left.min(LOOK)) {
                Ok(answer) => return answer,
                // The thread has panicked.
                Err(RecvTimeoutError::Disconnected) => return Err(AnswerError::Unreadable),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let error = if stop.load(Ordering::Relaxed) {
                AnswerError::Stopped
            } else if left.is_zero() {
                watch.late()
            } else {
                continue;
            };
            watch.given_up.store(true, Ordering::Relaxed);
            return Err(error);
        }
    }

    /// Takes a place, once there is one.
    fn place(&self, watch: &Watch, stop: &AtomicBool) -> Result<Place, AnswerError> {
        let places = &self.0;
        let mut taken = places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken >= ANSWERS_MAX {
            if stop.load(Ordering::Relaxed) {
                return Err(AnswerError::Stopped);
            }
            if watch.check().is_err() {
                return Err(AnswerError::Busy {
                    answers_max: ANSWERS_MAX,
                });
            }
            let waited = places.freed.wait_timeout(taken, LOOK);
            taken = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken += 1;
        Ok(Place(Arc::clone(places)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = taken.saturating_sub(1);
        self.0.freed.notify_one();
    }
}

/// CPU time that this thread has used since it began.
fn cpu_of_this_thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Lowers the priority of this thread, which ends with its work: raising it again needs a privilege.
pub(crate) fn be_patient(nice: i32) {
    // On Linux a thread has a priority of its own.
    if let Err(error) = rustix::process::setpriority_process(None, nice) {
        tracing::debug!(%error, "the thread keeps its priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::PATIENCE;

    fn soon(ms: u64) -> (Instant, Duration) {
        (Instant::now() + Duration::from_millis(ms), PATIENCE)
    }

    #[test]
    fn work_that_never_ends_is_given_up_at_its_deadline_and_keeps_its_place() {
        let aside = Aside::default();
        let never = AtomicBool::new(false);
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(Mutex::new(released));
        for _ in 0..ANSWERS_MAX {
            let released = Arc::clone(&released);
            let hang = move |_: &Watch| {
                let _ = released.lock().unwrap().recv();
                Ok(())
            };
            let error = aside.run(soon(30), &never, hang).unwrap_err();
            assert!(
                matches!(error, AnswerError::TookLonger { time_max } if time_max.as_millis() <= 30),
                "{error}"
            );
        }
        let busy = AnswerError::Busy {
            answers_max: ANSWERS_MAX,
        };
        assert_eq!(aside.run(soon(30), &never, |_| Ok(())).err(), Some(busy));
        // What hung lets go: there is room again.
        drop(release);
        let (answer, cpu) = aside.run(soon(60_000), &never, |_| Ok(7)).unwrap();
        assert_eq!(answer, 7);
        assert!(cpu > Duration::ZERO && cpu < PATIENCE);
    }

    #[test]
    fn who_waits_is_let_go_when_told_to_stop_and_so_is_the_work() {
        let aside = Aside::default();
        let stop = AtomicBool::new(true);
        let (told, was_told) = mpsc::channel();
        let work = move |watch: &Watch| {
            while watch.check().is_ok() {
                std::thread::yield_now();
            }
            let _ = told.send(watch.check());
            Ok(())
        };
        let until = soon(60_000);
        assert_eq!(
            aside.run(until, &stop, work).err(),
            Some(AnswerError::Stopped)
        );
        let seen = was_told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(seen, Err(AnswerError::Stopped));
    }

    #[test]
    fn the_least_of_deadline_and_limit_holds() {
        let aside = Aside::default();
        let never = AtomicBool::new(false);
        let spin = |watch: &Watch| loop {
            watch.check()?;
        };
        let until = (Instant::now() + PATIENCE, Duration::from_millis(20));
        let late = AnswerError::TookLonger {
            time_max: Duration::from_millis(20),
        };
        assert_eq!(aside.run::<()>(until, &never, spin).err(), Some(late));
    }

    #[test]
    fn work_that_panics_is_an_error() {
        let panics = |_: &Watch| -> Result<(), AnswerError> { panic!("on purpose") };
        let error = Aside::default().run(soon(60_000), &AtomicBool::new(false), panics);
        assert_eq!(error.err(), Some(AnswerError::Unreadable));
    }
}
