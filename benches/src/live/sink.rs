//! The bench's sink: hears of every firing, and keeps of each what its suite asks for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use weir::sink::{RunningSink, Sink, SinkError};
use weir_bus::event::{TriggerColumns, TriggerRow};
use weir_bus::pubsub::{EventBus, Gap, QueuePolicy, SubscriptionOptions};
use weir_bus::{Batch, Timestamp, TopicPattern};

use crate::measure::figure;

/// Longer than any run: nothing may be dropped.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is kept of a firing that has come at that time; none: nothing.
pub(crate) type Keep<T> = fn(&TriggerRow<'_>, Timestamp) -> Option<T>;

/// Nanoseconds since the row that fired was built, which says so where another has its start time.
pub(crate) fn age_ns(firing: &TriggerRow<'_>, now: Timestamp) -> Option<u64> {
    let built = firing.target_start_time()?;
    Some(u64::try_from(now.0 - built.0).unwrap_or(0))
}

struct Keeper<T> {
    keep: Keep<T>,
    kept: Arc<Mutex<Vec<T>>>,
}

impl<T: Send + 'static> Sink for Keeper<T> {
    fn write(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let now = Timestamp::now();
        let Some(columns) = TriggerColumns::of(batch) else {
            return Ok(());
        };
        let rows = (0..batch.rows()).filter_map(|row| columns.row(row));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(rows.filter_map(|row| (self.keep)(&row, now)));
        Ok(())
    }

    fn gap(&mut self, _: &Gap) -> Result<(), SinkError> {
        // Whatever is missing is missing in the number of firings, which is checked.
        Ok(())
    }
}

/// The sink at work.
pub(crate) struct Arrivals<T> {
    sink: RunningSink,
    kept: Arc<Mutex<Vec<T>>>,
}

impl<T: Send + 'static> Arrivals<T> {
    /// Subscribes to what triggers announce.
    pub(crate) fn subscribe(bus: &Arc<dyn EventBus>, keep: Keep<T>) -> anyhow::Result<Self> {
        let options = SubscriptionOptions::new("sink:bench")
            .pattern(TopicPattern::parse("control.trigger.>")?)
            .policy(QueuePolicy::Block { deadline: PATIENCE });
        let kept = Arc::default();
        let keeper = Keeper {
            keep,
            kept: Arc::clone(&kept),
        };
        let sink = RunningSink::start("bench", bus.subscribe(options)?, keeper)?;
        Ok(Self { sink, kept })
    }

    /// What has come, in its order.
    pub(crate) fn finish(self) -> anyhow::Result<Vec<T>> {
        let is_done = self.sink.finish(Instant::now() + PATIENCE);
        ensure!(is_done, "the sink did not end");
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut kept))
    }
}

/// Ages in milliseconds, sorted; there must be so many.
pub(crate) fn sorted_ms(mut ages_ns: Vec<u64>, expected: u64) -> anyhow::Result<Vec<f64>> {
    ensure!(
        ages_ns.len() as u64 == expected,
        "{} firings came to the sink, and {expected} were to come",
        ages_ns.len()
    );
    ages_ns.sort_unstable();
    Ok(ages_ns.iter().map(|age| figure(*age) / 1e6).collect())
}
