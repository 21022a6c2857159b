//! What a broker does at times: heartbeats, and the ends of waits.
//!
//! On a thread of its own: timers on the broker's thread would cost each of its waits a look at the clock and
//! at them, a twentieth of the time that a message takes.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, Sleep};

use super::super::SILENT_BEATS_MAX;
use super::Connections;

/// The thread of the timers, for as long as this is kept.
pub(super) struct Clock {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    /// Pings every connection at each heartbeat, and ends those that have been silent too long.
    pub(super) fn start(connections: Arc<Connections>, every: Duration) -> std::io::Result<Self> {
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
