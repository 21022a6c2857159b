//! Stdout, whose reader may go away: `weir tap '>' | head -1` has then all it wanted.

use std::io::{self, BufWriter, ErrorKind, Stdout, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::oneshot;

use super::Failure;

/// Why a verb that prints ends.
pub(super) enum Unprinted {
    /// Nobody reads any more: a quiet end.
    Gone,
    /// It can't be written.
    Failed(io::Error),
}

impl From<io::Error> for Unprinted {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe {
            Self::Gone
        } else {
            Self::Failed(error)
        }
    }
}

/// Ends a verb with 0 where nobody reads any more, else with the failure.
pub(super) fn ended(unprinted: Unprinted) -> Result<ExitCode, Failure> {
    match unprinted {
        Unprinted::Gone => Ok(ExitCode::SUCCESS),
        Unprinted::Failed(error) => {
            Err(Failure::Failed(anyhow::Error::new(error).context("stdout")))
        }
    }
}

/// Prints a text and a line break, at once.
///
/// # Errors
/// If it can't be written. A reader that went away is none.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = Out::new();
    let printed = out.line(text).and_then(|()| out.flush());
    match printed {
        Ok(()) => Ok(()),
        Err(unprinted) => ended(unprinted).map(drop),
    }
}

/// Stdout, gathered until it is flushed.
pub(super) struct Out(BufWriter<Stdout>);

impl Out {
    pub(super) fn new() -> Self {
        Self(BufWriter::new(io::stdout()))
    }

    pub(super) fn line(&mut self, text: &str) -> Result<(), Unprinted> {
        self.0.write_all(text.as_bytes())?;
        Ok(self.0.write_all(b"\n")?)
    }

    pub(super) fn flush(&mut self) -> Result<(), Unprinted> {
        Ok(self.0.flush()?)
    }
}

/// Waits until nobody reads stdout any more; for ever where it is no pipe. Cancel safe.
pub(super) struct ReaderGone(oneshot::Receiver<()>);

impl ReaderGone {
    /// Looks from now on, on a thread that ends with the process.
    ///
    /// # Errors
    /// If the system refuses the thread.
    pub(super) fn watch() -> Result<Self, Failure> {
        let (sender, receiver) = oneshot::channel();
        let look = move || {
            let stdout = io::stdout();
            // What is asked for is nothing: only that the other end is gone is told then.
            let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
            loop {
                match poll(&mut polled, None) {
                    Err(Errno::INTR) => {}
                    Ok(_) => {
                        // Who doesn't wait any more needn't be told.
                        let _ = sender.send(());
                        break;
                    }
                    Err(_) => break,
                }
            }
        };
        std::thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(look)
            .context("a thread")?;
        Ok(Self(receiver))
    }

    pub(super) async fn gone(&mut self) {
        if (&mut self.0).await.is_err() {
            // Nobody can say.
            std::future::pending::<()>().await;
        }
    }
}
