//! Digests of what processes run, for their rows: worked out aside, each file once.
//!
//! A look never waits for a digest. What isn't known yet goes to a thread that reads with patience (nice
//! 19, [`worker::BYTES_PER_SECOND`]); rows have no digest until then. In steady state nothing is asked and
//! nothing read. The invariant: a digest belongs to the file that the process runs, held open from when it
//! was seen, and not to what lies at its path; it is told of no other path than that file's; and everything that is
//! remembered is bounded.

mod books;
#[cfg(test)]
mod tests;
mod worker;

use std::fs;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::kernel_files::{DELETED_SUFFIX, link_of};
use crate::triggerable::binary_hash::read::{Found, Identity};
use books::{Books, Entry};
use worker::{Job, Progress};

/// Files that wait to be read; each is held open. What finds no room is asked for again.
const WAITING_MAX: usize = 128;
/// A file that takes longer doesn't answer, and keeps the digests of all others waiting.
const FILE_TIME_MAX: Duration = Duration::from_secs(60);

/// What rows say of an executable's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::process) struct Digests {
    /// The SHA-256, in hexadecimal digits.
    pub(in crate::process) sha256: String,
    /// That which was first seen at the path; none if the file was gone from there before it was seen.
    pub(in crate::process) baseline: Option<String>,
}

/// What is known of the digest of one process's executable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::process) enum OfExecutable {
    /// Nothing: it has to be asked for, again if it was before.
    #[default]
    Unasked,
    /// It comes.
    Waiting(Identity),
    /// It is there.
    Told(Identity, Arc<Digests>),
    /// It won't come: the file can't be read.
    Never(Identity),
}

impl OfExecutable {
    pub(in crate::process) fn digests(&self) -> Option<&Digests> {
        match self {
            Self::Told(_, digests) => Some(digests),
            _ => None,
        }
    }

    const fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Unasked => None,
            Self::Waiting(identity) | Self::Told(identity, _) | Self::Never(identity) => {
                Some(identity)
            }
        }
    }
}

/// Where an executable lies, as its process sees it.
#[derive(Clone, Copy)]
pub(in crate::process) struct Whereabouts<'a> {
    pub(in crate::process) path: &'a str,
    /// The container, whose paths are its own.
    pub(in crate::process) container: Option<&'a str>,
    /// It lies there no more.
    pub(in crate::process) is_deleted: bool,
}

/// Digests that are known, and the thread that works out more.
pub(in crate::process) struct Hashes {
    books: Arc<Mutex<Books>>,
    progress: Arc<Progress>,
    jobs: Option<SyncSender<Job>>,
}

impl Hashes {
    /// Begins the thread. Where the system gives none, there are no digests.
    pub(in crate::process) fn new() -> Self {
        let (jobs, taken) = mpsc::sync_channel(WAITING_MAX);
        let books = Arc::default();
        let progress = Arc::default();
        let begun = worker::begin(taken, Arc::clone(&books), Arc::clone(&progress));
        if let Err(error) = &begun {
            tracing::warn!(%error, "executables get no digests: no thread for them");
        }
        Self {
            books,
            progress,
            jobs: begun.is_ok().then_some(jobs),
        }
    }

    /// What is known of the file that a process runs, whose entry in `/proc` is `entry`; `before` was known when
    /// it was looked at last.
    pub(in crate::process) fn look(
        &self,
        entry: &str,
        at: Whereabouts<'_>,
        before: &OfExecutable,
    ) -> OfExecutable {
        let Ok(metadata) = fs::metadata(entry) else {
            // It is ending; what is known stays.
            return before.clone();
        };
        let identity = Identity::of(&metadata);
        // Deleting a file changes it, and not what is in it.
        let is_the_same = |known: &Identity| known.has_content_of(&identity);
        match before {
            OfExecutable::Told(known, _) | OfExecutable::Never(known) if is_the_same(known) => {
                return before.clone();
            }
            OfExecutable::Waiting(known) if is_the_same(known) => return self.again(before, at),
            _ => {}
        }
        let place = openat(
            CWD,
            entry,
            OFlags::PATH.union(OFlags::CLOEXEC),
            Mode::empty(),
        );
        // It may run another program than it did when its path was read: that has a look of its own.
        match place {
            Ok(place) if lies_at(&place, at.path) => self.ask(place, at),
            _ => OfExecutable::Unasked,
        }
    }

    /// What has come of a digest since it was asked for.
    pub(in crate::process) fn again(
        &self,
        before: &OfExecutable,
        at: Whereabouts<'_>,
    ) -> OfExecutable {
        let identity = before.identity();
        identity
            .and_then(|identity| self.known(identity, at))
            .unwrap_or_default()
    }

    /// Why there are no digests, if there are none.
    pub(in crate::process) fn trouble(&self) -> Option<String> {
        let busy = self
            .progress
            .busy_for()
            .filter(|busy| *busy > FILE_TIME_MAX)?;
        Some(format!(
            "an executable can't be read for {} s, and no digest comes until it can: its file system doesn't answer",
            busy.as_secs()
        ))
    }

    fn known(&self, identity: &Identity, at: Whereabouts<'_>) -> Option<OfExecutable> {
        let mut books = self.books();
        Some(match books.entry(identity)? {
            Entry::Waiting => OfExecutable::Waiting(*identity),
            Entry::Never => OfExecutable::Never(*identity),
            Entry::Told(digest) => {
                let digests = books.digests(&digest, at);
                OfExecutable::Told(*identity, Arc::new(digests))
            }
        })
    }

    fn ask(&self, place: OwnedFd, at: Whereabouts<'_>) -> OfExecutable {
        let (Ok(found), Some(jobs)) = (Found::at(&place), &self.jobs) else {
            return OfExecutable::Unasked;
        };
        let identity = found.identity;
        if let Some(known) = self.known(&identity, at) {
            return known;
        }
        let baseline_of = (!at.is_deleted).then(|| books::place_of(at));
        // Before it is sent: the thread may be done with it at once.
        self.books().set(identity, Entry::Waiting);
        let job = Job {
            place,
            identity,
            baseline_of,
        };
        match jobs.try_send(job) {
            Ok(()) => OfExecutable::Waiting(identity),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.books().forget(&identity);
                OfExecutable::Unasked
            }
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what is open is called by a path, or was when it was deleted.
fn lies_at(place: &OwnedFd, path: &str) -> bool {
    let Ok(link) = link_of(place) else {
        return false;
    };
    String::from_utf8_lossy(&link)
        .strip_prefix(path)
        .is_some_and(|rest| rest.is_empty() || rest.as_bytes() == DELETED_SUFFIX)
}

impl Drop for Hashes {
    fn drop(&mut self) {
        self.progress.stop();
    }
}
