//! The trigger manager: which firings become requests, in which order they are answered, and what became of
//! each.
//!
//! It alone knows admission. It evaluates no condition (guests do), and works on no request (`chain/` does).

mod admission;
mod bucket;
mod counts;
mod decisions;
mod dedup;
mod manager;
mod place;
mod policy;
mod queue;
mod subject;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use weir_bus::batch::Batch;
use weir_bus::event::TriggerEvent;
pub use weir_bus::pubsub::Priority;

pub use crate::config::CONDITIONS_SLOT;
pub use admission::Firing;
pub use counts::{Refusal, TriggerCounts};
pub use decisions::Decision;
pub use manager::{TriggerManager, TriggerStatus, TriggersStatus, shown};
pub use policy::{Policy, Targets};
pub(crate) use subject::Subject;

use crate::sandbox::Cause;

/// An admitted firing, on its way to whoever answers it.
#[derive(Clone, Debug)]
pub struct Request {
    /// As it goes on the bus: its ids, trigger, rule, target, priority and what it is about.
    pub event: Arc<TriggerEvent>,
    /// The row that fired.
    pub row: Arc<Batch>,
    /// The same for a stage.
    pub cause: Arc<Cause>,
    /// How urgent it is.
    pub priority: Priority,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// All that was asked for came.
    Answered,
    /// Somebody whom it needs failed.
    Failed,
    /// The time was over.
    TimedOut,
    /// An operator or the daemon's end cancelled it.
    Cancelled,
}

impl Ending {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Answered,
        Self::Failed,
        Self::TimedOut,
        Self::Cancelled,
    ];

    /// The ending's code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Where those who work on requests get them.
pub trait Requests: Send + Sync {
    /// The most urgent of those that wait; it counts as under way until [`Requests::ended`].
    fn take(&self) -> Option<Request>;
    /// A request that was taken has ended. Called once for each.
    fn ended(&self, request: &Request, ending: Ending);
}
