//! For tests of sources, guests and everything around them: a source that says its lines, a
//! collector with short timeouts, and a subscriber that keeps what it gets.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use weir_bus::pubsub::{Delivery, EventBus, Recv, SubscribeError, Subscriber, SubscriptionOptions};
use weir_bus::{CollectionEvent, Pace, SourceCaps, TopicPattern};
use weir_sources::{EventSource, SourceContext, SourceError};

use crate::collector::{Collector, CollectorConfig};
use crate::config::ConfigErrors;

/// A source that emits rows that were written down before, and ends.
pub struct ScriptedSource {
    name: String,
    rows: Vec<CollectionEvent>,
    pace: Pace,
    stays: bool,
}

impl ScriptedSource {
    /// A source that emits those rows, flushes, and ends.
    #[must_use]
    pub fn new(name: &str, rows: Vec<CollectionEvent>) -> Self {
        Self {
            name: name.to_owned(),
            rows,
            pace: Pace::Periodic,
            stays: false,
        }
    }

    /// Stays when all is said, until it is told to stop.
    #[must_use]
    pub const fn that_stays(mut self) -> Self {
        self.stays = true;
        self
    }

    /// With another pace.
    #[must_use]
    pub const fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }
}

#[async_trait]
impl EventSource for ScriptedSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> SourceCaps {
        SourceCaps::empty()
    }

    fn pace(&self) -> Pace {
        self.pace
    }

    async fn start(&self, context: SourceContext) -> Result<(), SourceError> {
        context.ready();
        for row in &self.rows {
            context.emitter().emit(row).await;
        }
        context.emitter().flush();
        if self.stays {
            context.stopping().await;
        }
        Ok(())
    }
}

/// A collector whose timeouts suit a test.
///
/// # Errors
/// Never in practice: the values are within their ranges.
pub fn collector() -> Result<Collector, ConfigErrors> {
    let config = CollectorConfig::builder()
        .component_name("test")
        .batch_timeout(Duration::from_millis(1))
        .startup_timeout(Duration::from_secs(5))
        .shutdown_timeout(Duration::from_secs(5))
        .build()?;
    Ok(Collector::new(config))
}

/// A sink that keeps what it gets.
pub struct CapturingSink {
    subscriber: Subscriber,
    kept: Mutex<Vec<CollectionEvent>>,
    gaps: Mutex<Vec<Option<u64>>>,
}

impl CapturingSink {
    /// Keeps what that subscriber gets.
    #[must_use]
    pub fn of(subscriber: Subscriber) -> Self {
        Self {
            subscriber,
            kept: Mutex::default(),
            gaps: Mutex::default(),
        }
    }

    /// Subscribes to those patterns.
    ///
    /// # Errors
    /// If the bus refuses the subscription.
    pub fn subscribe(
        bus: &Arc<dyn EventBus>,
        patterns: Vec<TopicPattern>,
    ) -> Result<Self, SubscribeError> {
        let options = SubscriptionOptions::new("capture").patterns(patterns);
        Ok(Self::of(bus.subscribe(options)?))
    }

    /// Takes what has come until there was nothing more for `quiet`, or the bus was closed; gives
    /// all that it has kept.
    #[must_use]
    pub fn events(&self, quiet: Duration) -> Vec<CollectionEvent> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gaps = self.gaps.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match self.subscriber.recv_timeout(quiet) {
                Recv::Got(Delivery::Batch { item, .. }) => {
                    kept.extend((0..item.rows()).filter_map(|row| item.row(row)));
                }
                Recv::Got(Delivery::Gap(gap)) => gaps.push(gap.missed),
                Recv::Interrupted => {}
                Recv::Empty | Recv::Closed => return kept.clone(),
            }
        }
    }

    /// The rows that each gap missed, so far.
    #[must_use]
    pub fn gaps(&self) -> Vec<Option<u64>> {
        self.gaps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
