//! How far publishers may be ahead: the same for every system, past its back.
//!
//! A subscriber returns a credit for every so many messages through a pipe of its own; a publisher
//! takes one of each subscriber's before it sends as many. So no broker's limit on slow subscribers
//! is ever reached, and nothing has a reason to be dropped. The pipes are named ones in a temporary
//! folder; every end is open for reading and writing, so that none of them ever sees an end.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{CWD, Mode, mkfifoat};

fn open(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    file.with_context(|| path.display().to_string())
}

/// Makes a pipe with that many credits in it. They are there as long as the file is held.
pub(super) fn make(path: &Path, credits: usize) -> anyhow::Result<File> {
    mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?;
    let mut pipe = open(path)?;
    pipe.write_all(&vec![0; credits])?;
    Ok(pipe)
}

/// A subscriber's end: what it gives back.
pub(super) struct Returned {
    pipe: File,
    messages_a_credit: u64,
    messages: u64,
}

impl Returned {
    pub(super) fn open(path: &Path, messages_a_credit: u64) -> anyhow::Result<Self> {
        Ok(Self {
            pipe: open(path)?,
            messages_a_credit,
            messages: 0,
        })
    }

    /// Gives back what these messages are worth, together with those before.
    pub(super) fn give(&mut self, messages: u64) -> anyhow::Result<()> {
        self.messages += messages;
        let credits = self.messages / self.messages_a_credit;
        if credits > 0 {
            self.messages %= self.messages_a_credit;
            self.pipe.write_all(&vec![0; usize::try_from(credits)?])?;
        }
        Ok(())
    }
}

/// A publisher's end: what it may send.
pub(super) struct Granted {
    pipes: Vec<File>,
    messages_a_credit: u64,
    messages: u64,
}

impl Granted {
    pub(super) fn open(paths: &[PathBuf], messages_a_credit: u64) -> anyhow::Result<Self> {
        Ok(Self {
            pipes: paths
                .iter()
                .map(|path| open(path))
                .collect::<Result<_, _>>()?,
            messages_a_credit,
            messages: 0,
        })
    }

    /// Waits until every subscriber has room for so many more messages.
    pub(super) fn take(&mut self, messages: u64) -> anyhow::Result<()> {
        while self.messages < messages {
            for pipe in &mut self.pipes {
                // One at a time: what one publisher takes without need another waits for.
                pipe.read_exact(&mut [0])?;
            }
            self.messages += self.messages_a_credit;
        }
        self.messages -= messages;
        Ok(())
    }
}
