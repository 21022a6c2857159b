//! The bench's sink: hears of every firing, and says how long it was on its way.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use weir::sink::{RunningSink, Sink, SinkError};
use weir_bus::event::TriggerColumns;
use weir_bus::pubsub::{EventBus, Gap, QueuePolicy, SubscriptionOptions};
use weir_bus::{Batch, Timestamp, TopicPattern};

use crate::measure::figure;

/// Longer than any run: nothing may be dropped.
const PATIENCE: Duration = Duration::from_secs(60);

/// What has come, in nanoseconds since the row was built.
type Kept = Arc<Mutex<Vec<u64>>>;

struct Keeper {
    kept: Kept,
}

impl Sink for Keeper {
    fn write(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let now = Timestamp::now().0;
        let Some(columns) = TriggerColumns::of(batch) else {
            return Ok(());
        };
        let rows = (0..batch.rows()).filter_map(|row| columns.row(row));
        let built = rows.filter_map(|row| row.target_start_time());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(built.map(|built| u64::try_from(now - built.0).unwrap_or(0)));
        Ok(())
    }

    fn gap(&mut self, _: &Gap) -> Result<(), SinkError> {
        // Whatever is missing is missing in the number of firings, which is checked.
        Ok(())
    }
}

/// The sink at work.
pub(super) struct Arrivals {
    sink: RunningSink,
    kept: Kept,
}

impl Arrivals {
    /// Subscribes to what triggers announce.
    pub(super) fn subscribe(bus: &Arc<dyn EventBus>) -> anyhow::Result<Self> {
        let options = SubscriptionOptions::new("sink:bench")
            .pattern(TopicPattern::parse("control.trigger.>")?)
            .policy(QueuePolicy::Block { deadline: PATIENCE });
        let kept = Kept::default();
        let keeper = Keeper {
            kept: Arc::clone(&kept),
        };
        let sink = RunningSink::start("bench", bus.subscribe(options)?, keeper)?;
        Ok(Self { sink, kept })
    }

    /// What has come, in milliseconds, sorted.
    pub(super) fn finish(self) -> anyhow::Result<Vec<f64>> {
        let is_done = self.sink.finish(Instant::now() + PATIENCE);
        ensure!(is_done, "the sink did not end");
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.sort_unstable();
        Ok(kept.iter().map(|time| figure(*time) / 1e6).collect())
    }
}
