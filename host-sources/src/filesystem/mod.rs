//! What happens to files: made, changed, deleted, renamed, run.
//!
//! Through fanotify where it may be used, with who did it; else through inotify. Which folders are watched, and
//! what in them, are the options' business. It judges nothing. The invariant: what the kernel couldn't tell is a
//! loss that is told, never silence.
//!
//! - `happened`: what happened, before it is a row;
//! - `paths`: which paths are reported;
//! - `merge`: bursts become one;
//! - `fanotify`, `inotify`: the two ways to be told.

mod fanotify;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod happened;
mod inotify;
mod merge;
mod paths;
mod row;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use weir_bus::event::FilesystemEvent;
use weir_bus::{DropReason, Kind, Pace, SourceCaps, Timestamp};

use crate::readable::Readable;
use crate::source::{EventSource, SourceContext, SourceError, SourceHealth};
use crate::tiers::{Known, TierReport, of_alternatives};
use happened::{Happened, Losses};
use merge::Merger;
use paths::Paths;
pub use paths::{FOLDERS_MAX, FilesystemOptionsError, PATTERNS_MAX, check_pattern};
use row::Starts;

/// The name of the source where nothing else is said.
pub const FILESYSTEM_SOURCE_NAME: &str = "filesystem";
/// Within this the same operation on the same file by the same process is told once, where nothing else is said.
pub const MERGE_WINDOW_DEFAULT: Duration = Duration::from_millis(100);
/// The ways to be told, for a person.
const FANOTIFY: &str = "fanotify";
/// The other.
const INOTIFY: &str = "inotify";
/// How long operations gather in the kernel's queue: a wake-up for each would cost ten times as much.
const READ_INTERVAL: Duration = Duration::from_millis(20);
/// How long a loss is part of the health.
const LOSS_REMEMBERED: Duration = Duration::from_secs(60);

/// What the filesystem source watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesystemOptions {
    /// The folders, absolute, each with all that is below it; at most [`FOLDERS_MAX`].
    pub folders: Vec<PathBuf>,
    /// Globs of what is reported, and of all that is below it; empty: everything. `*` doesn't match `/`, `**` does.
    /// At most [`PATTERNS_MAX`].
    pub include: Vec<String>,
    /// Globs of what isn't reported, nor anything below it. At most [`PATTERNS_MAX`].
    pub exclude: Vec<String>,
    /// Within this the same operation on the same file by the same process is told once; zero: each is told.
    pub merge_window: Duration,
    /// Whether reads are told, too: many, on most hosts.
    pub access: bool,
    /// How the kernel is asked.
    pub method: FilesystemMethod,
}

impl Default for FilesystemOptions {
    fn default() -> Self {
        Self {
            folders: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            merge_window: MERGE_WINDOW_DEFAULT,
            access: false,
            method: FilesystemMethod::Best,
        }
    }
}

/// How the kernel is asked what happens to files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FilesystemMethod {
    /// By fanotify, and what it can't watch by inotify.
    #[default]
    Best,
    /// By inotify alone: without pids and executions.
    Inotify,
}

/// What is known of the run, for health.
#[derive(Debug, Default)]
struct Condition {
    troubles: Vec<String>,
    overflows: u64,
    unnamed: u64,
    lost_last: Option<Instant>,
}

/// Tells what happens to files as it happens.
pub struct FilesystemSource {
    name: String,
    options: FilesystemOptions,
    paths: Arc<Paths>,
    tiers: Known,
    condition: Mutex<Condition>,
}

impl FilesystemSource {
    /// A source with checked options.
    ///
    /// # Errors
    /// [`FilesystemOptionsError`].
    pub fn new(options: FilesystemOptions) -> Result<Self, FilesystemOptionsError> {
        let paths = Paths::new(&options.folders, &options.include, &options.exclude)?;
        Ok(Self {
            name: FILESYSTEM_SOURCE_NAME.to_owned(),
            options,
            paths: Arc::new(paths),
            tiers: Known::default(),
            condition: Mutex::default(),
        })
    }

    /// The same under another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    fn condition(&self) -> std::sync::MutexGuard<'_, Condition> {
        self.condition
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, losses: Losses) {
        if losses == Losses::default() {
            return;
        }
        let mut condition = self.condition();
        condition.overflows += losses.overflows;
        condition.unnamed += losses.unnamed;
        condition.lost_last = Some(Instant::now());
    }
}

/// The ways to be told that are in use.
struct Watches {
    fanotify: Option<fanotify::Watch>,
    /// Why not, where it is none, or watches no folder.
    no_fanotify: Option<String>,
    inotify: Option<inotify::Watch>,
    /// Over the queues of both.
    readable: Readable,
    /// What can't be seen, and why.
    troubles: Vec<String>,
}

impl Watches {
    fn new(options: &FilesystemOptions, paths: &Paths) -> Result<Self, String> {
        let mut watches = Self {
            fanotify: None,
            no_fanotify: None,
            inotify: None,
            readable: Readable::new().map_err(|error| error.to_string())?,
            troubles: Vec::new(),
        };
        let mut watched = 0;
        match open_fanotify(options) {
            Ok(watch) => watches.fanotify = Some(watch),
            Err(why) => {
                // Who doesn't want it misses nothing.
                if options.method == FilesystemMethod::Best {
                    watches
                        .troubles
                        .push(format!("fanotify: {why}; executions and pids are missed"));
                }
                watches.no_fanotify = Some(why);
            }
        }
        for folder in paths.folders() {
            match watches.add(folder, options, paths) {
                Ok(()) => watched += 1,
                Err(why) => watches
                    .troubles
                    .push(format!("{} is not watched: {why}", folder.display())),
            }
        }
        if watched == 0 {
            return Err(format!(
                "no folder can be watched: {}",
                watches.troubles.join("; ")
            ));
        }
        watches.watch_queues().map_err(|error| error.to_string())?;
        Ok(watches)
    }

    fn watch_queues(&self) -> std::io::Result<()> {
        if let Some(watch) = &self.fanotify {
            self.readable.watch(watch.queue())?;
        }
        if let Some(watch) = &self.inotify {
            self.readable.watch(watch.queue())?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        folder: &std::path::Path,
        options: &FilesystemOptions,
        paths: &Paths,
    ) -> Result<(), String> {
        if let Some(watch) = &mut self.fanotify {
            // What comes to be there is seen, too, where its file system is watched.
            match watch.add(nearest(folder)) {
                Ok(()) => {
                    self.no_fanotify = None;
                    return Ok(());
                }
                Err(why) => {
                    self.troubles.push(format!(
                        "{} is watched without executions and pids: fanotify: {why}",
                        folder.display()
                    ));
                    if !watch.is_watching() {
                        self.no_fanotify = Some(why);
                    }
                }
            }
        }
        let mut watch = match self.inotify.take() {
            Some(watch) => watch,
            None => inotify::Watch::new(options.access).map_err(|why| format!("inotify: {why}"))?,
        };
        let added = watch.add(folder, paths);
        self.inotify = Some(watch);
        added
    }

    fn read(&mut self, paths: &Paths, happened: &mut Vec<Happened>) -> Result<Losses, String> {
        let mut losses = Losses::default();
        if let Some(watch) = &mut self.fanotify {
            let more = watch.read(happened)?;
            losses.overflows += more.overflows;
            losses.unnamed += more.unnamed;
        }
        if let Some(watch) = &mut self.inotify {
            losses.overflows += watch.read(paths, happened)?.overflows;
        }
        Ok(losses)
    }

    /// Returns when it is time to read again: a little after something happened, or soon if anything waits for its
    /// time. Cancel safe.
    async fn wait(&self, is_idle: bool) {
        if is_idle && !self.are_waiting() {
            self.readable.wait().await;
        }
        tokio::time::sleep(READ_INTERVAL).await;
    }

    /// Whether something was read that another read shall tell.
    fn are_waiting(&self) -> bool {
        self.fanotify
            .as_ref()
            .is_some_and(fanotify::Watch::is_waiting)
    }

    fn tiers(&self) -> Vec<TierReport> {
        let fanotify = self.no_fanotify.clone().map_or(Ok(()), Err);
        let mut reports = of_alternatives([(FANOTIFY, fanotify), (INOTIFY, Ok(()))]);
        // What the one can't watch the other does.
        if let (Some(report), true) = (reports.last_mut(), self.inotify.is_some()) {
            *report = TierReport::of(INOTIFY, None);
        }
        reports
    }

    fn troubles(&self) -> Vec<String> {
        let inotify = self.inotify.as_ref().and_then(inotify::Watch::trouble);
        self.troubles.iter().cloned().chain(inotify).collect()
    }
}

#[async_trait]
impl EventSource for FilesystemSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> SourceCaps {
        SourceCaps::FILESYSTEM | SourceCaps::REALTIME | SourceCaps::KERNEL_LEVEL
    }

    fn pace(&self) -> Pace {
        Pace::Realtime
    }

    fn unavailable(&self) -> Option<String> {
        if self.paths.folders().is_empty() {
            return Some("no folder to watch is configured".to_owned());
        }
        let fanotify = open_fanotify(&self.options).map(drop);
        let inotify = inotify::Watch::new(false).map(drop);
        let refused = match (&fanotify, &inotify) {
            (Err(fanotify), Err(inotify)) => {
                Some(format!("fanotify: {fanotify}; inotify: {inotify}"))
            }
            _ => None,
        };
        self.tiers
            .set(of_alternatives([(FANOTIFY, fanotify), (INOTIFY, inotify)]));
        refused
    }

    async fn start(&self, context: SourceContext) -> Result<(), SourceError> {
        let mut watches = Watches::new(&self.options, &self.paths).map_err(SourceError::Failed)?;
        self.condition().troubles = watches.troubles();
        self.tiers.set(watches.tiers());
        context.ready();
        let mut merger = Merger::new(self.options.merge_window);
        let mut row = FilesystemEvent::default();
        let mut starts = Starts::default();
        let (mut happened, mut out) = (Vec::new(), Vec::new());
        loop {
            let stops = tokio::select! {
                biased;
                () = context.stopping() => true,
                () = watches.wait(merger.is_idle()) => false,
            };
            let read = watches.read(&self.paths, &mut happened);
            let now = Instant::now();
            for one in happened.drain(..).filter(|one| self.wants(one)) {
                merger.push(one, now, &mut out);
            }
            merger.due(now, &mut out);
            if stops {
                merger.flush(&mut out);
            }
            row.timestamp = Timestamp::now();
            starts.clear();
            for one in out.drain(..) {
                row::fill(&mut row, &one, &mut starts);
                context.emitter().emit(&row).await;
            }
            let losses = read.map_err(SourceError::Failed)?;
            self.note(losses);
            let emitter = context.emitter();
            let lost = |rows| emitter.lost(Kind::Filesystem, rows, DropReason::Overflow);
            match losses {
                Losses { overflows: 1.., .. } => lost(None),
                Losses { unnamed: 1.., .. } => lost(Some(losses.unnamed)),
                Losses { .. } => {}
            }
            if stops && !watches.are_waiting() {
                return Ok(());
            }
            if losses.overflows > 0 {
                self.condition().troubles = watches.troubles();
            }
        }
    }

    fn tiers(&self) -> Vec<TierReport> {
        self.tiers.get()
    }

    async fn health_check(&self) -> SourceHealth {
        let condition = self.condition();
        let mut reasons = condition.troubles.clone();
        let is_recent = |lost: &Instant| lost.elapsed() < LOSS_REMEMBERED;
        if condition.lost_last.as_ref().is_some_and(is_recent) {
            reasons.push(format!(
                "operations on files were lost: the kernel's queue overflowed {} times, and {} had no path any more; \
                 watch less, or raise fs.fanotify.max_queued_events or fs.inotify.max_queued_events",
                condition.overflows, condition.unnamed
            ));
        }
        if reasons.is_empty() {
            return SourceHealth::Healthy;
        }
        SourceHealth::Degraded(reasons.join("; "))
    }
}

/// Opens both ways, and marks what the root folder is on.
pub(crate) fn try_all() -> Vec<TierReport> {
    let root = std::path::Path::new("/");
    let marked = fanotify::Watch::new(false).and_then(|mut watch| watch.add(root));
    let opened = inotify::Watch::new(false).map(drop);
    of_alternatives([(FANOTIFY, marked), (INOTIFY, opened)])
}

fn open_fanotify(options: &FilesystemOptions) -> Result<fanotify::Watch, String> {
    match options.method {
        FilesystemMethod::Best => fanotify::Watch::new(options.access),
        FilesystemMethod::Inotify => Err("not wanted".to_owned()),
    }
}

/// The folder itself, or where it would be.
fn nearest(folder: &std::path::Path) -> &std::path::Path {
    let mut above = folder.ancestors();
    above.find(|above| above.is_dir()).unwrap_or(folder)
}

impl FilesystemSource {
    fn wants(&self, happened: &Happened) -> bool {
        let is_wanted = |path: &PathBuf| self.paths.wants(path);
        is_wanted(&happened.path) || happened.new_path.as_ref().is_some_and(is_wanted)
    }
}

#[cfg(test)]
mod tests;
