//! Details on platforms other than Linux: what sysinfo tells.
//!
//! It opens no file of its own, but to see whether the executable is still there.

use std::path::Path;

use sysinfo::{Process, ProcessRefreshKind, UpdateKind};
use weir_bus::Timestamp;

use super::{COMMAND_LINE_READ_BYTES_MAX, Details, REREAD_LOOKS, ReaderOptions};
use crate::redaction::Redacting;

/// Reads details.
pub(in crate::process) struct DetailsReader {
    redacting: Redacting,
}

impl DetailsReader {
    pub(in crate::process) fn new(options: ReaderOptions) -> Self {
        Self {
            redacting: options.redacting,
        }
    }

    /// What sysinfo shall read each time. Where a process can exec, its executable and arguments too.
    pub(in crate::process) fn refresh_kind() -> ProcessRefreshKind {
        let after_exec = if cfg!(unix) {
            UpdateKind::Always
        } else {
            UpdateKind::OnlyIfNotSet
        };
        ProcessRefreshKind::nothing()
            .with_cpu()
            .with_memory()
            .with_user(UpdateKind::OnlyIfNotSet)
            .with_exe(after_exec)
            .with_cmd(after_exec)
    }

    /// Everything, for a process that is seen for the first time.
    pub(in crate::process) fn read(&mut self, process: &Process) -> Details {
        let mut details = Details {
            start_time: timestamp_of_seconds(process.start_time()),
            ..Details::default()
        };
        self.take(process, &mut details);
        details
    }

    /// What may have changed: after an exec everything, else what is due (`turn` counts looks).
    pub(in crate::process) fn read_again(
        &mut self,
        process: &Process,
        details: &mut Details,
        suspicious: bool,
        turn: u64,
    ) {
        let link = process
            .exe()
            .map(|path| path.as_os_str().as_encoded_bytes());
        let link_changed = link.is_some_and(|link| link != details.link);
        if suspicious || link_changed || turn.is_multiple_of(REREAD_LOOKS) {
            self.take(process, details);
        }
    }

    fn take(&self, process: &Process, details: &mut Details) {
        details.set_name(process.name().as_encoded_bytes());
        details.accessible = process.exe().is_some();
        if let Some(path) = process.exe() {
            details.link = path.as_os_str().as_encoded_bytes().to_vec();
            details.set_executable(path.as_os_str().as_encoded_bytes());
            details.file_exists = Path::try_exists(path).ok();
        }
        let mut bytes = Vec::new();
        for argument in process.cmd() {
            bytes.extend_from_slice(argument.as_encoded_bytes());
            bytes.push(0);
            if bytes.len() > COMMAND_LINE_READ_BYTES_MAX {
                break;
            }
        }
        details.set_command_line(&bytes, &self.redacting);
    }
}

/// Seconds since the epoch as a timestamp.
fn timestamp_of_seconds(seconds: u64) -> Timestamp {
    let ns = u128::from(seconds) * 1_000_000_000;
    Timestamp(i64::try_from(ns).unwrap_or(i64::MAX))
}
