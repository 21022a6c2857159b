//! The import `inspect`: a look at what the host knows already.

use weir_bus::batch::Batch as Events;

use super::GuestState;
use super::rows::row_of;
use crate::sandbox::bindings::{self, batches::Row};

/// Where a guest's questions about processes are answered.
pub trait Inspect: Send + Sync {
    /// The batch and the row of it that tell of the process with that pid and start time (ns since
    /// the epoch); none if it isn't in the latest table.
    fn process(&self, pid: u32, start_time_ns: i64) -> Option<(Events, usize)>;
}

impl bindings::inspect::Host for GuestState {
    fn process(&mut self, pid: u32, start_time: i64) -> wasmtime::Result<Option<Row>> {
        self.host_call()?;
        let found = self
            .inspect
            .as_ref()
            .and_then(|inspect| inspect.process(pid, start_time));
        Ok(found.and_then(|(events, row)| row_of(&events, row, |_| true)))
    }
}
