//! The latest table of one source, and who gets it.
//!
//! Fed by the source's lane before any filter; whoever completes a table hands it to all whose it is, within that
//! call. The invariant: what is kept is at most one whole table and one that is coming together, each within its
//! bytes, however many read them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use weir_bus::Batch;
use weir_bus::pubsub::TableFeed;

use super::asker::{Asker, State};
use super::notice::Notice;
use super::table::{Assembly, Ended, Table};
use crate::schedule::{AskError, Asking, Schedule, ScheduleStatus};

/// Bytes that a source's table may have: 65,536 processes take about 25 MiB. While one replaces the one before,
/// both are kept.
pub const TABLE_BYTES_MAX: u64 = 64 << 20;

/// One who gets tables.
struct Reader {
    asker: Asker,
    feed: TableFeed,
    is_gone: Arc<AtomicBool>,
}

/// One who gets tables, until it is dropped: that takes no lock of the table, for it may happen while one is handed out,
/// where the subscription ends in that moment.
pub(super) struct Joined {
    is_gone: Arc<AtomicBool>,
    /// Has the source run for it. Its end wakes the watch, which forgets the reader.
    _asking: Asking,
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.is_gone.store(true, Ordering::Relaxed);
    }
}

impl Reader {
    fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Kept {
    latest: Option<Arc<Table>>,
    coming: Option<Assembly>,
    readers: Vec<Reader>,
    reads: u64,
    reads_without_run: u64,
    /// The bytes of the last look, if they were more than may be kept.
    too_large: Option<u64>,
}

/// What is kept of a source, read at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TableStatus {
    /// The source.
    pub source: String,
    /// Rows of the latest table.
    pub rows: u64,
    /// Bytes that it keeps alive.
    pub bytes: u64,
    /// Rows of that look that were lost on the way.
    pub rows_missing: u64,
    /// How old it is; none if there is none.
    #[serde(rename = "age_ms", serialize_with = "weir_bus::pubsub::as_ms::or_null")]
    pub age: Option<Duration>,
    /// Who gets tables at an interval.
    pub readers: usize,
    /// Tables that were handed to somebody.
    pub reads: u64,
    /// Those for which the source didn't have to run once more.
    pub reads_without_run: u64,
    /// The bytes of the last look, if they were more than may be kept.
    pub too_large: Option<u64>,
}

/// The latest table of one source.
pub struct SourceTable {
    name: Arc<str>,
    schedule: Schedule,
    bytes_max: u64,
    state: Mutex<Kept>,
    /// Changes with each table, and with who gets them.
    changes: watch::Sender<u64>,
}

impl SourceTable {
    pub(super) fn new(name: &str, schedule: Schedule, bytes_max: u64) -> Self {
        Self {
            name: name.into(),
            schedule,
            bytes_max,
            state: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, Kept> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn now(&self) -> Duration {
        self.schedule.clock().now()
    }

    /// The source's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When the source runs.
    #[must_use]
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The latest table, however old; none if there was none.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Table>> {
        self.state().latest.clone()
    }

    /// Whether the latest table was taken at most `ttl` ago.
    #[must_use]
    pub fn is_fresh(&self, ttl: Duration) -> bool {
        let now = self.now();
        let latest = self.latest();
        latest.is_some_and(|table| now.saturating_sub(table.taken) <= ttl)
    }

    /// A table that was taken at most `ttl` ago: the latest if it is, else after one run for all who ask meanwhile.
    /// Waits for as long as that takes. Cancel safe.
    ///
    /// # Errors
    /// As [`Schedule::ask_now`]; [`AskError::Failed`] where the look came to no table that can be kept.
    pub async fn read(&self, ttl: Duration) -> Result<Arc<Table>, AskError> {
        let mut changes = self.changes.subscribe();
        let now = self.now();
        let fresh = self
            .latest()
            .filter(|table| now.saturating_sub(table.taken) <= ttl);
        if let Some(table) = fresh {
            self.note_read(&mut self.state(), true);
            return Ok(table);
        }
        let run = self.schedule.ask_now(ttl).await?;
        loop {
            {
                let mut state = self.state();
                if let Some(table) = state
                    .latest
                    .clone()
                    .filter(|table| table.taken >= run.begun)
                {
                    let without_run = table.note_read();
                    self.note_read(&mut state, without_run);
                    return Ok(table);
                }
                if let Some(bytes) = state.too_large {
                    let reason = self.too_large(bytes);
                    return Err(AskError::Failed { reason });
                }
            }
            // The sender is ours, so that it can't be gone.
            let _ = changes.changed().await;
        }
    }

    fn note_read(&self, state: &mut Kept, without_run: bool) {
        state.reads += 1;
        state.reads_without_run += u64::from(without_run);
    }

    fn too_large(&self, bytes: u64) -> String {
        format!(
            "its table has {bytes} bytes, and {} are kept at most",
            self.bytes_max
        )
    }

    /// Takes in a batch of the source, before filters; `missed`: rows of the source that were lost since the batch
    /// before. Outside of a snapshot it changes nothing.
    pub fn take(&self, batch: &Batch, missed: u64) {
        let now = self.now();
        let mut state = self.state();
        let before = state.coming.take();
        let (coming, ended) = Assembly::take(before, batch, missed, now, self.bytes_max);
        state.coming = coming;
        match ended {
            None => return,
            Some(Ended::Table(table)) => {
                state.too_large = None;
                let table = Arc::new(table);
                let before = state.latest.replace(Arc::clone(&table));
                self.hand_out(&mut state, &table, now);
                drop(state);
                // Up to all of a table is freed: not while others wait.
                drop(before);
            }
            Some(Ended::TooLarge(bytes)) => {
                state.too_large = Some(bytes);
                self.tell_too_large(&mut state, bytes, now);
                drop(state);
            }
        }
        self.changed();
    }

    /// Hands a table to all whose it is.
    fn hand_out(&self, state: &mut Kept, table: &Arc<Table>, now: Duration) {
        let shortest = self.schedule.status().asked.unwrap_or_default();
        let (mut reads, mut without_run) = (0, 0);
        state.readers.retain_mut(|reader| {
            if reader.is_gone() {
                return false;
            }
            if !reader.asker.takes(now, shortest) {
                return true;
            }
            reads += 1;
            without_run += u64::from(table.note_read());
            reader.feed.push(&table.batches, table.rows_missing)
        });
        state.reads += reads;
        state.reads_without_run += without_run;
    }

    fn tell_too_large(&self, state: &mut Kept, bytes: u64, now: Duration) {
        let status = self.schedule.status();
        let shortest = status.asked.unwrap_or_default();
        let latest = state.latest.clone();
        let reason = self.too_large(bytes);
        state.readers.retain_mut(|reader| {
            let is_its = !reader.is_gone() && reader.asker.takes(now, shortest);
            !is_its
                || self.tell(
                    reader,
                    State::TooLarge,
                    &reason,
                    &status,
                    latest.as_deref(),
                    now,
                )
        });
    }

    /// Tells one reader; `false` if it is gone.
    fn tell(
        &self,
        reader: &Reader,
        state: State,
        reason: &str,
        status: &ScheduleStatus,
        latest: Option<&Table>,
        now: Duration,
    ) -> bool {
        let notice = Notice {
            source: &self.name,
            state,
            reason: reason.to_owned(),
            every: reader.asker.every(),
            in_force: status.in_force,
            age: latest.map(|table| now.saturating_sub(table.taken)),
        };
        notice.batch().is_none_or(|batch| reader.feed.tell(batch))
    }

    /// Begins to hand out tables, until what it answers is dropped. What is new enough is handed out at once.
    pub(super) fn join(
        &self,
        name: &str,
        every: Duration,
        feed: TableFeed,
    ) -> Result<Joined, AskError> {
        let asking = self.schedule.ask(name, every)?;
        let now = self.now();
        let status = self.schedule.status();
        let is_gone = Arc::new(AtomicBool::new(false));
        let mut asker = Asker::new(every, now);
        let mut state = self.state();
        let latest = state
            .latest
            .clone()
            .filter(|table| status.failure.is_none() && now.saturating_sub(table.taken) <= every);
        if let Some(table) = latest {
            asker.has_had(table.taken);
            table.note_read();
            self.note_read(&mut state, true);
            // One that is gone already says so by its guard.
            let _ = feed.push(&table.batches, table.rows_missing);
        }
        state.readers.push(Reader {
            asker,
            feed,
            is_gone: Arc::clone(&is_gone),
        });
        drop(state);
        self.changed();
        Ok(Joined {
            is_gone,
            _asking: asking,
        })
    }

    /// Tells those whose table doesn't come, for as long as it is polled. Cancel safe.
    pub async fn watch(&self) {
        let mut own = self.changes.subscribe();
        let mut runs = self.schedule.changes();
        loop {
            own.borrow_and_update();
            runs.borrow_and_update();
            let again = self.look();
            let come = async {
                match again {
                    Some(at) => self.schedule.clock().sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = come => {}
                _ = own.changed() => {}
                _ = runs.changed() => {}
            }
        }
    }

    /// Tells who has to be told now; when to look again.
    fn look(&self) -> Option<Duration> {
        let now = self.now();
        let status = self.schedule.status();
        let mut state = self.state();
        let latest = state.latest.clone();
        let mut again: Option<Duration> = None;
        state.readers.retain_mut(|reader| {
            if reader.is_gone() {
                return false;
            }
            let (told, next) = reader.asker.look(now, &status);
            again = Some(again.map_or(next, |again| again.min(next)));
            let Some(what) = told else {
                return true;
            };
            let reason = reason(what, &status);
            self.tell(reader, what, &reason, &status, latest.as_deref(), now)
        });
        again
    }

    /// What is kept.
    #[must_use]
    pub fn status(&self) -> TableStatus {
        let now = self.now();
        let state = self.state();
        let latest = state.latest.as_ref();
        TableStatus {
            source: self.name.as_ref().to_owned(),
            rows: latest.map_or(0, |table| table.rows),
            bytes: latest.map_or(0, |table| table.bytes),
            rows_missing: latest.map_or(0, |table| table.rows_missing),
            age: latest.map(|table| now.saturating_sub(table.taken)),
            readers: state
                .readers
                .iter()
                .filter(|reader| !reader.is_gone())
                .count(),
            reads: state.reads,
            reads_without_run: state.reads_without_run,
            too_large: state.too_large,
        }
    }
}

fn reason(state: State, status: &ScheduleStatus) -> String {
    match state {
        State::Failed => {
            let why = status.failure.as_deref().unwrap_or("for an unknown reason");
            format!("the source failed: {why}")
        }
        State::Late if status.is_unfinished => {
            "the source's last look did not come to its end".to_owned()
        }
        State::Late if status.running => "the source is still looking".to_owned(),
        State::Late => "the source has not looked in time".to_owned(),
        State::Stretched => status.trouble().map_or_else(
            || "the source looks more seldom".to_owned(),
            |trouble| format!("the source {trouble}"),
        ),
        State::Restored => "the source looks as often as is asked for again".to_owned(),
        State::TooLarge => "its table is too large".to_owned(),
    }
}
