//! What a client's callers and its link share, under one lock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use super::super::NAME_BYTES_MAX;
use super::{ClientError, ClientOptions, ClientStatus, Flushed, Refused, drop_reason, wake_all};
use crate::batch::Batch;
use crate::count::{Count, Drops};
use crate::pubsub::{
    Budget, BusStatistics, Clock, PublishError, Queue, QueueCounts, Receipt, Registry, RingCounts,
    SUBSCRIPTIONS_MAX, SlowWatch, SubscribeError, Subscriber, SubscriberStatistics, SubscriptionId,
    SubscriptionOptions,
};
use crate::wire::{
    FrameType, Pong, ResumePoint, SessionName, Stamp, Subscribe, SubscribeMore, Unsubscribe,
    Welcome, control_frame,
};

mod of_link;
mod unconfirmed;

pub(super) use of_link::Part;
use unconfirmed::Unconfirmed;

/// Refusals that are kept until the next flush; more are only counted.
const REFUSALS_MAX: usize = 64;

/// A frame that waits for the connection.
#[derive(Debug)]
pub(super) struct Outgoing {
    frame: Bytes,
    /// None: no publish, and worth nothing on another connection.
    count: Option<Count>,
}

impl Outgoing {
    /// The first frame of a batch has all its rows, others none.
    pub(super) const fn publish(frame: Bytes, rows: u64) -> Self {
        let count = Count::new(rows, if rows > 0 { 1 } else { 0 });
        Self {
            frame,
            count: Some(count),
        }
    }
}

pub(super) type Answer = oneshot::Sender<Result<(), Refused>>;
pub(super) type ReplySender = oneshot::Sender<Result<Bytes, ClientError>>;

/// A subscription, as long as its subscriber lives.
struct Held {
    id: SubscriptionId,
    name: Arc<str>,
    options: SubscriptionOptions,
    queue: Arc<Queue<Arc<Batch>>>,
    answer: Option<Answer>,
    /// How far it was read, since it first stood.
    point: Option<ResumePoint>,
}

#[derive(Default)]
struct State {
    welcome: Option<Welcome>,
    /// What goes on with the next connection.
    session: Option<SessionName>,
    problem: Option<ClientError>,
    connects: u64,
    outbox: VecDeque<Outgoing>,
    outbox_bytes: usize,
    outbox_batches: usize,
    unconfirmed: Unconfirmed,
    held: BTreeMap<u32, Held>,
    replies: BTreeMap<u32, ReplySender>,
    pongs: BTreeMap<u64, oneshot::Sender<Pong>>,
    refusals: Vec<Refused>,
    refused_rows: u64,
    published: Count,
    dropped: Drops,
    /// Sent again.
    resent: Count,
    /// Sent to a broker that went without a word of it.
    unknown: Count,
    departed: QueueCounts,
    next_id: u32,
    position: u64,
    /// An outage was told.
    told: bool,
    closing: bool,
    ended: bool,
}

impl State {
    fn next(&mut self) -> u32 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    fn drop_rows(&mut self, count: Count) -> bool {
        let is_up = self.welcome.is_some();
        self.dropped.add(drop_reason(is_up), count);
        !std::mem::replace(&mut self.told, true)
    }
}

/// What a client's callers and its link share.
pub(super) struct Shared {
    pub(super) options: ClientOptions,
    /// The bound over the queues of all subscriptions.
    budget: Arc<Budget>,
    slow: SlowWatch,
    state: Mutex<State>,
    /// There is something to send, or the end has come.
    pub(super) work: Notify,
    /// There is room, or the connection has changed.
    pub(super) room: Notify,
    /// The connection has changed.
    pub(super) changed: Notify,
    me: Weak<Self>,
}

impl Shared {
    pub(super) fn new(options: ClientOptions) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            budget: Budget::new(options.queues_bytes_max),
            slow: SlowWatch::default(),
            options,
            state: Mutex::default(),
            work: Notify::new(),
            room: Notify::new(),
            changed: Notify::new(),
            me: Weak::clone(me),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The callers' side.

    /// Whether the client is connected, or why not; none while it is still trying for the first time.
    pub(super) fn connection(&self) -> Option<Result<(), ClientError>> {
        let state = self.state();
        if state.welcome.is_some() {
            return Some(Ok(()));
        }
        if state.ended {
            return Some(Err(ClientError::Closed));
        }
        state.problem.clone().map(Err)
    }

    pub(super) fn is_up(&self) -> bool {
        self.state().welcome.is_some()
    }

    pub(super) fn disconnected(&self) -> ClientError {
        let problem = self.state().problem.clone();
        problem.unwrap_or_else(|| ClientError::Disconnected {
            socket: self.options.socket.display().to_string(),
            problem: "not connected yet".to_owned(),
        })
    }

    pub(super) fn status(&self) -> ClientStatus {
        let state = self.state();
        let waiting = state
            .outbox
            .iter()
            .filter_map(|outgoing| outgoing.count)
            .sum();
        ClientStatus {
            connected: state.welcome.is_some(),
            source: state.welcome.as_ref().map(|welcome| welcome.source.clone()),
            problem: state.problem.as_ref().map(ToString::to_string),
            connects: state.connects,
            published: state.published,
            dropped: state.dropped,
            waiting,
            unconfirmed: state.unconfirmed.count(),
            resent: state.resent,
            unknown: state.unknown,
            refused_rows: state.refused_rows,
        }
    }

    /// Puts a publish into the buffer, or hands it back where there is no room.
    pub(super) fn offer(&self, outgoing: Outgoing) -> Result<Option<Outgoing>, ClientError> {
        let mut state = self.state();
        if state.closing {
            return Err(ClientError::Closed);
        }
        let bytes = state.outbox_bytes.saturating_add(outgoing.frame.len());
        let is_full = state.outbox_batches >= self.options.buffer_batches_max
            || (bytes > self.options.buffer_bytes_max && state.outbox_batches > 0);
        if is_full {
            return Ok(Some(outgoing));
        }
        state.published += outgoing.count.unwrap_or_default();
        state.outbox_bytes = bytes;
        state.outbox_batches += 1;
        state.outbox.push_back(outgoing);
        drop(state);
        self.work.notify_one();
        Ok(None)
    }

    /// Counts a publish that found no room, and tells it once an outage.
    pub(super) fn drop_publish(&self, outgoing: &Outgoing) {
        let mut state = self.state();
        let count = outgoing.count.unwrap_or_default();
        state.published += count;
        let first = state.drop_rows(count);
        drop(state);
        if first {
            tracing::warn!(
                socket = %self.options.socket.display(),
                "the buffer of a client is full: what it publishes is dropped and counted until there is room"
            );
        }
    }

    pub(super) fn publish(&self, batch: &Batch) -> Result<Receipt, PublishError> {
        let closed = || PublishError::Closed {
            topic: batch.topic().clone(),
            rows: batch.rows(),
        };
        let mut frames = Vec::with_capacity(1);
        if let Err(error) = batch.encode_into(Stamp::Broker, &mut frames) {
            return Err(PublishError::Invalid {
                topic: batch.topic().clone(),
                rows: batch.rows(),
                problem: error.to_string(),
            });
        }
        let mut rows = batch.rows() as u64;
        for frame in frames {
            let outgoing = Outgoing::publish(frame, std::mem::take(&mut rows));
            if let Some(outgoing) = self.offer(outgoing).map_err(|_| closed())? {
                self.drop_publish(&outgoing);
            }
        }
        Ok(Receipt::default())
    }

    /// Puts a frame at the end that is worth nothing on another connection.
    pub(super) fn push_control(&self, frame: Bytes) -> Result<(), ClientError> {
        let mut state = self.state();
        if state.welcome.is_none() {
            drop(state);
            return Err(self.disconnected());
        }
        state.outbox_bytes = state.outbox_bytes.saturating_add(frame.len());
        state.outbox.push_back(Outgoing { frame, count: None });
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    pub(super) fn ask_pong(&self, sender: oneshot::Sender<Pong>) -> u64 {
        let mut state = self.state();
        let id = u64::from(state.next());
        state.pongs.insert(id, sender);
        id
    }

    pub(super) fn ask_reply(&self, sender: ReplySender) -> u32 {
        let mut state = self.state();
        let id = state.next();
        state.replies.insert(id, sender);
        id
    }

    pub(super) fn flushed(&self, pong: Pong) -> Flushed {
        Flushed {
            published_rows: pong.published_rows,
            refused_rows: pong.refused_rows,
            refusals: std::mem::take(&mut self.state().refusals),
        }
    }

    pub(super) fn subscribe(
        &self,
        options: SubscriptionOptions,
    ) -> Result<(Subscriber, oneshot::Receiver<Result<(), Refused>>), SubscribeError> {
        options.check_only()?;
        let name: Arc<str> = options.name().into();
        let mut state = self.state();
        let owned = || name.as_ref().to_owned();
        if state.closing {
            return Err(SubscribeError::Closed { name: owned() });
        }
        if state.held.len() >= SUBSCRIPTIONS_MAX {
            return Err(SubscribeError::TooManySubscriptions { name: owned() });
        }
        let (answer, answered) = oneshot::channel();
        let id = SubscriptionId::unique();
        let (policy, limits) = (options.policy_asked(), options.limits_asked());
        let queue = Queue::under(&self.budget, policy, limits, Clock::system());
        let number = state.next();
        let frame = subscribe_frame(number, &options, None);
        state.held.insert(
            number,
            Held {
                id,
                name: Arc::clone(&name),
                options,
                queue: Arc::clone(&queue),
                answer: Some(answer),
                point: None,
            },
        );
        let is_up = state.welcome.is_some();
        drop(state);
        if is_up && let Some(frame) = frame {
            // Where the connection ends just now, the next one begins with all subscriptions.
            drop(self.push_control(frame));
        }
        let registry: Weak<dyn Registry> = Weak::clone(&self.me) as _;
        Ok((Subscriber::new(id, name, queue, registry), answered))
    }

    pub(super) fn unsubscribe_by_id(&self, id: SubscriptionId) -> bool {
        let mut state = self.state();
        let found = state.held.iter().find(|(_, held)| held.id == id);
        let Some(number) = found.map(|(number, _)| *number) else {
            return false;
        };
        let Some(held) = state.held.remove(&number) else {
            return false;
        };
        let counts = held.queue.retire();
        state.departed += &counts;
        drop(state);
        if let Ok(frame) = control_frame(FrameType::Unsubscribe, &Unsubscribe { id: number }) {
            drop(self.push_control(frame));
        }
        true
    }

    pub(super) fn statistics(&self) -> BusStatistics {
        let state = self.state();
        let subscribers: Vec<_> = state
            .held
            .values()
            .map(|held| SubscriberStatistics {
                id: held.id,
                name: held.name.as_ref().to_owned(),
                patterns: held.options.patterns_asked().to_vec(),
                policy: held.queue.policy(),
                limits: held.queue.limits(),
                standing: held.queue.standing(),
                every: held.options.every_asked(),
                away: false,
                counts: held.queue.counts(),
            })
            .collect();
        let mut total = state.departed.clone();
        for subscriber in &subscribers {
            total += &subscriber.counts;
        }
        BusStatistics {
            published: state.published,
            total,
            departed: state.departed.clone(),
            bytes: self.budget.used(),
            bytes_max: self.budget.bytes_max(),
            ring: RingCounts::default(),
            subscribers,
        }
    }

    /// Tells who is slow here, where that is due.
    pub(super) fn tell_slow(&self) {
        if self.budget.has_lost() {
            let now = Clock::system().now();
            self.slow.look(now, || self.statistics(), &self.budget);
        }
    }

    /// Nothing more is accepted; what waits is sent, then the connection ends.
    pub(super) fn begin_close(&self) {
        let mut state = self.state();
        state.closing = true;
        let is_up = state.welcome.is_some();
        drop(state);
        if is_up {
            self.work.notify_one();
        } else {
            self.end();
        }
    }

    /// The end, now.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.closing = true;
        state.ended = true;
        drop(state);
        self.work.notify_one();
        wake_all(&self.room);
        wake_all(&self.changed);
    }
}

impl Registry for Shared {
    fn unsubscribe(&self, id: SubscriptionId) -> bool {
        self.unsubscribe_by_id(id)
    }
}

fn subscribe_frame(
    number: u32,
    options: &SubscriptionOptions,
    resume: Option<ResumePoint>,
) -> Option<Bytes> {
    let mut name = options.name().replace(char::is_control, "?");
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    let header: Subscribe = options.to_wire(number, name);
    control_frame(FrameType::Subscribe, &(header, SubscribeMore { resume })).ok()
}
