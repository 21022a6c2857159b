//! The source of digests: SHA-256 of an executable, of a process or at a path.
//!
//! A process's executable is what it runs, whatever lies at its path by now, and in whatever mount
//! namespace it is: the kernel keeps it. Where the process is gone, and its path is known, the file that
//! lies there now is read, and the answer says so. The invariant: only regular files on a disk are
//! opened for reading, only under the roots, and each is read once for what it holds.

mod cache;
pub(crate) mod read;
mod roots;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use weir_bus::Timestamp;

use super::aside::{Aside, Watch};
use super::pinned::Pinned;
use super::{
    ANSWER_TIME_CEILING, About, Answer, AnswerError, BINARY_HASH_NAME, BinaryHashOptions,
    CacheStatistics, FILE_BYTES_CEILING, SHA256_KEY, Triggerable,
};
use cache::Cache;
use read::{Found, Sha256Digest, of_file};
use roots::Roots;

use crate::kernel_files::{DELETED_SUFFIX, link_of};

/// A file that changed so lately is not remembered: file systems tell times in steps, and it may change
/// again within the same one. Two seconds is the coarsest that is in use (FAT).
const SETTLED_AFTER: Duration = Duration::from_secs(2);
/// Times that a file is read that changes meanwhile.
const TRIES_MAX: usize = 2;
/// The permission bits of a mode.
const MODE_BITS: u32 = 0o7777;

/// Answers with digests of executables.
pub struct BinaryHash {
    name: String,
    timeout: Duration,
    aside: Aside,
    inner: Arc<Inner>,
}

/// What the threads of answers share.
struct Inner {
    roots: Roots,
    file_bytes_max: u64,
    settled_after: Duration,
    cache: Mutex<Cache>,
}

/// What a digest is of.
struct Target {
    place: OwnedFd,
    path: String,
    /// What a person has to know about it; none: it is what was asked for.
    note: Option<&'static str>,
}

impl BinaryHash {
    /// A source of digests; its limits are cut to the ceilings.
    #[must_use]
    pub fn new(options: BinaryHashOptions) -> Self {
        Self::with_settling(options, SETTLED_AFTER)
    }

    fn with_settling(options: BinaryHashOptions, settled_after: Duration) -> Self {
        Self {
            name: BINARY_HASH_NAME.to_owned(),
            timeout: options.timeout.min(ANSWER_TIME_CEILING),
            aside: Aside::default(),
            inner: Arc::new(Inner {
                roots: Roots::new(options.roots),
                file_bytes_max: options.file_bytes_max.min(FILE_BYTES_CEILING),
                settled_after,
                cache: Mutex::default(),
            }),
        }
    }

    /// The same under another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// What its cache has done.
    #[must_use]
    pub fn cache(&self) -> CacheStatistics {
        let cache = &self.inner.cache;
        cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .statistics()
    }
}

impl Triggerable for BinaryHash {
    fn name(&self) -> &str {
        &self.name
    }

    fn analyses(&self) -> &'static [&'static str] {
        &[BINARY_HASH_NAME]
    }

    fn answer(
        &self,
        about: &About,
        until: Instant,
        stop: &AtomicBool,
    ) -> Result<Answer, AnswerError> {
        let (about, inner) = (about.clone(), Arc::clone(&self.inner));
        let (answer, cpu) = self.aside.run((until, self.timeout), stop, move |watch| {
            inner.answer(&about, watch)
        })?;
        Ok(Answer { cpu, ..answer })
    }
}

impl Inner {
    fn answer(&self, about: &About, watch: &Watch) -> Result<Answer, AnswerError> {
        let target = self.target(about)?;
        let (found, digest) = self.digest(&target.place, watch)?;
        let file = format!(
            "{} bytes, mode {:o}, user {}",
            found.identity.bytes,
            found.mode & MODE_BITS,
            found.user
        );
        let mut evidence = vec![
            (SHA256_KEY.to_owned(), hex(&digest)),
            ("file".to_owned(), file),
        ];
        evidence.extend(
            target
                .note
                .map(|note| ("hashed".to_owned(), note.to_owned())),
        );
        Ok(Answer {
            title: "digest of an executable".to_owned(),
            subject: target.path,
            evidence,
            cpu: Duration::ZERO,
        })
    }

    fn target(&self, about: &About) -> Result<Target, AnswerError> {
        let Some((pid, start_time)) = about.as_process() else {
            let path = about.path.as_deref().ok_or(AnswerError::NoTarget)?;
            return self.at(path, None);
        };
        match (self.of_process(pid, start_time), about.path.as_deref()) {
            (Err(AnswerError::ProcessGone), Some(path)) => self.at(
                path,
                Some("what lies at its path now, for the process is gone"),
            ),
            (found, _) => found,
        }
    }

    fn at(&self, path: &str, note: Option<&'static str>) -> Result<Target, AnswerError> {
        Ok(Target {
            place: self.roots.open(path)?,
            path: path.to_owned(),
            note,
        })
    }

    fn of_process(&self, pid: u32, start_time: Timestamp) -> Result<Target, AnswerError> {
        let process = Pinned::open(pid, start_time)?;
        let place = match process.place("exe") {
            // It is there, and has none; or it has gone meanwhile.
            Err(AnswerError::ProcessGone) => {
                process.check()?;
                return Err(AnswerError::NoExecutable);
            }
            place => place?,
        };
        // Of the very file that is open: the process may run another by now.
        let link = link_of(&place).map_err(of_file)?;
        let (path, note) = match link.strip_suffix(DELETED_SUFFIX) {
            Some(path) => (
                path,
                Some("what the process runs, which its path no longer names"),
            ),
            None => (link.as_slice(), None),
        };
        let path = String::from_utf8_lossy(path).into_owned();
        if !self.roots.hold(&path) {
            return Err(AnswerError::OutsideRoots);
        }
        Ok(Target { place, path, note })
    }

    fn digest(&self, place: &OwnedFd, watch: &Watch) -> Result<(Found, Sha256Digest), AnswerError> {
        for _ in 0..TRIES_MAX {
            let found = Found::at(place)?;
            let cache = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            let known = cache().get(&found.identity);
            if let Some(digest) = known {
                return Ok((found, digest));
            }
            let read = read::sha256(place, self.file_bytes_max, &mut |_| watch.check())?;
            if read.identity != found.identity {
                continue;
            }
            if found
                .identity
                .is_settled(SystemTime::now(), self.settled_after)
            {
                cache().insert(found.identity, read.digest);
            }
            return Ok((found, read.digest));
        }
        Err(AnswerError::Changes)
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing to a text can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
