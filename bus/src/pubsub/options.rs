//! What a subscriber asks for, and the check of it.
//!
//! The invariant: what [`SubscriptionOptions::check`] let pass can be evaluated on every batch.

use std::time::Duration;

use crate::topic::TopicPattern;
use crate::wire::{Later, Subscribe, WireComparison, WirePolicy};

use super::rows::RowFilter;
use super::tables::{EVERY_MAX, EVERY_MIN};
use super::{CorrelationFilter, EventFilter, FilterError, PublisherId, QueueLimits, QueuePolicy};

/// Subscriptions on one bus. Each has a queue of its own: 1,024 full ones would hold 16 GiB, so the
/// bound that matters is in `QueueLimits`; this one bounds tables and the cost of a publish.
pub const SUBSCRIPTIONS_MAX: usize = 1_024;

/// Patterns of one subscription.
pub const PATTERNS_PER_SUBSCRIPTION_MAX: usize = 256;

/// What a subscriber wants, and how its queue behaves. Built by chaining:
///
/// ```
/// use std::time::Duration;
/// use weir_bus::pubsub::{EventFilter, QueuePolicy, SubscriptionOptions};
/// use weir_bus::TopicPattern;
///
/// let options = SubscriptionOptions::new("watcher")
///     .pattern(TopicPattern::parse("events.process.>")?)
///     .filter(EventFilter::new().pids([1, 2]))
///     .policy(QueuePolicy::Block { deadline: Duration::from_secs(1) });
/// # Ok::<(), weir_bus::topic::TopicError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SubscriptionOptions {
    pub(super) name: String,
    pub(super) patterns: Vec<TopicPattern>,
    pub(super) filter: EventFilter,
    pub(super) correlation: CorrelationFilter,
    pub(super) policy: QueuePolicy,
    pub(super) limits: QueueLimits,
    pub(super) owner: Option<PublisherId>,
    pub(super) own_events: bool,
    pub(super) every: Option<Duration>,
}

impl SubscriptionOptions {
    /// A subscription that is shown under `name`, with the default policy and limits. It needs at
    /// least one pattern.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            patterns: Vec::new(),
            filter: EventFilter::new(),
            correlation: CorrelationFilter::new(),
            policy: QueuePolicy::default(),
            limits: QueueLimits::default(),
            owner: None,
            own_events: false,
            every: None,
        }
    }

    /// Adds a pattern.
    #[must_use]
    pub fn pattern(mut self, pattern: TopicPattern) -> Self {
        self.patterns.push(pattern);
        self
    }

    /// Adds patterns.
    #[must_use]
    pub fn patterns(mut self, patterns: impl IntoIterator<Item = TopicPattern>) -> Self {
        self.patterns.extend(patterns);
        self
    }

    /// Which events of the matching topics.
    #[must_use]
    pub fn filter(mut self, filter: EventFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Which cascades.
    #[must_use]
    pub fn correlation(mut self, correlation: CorrelationFilter) -> Self {
        self.correlation = correlation;
        self
    }

    /// What the queue does when it is full.
    #[must_use]
    pub fn policy(mut self, policy: QueuePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How much the queue may hold.
    #[must_use]
    pub fn limits(mut self, limits: QueueLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The publisher that subscribes: its own events don't come back to it.
    #[must_use]
    pub fn owner(mut self, owner: PublisherId) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Whether the owner's own events come back to it.
    #[must_use]
    pub fn own_events(mut self, own_events: bool) -> Self {
        self.own_events = own_events;
        self
    }

    /// Whole tables at this interval, instead of the stream: the latest look of each source that looks at intervals
    /// and whose events the patterns take, before any filter but the subscription's own. Each ends with a batch
    /// whose header says that it is the snapshot's last. [`EVERY_MIN`] to [`EVERY_MAX`].
    ///
    /// What keeps a source from it comes as a batch on `control.tables.<source>`, whatever the filters.
    #[must_use]
    pub fn every(mut self, every: Duration) -> Self {
        self.every = Some(every);
        self
    }

    /// How it is shown.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The patterns that are asked for.
    pub(crate) fn patterns_asked(&self) -> &[TopicPattern] {
        &self.patterns
    }

    /// What the queue does when it is full.
    pub(crate) const fn policy_asked(&self) -> QueuePolicy {
        self.policy
    }

    /// How often whole tables are asked for.
    pub(crate) const fn every_asked(&self) -> Option<Duration> {
        self.every
    }

    /// How much the queue may hold.
    pub(crate) const fn limits_asked(&self) -> QueueLimits {
        self.limits
    }

    /// As a frame says it.
    pub(crate) fn to_wire(&self, id: u32, name: String) -> Subscribe {
        let ms = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Subscribe {
            id,
            name,
            patterns: self.patterns.iter().map(ToString::to_string).collect(),
            own_events: self.own_events || self.owner.is_none(),
            policy: match self.policy {
                QueuePolicy::DropOldest => WirePolicy::DropOldest,
                QueuePolicy::DropNewest => WirePolicy::DropNewest,
                QueuePolicy::Block { deadline } => WirePolicy::Block {
                    deadline_ms: ms(deadline),
                },
                QueuePolicy::Disconnect { times, pause } => WirePolicy::Disconnect {
                    times,
                    pause_ms: ms(pause),
                },
                QueuePolicy::Latest => WirePolicy::Latest,
            },
            queue_batches_max: number(self.limits.items_max),
            queue_bytes_max: self.limits.bytes_max,
            kinds: self.filter.kinds.iter().map(|kind| *kind as u8).collect(),
            source: self.filter.source.clone(),
            pids: self.filter.pids.clone(),
            priority_min: self
                .filter
                .priority_min
                .map(|priority| priority.to_string()),
            comparison: self.filter.comparison.as_ref().map(WireComparison::of),
            correlation_id: self.correlation.id.clone(),
            correlation_glob: self.correlation.glob.clone(),
            correlation_root: self.correlation.root.clone(),
            every_ms: Later(self.every.map_or(0, |every| {
                u32::try_from(every.as_millis()).unwrap_or(u32::MAX).max(1)
            })),
        }
    }

    /// Checks all that can be checked before the first batch.
    pub(crate) fn check_only(&self) -> Result<(), SubscribeError> {
        self.check().map(drop)
    }

    /// Checks all that can be checked before the first batch, and prepares the row filter: `None`
    /// where every row of a batch goes on.
    pub(super) fn check(&self) -> Result<Option<RowFilter>, SubscribeError> {
        let name = || self.name.clone();
        if self.patterns.is_empty() {
            return Err(SubscribeError::NoPattern { name: name() });
        }
        if self.patterns.len() > PATTERNS_PER_SUBSCRIPTION_MAX {
            return Err(SubscribeError::TooManyPatterns {
                name: name(),
                patterns: self.patterns.len(),
            });
        }
        if self.limits.items_max == 0 || self.limits.bytes_max == 0 {
            return Err(SubscribeError::NoRoom {
                name: name(),
                items_max: self.limits.items_max,
                bytes_max: self.limits.bytes_max,
            });
        }
        if let Some(every) = self.every {
            if !(EVERY_MIN..=EVERY_MAX).contains(&every) {
                return Err(SubscribeError::Interval {
                    name: name(),
                    every,
                });
            }
            if matches!(self.policy, QueuePolicy::Block { .. }) {
                return Err(SubscribeError::TablesNeverWait { name: name() });
            }
        }
        RowFilter::new(&self.filter, &self.correlation).map_err(|source| SubscribeError::Filter {
            name: name(),
            source,
        })
    }
}

/// Why there is no subscription.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SubscribeError {
    /// No pattern was given.
    #[error("subscription `{name}` has no pattern; give it one, `>` selects every topic")]
    NoPattern {
        /// The subscription's name.
        name: String,
    },
    /// Too many patterns.
    #[error(
        "subscription `{name}` has {patterns} patterns, at most {PATTERNS_PER_SUBSCRIPTION_MAX} are allowed; use wildcards, or several subscriptions"
    )]
    TooManyPatterns {
        /// The subscription's name.
        name: String,
        /// How many it has.
        patterns: usize,
    },
    /// A queue that could never hold anything.
    #[error(
        "the queue of subscription `{name}` may hold {items_max} batches and {bytes_max} bytes; both must be at least 1"
    )]
    NoRoom {
        /// The subscription's name.
        name: String,
        /// Batches that it may hold.
        items_max: usize,
        /// Bytes that it may hold.
        bytes_max: u64,
    },
    /// An interval that can't be had.
    #[error(
        "subscription `{name}` asks for a table every {every:?}; the interval is {EVERY_MIN:?} to {EVERY_MAX:?}"
    )]
    Interval {
        /// The subscription's name.
        name: String,
        /// What it asks for.
        every: Duration,
    },
    /// Tables that others would have to wait for.
    #[error(
        "subscription `{name}` asks for tables with the policy `block`; tables never wait, choose another policy, as `drop-oldest`"
    )]
    TablesNeverWait {
        /// The subscription's name.
        name: String,
    },
    /// No tables.
    #[error("there is no table for subscription `{name}`: {problem}")]
    NoTables {
        /// The subscription's name.
        name: String,
        /// Why.
        problem: String,
    },
    /// A filter that can't be evaluated.
    #[error("subscription `{name}`: {source}")]
    Filter {
        /// The subscription's name.
        name: String,
        /// What is wrong with it.
        source: FilterError,
    },
    /// Too many subscriptions.
    #[error(
        "the bus has {SUBSCRIPTIONS_MAX} subscriptions, `{name}` would be one more than is allowed; end one first"
    )]
    TooManySubscriptions {
        /// The subscription's name.
        name: String,
    },
    /// The broker refuses it.
    #[error("subscription `{name}`: {message}")]
    Refused {
        /// The subscription's name.
        name: String,
        /// What kind of reason, for programs: `denied`, `limit`, `subscription`.
        code: String,
        /// Why.
        message: String,
        /// The access rule that decided.
        rule: Option<String>,
    },
    /// The bus was closed.
    #[error("the bus is closed, subscription `{name}` would get nothing; open a new bus")]
    Closed {
        /// The subscription's name.
        name: String,
    },
}
