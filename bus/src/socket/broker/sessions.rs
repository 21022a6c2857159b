//! Clients over their connections: what is kept for one that lost its connection, until it comes back.
//!
//! A session is named by a number that only its client was told, and is its user's, by the kernel's word.
//! The invariants: what waits for clients that are away is bounded in number and time, and who loses many
//! connections pushes out its own sessions before anybody else's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::connection::Shared;
use super::outgoing::Stream;
use crate::pubsub::PublisherId;

/// How long a client may be away, at least: a ring that keeps batches for longer is waited for. A client
/// tries every five seconds; one that comes after the ring's time still hears how much it missed.
pub(super) const AWAY_MAX: Duration = Duration::from_secs(5 * 60);

/// Clients that may be away: as many as may be connected by default.
pub(super) const SESSIONS_AWAY_MAX: usize = 100;

/// Their subscriptions, over all: a quarter of what a bus has. Each is matched with what is published.
pub(super) const SUBSCRIPTIONS_AWAY_MAX: usize = 256;

/// A client that is away, as the status shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AwayStatus {
    /// What it called itself.
    pub name: String,
    /// What its batches were said to come from.
    pub source: String,
    /// The subscriptions that wait for it.
    pub subscriptions: Vec<String>,
}

/// A subscription that waits.
#[derive(Debug)]
struct Parked {
    stream: Arc<Stream>,
    since: Instant,
}

#[derive(Debug)]
struct Session {
    uid: Option<u32>,
    publisher: PublisherId,
    connection: Option<Arc<Shared>>,
    /// Since when there is none.
    since: Instant,
    /// Publish frames that were taken before this connection, or until it ended.
    frames: u64,
    status: (String, String),
    parked: Vec<Parked>,
}

impl Session {
    fn is_away(&self) -> bool {
        self.connection.is_none()
    }
}

/// What goes on with a session.
#[derive(Debug)]
pub(super) struct Claimed {
    /// Who publishes: what of it is still under way must not come back to it.
    pub(super) publisher: PublisherId,
    /// Publish frames that were taken in this session.
    pub(super) frames: u64,
}

type Table = BTreeMap<u128, Session>;

/// The sessions of a broker.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    table: Mutex<Table>,
}

impl Sessions {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session for a connection; its name, or none where the system has no randomness for one.
    pub(super) fn open(
        &self,
        uid: Option<u32>,
        publisher: PublisherId,
        connection: &Arc<Shared>,
    ) -> Option<u128> {
        let mut name = [0; 16];
        if let Err(error) = getrandom::fill(&mut name) {
            tracing::warn!(%error, "no randomness: a client can't come back after losing its connection");
            return None;
        }
        let name = u128::from_le_bytes(name);
        let session = Session {
            uid,
            publisher,
            connection: Some(Arc::clone(connection)),
            since: Instant::now(),
            frames: 0,
            status: Default::default(),
            parked: Vec::new(),
        };
        self.table().insert(name, session);
        Some(name)
    }

    /// Goes on with a session on another connection, and ends the one before, where the broker hasn't
    /// noticed yet that it is dead. None where there is no such session of that user: nobody learns
    /// which of the two it was.
    pub(super) fn claim(
        &self,
        name: u128,
        uid: Option<u32>,
        connection: &Arc<Shared>,
    ) -> Option<Claimed> {
        let mut table = self.table();
        let session = table.get_mut(&name).filter(|session| session.uid == uid)?;
        if let Some(before) = session.connection.replace(Arc::clone(connection)) {
            session.park(&before);
            before.supersede();
        }
        Some(Claimed {
            publisher: session.publisher,
            frames: session.frames,
        })
    }

    /// A connection is lost: what it had waits for the next.
    pub(super) fn park(&self, name: u128, connection: &Arc<Shared>) {
        let mut table = self.table();
        let is_its = |session: &&mut Session| {
            let its = session.connection.as_ref();
            its.is_some_and(|its| Arc::ptr_eq(its, connection))
        };
        if let Some(session) = table.get_mut(&name).filter(is_its) {
            session.connection = None;
            session.park(connection);
        }
        let given_up = bound(&mut table);
        drop(table);
        drop(given_up);
    }

    /// A connection's end is the session's: nobody comes back.
    pub(super) fn end(&self, name: u128, connection: &Arc<Shared>) {
        let mut table = self.table();
        let is_its = table
            .get(&name)
            .and_then(|session| session.connection.as_ref());
        let ended = if is_its.is_some_and(|its| Arc::ptr_eq(its, connection)) {
            table.remove(&name)
        } else {
            None
        };
        drop(table);
        drop(ended);
    }

    /// A subscription that waits in a session; it doesn't any more.
    pub(super) fn take(&self, name: u128, id: u32) -> Option<Arc<Stream>> {
        let mut table = self.table();
        let parked = &mut table.get_mut(&name)?.parked;
        let index = parked.iter().position(|one| one.stream.id == id)?;
        Some(parked.remove(index).stream)
    }

    /// Makes room for a subscription that somebody wants now; false where none waits.
    pub(super) fn give_up_one(&self) -> bool {
        let mut table = self.table();
        let given_up = give_up(&mut table);
        drop(table);
        !given_up.is_empty()
    }

    /// Gives up what has waited too long.
    pub(super) fn sweep(&self, now: Instant, away_max: Duration) {
        let is_over = |since: Instant| now.saturating_duration_since(since) >= away_max;
        let mut given_up = Vec::new();
        let mut table = self.table();
        for session in table.values_mut() {
            given_up.extend(session.parked.extract_if(.., |one| is_over(one.since)));
        }
        table.retain(|_, session| !session.is_away() || !is_over(session.since));
        drop(table);
        tell(&given_up);
    }

    /// Nobody comes back to a broker that has ended.
    pub(super) fn clear(&self) {
        let sessions = std::mem::take(&mut *self.table());
        drop(sessions);
    }

    /// Who is away and has subscriptions that wait.
    pub(super) fn status(&self) -> Vec<AwayStatus> {
        let table = self.table();
        let waits = |session: &&Session| session.is_away() && !session.parked.is_empty();
        let away = table.values().filter(waits);
        let status = away.map(|session| AwayStatus {
            name: session.status.0.clone(),
            source: session.status.1.clone(),
            subscriptions: session.names(),
        });
        status.collect()
    }
}

impl Session {
    /// Takes over what a connection has.
    fn park(&mut self, connection: &Shared) {
        let now = Instant::now();
        self.since = now;
        self.frames = connection.frames();
        self.status = connection.who();
        // Who asks for tables gets the next one when it is back: nothing is kept, and no source looks for it.
        let waits = |stream: &Arc<Stream>| stream.asked.every_ms.0 == 0;
        for stream in connection.detach().into_iter().filter(waits) {
            self.parked.push(Parked { stream, since: now });
        }
    }

    fn names(&self) -> Vec<String> {
        let names = self.parked.iter().map(|one| one.stream.subscriber.name());
        names.map(str::to_owned).collect()
    }
}

/// Gives up sessions until no more are away than may be. To be dropped after the lock.
fn bound(table: &mut Table) -> Vec<Parked> {
    let mut given_up = Vec::new();
    loop {
        let away = table.values().filter(|session| session.is_away()).count();
        let parked: usize = table.values().map(|session| session.parked.len()).sum();
        if away <= SESSIONS_AWAY_MAX && parked <= SUBSCRIPTIONS_AWAY_MAX {
            return given_up;
        }
        let more = give_up(table);
        if more.is_empty() && parked > SUBSCRIPTIONS_AWAY_MAX {
            return given_up;
        }
        given_up.extend(more);
    }
}

/// Gives up the session that has waited longest, of the user who has most of them; one without
/// subscriptions first.
fn give_up(table: &mut Table) -> Vec<Parked> {
    let mut of_user: BTreeMap<Option<u32>, usize> = BTreeMap::new();
    let waits = |session: &Session| session.is_away() || !session.parked.is_empty();
    for session in table.values().filter(|session| waits(session)) {
        *of_user.entry(session.uid).or_default() += 1 + session.parked.len();
    }
    let most = of_user.into_iter().max_by_key(|(_, count)| *count);
    let Some((user, _)) = most else {
        return Vec::new();
    };
    let its = table
        .iter()
        .filter(|(_, session)| session.uid == user && waits(session));
    let oldest = its.min_by_key(|(_, session)| (!session.parked.is_empty(), session.since));
    let Some(name) = oldest.map(|(name, _)| *name) else {
        return Vec::new();
    };
    let parked = match table.get_mut(&name) {
        Some(session) if !session.is_away() => std::mem::take(&mut session.parked),
        _ => table
            .remove(&name)
            .map(|session| session.parked)
            .unwrap_or_default(),
    };
    tell(&parked);
    parked
}

fn tell(given_up: &[Parked]) {
    for one in given_up {
        let subscription = one.stream.subscriber.name();
        tracing::info!(
            subscription,
            "nobody comes back for a subscription: it is given up"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away(uid: u32, since: Instant) -> Session {
        Session {
            uid: Some(uid),
            publisher: PublisherId::unique(),
            connection: None,
            since,
            frames: 0,
            status: Default::default(),
            parked: Vec::new(),
        }
    }

    #[test]
    fn who_loses_many_connections_pushes_out_its_own_sessions_the_oldest_first() {
        let begin = Instant::now();
        let mut table = Table::new();
        table.insert(0, away(1, begin));
        for number in 1..=300 {
            let since = begin + Duration::from_millis(300 - number);
            table.insert(number.into(), away(2, since));
            bound(&mut table);
        }
        assert_eq!(table.len(), SESSIONS_AWAY_MAX);
        assert!(table.contains_key(&0), "another user's stays");
        assert_eq!(table.values().filter(|one| one.uid == Some(2)).count(), 99);
        // Those that came later were lost earlier.
        assert!(table.contains_key(&1) && !table.contains_key(&299));
    }

    #[test]
    fn who_was_away_for_too_long_is_given_up() {
        let begin = Instant::now();
        let sessions = Sessions::default();
        sessions.table().insert(1, away(1, begin));
        sessions
            .table()
            .insert(2, away(1, begin + Duration::from_secs(2)));
        sessions.sweep(begin + AWAY_MAX, AWAY_MAX);
        assert!(!sessions.table().contains_key(&1));
        sessions.sweep(begin + AWAY_MAX + Duration::from_secs(2), AWAY_MAX);
        assert!(sessions.table().is_empty());
    }
}
