//! Which firings become requests. Here is the order of the questions; each is answered in its own file.
//!
//! No clock, thread or bus: it is told the time, and what it decides is done by the manager. Invariant: a firing is
//! counted once, as admitted or by one reason; one that is refused leaves neither a token spent nor a key written.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use weir_bus::batch::Batch;
use weir_bus::event::TriggerEvent;
use weir_bus::{Selection, Timestamp};

use super::bucket::Bucket;
use super::counts::{Refusal, TriggerCounts};
use super::dedup::{Dedup, DedupKey, Keys};
use super::place::Place;
use super::policy::{Policy, TriggerPolicy};
use super::queue::{NoRoom, RequestQueue};
use super::subject::{Subject, same_by, value};
use super::{Priority, Request};
use crate::ids::new_id;
use crate::sandbox::{Cause, Rule};

/// Paths may have so many bytes: Linux's `PATH_MAX`.
pub(super) const PATH_BYTES_MAX: usize = 4_096;
/// A request may say so much about itself, in bytes.
pub(super) const METADATA_BYTES_MAX: usize = 64 << 10;
/// Triggers that are counted by name; what fires beyond them is counted together. Slots (64) with as many rules as they
/// may have (4,096) would be more than anybody reads, and guests choose the names.
const TRIGGERS_MAX: usize = 8_192;

/// A trigger: the slot, and the rule of its guest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TriggerName {
    pub(super) slot: String,
    pub(super) rule: String,
}

/// A firing as a slot hands it in.
#[derive(Clone, Copy, Debug)]
pub struct Firing<'a> {
    /// The slot whose guest fired.
    pub slot: &'a str,
    /// The rule, as the guest in force named it; none: it named none by that number.
    pub rule: Option<&'a Rule>,
    /// The batch.
    pub batch: &'a Batch,
    /// The row of it.
    pub row: usize,
    /// What the guest says of it.
    pub message: Option<&'a str>,
}

/// What is kept of one trigger.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) counts: TriggerCounts,
    /// The counts that the last sum of what was suppressed ended with.
    pub(super) summed: TriggerCounts,
    bucket: Bucket,
}

/// All that admission remembers.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) queue: RequestQueue,
    pub(super) dedup: Dedup,
    keys: Keys,
    known: HashMap<TriggerName, Known>,
}

impl Admission {
    /// Remembers nothing yet.
    pub(super) fn new(policy: &Policy) -> Self {
        let admission = &policy.admission;
        Self {
            queue: RequestQueue::new(admission.queue_requests_max, admission.low_share_max),
            dedup: Dedup::new(admission.dedup_entries_max),
            keys: Keys::default(),
            known: HashMap::new(),
        }
    }

    /// Takes over another policy: what waits and what is remembered stays.
    pub(super) fn set_policy(&mut self, policy: &Policy) {
        let admission = &policy.admission;
        self.queue
            .set_bounds(admission.queue_requests_max, admission.low_share_max);
        self.dedup.set_entries_max(admission.dedup_entries_max);
        for (name, known) in &mut self.known {
            let of = policy.of(&name.slot, &name.rule);
            known.bucket.set_rate(of.rate_max, of.rate_window);
        }
    }

    /// Decides on a firing; what is admitted waits in the queue.
    ///
    /// # Errors
    /// Why it goes no further.
    pub(super) fn offer(
        &mut self,
        firing: Firing<'_>,
        policy: &Policy,
        now: Instant,
    ) -> Result<Arc<TriggerEvent>, Refusal> {
        let name = self.name_of(firing.slot, firing.rule.map_or("", |rule| &rule.name));
        let of = policy.of(&name.slot, &name.rule);
        let known = known(&mut self.known, &name, of, now);
        known.counts.fired += 1;
        let decided = decide(
            firing,
            policy,
            of,
            now,
            &mut Parts {
                known,
                queue: &mut self.queue,
                dedup: &mut self.dedup,
                keys: &self.keys,
            },
        );
        if let Some(known) = self.known.get_mut(&name) {
            match &decided {
                Ok(_) => {
                    known.counts.admitted += 1;
                    known.counts.waiting += 1;
                }
                Err(why) => *known.counts.refused(*why) += 1,
            }
        }
        decided
    }

    /// Counts rows that a rule could not decide.
    pub(super) fn undecided(&mut self, slot: &str, rule: &str, rows: u64, policy: &Policy) {
        let name = self.name_of(slot, rule);
        let of = policy.of(slot, rule);
        known(&mut self.known, &name, of, Instant::now())
            .counts
            .undecided += rows;
    }

    /// The counts of the trigger that a request came from.
    pub(super) fn counts_of(&mut self, event: &TriggerEvent) -> Option<&mut TriggerCounts> {
        let name = self.name_of(&event.trigger, &event.rule);
        self.known.get_mut(&name).map(|known| &mut known.counts)
    }

    /// Every trigger that ever fired.
    pub(super) fn known(&mut self) -> impl Iterator<Item = (&TriggerName, &mut Known)> {
        self.known.iter_mut()
    }

    /// The name that it is counted by.
    fn name_of(&self, slot: &str, rule: &str) -> TriggerName {
        let name = TriggerName {
            slot: slot.to_owned(),
            rule: rule.to_owned(),
        };
        if self.known.len() < TRIGGERS_MAX || self.known.contains_key(&name) {
            return name;
        }
        TriggerName {
            slot: "(others)".to_owned(),
            rule: String::new(),
        }
    }
}

fn known<'a>(
    all: &'a mut HashMap<TriggerName, Known>,
    name: &TriggerName,
    of: &TriggerPolicy,
    now: Instant,
) -> &'a mut Known {
    all.entry(name.clone()).or_insert_with(|| Known {
        counts: TriggerCounts::default(),
        summed: TriggerCounts::default(),
        bucket: Bucket::new(of.rate_max, of.rate_window, now),
    })
}

/// What a decision reads and changes.
struct Parts<'a> {
    known: &'a mut Known,
    queue: &'a mut RequestQueue,
    dedup: &'a mut Dedup,
    keys: &'a Keys,
}

fn decide(
    firing: Firing<'_>,
    policy: &Policy,
    of: &TriggerPolicy,
    now: Instant,
    parts: &mut Parts<'_>,
) -> Result<Arc<TriggerEvent>, Refusal> {
    let request_id = new_id();
    let place = Place::behind(
        firing.batch,
        firing.row,
        &request_id,
        policy.admission.depth_max,
    )
    .ok_or(Refusal::TooDeep)?;
    if is_excepted(firing, policy) {
        return Err(Refusal::Excepted);
    }
    let subject = Subject::of(firing.batch, firing.row);
    is_answerable(firing, policy, of, &subject)?;
    let key = key_of(firing, of, parts.keys);
    if key.is_some_and(|key| parts.dedup.holds(key, now)) {
        return Err(Refusal::Duplicate);
    }
    if !parts.known.bucket.has_one(now) {
        return Err(Refusal::RateLimited);
    }
    let (request, bytes) = request(firing, of, request_id, place, subject)?;
    parts
        .queue
        .room_for(request.priority, bytes)
        .map_err(|none| match none {
            NoRoom::NearlyFull => Refusal::LowPriority,
            NoRoom::Full => Refusal::QueueFull,
        })?;
    // From here on nothing fails: token, key and place in the queue come together.
    let event = Arc::clone(&request.event);
    parts.known.bucket.take();
    parts.queue.push(request, bytes, now);
    if let Some(key) = key {
        let until = now.checked_add(of.dedup_window).unwrap_or(now);
        parts.dedup.write(key, until, now);
    }
    Ok(event)
}

fn is_excepted(firing: Firing<'_>, policy: &Policy) -> bool {
    let rule = firing.rule.map_or("", |rule| &rule.name);
    policy
        .exceptions(firing.slot, rule)
        .iter()
        .any(|exception| {
            value(firing.batch, &exception.column, firing.row)
                .is_some_and(|value| value == exception.value)
        })
}

/// Whether the request would make sense to who is to answer it.
fn is_answerable(
    firing: Firing<'_>,
    policy: &Policy,
    of: &TriggerPolicy,
    subject: &Subject,
) -> Result<(), Refusal> {
    let path_bytes = subject.path.as_ref().map_or(0, String::len);
    let message_bytes = firing.message.map_or(0, str::len);
    if path_bytes > PATH_BYTES_MAX || message_bytes > METADATA_BYTES_MAX || firing.rule.is_none() {
        return Err(Refusal::Invalid);
    }
    let target = firing.rule.map_or("", |rule| &rule.target);
    if target.is_empty() || policy.targets.chains.contains(target) {
        return Ok(());
    }
    let offered = policy.targets.sources.get(target);
    match offered {
        Some(analyses) if of.analysis.is_empty() || analyses.contains(&of.analysis.as_str()) => {}
        _ => return Err(Refusal::NoTarget),
    }
    // A source is asked about a process or a file; there is nothing to ask about a measurement.
    if subject.pid.is_none() && subject.path.is_none() {
        return Err(Refusal::Invalid);
    }
    Ok(())
}

/// By what the same is known again; none: nothing is like it.
fn key_of(firing: Firing<'_>, of: &TriggerPolicy, keys: &Keys) -> Option<DedupKey> {
    if of.dedup_window.is_zero() {
        return None;
    }
    let rule = firing.rule.map_or("", |rule| &rule.name);
    let at = |column: &str| value(firing.batch, column, firing.row);
    if !of.dedup_by.is_empty() {
        let values: Vec<_> = of.dedup_by.iter().map(|column| at(column)).collect();
        return Some(keys.of((firing.slot, rule, 0, values)));
    }
    let sets = (1..).zip(same_by(firing.batch.kind()));
    sets.map(|(set, columns)| (set, columns.iter().map(|column| at(column)).collect()))
        .find(|(_, values): &(i32, Vec<_>)| values.iter().any(Option::is_some))
        .map(|(set, values)| keys.of((firing.slot, rule, set, values)))
}

/// The request, and the bytes that it keeps alive while it waits.
fn request(
    firing: Firing<'_>,
    of: &TriggerPolicy,
    request_id: String,
    place: Place,
    subject: Subject,
) -> Result<(Request, u64), Refusal> {
    let rule = firing.rule.ok_or(Refusal::Invalid)?;
    let priority: Priority = rule.priority.parse().map_err(|_| Refusal::Invalid)?;
    let number = u32::try_from(firing.row).map_err(|_| Refusal::Invalid)?;
    let row = firing
        .batch
        .select(&Selection::Rows(vec![number]))
        .map_err(|_| Refusal::Invalid)?;
    let message = firing.message.map(str::to_owned);
    let cause = Cause {
        request_id: request_id.clone(),
        trigger: firing.slot.to_owned(),
        rule: rule.name.clone(),
        priority: rule.priority.clone(),
        message,
        correlation_id: place.correlation_id.clone(),
        parent_id: place.parent_id.clone(),
        root_id: place.root_id.clone(),
        depth: place.depth,
        metadata: Vec::new(),
    };
    let event = TriggerEvent {
        timestamp: Timestamp::now(),
        correlation_id: place.correlation_id,
        parent_id: place.parent_id,
        root_id: place.root_id,
        depth: place.depth,
        request_id,
        trigger: firing.slot.to_owned(),
        rule: rule.name.clone(),
        target: rule.target.clone(),
        analysis: of.analysis.clone(),
        priority: rule.priority.clone(),
        target_pid: subject.pid,
        target_start_time: subject.start_time,
        target_path: subject.path,
        metadata: firing
            .message
            .iter()
            .map(|text| format!("message={text}"))
            .collect(),
    };
    let bytes = (row.bytes() as u64).saturating_add(cause.bytes().saturating_mul(2));
    let request = Request {
        event: Arc::new(event),
        row: Arc::new(row),
        cause: Arc::new(cause),
        priority,
    };
    Ok((request, bytes))
}
