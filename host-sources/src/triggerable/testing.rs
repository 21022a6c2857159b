//! Processes and files that tests make.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use weir_bus::Timestamp;

use super::{About, Answer, AnswerError, Triggerable};
use crate::process::details::stat;

/// Longer than anything here takes on the busiest machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// A program that does nothing for long.
const IDLE: &str = "sleep";
const IDLE_SECONDS: &str = "1000";

/// A child that is killed at the end of its test.
pub(super) struct Kept(pub(super) Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Kept {
    /// A child, once it is the program and waits.
    pub(super) fn spawn(command: &mut Command) -> Self {
        // A fork of another test may still hold a copied program open for writing.
        let child = loop {
            match command.spawn() {
                Ok(child) => break Self(child),
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                    std::thread::yield_now();
                }
                Err(error) => panic!("{error}"),
            }
        };
        // The exec has begun: until it waits, it may not have mapped its program yet.
        let path = format!("/proc/{}/stat", child.0.id());
        while !std::fs::read_to_string(&path).unwrap().contains(") S ") {
            std::thread::yield_now();
        }
        child
    }

    pub(super) fn idle() -> Self {
        Self::spawn(Command::new(IDLE).arg(IDLE_SECONDS))
    }

    /// A child that runs a copy of the idle program.
    pub(super) fn copy(to: &Path) -> Self {
        use std::os::unix::process::CommandExt as _;
        let idle = Self::idle();
        std::fs::copy(format!("/proc/{}/exe", idle.0.id()), to).unwrap();
        // A program of several names goes by the one that it is called by.
        Self::spawn(Command::new(to).arg0(IDLE).arg(IDLE_SECONDS))
    }

    pub(super) fn about(&self) -> About {
        about(self.0.id())
    }

    /// Ends it; nobody waits for it.
    pub(super) fn kill(&mut self) {
        self.0.kill().unwrap();
        let path = format!("/proc/{}/exe", self.0.id());
        while std::fs::read_link(&path).is_ok() {
            std::thread::yield_now();
        }
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
