//! Notices that mounts changed: the kernel marks the open `mountinfo` of whoever asks.
//!
//! The invariant: asking costs one system call a period, however many mounts change, so that who mounts without
//! end can't make the source work without end.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use tokio::time::{Interval, MissedTickBehavior};

use crate::kernel_files::Roots;

/// Asks at a pace whether mounts have changed.
pub(in crate::inventory) struct Watch {
    /// None: there is nothing to watch, and changes are seen by looks.
    file: Option<OwnedFd>,
    ticks: Interval,
}

impl Watch {
    /// Must be called within a runtime with time.
    pub(in crate::inventory) fn new(roots: &Roots, period: Duration) -> Self {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let path = roots.proc.join("self/mountinfo");
        let mut ticks = tokio::time::interval(period.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            file: open(path, flags, Mode::empty()).ok(),
            ticks,
        }
    }

    /// Returns once mounts have changed since it last did. Cancel safe.
    pub(in crate::inventory) async fn changed(&mut self) {
        let Some(file) = &self.file else {
            return std::future::pending().await;
        };
        loop {
            self.ticks.tick().await;
            let mut asked = [PollFd::new(file, PollFlags::PRI)];
            let at_once = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            let marked = PollFlags::PRI | PollFlags::ERR;
            let answered = poll(&mut asked, Some(&at_once)).is_ok();
            let [asked] = asked;
            if answered && asked.revents().intersects(marked) {
                return;
            }
        }
    }
}
