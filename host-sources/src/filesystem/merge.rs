//! Bursts of the same operation become one: a log that is written a thousand times a second is modified once a
//! window.
//!
//! It has no clock: it is told the time. The invariant: what is handed on keeps its order for each path, and of
//! different operations on a path none is left out.
//!
//! A modification waits for the end of its window, so that what is told of the file's size is its last; or until
//! anything else happens to the file. All others go on at once.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::happened::{Happened, Operation};

/// Paths whose last operation is remembered; one more, and all that waits goes on.
const PATHS_MAX: usize = 16_384;

/// What was the last that happened to a path.
#[derive(Clone, Copy, Debug)]
struct Last {
    operation: Operation,
    pid: Option<u32>,
    /// When the window began.
    since: Instant,
    /// It is a modification that wasn't handed on yet.
    waits: bool,
}

/// Merges bursts.
#[derive(Debug)]
pub(super) struct Merger {
    window: Duration,
    last: HashMap<PathBuf, Last>,
    /// The windows that are open, by when they began.
    windows: VecDeque<(Instant, PathBuf)>,
}

impl Merger {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window,
            last: HashMap::new(),
            windows: VecDeque::new(),
        }
    }

    /// Whether it holds nothing that time would move.
    pub(super) fn is_idle(&self) -> bool {
        self.windows.is_empty()
    }

    /// Takes in what happened, and appends to `out` what goes on.
    pub(super) fn push(&mut self, happened: Happened, now: Instant, out: &mut Vec<Happened>) {
        self.due(now, out);
        let is_burst = self.last.get(&happened.path).is_some_and(|last| {
            last.operation == happened.operation
                && last.pid == happened.pid
                && happened.operation != Operation::Rename
        });
        if is_burst {
            return;
        }
        self.finish(&happened.path, out);
        // What was at the other name is over, too.
        if let Some(new_path) = &happened.new_path {
            self.finish(new_path, out);
        }
        if self.last.len() >= PATHS_MAX {
            self.flush(out);
        }
        let last = Last {
            operation: happened.operation,
            pid: happened.pid,
            since: now,
            waits: happened.operation == Operation::Modify,
        };
        self.windows.push_back((now, happened.path.clone()));
        self.last.insert(happened.path.clone(), last);
        if !last.waits {
            out.push(happened);
        }
    }

    /// Appends what has waited for as long as the window.
    pub(super) fn due(&mut self, now: Instant, out: &mut Vec<Happened>) {
        while let Some((since, _)) = self.windows.front() {
            if now.duration_since(*since) < self.window {
                return;
            }
            let Some((since, path)) = self.windows.pop_front() else {
                return;
            };
            // The path may have had a later window since.
            if self.last.get(&path).is_some_and(|last| last.since == since) {
                self.finish(&path, out);
            }
        }
    }

    /// Appends all that waits.
    pub(super) fn flush(&mut self, out: &mut Vec<Happened>) {
        while let Some((_, path)) = self.windows.pop_front() {
            self.finish(&path, out);
        }
    }

    /// Ends a path's window.
    fn finish(&mut self, path: &PathBuf, out: &mut Vec<Happened>) {
        let Some((path, last)) = self.last.remove_entry(path) else {
            return;
        };
        if last.waits {
            out.push(Happened {
                operation: last.operation,
                path,
                new_path: None,
                pid: last.pid,
            });
        }
    }
}
