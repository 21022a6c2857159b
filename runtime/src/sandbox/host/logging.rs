//! The import `log`.

use super::GuestState;
use super::log_gate::Loudness;
use crate::sandbox::bindings::log::{self, Level};

impl log::Host for GuestState {
    fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.host_call()?;
        self.charge(message.len())?;
        let loudness = match level {
            Level::Trace => Loudness::Trace,
            Level::Debug => Loudness::Debug,
            Level::Info => Loudness::Info,
            Level::Warn => Loudness::Warn,
            Level::Error => Loudness::Error,
        };
        self.log.line(loudness, &message);
        Ok(())
    }
}
