//! Where there is no Linux: the same sources, left out with that reason.

use std::sync::Arc;

use async_trait::async_trait;
use weir_bus::{Pace, SourceCaps};
use weir_sources::{EventSource, ProcessSource, ScheduleOptions, SourceContext, SourceError};

use super::SourceOpenReason;
use crate::config::FilesystemSettings;

/// A source that isn't offered here.
struct NotOffered {
    name: String,
    reason: &'static str,
}

#[async_trait]
impl EventSource for NotOffered {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> SourceCaps {
        SourceCaps::empty()
    }

    fn pace(&self) -> Pace {
        Pace::Periodic
    }

    fn unavailable(&self) -> Option<String> {
        Some(self.reason.to_owned())
    }

    async fn start(&self, _context: SourceContext) -> Result<(), SourceError> {
        Err(SourceError::Failed(self.reason.to_owned()))
    }
}

fn left_out(name: String, reason: &'static str) -> Arc<dyn EventSource> {
    Arc::new(NotOffered { name, reason })
}

pub(super) fn events(name: &str, _looks: &ProcessSource) -> Arc<dyn EventSource> {
    let reason = "needs Linux; processes that live shorter than the interval are missed";
    left_out(format!("{name}-events"), reason)
}

pub(super) fn network(name: &str, _: ScheduleOptions) -> Arc<dyn EventSource> {
    left_out(name.to_owned(), "needs Linux")
}

pub(super) fn filesystem(
    name: &str,
    _settings: &FilesystemSettings,
) -> Result<Arc<dyn EventSource>, SourceOpenReason> {
    Ok(left_out(name.to_owned(), "needs Linux"))
}
