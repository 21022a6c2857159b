//! From a subscribe frame to a subscription: checked, narrowed to the peer's rights, clamped.

use std::sync::Arc;
use std::time::Duration;

use super::super::super::{CONNECTION_PATTERNS_MAX, NAME_BYTES_MAX, bounded};
use super::super::outgoing::Stream;
use super::Connection;
use crate::count::DropReason;
use crate::event::Kind;
use crate::pubsub::{
    Comparison, CorrelationFilter, EventFilter, Gap, Incarnation, Incarnations, Literal, Operator,
    Priority, QueueLimits, QueuePolicy, Resumable, SubscribeError, SubscriptionOptions,
    UnknownOperator, UnknownPriority,
};
use crate::topic::TopicPattern;
use crate::wire::{
    ErrorFrame, FrameType, ResumePoint, Subscribe, Subscribed, WireComparison, WireLiteral,
    WirePolicy,
};

/// A publisher waits at most so long for a subscriber over the socket, whatever that asks for: the
/// daemon's sources are among those who wait.
const BLOCK_DEADLINE_MAX: Duration = Duration::from_secs(1);

/// A cut-off lasts at least so long over the socket: without a pause it would be a costly `drop-newest`.
const CUT_OFF_PAUSE_MIN: Duration = Duration::from_millis(10);

/// Why there is no subscription. The connection goes on.
struct Refused {
    code: &'static str,
    message: String,
    rule: Option<String>,
}

impl Refused {
    fn of(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            rule: None,
        }
    }
}

/// Answers a subscribe frame.
pub(super) fn subscribe(connection: &Connection, asked: Subscribe, resume: Option<ResumePoint>) {
    let id = asked.id;
    // One that waits is gone on with now, or never.
    let waiting = connection.waiting(id);
    match try_subscribe(connection, asked, resume, waiting) {
        Ok(stream) => {
            // First the answer: what is delivered comes after it.
            connection
                .shared
                .answer(FrameType::Subscribed, &Subscribed { id });
            connection.shared.outgoing.subscribe(stream);
        }
        Err(refused) => connection.shared.answer(
            FrameType::Error,
            &ErrorFrame {
                code: refused.code.to_owned(),
                message: bounded(&refused.message),
                fatal: false,
                topic: None,
                rule: refused.rule,
                id: Some(id),
                rows: 0,
            },
        ),
    }
}

fn try_subscribe(
    connection: &Connection,
    asked: Subscribe,
    resume: Option<ResumePoint>,
    waiting: Option<Arc<Stream>>,
) -> Result<Stream, Refused> {
    let wrong = |message: String| Refused::of("subscription", message);
    let (known, patterns_open) = connection.shared.outgoing.holds(asked.id);
    if known {
        let message = format!(
            "subscription {} is there already; choose another number",
            asked.id
        );
        return Err(wrong(message));
    }
    if !(1..=NAME_BYTES_MAX).contains(&asked.name.len()) || asked.name.contains(char::is_control) {
        return Err(wrong(format!(
            "`{}` is no name for a subscription: 1 to {NAME_BYTES_MAX} bytes without control characters",
            asked.name.escape_debug()
        )));
    }
    let patterns = parse_patterns(&asked.patterns)?;
    let narrowed = connection
        .shared
        .rights
        .narrow(&patterns)
        .map_err(|denied| Refused {
            rule: Some(denied.rule.clone()),
            ..Refused::of("denied", denied.to_string())
        })?;
    let patterns_all = patterns_open.saturating_add(narrowed.len());
    if patterns_all > CONNECTION_PATTERNS_MAX {
        return Err(Refused::of(
            "limit",
            format!(
                "{patterns_all} patterns on this connection, at most {CONNECTION_PATTERNS_MAX} are allowed"
            ),
        ));
    }
    // A table is what is, not what was: who asks for tables gets the next one, and has missed none.
    let resume = resume.filter(|_| asked.every_ms.0 == 0);
    if let Some(point) = resume {
        check_point(connection, point)?;
        // Rights and wishes may have changed: then what waited isn't what would be got.
        let same = waiting.filter(|one| one.asked == asked && one.patterns == narrowed);
        if let Some(waiting) = same
            && point.incarnation == connection.house.incarnation
            && waiting.subscriber.come_back(point.position, point.rows) == Ok(())
        {
            let subscriber = Arc::clone(&waiting.subscriber);
            return Ok(Stream::new(subscriber, asked, narrowed));
        }
    }
    let subscriber = begin(connection, &asked, &narrowed)?;
    if let Some(gap) = resume.and_then(|point| before(connection, &subscriber, point)) {
        subscriber.begin_with(gap);
    }
    Ok(Stream::new(Arc::new(subscriber), asked, narrowed))
}

/// A subscription that begins now.
fn begin(
    connection: &Connection,
    asked: &Subscribe,
    patterns: &[TopicPattern],
) -> Result<Resumable, Refused> {
    let name = connection.shared.name.get().map_or("", String::as_str);
    let mut options = SubscriptionOptions::new(format!("{name}/{}", asked.name))
        .patterns(patterns.iter().cloned())
        .policy(policy(connection, asked.policy)?)
        .limits(limits(connection, asked))
        .owner(connection.publisher)
        .own_events(asked.own_events)
        .correlation(correlation(asked))
        .filter(filter(asked)?);
    if asked.every_ms.0 > 0 {
        options = options.every(Duration::from_millis(asked.every_ms.0.into()));
    }
    let house = &connection.house;
    let mut begun = house.bus.subscribe_resumable(options.clone());
    // Who is there goes before who may come back.
    while matches!(begun, Err(SubscribeError::TooManySubscriptions { .. }))
        && house.connections.sessions.give_up_one()
    {
        begun = house.bus.subscribe_resumable(options.clone());
    }
    begun.map_err(|error| Refused::of("subscription", error.to_string()))
}

/// Nobody has read what wasn't published.
fn check_point(connection: &Connection, point: ResumePoint) -> Result<(), Refused> {
    let last = connection.house.bus.position();
    if point.incarnation != connection.house.incarnation || point.position <= last {
        return Ok(());
    }
    let message = format!(
        "position {} is in the future, the last is {last}; resume from one that was delivered",
        point.position
    );
    Err(Refused::of("resume", message))
}

/// What of the stream before a subscription that begins now its client has missed; none where nothing was
/// published since.
fn before(connection: &Connection, begun: &Resumable, point: ResumePoint) -> Option<Gap> {
    let new = connection.house.incarnation;
    let (from, to) = (point.position.saturating_add(1), begun.start());
    let gap = Gap::unknown(DropReason::Disconnected, from, to);
    if point.incarnation == new {
        return (from <= to).then_some(gap);
    }
    Some(Gap {
        incarnations: Some(Incarnations {
            old: Incarnation(point.incarnation),
            new: Incarnation(new),
        }),
        ..gap
    })
}

fn parse_patterns(texts: &[String]) -> Result<Vec<TopicPattern>, Refused> {
    if texts.len() > CONNECTION_PATTERNS_MAX {
        let count = texts.len();
        let message = format!("{count} patterns, at most {CONNECTION_PATTERNS_MAX} are allowed");
        return Err(Refused::of("limit", message));
    }
    let parsed = texts.iter().map(|text| TopicPattern::parse(text));
    parsed
        .collect::<Result<_, _>>()
        .map_err(|error| Refused::of("subscription", error.to_string()))
}

/// Who makes publishers wait can slow the daemon itself: only its own user may.
fn policy(connection: &Connection, asked: WirePolicy) -> Result<QueuePolicy, Refused> {
    match asked {
        WirePolicy::DropOldest => Ok(QueuePolicy::DropOldest),
        WirePolicy::DropNewest => Ok(QueuePolicy::DropNewest),
        WirePolicy::Block { deadline_ms } if connection.shared.rights.is_owner() => {
            let deadline = Duration::from_millis(deadline_ms.into());
            Ok(QueuePolicy::Block {
                deadline: deadline.min(BLOCK_DEADLINE_MAX),
            })
        }
        // They cost only who asks for them.
        WirePolicy::Disconnect { times, pause_ms } => Ok(QueuePolicy::Disconnect {
            times,
            pause: Duration::from_millis(pause_ms.into()).max(CUT_OFF_PAUSE_MIN),
        }),
        WirePolicy::Latest => Ok(QueuePolicy::Latest),
        WirePolicy::Block { .. } => Err(Refused {
            rule: Some("owner".to_owned()),
            ..Refused::of(
                "denied",
                "only the daemon's own user may let publishers wait (`block`); use `drop-oldest`, `drop-newest`, `disconnect` or `latest`",
            )
        }),
    }
}

/// A client can have a smaller queue than the broker gives, not a larger one: the memory is the broker's.
fn limits(connection: &Connection, asked: &Subscribe) -> QueueLimits {
    let most = connection.house.options.queue_limits;
    let items = usize::try_from(asked.queue_batches_max).unwrap_or(usize::MAX);
    QueueLimits {
        items_max: if items == 0 {
            most.items_max
        } else {
            items.min(most.items_max)
        },
        bytes_max: if asked.queue_bytes_max == 0 {
            most.bytes_max
        } else {
            asked.queue_bytes_max.min(most.bytes_max)
        },
    }
}

fn correlation(asked: &Subscribe) -> CorrelationFilter {
    let mut filter = CorrelationFilter::new();
    if let Some(id) = &asked.correlation_id {
        filter = filter.id(id);
    }
    if let Some(glob) = &asked.correlation_glob {
        filter = filter.glob(glob);
    }
    if let Some(root) = &asked.correlation_root {
        filter = filter.root(root);
    }
    filter
}

fn filter(asked: &Subscribe) -> Result<EventFilter, Refused> {
    let wrong = |message: String| Refused::of("subscription", message);
    let mut kinds = Vec::new();
    for &number in &asked.kinds {
        let kind = Kind::ALL.get(usize::from(number)).copied();
        kinds.push(kind.ok_or_else(|| wrong(format!("kind {number}; kinds are 0 to 6")))?);
    }
    // As many as there are: repeating one is no way to make every batch costly.
    kinds.sort_unstable();
    kinds.dedup();
    let mut filter = EventFilter::new()
        .kinds(kinds)
        .pids(asked.pids.iter().copied());
    if let Some(source) = &asked.source {
        filter = filter.source(source);
    }
    if let Some(priority) = &asked.priority_min {
        let priority: Priority = priority
            .parse()
            .map_err(|error: UnknownPriority| Refused::of("subscription", error.to_string()))?;
        filter = filter.priority_min(priority);
    }
    if let Some(comparison) = &asked.comparison {
        filter = filter.compare(compare(comparison)?);
    }
    Ok(filter)
}

fn compare(asked: &WireComparison) -> Result<Comparison, Refused> {
    let operator: Operator = asked
        .operator
        .parse()
        .map_err(|error: UnknownOperator| Refused::of("subscription", error.to_string()))?;
    let literal = match &asked.literal {
        WireLiteral::Integer(value) => Literal::Integer(*value),
        WireLiteral::Number(value) => Literal::Float(*value),
        WireLiteral::Text(value) => Literal::Text(value.clone()),
        WireLiteral::Bool(value) => Literal::Bool(*value),
    };
    Ok(Comparison::new(asked.column.clone(), operator, literal))
}
