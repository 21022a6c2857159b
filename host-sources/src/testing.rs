//! What the tests of several sources share.

use std::io::ErrorKind;
use std::process::{Child, Command};
use std::time::Duration;

/// Longer than anything here takes on the busiest machine: reaching it is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// A program that does nothing for long.
pub(crate) const IDLE: &str = "sleep";
pub(crate) const IDLE_SECONDS: &str = "1000";

/// A child that is killed at the end of its test, however that ends.
pub(crate) struct Kept(pub(crate) Child);

impl Drop for Kept {
    fn drop(&mut self) {
        self.end();
    }
}

impl Kept {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        // A fork of another test may still hold a copied program open for writing.
        loop {
            match command.spawn() {
                Ok(child) => return Self(child),
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                    std::thread::yield_now();
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn idle() -> Self {
        Self::spawn(Command::new(IDLE).arg(IDLE_SECONDS))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Kills it and waits for it.
    pub(crate) fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(target_os = "linux")]
impl Kept {
    /// The same child, once it waits: until then it may not have mapped its program yet.
    pub(crate) fn waiting(self) -> Self {
        let path = format!("/proc/{}/stat", self.id());
        while !std::fs::read_to_string(&path).unwrap().contains(") S ") {
            std::thread::yield_now();
        }
        self
    }

    /// A child that runs the file as the idle program, a copy of which it is.
    pub(crate) fn run(copy: &std::path::Path) -> Self {
        use std::os::unix::process::CommandExt as _;
        // A program of several names goes by the one that it is called by.
        Self::spawn(Command::new(copy).arg0(IDLE).arg(IDLE_SECONDS))
    }

    /// A child that runs a copy of the idle program, which is made at that path.
    pub(crate) fn copy(to: &std::path::Path) -> Self {
        let idle = Self::idle();
        std::fs::copy(format!("/proc/{}/exe", idle.id()), to).unwrap();
        Self::run(to)
    }

    /// Kills it; nobody waits for it.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        let path = format!("/proc/{}/exe", self.id());
        while std::fs::read_link(&path).is_ok() {
            std::thread::yield_now();
        }
    }
}
