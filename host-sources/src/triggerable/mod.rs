//! Sources that answer when asked, instead of producing a stream: the digest of an executable, the
//! details of a process.
//!
//! They judge nothing, and know no request, trigger or chain: who asks, and what becomes of an answer,
//! is the runtime's. The invariant: an answer ends, at its deadline at the latest, whatever the file or
//! process is that it is about; and what it can't say it says with one of the errors of a closed list
//! that tells nothing of the host but what was asked for.

mod error;

#[cfg(target_os = "linux")]
mod aside;
#[cfg(target_os = "linux")]
pub(crate) mod binary_hash;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
pub(crate) mod pinned;
#[cfg(target_os = "linux")]
mod process_details;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod testing;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use weir_bus::Timestamp;

#[cfg(target_os = "linux")]
pub(crate) use aside::be_patient;
#[cfg(target_os = "linux")]
pub use binary_hash::BinaryHash;
#[cfg(not(target_os = "linux"))]
pub use elsewhere::{BinaryHash, ProcessDetails};
pub use error::AnswerError;
#[cfg(target_os = "linux")]
pub use process_details::ProcessDetails;

/// The name of the source of digests where nothing else is said; its analysis, too.
pub const BINARY_HASH_NAME: &str = "binary-hash";
/// The name of the source of details where nothing else is said; its analysis, too.
pub const PROCESS_DETAILS_NAME: &str = "process-details";
/// The key of the evidence that has the digest, in 64 hexadecimal digits.
pub const SHA256_KEY: &str = "sha256";
/// The largest file that is ever read for a digest.
pub const FILE_BYTES_CEILING: u64 = 512 * 1024 * 1024;
/// The longest that an answer ever takes.
pub const ANSWER_TIME_CEILING: Duration = Duration::from_secs(10);
/// Answers of one source that are under way at the same time, those included that were given up and
/// haven't ended: a file system that doesn't answer keeps its readers.
pub const ANSWERS_MAX: usize = 8;
/// Digests that are remembered.
pub const CACHE_ENTRIES_MAX: usize = 4_096;

/// Answers when asked.
pub trait Triggerable: Send + Sync + 'static {
    /// The name, unique among the sources: one topic token.
    fn name(&self) -> &str;

    /// The analyses that it offers, by the names that requests ask for.
    fn analyses(&self) -> &'static [&'static str];

    /// Why this host can't offer it, in words that a person can act on; none if it can.
    fn unavailable(&self) -> Option<String> {
        None
    }

    /// Answers about a process or a file. Blocks the calling thread until then, at most until the
    /// deadline or [`ANSWER_TIME_CEILING`], whichever comes first; ends early when `stop` says so.
    ///
    /// # Errors
    /// Every [`AnswerError`].
    fn answer(
        &self,
        about: &About,
        until: Instant,
        stop: &AtomicBool,
    ) -> Result<Answer, AnswerError>;
}

/// What is asked about. A process is its pid and its start time: one without the other is nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The process.
    pub pid: Option<u32>,
    /// When it started.
    pub start_time: Option<Timestamp>,
    /// The file.
    pub path: Option<String>,
}

impl About {
    /// About a process.
    #[must_use]
    pub const fn process(pid: u32, start_time: Timestamp) -> Self {
        Self {
            pid: Some(pid),
            start_time: Some(start_time),
            path: None,
        }
    }

    /// About a file.
    #[must_use]
    pub fn file(path: &str) -> Self {
        Self {
            path: Some(path.to_owned()),
            ..Self::default()
        }
    }

    /// The process, where it is named whole.
    #[must_use]
    pub fn as_process(&self) -> Option<(u32, Timestamp)> {
        self.pid.zip(self.start_time)
    }
}

/// What a finding needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it is, in a few words.
    pub title: String,
    /// What it is about: a path, or a name and a pid.
    pub subject: String,
    /// Keys and texts, in the order in which a person reads them.
    pub evidence: Vec<(String, String)>,
    /// CPU time that it took, on another thread: to be put on whoever asked.
    pub cpu: Duration,
}

impl Answer {
    /// The first text of that key.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        let mut evidence = self.evidence.iter();
        let found = evidence.find(|(name, _)| name == key)?;
        Some(&found.1)
    }
}

/// How a source of digests works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinaryHashOptions {
    /// The folders under which files may be read, absolute. A process's executable must lie under one of
    /// them as the process itself sees it.
    pub roots: Vec<PathBuf>,
    /// The largest file; at most [`FILE_BYTES_CEILING`].
    pub file_bytes_max: u64,
    /// The longest answer; at most [`ANSWER_TIME_CEILING`].
    pub timeout: Duration,
}

impl Default for BinaryHashOptions {
    fn default() -> Self {
        Self {
            roots: vec![PathBuf::from("/")],
            file_bytes_max: FILE_BYTES_CEILING,
            timeout: ANSWER_TIME_CEILING,
        }
    }
}

/// What a cache of digests has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatistics {
    /// Digests that it has.
    pub entries: usize,
    /// Answers without reading the file.
    pub hits: u64,
    /// Answers for which the file had to be read.
    pub misses: u64,
}
