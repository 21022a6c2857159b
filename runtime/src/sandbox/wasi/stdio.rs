//! A guest's stdout and stderr: lines for the rate-limited log, and the end of stderr for faults.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi_io::bytes::Bytes;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{OutputStream, StreamResult};

use crate::sandbox::host::{LogGate, Loudness};

/// What a fault keeps of stderr.
const STDERR_TAIL_BYTES: usize = 16 * 1024;
/// What a guest may write at once.
const WRITE_BYTES_MAX: usize = 64 * 1024;
/// A line that doesn't end is passed on at this length.
const LINE_BYTES_MAX: usize = 4 * 1024;

/// The last bytes that a guest wrote to stderr.
#[derive(Clone, Debug, Default)]
pub(in crate::sandbox) struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    fn push(&self, bytes: &[u8]) {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = bytes.len().min(STDERR_TAIL_BYTES);
        let over = (tail.len() + kept).saturating_sub(STDERR_TAIL_BYTES);
        let over = over.min(tail.len());
        tail.drain(..over);
        tail.extend(bytes.iter().skip(bytes.len() - kept));
    }

    /// Takes what is there, as text.
    pub(in crate::sandbox) fn take(&self) -> String {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = tail.drain(..).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// One of the two streams; all its handles share the line that is being written.
#[derive(Clone)]
pub(super) struct Lines {
    log: Arc<LogGate>,
    loudness: Loudness,
    tail: Option<Tail>,
    line: Arc<Mutex<Vec<u8>>>,
}

impl Lines {
    pub(super) fn stdout(log: Arc<LogGate>) -> Self {
        Self {
            log,
            loudness: Loudness::Info,
            tail: None,
            line: Arc::default(),
        }
    }

    pub(super) fn stderr(log: Arc<LogGate>, tail: Tail) -> Self {
        Self {
            log,
            loudness: Loudness::Warn,
            tail: Some(tail),
            line: Arc::default(),
        }
    }

    fn take(&self, bytes: &[u8]) {
        if let Some(tail) = &self.tail {
            tail.push(bytes);
        }
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        for &byte in bytes {
            if byte == b'\n' || line.len() >= LINE_BYTES_MAX {
                self.log
                    .line(self.loudness, &String::from_utf8_lossy(&line));
                line.clear();
            }
            if byte != b'\n' {
                line.push(byte);
            }
        }
    }
}

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only asked for by WASI 0.3, which the linker doesn't have.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_keeps_the_end_of_stderr() {
        let tail = Tail::default();
        tail.push(&vec![b'a'; STDERR_TAIL_BYTES]);
        tail.push(b"the end");
        let text = tail.take();
        assert_eq!(text.len(), STDERR_TAIL_BYTES);
        assert!(text.ends_with("athe end"));
        tail.push(&vec![b'b'; 10 * STDERR_TAIL_BYTES]);
        assert_eq!(tail.take().len(), STDERR_TAIL_BYTES);
        assert_eq!(tail.take(), "");
    }
}
