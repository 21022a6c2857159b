//! What guests that may inspect are answered by: the latest table of processes, and the config's sources
//! that answer when asked.
//!
//! It looks at nothing itself. The invariant: a guest is answered by the first source, by name, that
//! offers what it asks for.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use weir_bus::Kind;
use weir_bus::Timestamp;
use weir_bus::batch::Batch;
use weir_sources::triggerable::{BINARY_HASH_NAME, PROCESS_DETAILS_NAME, SHA256_KEY};
use weir_sources::{About, Answer, ProcessTable, SourceTables, Triggerable};

use crate::sandbox::{Inspect, Looked};

/// The sources that answer when asked, by name.
pub(crate) type Triggerables = BTreeMap<String, Arc<dyn Triggerable>>;

/// What is known of processes is good for so long, before a source looks once more for one that isn't known: the
/// interval at which sources look where nothing else is said.
const TABLE_TTL: Duration = Duration::from_secs(1);
/// A guest waits for such a look at most so long; what isn't there by then is unknown.
const LOOK_WAIT_MAX: Duration = Duration::from_millis(250);

/// Where the questions of one slot's guests are answered.
pub(crate) struct Looks {
    processes: Arc<ProcessTable>,
    sources: Arc<Triggerables>,
    /// The tables of the sources, once there are any.
    tables: Arc<OnceLock<Arc<SourceTables>>>,
}

impl Looks {
    pub(crate) fn new(processes: Arc<ProcessTable>, sources: Arc<Triggerables>) -> Self {
        Self {
            processes,
            sources,
            tables: Arc::default(),
        }
    }

    /// The same, which has sources look once more for a process that isn't known.
    pub(crate) fn reading(mut self, tables: Arc<OnceLock<Arc<SourceTables>>>) -> Self {
        self.tables = tables;
        self
    }

    /// Asks the first source that offers the analysis, and takes from its answer what is wanted.
    fn ask<T>(
        &self,
        analysis: &str,
        about: &About,
        until: Instant,
        wanted: impl FnOnce(Answer) -> Result<T, String>,
    ) -> Looked<T> {
        let mut sources = self.sources.values();
        let Some(source) = sources.find(|source| source.analyses().contains(&analysis)) else {
            return Looked::nothing(format!("no source of kind {analysis} in the config"));
        };
        // Nobody stops a guest's call but its clock, and that is the deadline.
        let never = AtomicBool::new(false);
        let began = Instant::now();
        match source.answer(about, until, &never) {
            Ok(answer) => Looked {
                cpu: answer.cpu,
                found: wanted(answer),
            },
            // What it did until then isn't known: at most one core's time.
            Err(error) => Looked {
                found: Err(error.to_string()),
                cpu: began.elapsed(),
            },
        }
    }
}

impl Inspect for Looks {
    fn process(&self, pid: u32, start_time_ns: i64) -> Option<(Batch, usize)> {
        let find = || self.processes.find(pid, Timestamp(start_time_ns));
        find().or_else(|| {
            // One look for all who ask meanwhile, and none where the last is new enough.
            let tables = self.tables.get()?;
            let has_looked = tables.read_blocking(Kind::Process, TABLE_TTL, LOOK_WAIT_MAX);
            has_looked.then(find).flatten()
        })
    }

    fn details(
        &self,
        pid: u32,
        start_time_ns: i64,
        until: Instant,
    ) -> Looked<Vec<(String, String)>> {
        let about = About::process(pid, Timestamp(start_time_ns));
        self.ask(PROCESS_DETAILS_NAME, &about, until, |answer| {
            Ok(answer.evidence)
        })
    }

    fn file_hash(&self, path: &str, until: Instant) -> Looked<String> {
        self.ask(BINARY_HASH_NAME, &About::file(path), until, |answer| {
            let digest = answer.text(SHA256_KEY).map(str::to_owned);
            digest.ok_or_else(|| "unreadable".to_owned())
        })
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::time::Duration;
    use weir_sources::{BinaryHash, BinaryHashOptions, ProcessDetails};

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn looks(sources: Triggerables) -> Looks {
        Looks::new(Arc::default(), Arc::new(sources))
    }

    #[test]
    fn without_a_source_the_guest_is_told_which_is_missing() {
        let looks = looks(Triggerables::new());
        let missing = |kind: &str| format!("no source of kind {kind} in the config");
        let hash = looks.file_hash("/", soon()).found;
        assert_eq!(hash, Err(missing("binary-hash")));
        let details = looks.details(1, 0, soon()).found;
        assert_eq!(details, Err(missing("process-details")));
    }

    #[test]
    fn the_first_source_that_offers_it_answers() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("program");
        std::fs::write(&file, b"").unwrap();
        let hash = |root: &std::path::Path| -> Arc<dyn Triggerable> {
            Arc::new(BinaryHash::new(BinaryHashOptions {
                roots: vec![root.to_owned()],
                ..BinaryHashOptions::default()
            }))
        };
        let details: Arc<dyn Triggerable> = Arc::new(ProcessDetails::default());
        let nowhere = folder.path().join("nowhere");
        let looks = looks(Triggerables::from([
            ("a".to_owned(), details),
            ("b".to_owned(), hash(folder.path())),
            ("c".to_owned(), hash(&nowhere)),
        ]));
        let looked = looks.file_hash(file.to_str().unwrap(), soon());
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(looked.found, Ok(empty.to_owned()));
        assert!(looked.cpu > Duration::ZERO);
        let gone = looks.details(std::process::id(), 0, soon()).found;
        assert_eq!(gone, Err("the process is gone".to_owned()));
    }
}
