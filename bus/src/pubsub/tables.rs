//! Tables at an interval: what a subscription that asks for them needs of who has them.
//!
//! The bus knows no source. Whoever has sources serves their tables ([`Tables`]), is asked when such a
//! subscription begins, and pushes whole tables through its [`TableFeed`] until the guard that it gave is dropped.
//! What is pushed is put into the subscription's queue, and counted there, like anything else.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::Batch;
use crate::event::Kind;
use crate::topic::TopicPattern;

/// The shortest interval that can be asked for: below it, a look at a large host would never end before the next.
pub const EVERY_MIN: Duration = Duration::from_millis(100);
/// The longest: what is wanted more seldom is better asked for when it is needed.
pub const EVERY_MAX: Duration = Duration::from_hours(24);

/// Whatever keeps an interval asked for until it is dropped.
pub type TableGuard = Box<dyn Any + Send + Sync>;

/// Where the tables of a bus come from.
pub trait Tables: fmt::Debug + Send + Sync {
    /// Begins to push tables. Called without any lock of the bus.
    ///
    /// # Errors
    /// Why there are no such tables, in words.
    fn ask(&self, request: TableRequest) -> Result<TableGuard, String>;
}

/// What a subscription wants tables of.
#[derive(Debug)]
pub struct TableRequest {
    /// How the subscription is shown.
    pub name: Arc<str>,
    /// How often.
    pub every: Duration,
    /// The topics that it takes.
    pub patterns: Vec<TopicPattern>,
    /// The kinds; empty: all.
    pub kinds: Vec<Kind>,
    /// The only source that it takes.
    pub source: Option<String>,
    /// Where the tables go.
    pub feed: TableFeed,
}

/// Where a subscription's tables go. Clones lead to the same subscription.
#[derive(Clone, Debug)]
pub struct TableFeed(pub(super) Arc<dyn Feed>);

pub(super) trait Feed: fmt::Debug + Send + Sync {
    fn push(&self, table: &[Arc<Batch>], rows_missing: u64) -> bool;
    fn tell(&self, notice: Arc<Batch>) -> bool;
}

impl TableFeed {
    /// Puts a whole table into the subscription's queue, through its patterns and filters; what is left of it ends
    /// with a batch that is marked as the snapshot's last, without rows if nothing is left. A gap of
    /// `rows_missing` comes first, where the table isn't whole. Never waits. `false`: the subscription is gone.
    #[must_use]
    pub fn push(&self, table: &[Arc<Batch>], rows_missing: u64) -> bool {
        self.0.push(table, rows_missing)
    }

    /// Puts a word about the table into the queue, whatever the subscription's patterns and filters. `false`: the
    /// subscription is gone.
    #[must_use]
    pub fn tell(&self, notice: Arc<Batch>) -> bool {
        self.0.tell(notice)
    }
}
