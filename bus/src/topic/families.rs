//! The families of topics that Weir itself uses, and the patterns that a subscriber gets by default.
//!
//! Nobody else writes these texts. The invariant: a name that goes into a topic becomes exactly one
//! token, or an error: a slot called `a.b` or `*` can't reach into another family.

use super::{Topic, TopicError, TopicPattern, first_foreign, is_token_char};
use crate::caps::SourceCaps;
use crate::event::Kind;

/// The longest leaf that [`of_event`] keeps, in bytes; a topic has room for it after any prefix.
const LEAF_BYTES_MAX: usize = 64;

/// How the topics of a kind's events begin.
const fn prefix(kind: Kind) -> &'static str {
    match kind {
        Kind::Process => "events.process",
        Kind::Network => "events.network",
        Kind::Filesystem => "events.filesystem",
        Kind::Performance => "events.performance",
        Kind::Inventory => "events.inventory",
        Kind::Trigger => CONTROL_TRIGGER,
        Kind::Finding => FINDINGS,
    }
}

const CONTROL_SUPPRESSED: &str = "control.suppressed";
const CONTROL_TABLES: &str = "control.tables";
const CONTROL_TRIGGER: &str = "control.trigger";
const FINDINGS: &str = "findings";

/// The topic of a kind's events with one leaf, as in `events.process.started`.
///
/// # Errors
///
/// [`TopicError`] where `leaf` isn't one token.
pub fn event(kind: Kind, leaf: &str) -> Result<Topic, TopicError> {
    build(prefix(kind), &[leaf])
}

/// As [`event`], for leaves that our own code writes and that can't be refused any more: what no token
/// has becomes `_`, an empty leaf too, and a leaf ends after 64 bytes.
pub fn of_event(kind: Kind, leaf: &str) -> Topic {
    with_leaf(prefix(kind), leaf)
}

fn with_leaf(family: &str, leaf: &str) -> Topic {
    let mut text = format!("{family}.");
    let allowed = |c: char| if is_token_char(c) { c } else { '_' };
    text.extend(leaf.chars().map(allowed).take(LEAF_BYTES_MAX));
    if leaf.is_empty() {
        text.push('_');
    }
    Topic::from_valid(&text)
}

/// The kind of events that go to a topic, where the topic is of a kind's family: what is below
/// `events.process` are process events. None says nothing.
pub fn kind_of(topic: &Topic) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| {
        let rest = topic.as_str().strip_prefix(prefix(*kind));
        rest.is_some_and(|rest| rest.starts_with('.'))
    })
}

/// The pattern of all of a kind's events, as in `events.process.>`.
pub fn all_events(kind: Kind) -> TopicPattern {
    TopicPattern::from_valid(&format!("{}.>", prefix(kind)))
}

/// Requests to a triggerable source: `control.trigger.<collector>`.
///
/// # Errors
///
/// [`TopicError`] where `collector` isn't one token.
pub fn control_trigger(collector: &str) -> Result<Topic, TopicError> {
    build(CONTROL_TRIGGER, &[collector])
}

/// What a trigger was kept from, summed up: `control.suppressed.<trigger>`. Written as [`of_event`] writes leaves.
pub fn suppressed(trigger: &str) -> Topic {
    with_leaf(CONTROL_SUPPRESSED, trigger)
}

/// What is said of a source's table to those who asked for it: `control.tables.<source>`. Written as [`of_event`]
/// writes leaves.
pub fn tables(source: &str) -> Topic {
    with_leaf(CONTROL_TABLES, source)
}

/// What happens to a slot's guest: `control.guest.<slot>.<what>`.
///
/// # Errors
///
/// [`TopicError`] where `slot` or `what` isn't one token.
pub fn control_guest(slot: &str, what: &str) -> Result<Topic, TopicError> {
    build("control.guest", &[slot, what])
}

/// What became of a changed config: `control.config.<what>`.
///
/// # Errors
///
/// [`TopicError`] where `what` isn't one token.
pub fn control_config(what: &str) -> Result<Topic, TopicError> {
    build("control.config", &[what])
}

/// Changes of a component's health: `control.health.<component>`.
///
/// # Errors
///
/// [`TopicError`] where `component` isn't one token.
pub fn control_health(component: &str) -> Result<Topic, TopicError> {
    build("control.health", &[component])
}

/// What a guest found: `findings.<guest>`.
///
/// # Errors
///
/// [`TopicError`] where `guest` isn't one token.
pub fn findings(guest: &str) -> Result<Topic, TopicError> {
    build(FINDINGS, &[guest])
}

/// The bus's own statistics: `system.bus.health`.
pub fn bus_health() -> Topic {
    Topic::from_valid("system.bus.health")
}

/// The daemon's log: `system.log`.
pub fn log() -> Topic {
    Topic::from_valid("system.log")
}

/// What a subscriber with these capabilities gets where it names no patterns: one family for each thing
/// observed. How it is observed (realtime, kernel level, system wide) adds none.
pub fn default_patterns(caps: SourceCaps) -> Vec<TopicPattern> {
    [
        (SourceCaps::PROCESS, Kind::Process),
        (SourceCaps::NETWORK, Kind::Network),
        (SourceCaps::FILESYSTEM, Kind::Filesystem),
        (SourceCaps::PERFORMANCE, Kind::Performance),
    ]
    .into_iter()
    .filter(|(flag, _)| caps.contains(*flag))
    .map(|(_, kind)| all_events(kind))
    .collect()
}

fn build(family: &'static str, tokens: &[&str]) -> Result<Topic, TopicError> {
    let mut text = family.to_owned();
    for token in tokens {
        check_one_token(family, token)?;
        text.push('.');
        text.push_str(token);
    }
    // Again as a whole: only here the length of all the tokens together is known.
    Topic::parse(&text)
}

fn check_one_token(family: &'static str, token: &str) -> Result<(), TopicError> {
    if token.is_empty() {
        return Err(TopicError::NoToken { family });
    }
    if token.len() > super::TOPIC_BYTES_MAX {
        return Err(TopicError::TooLong { bytes: token.len() });
    }
    match first_foreign(token) {
        None => Ok(()),
        Some((offset, character)) => Err(TopicError::NotOneToken {
            text: token.to_owned(),
            family,
            character,
            offset,
        }),
    }
}
