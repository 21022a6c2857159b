//! Runs a child with bounds on its time and its output. Knows nothing of compiling.
//!
//! Invariant: when [`run`] returns, the child has ended, by itself or killed with its whole process
//! group; what it left behind can hold up a reader thread, but never the caller.

use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of stderr that are kept; the rest is read and thrown away.
const STDERR_BYTES_MAX: u64 = 16 << 10;
/// How long a child that has closed its output is left to end between two looks.
const EXIT_POLL: Duration = Duration::from_millis(1);
/// How long the end of stderr is waited for, once the child has ended: a grandchild can hold it.
const STDERR_WAIT: Duration = Duration::from_secs(1);

/// What a child may cost.
pub(super) struct Bounds {
    pub(super) time_max: Duration,
    pub(super) output_bytes_max: usize,
}

/// What a child that ended by itself, or by a signal of another, left.
pub(super) struct Answer {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum RunError {
    Io(io::Error),
    TimedOut,
    TooMuchOutput,
}

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A child that doesn't outlive this.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            // It was not waited for yet, so that its number can't be another process's.
            #[cfg(unix)]
            if let Err(error) = rustix::process::kill_process_group(
                rustix::process::Pid::from_child(&self.0),
                rustix::process::Signal::KILL,
            ) {
                tracing::debug!(%error, "the compiler's process group can't be killed");
            }
            // Both fail only for a child that is gone already.
            drop(self.0.kill());
            drop(self.0.wait());
        }
    }
}

/// Runs a child to its end: writes the input, reads the output. The command's three streams must be
/// piped.
pub(super) fn run(
    mut command: Command,
    input: Arc<[u8]>,
    bounds: &Bounds,
) -> Result<Answer, RunError> {
    let deadline = Instant::now() + bounds.time_max;
    // A group of its own: Ctrl-C on the terminal is the daemon's business, and killing is thorough.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = Kept(command.spawn()?);

    if let Some(mut stdin) = child.0.stdin.take() {
        start("weir-compile-in", move || {
            // A child that ends early says why on its own.
            drop(stdin.write_all(&input));
        })?;
    }
    let stderr = read(child.0.stderr.take(), |stream, result| {
        let mut kept = Vec::new();
        let read = stream
            .by_ref()
            .take(STDERR_BYTES_MAX)
            .read_to_end(&mut kept);
        drop(result.try_send(read.map(|_| kept)));
        drop(io::copy(stream, &mut io::sink()));
    })?;
    let limit = (bounds.output_bytes_max as u64).saturating_add(1);
    let stdout = read(child.0.stdout.take(), move |stream, result| {
        let mut output = Vec::new();
        let read = stream.take(limit).read_to_end(&mut output);
        drop(result.try_send(read.map(|_| output)));
    })?;

    let stdout = match stdout.recv_timeout(left(deadline)) {
        Ok(output) => output?,
        Err(RecvTimeoutError::Timeout) => return Err(RunError::TimedOut),
        Err(RecvTimeoutError::Disconnected) => {
            return Err(io::Error::other("the thread that reads its output died").into());
        }
    };
    if stdout.len() > bounds.output_bytes_max {
        return Err(RunError::TooMuchOutput);
    }
    let status = wait(&mut child.0, deadline)?;
    let stderr = stderr.recv_timeout(STDERR_WAIT);
    Ok(Answer {
        status,
        stdout,
        stderr: stderr.ok().and_then(Result::ok).unwrap_or_default(),
    })
}

/// The child's end; it has closed its output, so that this is a matter of moments.
fn wait(child: &mut Child, deadline: Instant) -> Result<ExitStatus, RunError> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if left(deadline).is_zero() {
            return Err(RunError::TimedOut);
        }
        thread::sleep(EXIT_POLL);
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

type Bytes = io::Result<Vec<u8>>;

/// Reads a stream in a thread of its own; what was read comes out of the channel.
fn read<S: Read + Send + 'static>(
    stream: Option<S>,
    body: impl FnOnce(&mut S, &SyncSender<Bytes>) + Send + 'static,
) -> io::Result<Receiver<Bytes>> {
    let (sender, receiver) = sync_channel(1);
    let mut stream = stream.ok_or_else(|| io::Error::other("a stream of the child isn't piped"))?;
    start("weir-compile-out", move || body(&mut stream, &sender))?;
    Ok(receiver)
}

fn start(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(body)?;
    drop(thread);
    Ok(())
}
