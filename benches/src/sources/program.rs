//! A peer that is a program: what it says, and the CPU time that it takes to say it.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::socket::process::installed;

/// What a program said, and what that cost.
pub(super) struct Said {
    pub(super) text: String,
    pub(super) cpu: Duration,
}

/// Runs a program of a Debian package to its end.
///
/// # Errors
/// If it isn't installed, or fails.
pub(super) fn run(program: &str, package: &str, arguments: &[&str]) -> anyhow::Result<Said> {
    let mut child = Command::new(installed(program, package)?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| program.to_owned())?;
    let mut text = String::new();
    let mut stdout = child.stdout.take().context("its stdout")?;
    stdout.read_to_string(&mut text)?;
    let id = Pid::from_child(&child);
    // Its times are there until it is waited for.
    waitid(
        WaitId::Pid(id),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    )?;
    let cpu = on_cpu(&format!("/proc/{}", child.id()))?;
    let status = child.wait()?;
    ensure!(status.success(), "{program} {arguments:?}: {status}");
    Ok(Said { text, cpu })
}

/// How long the thread of that folder was on a CPU.
pub(super) fn on_cpu(folder: &str) -> anyhow::Result<Duration> {
    let path = format!("{folder}/schedstat");
    let times = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let first = times.split_whitespace().next();
    let first = first.context("this kernel keeps no CPU time of threads (schedstat)")?;
    Ok(Duration::from_nanos(first.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_words_and_cpu_time_are_there_and_a_missing_one_names_its_package() {
        let said = run("ps", "procps", &["-e"]).expect("ps");
        assert!(said.text.lines().count() > 1);
        assert!(said.cpu > Duration::ZERO);
        let missing = run("no-such-program", "its-package", &[]).map(|_| ());
        let error = missing.expect_err("there is none").to_string();
        assert!(error.contains("apt-get install its-package"), "{error}");
    }
}
