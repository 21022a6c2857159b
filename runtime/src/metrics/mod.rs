//! The daemon's counts as a file in Prometheus's text format, for node_exporter's textfile collector and its like.
//!
//! Nobody connects to the daemon for it. Invariant: whoever reads the file finds a whole one, and nothing about
//! writing it stops the daemon: it happens on a thread that may block, failures are told once per outage.

mod families;
mod slots;
mod triggers;

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use prometheus::TextEncoder;
use tokio::task::JoinHandle;
use weir_sources::{OwnCost, SourceStatus};

use crate::collector::CollectorReport;
use crate::config::MetricsSettings;
use crate::pipeline::PipelineStatus;
use families::{Own, families};

/// Writes the file at its interval. Without a path it does nothing.
pub(crate) struct TextFile {
    path: Option<PathBuf>,
    interval: Duration,
    started: Instant,
    next: Instant,
    writing: Option<JoinHandle<io::Result<()>>>,
    failures: u64,
    in_outage: bool,
}

impl TextFile {
    /// For a daemon that began at `started`.
    pub(crate) fn new(settings: &MetricsSettings, started: Instant) -> Self {
        Self {
            path: settings.textfile.clone(),
            interval: settings.interval,
            started,
            next: started,
            writing: None,
            failures: 0,
            in_outage: false,
        }
    }

    /// Begins to write if it is time to. Must be called within a tokio runtime.
    pub(crate) async fn look(&mut self, status: impl FnOnce() -> PipelineStatus) {
        let now = Instant::now();
        if self.path.is_none() || now < self.next {
            return;
        }
        self.next = now + self.interval;
        if self.writing.as_ref().is_some_and(|one| !one.is_finished()) {
            self.note(Err(ErrorKind::TimedOut.into()));
            return;
        }
        self.settle(Duration::ZERO).await;
        self.begin(&status());
    }

    /// Writes what everything came to: `sources` are those of the last moment before draining, whose counts
    /// `report` knows better. Gives up at `deadline`.
    pub(crate) async fn finish(
        mut self,
        mut sources: Vec<SourceStatus>,
        report: &CollectorReport,
        status: &PipelineStatus,
        deadline: Instant,
    ) {
        /// What a disk that works needs, where draining has used up all its time.
        const LEAST: Duration = Duration::from_millis(500);
        if self.path.is_none() {
            return;
        }
        for (name, counts) in &report.sources {
            let found = sources.iter_mut().find(|source| source.name == *name);
            if let Some(source) = found {
                source.counts = counts.clone();
            }
        }
        let left = || {
            deadline
                .saturating_duration_since(Instant::now())
                .max(LEAST)
        };
        self.settle(left()).await;
        self.begin(&PipelineStatus {
            sources,
            ..status.clone()
        });
        self.settle(left()).await;
    }

    /// Begins to write; nothing is being written.
    fn begin(&mut self, status: &PipelineStatus) {
        let Some(path) = self.path.clone() else {
            return;
        };
        let own = Own {
            uptime: self.started.elapsed(),
            cost: OwnCost::read(),
            failures: self.failures,
        };
        let families = families(status, &own);
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let text = TextEncoder::new()
                .encode_to_string(&families)
                .map_err(io::Error::other)?;
            replace(&path, &text)
        }));
    }

    /// Waits for what is being written, and notes how it ended.
    async fn settle(&mut self, patience: Duration) {
        let Some(writing) = self.writing.take() else {
            return;
        };
        let written = match tokio::time::timeout(patience, writing).await {
            Ok(Ok(written)) => written,
            Ok(Err(panicked)) => Err(io::Error::other(panicked)),
            Err(_) => Err(ErrorKind::TimedOut.into()),
        };
        self.note(written);
    }

    fn note(&mut self, written: io::Result<()>) {
        let path = self.path.as_deref().unwrap_or(Path::new("")).display();
        match written {
            Ok(()) if self.in_outage => {
                tracing::info!(%path, failures = self.failures, "the metrics are written again");
                self.in_outage = false;
            }
            Ok(()) => {}
            Err(error) => {
                self.failures += 1;
                if !self.in_outage {
                    tracing::warn!(%path, %error, "the metrics can't be written; it goes on trying");
                }
                self.in_outage = true;
            }
        }
    }
}

/// Puts a text at `path`, whole at once: it is written beside it, and renamed.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?;
    // Not a name that ends in .prom: nobody shall read it half written.
    let part = path.with_file_name(format!(".{}.part", name.to_string_lossy()));
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // A new file: nobody has put a link to somewhere else in its place.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&part)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&part, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trigger::TriggersStatus;

    fn empty() -> PipelineStatus {
        PipelineStatus {
            sources: Vec::new(),
            slots: Vec::new(),
            triggers: TriggersStatus::default(),
            bus: weir_bus::pubsub::BusStatistics::default(),
        }
    }

    #[tokio::test]
    async fn an_outage_is_counted_and_the_file_comes_when_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent").join("weir.prom");
        let settings = MetricsSettings {
            textfile: Some(path.clone()),
            interval: Duration::ZERO,
        };
        let mut file = TextFile::new(&settings, Instant::now());
        for failures in 1..=3 {
            file.look(empty).await;
            file.settle(Duration::from_secs(60)).await;
            assert_eq!((file.failures, file.in_outage), (failures, true));
        }
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        file.look(empty).await;
        file.settle(Duration::from_secs(60)).await;
        assert_eq!((file.failures, file.in_outage), (3, false));
        let text = std::fs::read_to_string(&path).unwrap();
        let line = "\nweir_metrics_write_failures_total 3\n";
        assert!(text.contains(line), "{text}");
        let files = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(files, 1, "what was written beside it is left");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_waits_beside_the_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (
            folder.path().join("weir.prom"),
            folder.path().join("victim"),
        );
        std::fs::write(&victim, "kept").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join(".weir.prom.part")).unwrap();
        replace(&path, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
    }
}
