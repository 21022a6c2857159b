//! What clients publish goes the way of a source's events: through the same filters, by the same law.
//!
//! A connection has a lane of its own where there are filters, so that its order is kept and nobody else
//! waits with it; without filters its batches go straight onto the bus, as they came. The latest table
//! of processes takes nothing from it: what guests ask for is what this host's sources saw.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use weir_bus::batch::{Batcher, BatcherLimits, Pace, SourceCounts};
use weir_bus::pubsub::{EventBus, LocalBus, PublisherId};
use weir_bus::socket::{Direct, EnterError, Entered, Entrance, Ingress};
use weir_bus::wire::WireBatch;
use weir_bus::{DropReason, Emit};

use crate::lane::Lane;
use crate::slot::Slot;
use crate::slot::filter::FilterDuty;

/// What all connections together are called among the sources. No source of a config has a `:`.
pub(crate) const SOCKET_SOURCE: &str = "socket:";

/// The way in for all connections.
pub(crate) struct LaneIngress {
    bus: Arc<LocalBus>,
    filters: Vec<Slot<FilterDuty>>,
    limits: BatcherLimits,
    /// Where lanes run.
    handle: Handle,
    doors: Arc<Doors>,
}

/// The connections' ways in, and what became of those that are gone.
#[derive(Default)]
struct Doors {
    state: Mutex<DoorsState>,
}

#[derive(Default)]
struct DoorsState {
    open: Vec<Arc<Door>>,
    gone: SourceCounts,
    closed: bool,
}

impl Doors {
    fn state(&self) -> MutexGuard<'_, DoorsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> SourceCounts {
        let state = self.state();
        let mut counts = state.gone.clone();
        for door in &state.open {
            counts += &door.way.counts();
        }
        counts
    }

    /// Forgets the doors that are closed and have nothing under way, but not what they counted.
    fn sweep(state: &mut DoorsState) {
        let DoorsState { open, gone, .. } = state;
        open.retain(|door| {
            let counts = door.way.counts();
            let stays = !door.closed.load(Ordering::Acquire) || counts.in_flight() > 0;
            if !stays {
                *gone += &counts;
            }
            stays
        });
    }
}

/// One connection's way in.
struct Door {
    way: Way,
    closed: AtomicBool,
    lane: Mutex<Option<JoinHandle<()>>>,
    doors: Arc<Doors>,
}

enum Way {
    Straight(Arc<dyn Entrance>),
    Lane(Arc<Batcher>),
}

impl Way {
    fn counts(&self) -> SourceCounts {
        match self {
            Self::Straight(entrance) => entrance.counts(),
            Self::Lane(batcher) => batcher.counts(),
        }
    }
}

impl LaneIngress {
    /// Must be called within the tokio runtime in which the lanes shall run.
    pub(crate) fn new(
        bus: Arc<LocalBus>,
        filters: Vec<Slot<FilterDuty>>,
        limits: BatcherLimits,
    ) -> Self {
        Self {
            bus,
            filters,
            limits,
            handle: Handle::current(),
            doors: Arc::default(),
        }
    }

    /// What became of all that clients published.
    pub(crate) fn counts(&self) -> SourceCounts {
        self.doors.counts()
    }

    /// Takes nothing more in, and waits until the lanes have carried what they hold.
    pub(crate) async fn drain(&self, deadline: Instant) {
        let open = {
            let mut state = self.doors.state();
            state.closed = true;
            state.open.clone()
        };
        for door in open {
            door.close();
            let lane = door
                .lane
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            let Some(lane) = lane else { continue };
            let abort = lane.abort_handle();
            let left = deadline.saturating_duration_since(Instant::now());
            if tokio::time::timeout(left, lane).await.is_err() {
                // What it held stays counted as in flight.
                abort.abort();
            }
        }
    }
}

impl Ingress for LaneIngress {
    fn open(&self, source: &Arc<str>, publisher: PublisherId) -> Arc<dyn Entrance> {
        let mut lane = None;
        let way = if self.filters.is_empty() {
            let direct = Direct::new(Arc::clone(&self.bus));
            Way::Straight(direct.open(source, publisher))
        } else {
            let batcher = Arc::new(Batcher::new(source, Pace::Periodic, self.limits.clone()));
            let way = Lane {
                batcher: Arc::clone(&batcher),
                filters: self.filters.clone(),
                bus: Arc::clone(&self.bus) as Arc<dyn EventBus>,
                publisher,
                processes: None,
                table: None,
            };
            lane = Some(self.handle.spawn(way.run()));
            Way::Lane(batcher)
        };
        let door = Arc::new(Door {
            way,
            closed: AtomicBool::new(false),
            lane: Mutex::new(lane),
            doors: Arc::clone(&self.doors),
        });
        let mut state = self.doors.state();
        Doors::sweep(&mut state);
        if state.closed {
            door.closed.store(true, Ordering::Release);
        }
        state.open.push(Arc::clone(&door));
        door
    }
}

impl Entrance for Door {
    fn enter(&self, wire: WireBatch) -> Entered<'_> {
        if self.closed.load(Ordering::Acquire) {
            // Nobody counts any more what comes now: it was never taken.
            return Entered::Now(Err(closed(wire.rows() as u64)));
        }
        match &self.way {
            Way::Straight(entrance) => entrance.enter(wire),
            Way::Lane(batcher) => Entered::Later(Box::pin(append(batcher, wire))),
        }
    }

    fn counts(&self) -> SourceCounts {
        self.way.counts()
    }

    fn close(&self) {
        if let Way::Lane(batcher) = &self.way {
            batcher.close();
        }
        self.closed.store(true, Ordering::Release);
        Doors::sweep(&mut self.doors.state());
    }
}

const fn lost(reason: DropReason, rows: u64, message: String) -> EnterError {
    EnterError {
        reason,
        rows,
        message,
    }
}

fn closed(rows: u64) -> EnterError {
    lost(
        DropReason::Closed,
        rows,
        "the daemon is stopping".to_owned(),
    )
}

/// Hands a batch to a lane.
async fn append(batcher: &Batcher, wire: WireBatch) -> Result<(), EnterError> {
    let rows = wire.rows() as u64;
    let batch = match wire.decode() {
        Ok(batch) => batch,
        Err(error) => {
            batcher.count_dropped(DropReason::Invalid, rows);
            let topic = &wire.header().topic;
            let message = format!("{rows} rows on `{topic}` are dropped[invalid]: {error}");
            return Err(lost(DropReason::Invalid, rows, message));
        }
    };
    // Room first: what a client publishes waits with the client, and isn't dropped.
    batcher.room().await;
    match batcher.append_batch(&batch) {
        Emit::Accepted | Emit::Wait => Ok(()),
        Emit::Dropped => Err(lost(DropReason::Backpressure, rows, "no room".to_owned())),
        Emit::Closed => Err(closed(rows)),
    }
}
