//! A client's end of a connection: plain blocking reads and writes, the same for every system.
//!
//! The invariant: no read or write waits longer than [`PATIENCE`], so that what a system loses
//! becomes an error and never a bench that hangs.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionread;

use super::side::{Address, Heard, Side};

/// Longer than any system is silent while messages are under way.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a subscriber reads at most at a time; a message must fit.
const BUFFER_BYTES: usize = 256 << 10;

/// What the other end is.
enum End {
    /// Somebody who will connect.
    Awaited(UnixListener),
    /// A connected socket; as a file it is read and written by the plainest of calls.
    Connected(File),
}

/// A connection and what was read of it.
pub(super) struct Line {
    end: End,
    buffer: Vec<u8>,
    filled: usize,
}

/// What came with one read.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Told {
    /// Whether the system said that it is ready.
    pub(super) is_ready: bool,
    /// Rows of the messages.
    pub(super) rows: u64,
}

impl Line {
    /// Connects to whoever listens there.
    pub(super) fn connect(address: &Address) -> anyhow::Result<Self> {
        let socket: OwnedFd = match address {
            Address::Port(port) => {
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, *port))?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.into()
            }
            Address::Path(path) => patient(UnixStream::connect(path)?)?,
        };
        Ok(Self::over(End::Connected(socket.into())))
    }

    /// Listens there; the first read waits for the one who connects.
    pub(super) fn listen(address: &Address) -> anyhow::Result<Self> {
        let Address::Path(path) = address else {
            bail!("a client listens on a path only");
        };
        // The run before left it there.
        if path.exists() {
            fs::remove_file(path)?;
        }
        Ok(Self::over(End::Awaited(UnixListener::bind(path)?)))
    }

    fn over(end: End) -> Self {
        Self {
            end,
            buffer: vec![0; BUFFER_BYTES],
            filled: 0,
        }
    }

    fn socket(&mut self) -> anyhow::Result<&mut File> {
        if let End::Awaited(listener) = &self.end {
            let socket = patient(listener.accept()?.0)?;
            self.end = End::Connected(socket.into());
        }
        match &mut self.end {
            End::Connected(socket) => Ok(socket),
            End::Awaited(_) => bail!("nobody connected"),
        }
    }

    /// Writes all of it.
    pub(super) fn say(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.socket()?.write_all(bytes).context("writing")
    }

    /// Reads once, and hands over every message that is whole then. What the system wants back, it
    /// gets.
    pub(super) fn hear<S: Side>(
        &mut self,
        side: &mut S,
        mut message: impl FnMut(&[u8], u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<Told> {
        self.read()?;
        let mut told = Told::default();
        let mut taken = 0;
        while let Some(rest) = self.buffer.get(taken..self.filled) {
            let Some((bytes, heard)) = side.next(rest)? else {
                break;
            };
            taken += bytes;
            match heard {
                Heard::Message { payload, rows } => {
                    message(payload, rows)?;
                    told.rows += rows;
                }
                Heard::Ready => told.is_ready = true,
                Heard::Answer(answer) => match &mut self.end {
                    End::Connected(socket) => socket.write_all(&answer)?,
                    End::Awaited(_) => {}
                },
                Heard::Nothing => {}
            }
        }
        self.buffer.copy_within(taken..self.filled, 0);
        self.filled -= taken;
        Ok(told)
    }

    fn read(&mut self) -> anyhow::Result<()> {
        self.socket()?;
        let (End::Connected(socket), Some(room)) =
            (&mut self.end, self.buffer.get_mut(self.filled..))
        else {
            bail!("nothing to read from");
        };
        if room.is_empty() {
            bail!("a message is longer than {BUFFER_BYTES} bytes");
        }
        match socket.read(room) {
            Ok(0) => bail!("the other end closed the connection"),
            Ok(bytes) => self.filled += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                bail!("nothing came within {PATIENCE:?}")
            }
            Err(error) => return Err(error).context("reading"),
        }
        Ok(())
    }

    /// Reads until the system says that it is ready.
    pub(super) fn until_ready<S: Side>(&mut self, side: &mut S) -> anyhow::Result<()> {
        while !self.hear(side, unexpected)?.is_ready {}
        Ok(())
    }

    /// Hears whatever has come, if anything has; a publisher does so between its writes.
    pub(super) fn attend<S: Side>(&mut self, side: &mut S) -> anyhow::Result<()> {
        while self.is_told_within(Duration::ZERO)? {
            self.hear(side, unexpected)?;
        }
        Ok(())
    }

    /// Whether there is something to read, or will be within that time.
    pub(super) fn is_told_within(&mut self, time: Duration) -> anyhow::Result<bool> {
        let socket = self.socket()?;
        let time = Timespec::try_from(time)?;
        let mut ready = [PollFd::new(socket, PollFlags::IN)];
        Ok(poll(&mut ready, Some(&time))? > 0)
    }

    /// Whether the other end has closed the connection, or broken it. Nothing is read.
    pub(super) fn is_ended(&mut self) -> anyhow::Result<bool> {
        let ends = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        let mut ended = [PollFd::new(self.socket()?, PollFlags::RDHUP)];
        poll(&mut ended, Some(&Timespec::default()))?;
        Ok(ended.iter().any(|end| end.revents().intersects(ends)))
    }

    /// Bytes that the kernel holds for this end.
    pub(super) fn unread_bytes(&mut self) -> anyhow::Result<u64> {
        Ok(ioctl_fionread(self.socket()?)?)
    }

    /// Bytes that were read and are no whole thing yet.
    pub(super) const fn unheard_bytes(&self) -> usize {
        self.filled
    }
}

fn unexpected(_: &[u8], _: u64) -> anyhow::Result<()> {
    bail!("a message came that nobody asked for")
}

fn patient(stream: UnixStream) -> anyhow::Result<OwnedFd> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream.into())
}
