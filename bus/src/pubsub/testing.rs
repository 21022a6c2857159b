//! Somebody who has tables, for tests: keeps who asks, and pushes what a test says.

use std::sync::{Arc, Mutex};

use super::{TableGuard, TableRequest, Tables};
use crate::batch::{Batch, BatchHeader, Snapshot};
use crate::event::{CollectionEvent, Kind, ProcessEvent};
use crate::topic::of_event;

/// Has tables of processes, and of nothing else.
#[derive(Debug, Default)]
pub(crate) struct Served {
    asked: Mutex<Vec<TableRequest>>,
    left: Arc<()>,
}

impl Served {
    /// Who has asked, in order.
    pub(crate) fn asked<R>(&self, read: impl FnOnce(&[TableRequest]) -> R) -> R {
        read(&self.asked.lock().unwrap())
    }

    /// How many ask at the moment.
    pub(crate) fn asking(&self) -> usize {
        Arc::strong_count(&self.left) - 1
    }
}

impl Tables for Served {
    fn ask(&self, request: TableRequest) -> Result<TableGuard, String> {
        if !request.kinds.is_empty() && !request.kinds.contains(&Kind::Process) {
            return Err("only processes have one".to_owned());
        }
        self.asked.lock().unwrap().push(request);
        Ok(Box::new(Arc::clone(&self.left)))
    }
}

/// A table of processes: a batch for each leaf, with a row for each pid.
pub(crate) fn table(id: u64, parts: &[(&str, &[u32])]) -> Vec<Arc<Batch>> {
    let part = |(index, (leaf, pids)): (usize, &(&str, &[u32]))| {
        let row = |&pid: &u32| -> CollectionEvent {
            let process = ProcessEvent {
                pid,
                ..ProcessEvent::default()
            };
            process.into()
        };
        let rows: Vec<CollectionEvent> = pids.iter().map(row).collect();
        let batch = Batch::of_events(of_event(Kind::Process, leaf), "looks", 0, &rows).unwrap();
        let last = index + 1 == parts.len();
        let header = BatchHeader {
            snapshot: Some(Snapshot { id, last }),
            ..batch.header().clone()
        };
        Arc::new(Batch::new(header, batch.records().columns().to_vec()).unwrap())
    };
    parts.iter().enumerate().map(part).collect()
}

/// What a subscriber got of a table: the topic's last token, the pids, and whether it is the last part.
pub(crate) fn seen(batch: &Batch) -> (String, Vec<u32>, bool) {
    let pids = (0..batch.rows()).filter_map(|row| match batch.row(row) {
        Some(CollectionEvent::Process(process)) => Some(process.pid),
        _ => None,
    });
    let leaf = batch
        .topic()
        .as_str()
        .rsplit('.')
        .next()
        .unwrap_or_default();
    let last = batch
        .header()
        .snapshot
        .is_some_and(|snapshot| snapshot.last);
    (leaf.to_owned(), pids.collect(), last)
}
