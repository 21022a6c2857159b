//! The import `inspect`: a look at what the host knows already, and questions that it answers by looking.
//!
//! A question takes time that isn't the guest's: it is waited for while the call's wall clock has more
//! than a quarter left, so that the guest can still say what it knows, and what it cost on other threads
//! is put on the slot's. The invariant: a guest learns what the answer says or one sentence of a closed
//! list, and no call outlives its wall clock by asking.

use std::time::{Duration, Instant};

use weir_bus::batch::Batch as Events;

use super::GuestState;
use super::rows::row_of;
use crate::sandbox::bindings::{self, batches::Row};
use crate::sandbox::cpu_clock;

/// What a guest is told where nobody answers at all.
const NOBODY: &str = "nobody answers here";

/// What a question came to that the host had to look for.
#[derive(Clone, Debug)]
pub struct Looked<T> {
    /// What was found, or why nothing was.
    pub found: Result<T, String>,
    /// CPU time that it took on other threads.
    pub cpu: Duration,
}

impl<T> Looked<T> {
    /// Nothing, at no cost.
    #[must_use]
    pub fn nothing(why: impl Into<String>) -> Self {
        Self {
            found: Err(why.into()),
            cpu: Duration::ZERO,
        }
    }
}

/// Where a guest's questions about the host are answered.
pub trait Inspect: Send + Sync {
    /// The batch and the row of it that tell of the process with that pid and start time (ns since
    /// the epoch); none if it isn't in the latest table.
    fn process(&self, pid: u32, start_time_ns: i64) -> Option<(Events, usize)>;

    /// Details of that process, as keys and texts. Blocks at most until then.
    fn details(
        &self,
        pid: u32,
        start_time_ns: i64,
        until: Instant,
    ) -> Looked<Vec<(String, String)>>;

    /// The SHA-256 of the file at a path, in hexadecimal digits. Blocks at most until then.
    fn file_hash(&self, path: &str, until: Instant) -> Looked<String>;
}

impl GuestState {
    /// Asks the host; what it cost is put on this thread.
    fn look<T>(
        &mut self,
        ask: impl FnOnce(&dyn Inspect, Instant) -> Looked<T>,
    ) -> Result<T, String> {
        let now = Instant::now();
        // The call's clock starts with its second tick, and none comes while the host is at work.
        let from = *self.allowance.wall_from.get_or_insert(now);
        let wall = self.cpu_call.saturating_mul(self.limits.wall_factor);
        let left = wall.saturating_sub(now.saturating_duration_since(from));
        let until = now.checked_add(left.mul_f64(SHARE_OF_WHAT_IS_LEFT));
        let inspect = self.inspect.as_deref().ok_or(NOBODY)?;
        let looked = ask(inspect, until.unwrap_or(now));
        cpu_clock::put_on_this_thread(looked.cpu);
        looked.found
    }
}

/// How much of the wall clock that a call has left one question may take.
const SHARE_OF_WHAT_IS_LEFT: f64 = 0.75;

impl bindings::inspect::Host for GuestState {
    fn process(&mut self, pid: u32, start_time: i64) -> wasmtime::Result<Option<Row>> {
        self.host_call()?;
        let found = self
            .inspect
            .as_ref()
            .and_then(|inspect| inspect.process(pid, start_time));
        Ok(found.and_then(|(events, row)| row_of(&events, row, |_| true)))
    }

    fn details(
        &mut self,
        pid: u32,
        start_time: i64,
    ) -> wasmtime::Result<Result<Vec<(String, String)>, String>> {
        self.host_call()?;
        let found = self.look(|host, until| host.details(pid, start_time, until));
        let lengths = found.iter().flatten();
        let bytes = lengths.fold(0_usize, |sum, (key, text)| {
            sum.saturating_add(key.len()).saturating_add(text.len())
        });
        self.charge(bytes)?;
        Ok(found)
    }

    fn file_hash(&mut self, path: String) -> wasmtime::Result<Result<String, String>> {
        self.host_call()?;
        self.charge(path.len())?;
        Ok(self.look(|host, until| host.file_hash(&path, until)))
    }
}
