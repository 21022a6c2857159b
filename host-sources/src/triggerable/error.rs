//! Why there is no answer: a closed list.
//!
//! The invariant: no text here has anything of the host in it but limits of the config. No error of the
//! system, and no path that a link led to: who may ask about a file may not learn by the error what else
//! there is.

use std::time::Duration;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Nothing to look at.
    #[error("nothing to look at: name a file by its path, or a process by its pid and start time")]
    NoTarget,
    /// The path is none.
    #[error("not a path: it must be absolute, without zero bytes, of at most {bytes_max} bytes")]
    NotAPath {
        /// The longest path.
        bytes_max: usize,
    },
    /// The path, or where its links lead, is under no root.
    #[error("not under a root that may be read (roots of the source)")]
    OutsideRoots,
    /// There is no such file.
    #[error("no such file")]
    NotFound,
    /// The daemon may not read it.
    #[error("permission denied: the daemon's user may not read it")]
    PermissionDenied,
    /// It is a folder, a pipe, a device, or a file that the kernel makes up.
    #[error("not a regular file on a disk")]
    NotARegularFile,
    /// A kernel thread, or a process that has ended and that nobody waits for.
    #[error("the process has no executable")]
    NoExecutable,
    /// It has more bytes than are read.
    #[error("larger than {bytes_max} bytes (file_bytes_max of the source)")]
    TooLarge {
        /// The most bytes.
        bytes_max: u64,
    },
    /// It was written to while it was read, again and again.
    #[error("it changes while it is read")]
    Changes,
    /// The deadline came first.
    #[error("no answer within {} ms", .time_max.as_millis())]
    TookLonger {
        /// The time that there was.
        time_max: Duration,
    },
    /// The process has ended; its pid may be another's.
    #[error("the process is gone")]
    ProcessGone,
    /// As many answers as there may be are under way.
    #[error("{answers_max} answers are under way, and none of them ended in time")]
    Busy {
        /// The most answers at a time.
        answers_max: usize,
    },
    /// Whoever asked doesn't want it any more.
    #[error("stopped")]
    Stopped,
    /// Anything else.
    #[error("unreadable")]
    Unreadable,
    /// Not on this platform.
    #[error("not offered on this platform: it needs Linux")]
    NotOffered,
}
