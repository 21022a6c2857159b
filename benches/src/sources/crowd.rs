//! Many real processes: each a shell that waits for a line that never comes.
//!
//! They share one pipe. The invariant: when its writing end goes, with this value or with this process, however
//! that ends, all of them read its end and go, too.

use std::io::{PipeWriter, pipe};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;

/// What each runs; `read` is the shell's own, so that the shell stays what it is.
const SHELL: &str = "sh";
const SCRIPT: &str = "read -r line";

/// Processes that are there until this value goes.
pub(super) struct Crowd {
    children: Vec<Child>,
    line: Option<PipeWriter>,
}

impl Crowd {
    /// Starts so many, each with arguments of its own, about as long as a server's.
    pub(super) fn start(count: usize) -> anyhow::Result<Self> {
        let (end, line) = pipe()?;
        let mut crowd = Self {
            children: Vec::with_capacity(count),
            line: Some(line),
        };
        for number in 0..count {
            let name = format!("worker-{number}");
            let child = Command::new(SHELL)
                .args(["-c", SCRIPT, &name])
                .args(["--config", &format!("/etc/{name}/settings.conf")])
                .args(["--listen", &format!("127.0.0.1:{}", 10_000 + number)])
                .stdin(end.try_clone()?)
                .stdout(Stdio::null())
                .spawn()
                .with_context(|| format!("{SHELL}, {number} of {count} started"))?;
            crowd.children.push(child);
        }
        Ok(crowd)
    }

    /// Their ids, in order.
    pub(super) fn processes(&self) -> Vec<u32> {
        let mut processes: Vec<u32> = self.children.iter().map(Child::id).collect();
        processes.sort_unstable();
        processes
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.line.take());
        for child in &mut self.children {
            // It ends by itself; there is nothing else that could be done here.
            let _ = child.wait();
        }
    }
}
