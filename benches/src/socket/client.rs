//! A publisher or a subscriber: a process of its own that does one errand.
//!
//! The same few lines for every system, so that what differs between two figures is the systems. A
//! publisher has all its messages ready in one buffer, which it writes again and again; a subscriber
//! reads into one buffer and looks at each message's frame, not into it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::credits::{Granted, Returned};
use super::errand::{Done, Errand, GO, Load, READY, Task, Wanted, now_ns};
use super::line::Line;
use super::load::Message;
use super::nats::Nats;
use super::process::settle;
use super::process_rows;
use super::raw::Raw;
use super::redis::Redis;
use super::side::{Role, Side, System};
use super::weir::Weir;
use crate::cost::Meter;
use crate::pace::Pacer;

/// How long a subscriber listens for messages that nobody sent, when the proof is wanted.
const SURPLUS_PATIENCE: Duration = Duration::from_millis(100);

/// Does the errand that the argument says.
pub(super) fn run(argument: &OsStr) -> anyhow::Result<()> {
    let mut meter = Meter::own()?;
    let errand: Errand = serde_json::from_slice(argument.as_encoded_bytes())?;
    settle(errand.core)?;
    let worked = match (errand.load, errand.system) {
        (Load::ProcessRows { .. }, _) => process_rows::work(&errand, &mut meter),
        (Load::Prebuilt, System::Weir) => by::<Weir>(&errand),
        (Load::Prebuilt, System::Nats) => by::<Nats>(&errand),
        (Load::Prebuilt, System::Redis) => by::<Redis>(&errand),
        (Load::Prebuilt, System::Raw) => by::<Raw>(&errand),
    };
    // The connection stays until everybody is done: some systems drop what a leaver sent last.
    let (mut done, _line) = worked.with_context(|| errand.system.name())?;
    done.cost = meter.read()?;
    say(&serde_json::to_string(&done)?)?;
    let mut rest = String::new();
    while std::io::stdin().lock().read_line(&mut rest)? > 0 {}
    Ok(())
}

fn by<S: Side>(errand: &Errand) -> anyhow::Result<(Done, Line)> {
    match &errand.task {
        Task::Publish {
            publisher,
            write_bytes,
            credits,
        } => {
            let prebuilt = Prebuilt::of::<S>(*publisher, *write_bytes)?;
            publish::<S>(errand, &prebuilt, credits)
        }
        Task::Subscribe { credits, .. } => subscribe::<S>(errand, credits),
    }
}

/// How many messages a publisher has ready, of which it writes one behind the other, and then again.
pub(super) fn messages_a_buffer<S: Side>(write_bytes: usize) -> anyhow::Result<u64> {
    Ok(Prebuilt::of::<S>(0, write_bytes)?.ends.len() as u64)
}

/// Says that this client could begin.
pub(super) fn say_ready() -> anyhow::Result<()> {
    say(READY)
}

/// Waits until all could.
pub(super) fn wait_go() -> anyhow::Result<()> {
    let mut word = String::new();
    std::io::stdin().lock().read_line(&mut word)?;
    ensure!(word.trim_end() == GO, "told `{word}`");
    Ok(())
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Messages as they are written, one behind the other.
struct Prebuilt {
    bytes: Vec<u8>,
    /// Where each message ends.
    ends: Vec<usize>,
}

impl Prebuilt {
    /// As many whole messages as fit, at least one.
    fn of<S: Side>(publisher: u64, write_bytes: usize) -> anyhow::Result<Self> {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for place in 0.. {
            S::message(&Message::new(publisher, place), &mut bytes)?;
            if bytes.len() > write_bytes && !ends.is_empty() {
                break;
            }
            ends.push(bytes.len());
        }
        Ok(Self { bytes, ends })
    }

    /// The first so many messages, or all; and how many that are.
    fn first(&self, messages: u64) -> (u64, &[u8]) {
        let all = self.ends.len();
        let messages = usize::try_from(messages).unwrap_or(all).min(all);
        let end = messages.checked_sub(1).and_then(|last| self.ends.get(last));
        let bytes = end.and_then(|end| self.bytes.get(..*end));
        (messages as u64, bytes.unwrap_or_default())
    }
}

fn publish<S: Side>(
    errand: &Errand,
    prebuilt: &Prebuilt,
    credits: &[PathBuf],
) -> anyhow::Result<(Done, Line)> {
    let mut granted = Granted::open(credits, errand.messages_a_credit)?;
    let mut side = S::default();
    let mut line = S::open(&errand.address, Role::Publisher)?;
    side.greet(&mut line, Role::Publisher)?;
    say_ready()?;
    wait_go()?;

    let mut done = Done {
        started_ns: now_ns(),
        ..Done::default()
    };
    let mut pacer = errand.pace.map(|pace| Pacer::start(pace.interval));
    while done.rows < errand.messages {
        let (messages, bytes) = prebuilt.first(errand.messages - done.rows);
        granted.take(messages)?;
        line.attend(&mut side)?;
        let began = pacer.as_mut().map(Pacer::turn);
        if errand.wanted == Wanted::Moments {
            done.moments_ns.push(began.unwrap_or_else(now_ns));
        }
        line.say(bytes)?;
        done.rows += messages;
    }
    done.ended_ns = now_ns();
    Ok((done, line))
}

fn subscribe<S: Side>(errand: &Errand, credits: &Path) -> anyhow::Result<(Done, Line)> {
    let mut returned = Returned::open(credits, errand.messages_a_credit)?;
    let mut side = S::default();
    let mut line = S::open(&errand.address, Role::Subscriber)?;
    side.greet(&mut line, Role::Subscriber)?;
    say_ready()?;

    let mut done = Done::default();
    let mut seen = Seen::default();
    let limit = Limit::start(errand.limit);
    while done.rows < errand.messages {
        if !limit.waits_for(&mut line)? {
            done.ended_ns = now_ns();
            return Ok((done, line));
        }
        let told = match errand.wanted {
            Wanted::Proof => line.hear(&mut side, |payload, _| seen.note(payload)),
            Wanted::Span => line.hear(&mut side, |_, _| Ok(())),
            Wanted::Moments => line.hear(&mut side, |_, _| {
                done.moments_ns.push(now_ns());
                Ok(())
            }),
        }
        .with_context(|| format!("after {} of {} rows", done.rows, errand.messages))?;
        done.rows += told.rows;
        returned.give(told.rows)?;
    }
    done.ended_ns = now_ns();
    if errand.wanted == Wanted::Proof {
        while line.is_told_within(SURPLUS_PATIENCE)? {
            let told = line.hear(&mut side, |_, _| Ok(()))?;
            done.rows += told.rows;
        }
    }
    ensure!(
        line.unheard_bytes() == 0 && done.rows == errand.messages,
        "{} rows came, and {} bytes more, where {} were sent",
        done.rows,
        line.unheard_bytes(),
        errand.messages
    );
    Ok((done, line))
}

/// When a subscriber gives up.
struct Limit {
    until_ns: Option<u64>,
}

impl Limit {
    fn start(limit: Option<Duration>) -> Self {
        let until = |limit: Duration| now_ns().saturating_add(nanoseconds(limit));
        Self {
            until_ns: limit.map(until),
        }
    }

    /// Waits until there is something to read; `false` if that took too long.
    fn waits_for(&self, line: &mut Line) -> anyhow::Result<bool> {
        let Some(until) = self.until_ns else {
            return Ok(true);
        };
        match until.checked_sub(now_ns()) {
            None => Ok(false),
            Some(left) => line.is_told_within(Duration::from_nanos(left)),
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Which place of each publisher's buffer came last.
#[derive(Default)]
struct Seen {
    places: BTreeMap<u64, Places>,
}

#[derive(Clone, Copy)]
struct Places {
    last: u64,
    /// The buffer's last place, once it is known: the one before the first 0 that came again.
    end: Option<u64>,
}

impl Seen {
    /// Takes a message that is what a publisher sent, and next in its order.
    fn note(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        let Message { publisher, place } = Message::of(payload).with_context(|| {
            format!(
                "a payload isn't what was sent: {:?}",
                payload.escape_ascii().to_string()
            )
        })?;
        let Some(places) = self.places.get_mut(&publisher) else {
            ensure!(place == 0, "publisher {publisher} begins at {place}");
            let places = Places { last: 0, end: None };
            self.places.insert(publisher, places);
            return Ok(());
        };
        let is_end = places.end.is_none_or(|end| end == places.last);
        let is_next = place == places.last + 1 && places.end.is_none_or(|end| place <= end);
        ensure!(
            is_next || (place == 0 && is_end),
            "publisher {publisher} went from {} to {place}",
            places.last
        );
        if place == 0 {
            places.end = Some(places.last);
        }
        places.last = place;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_a_doubled_and_a_changed_message_are_seen() {
        let check = |places: &[u64], expected: bool| {
            let mut seen = Seen::default();
            let mut notes = places
                .iter()
                .map(|&place| seen.note(&Message::new(1, place).payload()));
            assert_eq!(notes.all(|note| note.is_ok()), expected, "{places:?}");
        };
        check(&[0, 1, 2, 0, 1, 2, 0], true);
        check(&[0, 0, 0], true);
        check(&[1, 2], false);
        check(&[0, 2], false);
        check(&[0, 1, 1], false);
        check(&[0, 1, 2, 0, 1, 0], false);
        check(&[0, 1, 2, 0, 1, 2, 3], false);
        assert!(Seen::default().note(b"something else").is_err());
    }
}
