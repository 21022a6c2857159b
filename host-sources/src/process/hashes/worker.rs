//! The thread that reads executables, one after the other and no faster than it may.
//!
//! The invariant: it ends with what it works for, between two chunks of a file.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::books::{Books, Entry};
use crate::triggerable::binary_hash::read::{self, Identity};
use crate::triggerable::{AnswerError, FILE_BYTES_CEILING, be_patient};

/// How fast files are read: what a host runs at the start, some 300 MB, takes five seconds, and no disk is
/// kept from its work.
pub(super) const BYTES_PER_SECOND: f64 = 64.0 * 1024.0 * 1024.0;
/// The nice value: whoever has something to do goes first.
const NICE: i32 = 19;
/// A shorter pause is saved up: the system's clock has no smaller steps.
const PAUSE_MIN: Duration = Duration::from_millis(2);

/// A file to be read.
pub(super) struct Job {
    /// The very file, even if its process and its path are gone by then.
    pub(super) place: OwnedFd,
    pub(super) identity: Identity,
    /// The place that its digest may be the first at.
    pub(super) baseline_of: Option<Arc<str>>,
}

/// How far the thread is.
#[derive(Default)]
pub(super) struct Progress {
    stopped: AtomicBool,
    file_since: Mutex<Option<Instant>>,
}

impl Progress {
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// For how long it has waited for a file's next bytes.
    pub(super) fn busy_for(&self) -> Option<Duration> {
        let since = *self
            .file_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Some(since?.elapsed())
    }

    fn note(&self, since: Option<Instant>) {
        *self
            .file_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// Begins the thread; it ends when nobody can send any more.
pub(super) fn begin(
    jobs: Receiver<Job>,
    books: Arc<Mutex<Books>>,
    progress: Arc<Progress>,
) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name("weir-hashes".to_owned());
    let run = move || {
        be_patient(NICE);
        let mut pace = Pace::default();
        for job in jobs {
            let entry = work(&job, &mut pace, &progress);
            progress.note(None);
            let mut books = books.lock().unwrap_or_else(PoisonError::into_inner);
            match entry {
                Some(entry) => books.set(job.identity, entry),
                None => books.forget(&job.identity),
            }
            if let (Some(Entry::Told(digest)), Some(place)) = (entry, job.baseline_of) {
                books.first_at(place, &digest);
            }
        }
    };
    thread.spawn(run).map(drop)
}

/// Reads a file; none if it changed meanwhile, and may be asked for again.
fn work(job: &Job, pace: &mut Pace, progress: &Progress) -> Option<Entry> {
    let mut between = |bytes| {
        if progress.stopped.load(Ordering::Relaxed) {
            return Err(AnswerError::Stopped);
        }
        pace.wait(bytes);
        progress.note(Some(Instant::now()));
        Ok(())
    };
    match read::sha256(&job.place, FILE_BYTES_CEILING, &mut between) {
        Ok(read) if read.identity.has_content_of(&job.identity) => Some(Entry::Told(read.digest)),
        Ok(_) | Err(AnswerError::Changes | AnswerError::Stopped) => None,
        Err(_) => Some(Entry::Never),
    }
}

/// Time that was read too fast for.
#[derive(Default)]
struct Pace(Duration);

impl Pace {
    #[expect(
        clippy::cast_precision_loss,
        reason = "bytes of one chunk are far below 2^52"
    )]
    fn wait(&mut self, bytes: usize) {
        self.0 += Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND);
        if self.0 >= PAUSE_MIN {
            std::thread::sleep(self.0);
            self.0 = Duration::ZERO;
        }
    }
}
