//! What tests ask, and about whom.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use weir_bus::Timestamp;

use super::{About, Answer, AnswerError, Triggerable};
use crate::process::details::stat;
use crate::testing::{Kept, PATIENCE};

impl Kept {
    pub(super) fn about(&self) -> About {
        about(self.id())
    }
}

pub(super) fn about(pid: u32) -> About {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap();
    let ticks = stat::start_ticks(&stat).unwrap();
    About::process(pid, stat::start_time(ticks))
}

/// The same pid at another time.
pub(super) fn another(about: &About) -> About {
    About {
        start_time: about.start_time.map(|Timestamp(ns)| Timestamp(ns - 1)),
        ..about.clone()
    }
}

pub(super) fn ask(source: &dyn Triggerable, about: &About) -> Result<Answer, AnswerError> {
    let until = Instant::now() + PATIENCE;
    source.answer(about, until, &AtomicBool::new(false))
}
