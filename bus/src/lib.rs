//! Events, batches, topics and the bus: what carries everything, and decides nothing.
//!
//! Usable alone by other programs. Knows no source, no guest and no config file.
//!
//! - [`event`]: what one row of each kind is;
//! - [`batch`]: immutable columns of rows, the batcher, recordings;
//! - [`topic`]: where they go;
//! - [`pubsub`]: who gets them, through bounded queues, with exact counts;
//! - [`wire`]: frames, and batches as bytes;
//! - [`socket`]: the broker and its clients.

pub mod batch;
mod caps;
mod count;
pub mod event;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod open;
pub mod pubsub;
pub mod socket;
mod sync;
pub mod topic;
pub mod wire;

pub use batch::{
    Batch, BatchError, BatchHeader, Batcher, BatcherLimits, Emit, Pace, Selection, Settlement,
    Snapshot, SourceCounts,
};
pub use caps::SourceCaps;
pub use count::{Count, DropReason, Drops};
pub use event::{CollectionEvent, EventBuilder, EventRow, FieldType, Kind, MeasuredRow, Timestamp};
pub use open::{BusChoice, OpenError, Opened, open, open_within};
pub use topic::{Topic, TopicPattern};
