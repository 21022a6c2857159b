//! What a client's callers and its link share, under one lock.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{Notify, oneshot};

use super::super::NAME_BYTES_MAX;
use super::{ClientError, ClientOptions, drop_reason, wake_all};
use crate::batch::Batch;
use crate::count::{Count, DropReason, Drops};
use crate::pubsub::{
    BusStatistics, Gap, PublishError, Queue, QueueCounts, Receipt, Registry, SUBSCRIPTIONS_MAX,
    SubscribeError, Subscriber, SubscriberStatistics, SubscriptionId, SubscriptionOptions,
};
use crate::wire::{
    ErrorFrame, FrameType, Pong, Stamp, Subscribe, Unsubscribe, Welcome, control_frame,
};

/// Refusals that are kept until the next flush; more are only counted.
const REFUSALS_MAX: usize = 64;

/// What the broker says no to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// What kind of reason, for programs.
    pub code: String,
    /// Why, for people.
    pub message: String,
    /// The topic that it is about.
    pub topic: Option<String>,
    /// The access rule that decided.
    pub rule: Option<String>,
    /// Rows that were refused.
    pub rows: u64,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ErrorFrame> for Refused {
    fn from(error: ErrorFrame) -> Self {
        Self {
            code: error.code,
            message: error.message,
            topic: error.topic,
            rule: error.rule,
            rows: error.rows,
        }
    }
}

impl Refused {
    pub(super) fn of_subscription(self, name: String) -> SubscribeError {
        SubscribeError::Refused {
            name,
            code: self.code,
            message: self.message,
            rule: self.rule,
        }
    }
}

/// What the broker has taken of everything that was published before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flushed {
    /// Rows that it took on this connection.
    pub published_rows: u64,
    /// Rows that it refused on this connection.
    pub refused_rows: u64,
    /// What it said no to since the last flush.
    pub refusals: Vec<Refused>,
}

/// What a client did so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ClientStatus {
    /// Whether there is a connection.
    pub connected: bool,
    /// What the broker says its batches come from.
    pub source: Option<String>,
    /// What went wrong last.
    pub problem: Option<String>,
    /// How often it connected.
    pub connects: u64,
    /// What was accepted.
    pub published: Count,
    /// What of it was dropped here.
    pub dropped: Drops,
    /// What of it waits.
    pub waiting: Count,
    /// Rows that the broker refused.
    pub refused_rows: u64,
}

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
    /// The position after the last that arrived, on an earlier connection.
    resumed_at: Option<u64>,
}

#[derive(Default)]
struct State {
    welcome: Option<Welcome>,
    problem: Option<ClientError>,
    connects: u64,
    outbox: VecDeque<Outgoing>,
    outbox_bytes: usize,
    outbox_batches: usize,
    held: BTreeMap<u32, Held>,
    replies: BTreeMap<u32, ReplySender>,
    pongs: BTreeMap<u64, oneshot::Sender<Pong>>,
    refusals: Vec<Refused>,
    refused_rows: u64,
    published: Count,
    dropped: Drops,
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
        let queue = Arc::new(Queue::new(options.policy_asked(), options.limits_asked()));
        let number = state.next();
        let frame = subscribe_frame(number, &options);
        state.held.insert(
            number,
            Held {
                id,
                name: Arc::clone(&name),
                options,
                queue: Arc::clone(&queue),
                answer: Some(answer),
                resumed_at: None,
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
            subscribers,
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

    // The link's side.

    pub(super) fn has_ended(&self) -> bool {
        self.state().ended
    }

    /// A connection stands: everybody is subscribed again.
    pub(super) fn up(&self, welcome: Welcome) -> Vec<Bytes> {
        let mut state = self.state();
        let frames = state
            .held
            .iter()
            .filter_map(|(number, held)| subscribe_frame(*number, &held.options))
            .collect();
        state.welcome = Some(welcome);
        state.problem = None;
        state.connects += 1;
        let was_out = std::mem::take(&mut state.told);
        drop(state);
        if was_out {
            tracing::info!(socket = %self.options.socket.display(), "connected again");
        }
        wake_all(&self.changed);
        wake_all(&self.room);
        frames
    }

    /// The connection has ended, or there was none: what is worth nothing on another is answered so.
    pub(super) fn down(&self, problem: &ClientError) {
        let mut state = self.state();
        let was_up = state.welcome.take().is_some();
        state.problem = Some(problem.clone());
        state.replies.clear();
        state.pongs.clear();
        state.outbox.retain(|outgoing| outgoing.count.is_some());
        state.outbox_bytes = state
            .outbox
            .iter()
            .map(|outgoing| outgoing.frame.len())
            .sum();
        if was_up {
            let after = state.position.saturating_add(1);
            for held in state.held.values_mut() {
                held.resumed_at = Some(after);
            }
        }
        let first = !std::mem::replace(&mut state.told, true);
        drop(state);
        if was_up || first {
            tracing::warn!(%problem, "no broker; trying again");
        }
        wake_all(&self.changed);
        wake_all(&self.room);
    }

    /// It is over: subscribers get what is queued, and then the end; what waits is counted.
    pub(super) fn over(&self) {
        let mut state = self.state();
        state.welcome = None;
        state.closing = true;
        state.ended = true;
        let lost: Count = state
            .outbox
            .drain(..)
            .filter_map(|outgoing| outgoing.count)
            .sum();
        state.dropped.add(DropReason::Closed, lost);
        state.outbox_bytes = 0;
        state.outbox_batches = 0;
        for held in state.held.values() {
            held.queue.close();
        }
        state.replies.clear();
        state.pongs.clear();
        drop(state);
        wake_all(&self.changed);
        wake_all(&self.room);
    }

    /// Takes frames for one write; none where there is nothing. `Err` when all is sent and it is over.
    pub(super) fn take_frames(&self, bytes_max: usize, out: &mut Vec<u8>) -> Result<(), ()> {
        let mut state = self.state();
        if state.ended {
            return Err(());
        }
        while out.len() < bytes_max {
            let Some(outgoing) = state.outbox.pop_front() else {
                break;
            };
            state.outbox_bytes = state.outbox_bytes.saturating_sub(outgoing.frame.len());
            if outgoing.count.is_some() {
                state.outbox_batches = state.outbox_batches.saturating_sub(1);
            }
            out.extend_from_slice(&outgoing.frame);
        }
        if out.is_empty() && state.closing {
            return Err(());
        }
        drop(state);
        if !out.is_empty() {
            wake_all(&self.room);
        }
        Ok(())
    }

    pub(super) fn queue(&self, number: u32) -> Option<Arc<Queue<Arc<Batch>>>> {
        self.state()
            .held
            .get(&number)
            .map(|held| Arc::clone(&held.queue))
    }

    pub(super) fn arrived(&self, position: u64) {
        let mut state = self.state();
        state.position = state.position.max(position);
    }

    pub(super) fn position(&self) -> u64 {
        self.state().position
    }

    /// The broker has agreed to a subscription. One that stood on an earlier connection has missed
    /// something, and nobody knows how much.
    pub(super) fn subscribed(&self, number: u32) {
        let mut state = self.state();
        let Some(held) = state.held.get_mut(&number) else {
            return;
        };
        if let Some(from) = held.resumed_at.take() {
            held.queue.push_gap(Gap {
                missed: None,
                reason: DropReason::Disconnected,
                from,
                to: from,
            });
        }
        if let Some(answer) = held.answer.take() {
            drop(answer.send(Ok(())));
        }
    }

    pub(super) fn refused(&self, error: ErrorFrame) {
        let mut state = self.state();
        let held = error.id.and_then(|number| state.held.get_mut(&number));
        if let Some(held) = held {
            held.queue.close();
            let name = Arc::clone(&held.name);
            match held.answer.take() {
                Some(answer) => drop(answer.send(Err(error.into()))),
                None => {
                    tracing::warn!(subscription = %name, problem = error.message, "the broker refuses it");
                }
            }
            return;
        }
        state.refused_rows = state.refused_rows.saturating_add(error.rows);
        if state.refusals.len() < REFUSALS_MAX {
            state.refusals.push(error.into());
        }
    }

    pub(super) fn replied(&self, id: u32, answer: Result<Bytes, ClientError>) {
        let waiting = self.state().replies.remove(&id);
        if let Some(waiting) = waiting {
            drop(waiting.send(answer));
        }
    }

    pub(super) fn ponged(&self, pong: Pong) {
        let waiting = self.state().pongs.remove(&pong.id);
        if let Some(waiting) = waiting {
            // Who asked may have gone.
            let _unheard = waiting.send(pong);
        }
    }
}

impl Registry for Shared {
    fn unsubscribe(&self, id: SubscriptionId) -> bool {
        self.unsubscribe_by_id(id)
    }
}

fn subscribe_frame(number: u32, options: &SubscriptionOptions) -> Option<Bytes> {
    let mut name = options.name().replace(char::is_control, "?");
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    let header: Subscribe = options.to_wire(number, name);
    control_frame(FrameType::Subscribe, &header).ok()
}
