//! Triggerable sources as workers: what they answer becomes a finding.
//!
//! Invariant: a source is asked about the row's own process and file, never about what a guest said of them.

use std::sync::Arc;

use weir_sources::{About, Triggerable};

use super::pool::SourceWorker;
use super::task::Task;
use crate::sandbox::{Finding, Severity};
use crate::trigger::Subject;

/// A worker that has a source answer.
///
/// # Errors
/// If the system refuses its threads.
pub(crate) fn source_worker(
    name: &str,
    source: Arc<dyn Triggerable>,
) -> std::io::Result<SourceWorker> {
    let answer = move |task: &Task, until, stop: &_| {
        let answer = source.answer(&about(task), until, stop);
        let answer = answer.map_err(|error| error.to_string())?;
        Ok(vec![Finding {
            severity: Severity::Info,
            title: answer.title,
            subject: answer.subject,
            evidence: answer.evidence,
        }])
    };
    SourceWorker::start(name, Box::new(answer))
}

fn about(task: &Task) -> About {
    let subject = Subject::of(&task.row, 0);
    About {
        pid: subject.pid,
        start_time: subject.start_time,
        path: subject.path,
    }
}
