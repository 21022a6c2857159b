//! What a broker does at times: heartbeats, the ends of waits, and letting go of what waited too long.
//!
//! On a thread of its own: timers on the broker's thread would cost each of its waits a look at the clock and
//! at them, a twentieth of the time that a message takes.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, Sleep};

use super::super::SILENT_BEATS_MAX;
use super::Connections;
use crate::pubsub::LocalBus;

/// How often it is looked for what has waited too long.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The thread of the timers, for as long as this is kept.
pub(super) struct Clock {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    /// Pings every connection at each heartbeat, and ends those that have been silent too long.
    /// Lets go of batches that are too old, and of clients that were away for `away_max`.
    pub(super) fn start(
        connections: Arc<Connections>,
        bus: Arc<LocalBus>,
        every: Duration,
        away_max: Duration,
    ) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("weir-clock".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = beat(&connections, every) => {}
                        () = sweep(&connections, &bus, away_max) => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            handle,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Ends so much later. May be waited for on any thread.
    pub(super) fn sleep(&self, time: Duration) -> Sleep {
        let _entered = self.handle.enter();
        tokio::time::sleep(time)
    }

    /// What comes of something, if it comes in time.
    pub(super) async fn timeout<T>(
        &self,
        time: Duration,
        of: impl Future<Output = T>,
    ) -> Option<T> {
        let sleep = self.sleep(time);
        tokio::select! {
            biased;
            output = of => Some(output),
            () = sleep => None,
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn beat(connections: &Connections, every: Duration) {
    let mut beats = tokio::time::interval(every);
    // A host that was suspended has no beats to make up for.
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats.tick().await;
    loop {
        beats.tick().await;
        let list = connections.list().clone();
        for connection in list {
            connection.beat(SILENT_BEATS_MAX);
        }
    }
}

async fn sweep(connections: &Connections, bus: &LocalBus, away_max: Duration) {
    let mut looks = tokio::time::interval(SWEEP_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let now = Instant::now();
        bus.trim(now);
        connections.sessions.sweep(now, away_max);
    }
}
