//! The latest table of every source that looks at intervals: collected once, used by many.
//!
//! It judges nothing and reads nothing from the machine. A subscription of the bus that asks for tables at an interval
//! comes here ([`Tables`]), has the sources run at it, and gets their tables; whoever wants one table now reads it
//! ([`SourceTable::read`]). The invariant: a table is kept once, whoever reads it.

mod asker;
mod kept;
mod notice;
mod table;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use weir_bus::pubsub::{TableGuard, TableRequest, Tables};
use weir_bus::{Kind, SourceCaps, TopicPattern, topic};

pub use kept::{SourceTable, TABLE_BYTES_MAX, TableStatus};
pub use notice::TABLE_CLASS;
pub use table::Table;

use crate::schedule::Schedule;

/// A source's table, and what it is about.
struct Offered {
    table: Arc<SourceTable>,
    kinds: Vec<Kind>,
}

/// The tables of all sources that have one.
#[derive(Default)]
pub struct SourceTables {
    offered: Vec<Offered>,
}

impl SourceTables {
    /// Adds a source that looks at intervals; what feeds its table is the answer.
    pub fn add(
        &mut self,
        name: &str,
        capabilities: SourceCaps,
        schedule: Schedule,
    ) -> Arc<SourceTable> {
        self.add_bounded(name, capabilities, schedule, TABLE_BYTES_MAX)
    }

    /// The same, with another bound on the table's bytes.
    pub fn add_bounded(
        &mut self,
        name: &str,
        capabilities: SourceCaps,
        schedule: Schedule,
        bytes_max: u64,
    ) -> Arc<SourceTable> {
        let table = Arc::new(SourceTable::new(name, schedule, bytes_max));
        let offered = Offered {
            table: Arc::clone(&table),
            kinds: kinds_of(capabilities),
        };
        self.offered.push(offered);
        table
    }

    /// The table of a source; none if it has none.
    #[must_use]
    pub fn get(&self, source: &str) -> Option<&Arc<SourceTable>> {
        let mut tables = self.all();
        tables.find(|table| table.name() == source)
    }

    /// The tables of those who observe that kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Arc<SourceTable>> {
        let offered = self.offered.iter();
        let offered = offered.filter(move |offered| offered.kinds.contains(&kind));
        offered.map(|offered| &offered.table)
    }

    /// Waits on this thread, at most `wait_max`, until the tables of that kind are at most `ttl` old; whether any
    /// source had to look for it. Not for threads of an async runtime.
    #[must_use]
    pub fn read_blocking(&self, kind: Kind, ttl: Duration, wait_max: Duration) -> bool {
        let is_old = |table: &&Arc<SourceTable>| !table.is_fresh(ttl);
        let old: Vec<_> = self.of_kind(kind).filter(is_old).collect();
        if old.is_empty() {
            return false;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let Ok(runtime) = runtime else {
            return false;
        };
        runtime.block_on(async {
            let until = tokio::time::Instant::now() + wait_max;
            let mut has_read = false;
            for table in old {
                let read = tokio::time::timeout_at(until, table.read(ttl)).await;
                has_read |= matches!(read, Ok(Ok(_)));
            }
            has_read
        })
    }

    /// All of them, in the order of their coming.
    pub fn all(&self) -> impl Iterator<Item = &Arc<SourceTable>> {
        self.offered.iter().map(|offered| &offered.table)
    }

    fn matching(&self, request: &TableRequest) -> Vec<&Arc<SourceTable>> {
        let is_of_kind = |kind: &Kind| {
            let events = topic::families::all_events(*kind);
            let mut patterns = request.patterns.iter();
            (request.kinds.is_empty() || request.kinds.contains(kind))
                && patterns.any(|pattern| pattern.intersection(&events).is_some())
        };
        let wanted = |offered: &&Offered| {
            let source = request.source.as_deref();
            source.is_none_or(|source| source == offered.table.name())
                && offered.kinds.iter().any(is_of_kind)
        };
        let offered = self.offered.iter().filter(wanted);
        offered.map(|offered| &offered.table).collect()
    }

    /// Why nothing matches.
    fn nothing(&self) -> String {
        let describe = |offered: &Offered| {
            let kinds = offered.kinds.iter();
            let patterns: Vec<TopicPattern> = kinds
                .map(|kind| topic::families::all_events(*kind))
                .collect();
            let patterns: Vec<&str> = patterns.iter().map(TopicPattern::as_str).collect();
            format!("{} ({})", offered.table.name(), patterns.join(", "))
        };
        let all: Vec<String> = self.offered.iter().map(describe).collect();
        if all.is_empty() {
            return "no source here looks at intervals".to_owned();
        }
        format!(
            "none of the sources that look at intervals has such events; they are {}",
            all.join(", ")
        )
    }
}

/// What a source with these capabilities has tables of; one that observes none of them tells of the machine's
/// inventory.
fn kinds_of(capabilities: SourceCaps) -> Vec<Kind> {
    let kinds: Vec<Kind> = [
        (SourceCaps::PROCESS, Kind::Process),
        (SourceCaps::NETWORK, Kind::Network),
        (SourceCaps::FILESYSTEM, Kind::Filesystem),
        (SourceCaps::PERFORMANCE, Kind::Performance),
    ]
    .into_iter()
    .filter(|(flag, _)| capabilities.contains(*flag))
    .map(|(_, kind)| kind)
    .collect();
    if kinds.is_empty() {
        vec![Kind::Inventory]
    } else {
        kinds
    }
}

impl fmt::Debug for SourceTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.all().map(|table| table.name());
        f.debug_list().entries(names).finish()
    }
}

impl Tables for SourceTables {
    fn ask(&self, request: TableRequest) -> Result<TableGuard, String> {
        let matching = self.matching(&request);
        if matching.is_empty() {
            return Err(self.nothing());
        }
        let mut joined = Vec::with_capacity(matching.len());
        for table in matching {
            let one = table.join(&request.name, request.every, request.feed.clone());
            joined.push(one.map_err(|error| format!("source {}: {error}", table.name()))?);
        }
        Ok(Box::new(joined))
    }
}

#[cfg(test)]
mod tests;
