//! Real sockets: connections over loopback, both ends held by one process, which waits until it is let go.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::socket::process::{own_path, settle};
use crate::sources::HOLD_VERB;

/// Connections whose both ends are held.
pub(in crate::sources) struct Held {
    listener: TcpListener,
    ends: Vec<(TcpStream, TcpStream)>,
}

impl Held {
    /// Opens so many connections, over IPv6 if that is asked for and there.
    pub(super) fn open(connections: usize, by_ipv6: bool) -> anyhow::Result<Self> {
        let by_ipv4 = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = match by_ipv6 {
            true => TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).or_else(|_| by_ipv4()),
            false => by_ipv4(),
        }?;
        let address = listener.local_addr()?;
        let mut ends = Vec::with_capacity(connections);
        for number in 0..connections {
            let of = || format!("{number} of {connections} connections are open");
            let near = TcpStream::connect(address).with_context(of)?;
            let (far, _) = listener.accept().with_context(of)?;
            ends.push((near, far));
        }
        Ok(Self { listener, ends })
    }

    /// Where they lead: one end of each has this address, and so has the socket that listens.
    pub(super) fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// How many sockets that are.
    pub(super) fn sockets(&self) -> usize {
        1 + 2 * self.ends.len()
    }
}

/// What a holder is told.
#[derive(Serialize, Deserialize)]
struct Errand {
    connections: usize,
    by_ipv6: bool,
}

/// What a holder says when it holds them.
#[derive(Serialize, Deserialize)]
struct Ready {
    address: SocketAddr,
    sockets: usize,
}

/// Holds sockets until whoever started this process lets go, or ends.
pub(in crate::sources) fn hold(argument: &OsStr) -> anyhow::Result<()> {
    settle(None)?;
    let errand: Errand = serde_json::from_slice(argument.as_encoded_bytes())?;
    let held = Held::open(errand.connections, errand.by_ipv6)?;
    let ready = Ready {
        address: held.address()?,
        sockets: held.sockets(),
    };
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", serde_json::to_string(&ready)?)?;
    stdout.flush()?;
    let mut nothing = Vec::new();
    std::io::stdin().read_to_end(&mut nothing)?;
    Ok(())
}

/// A process that holds sockets until this value goes.
pub(super) struct Holder {
    child: Child,
    pub(super) address: SocketAddr,
    pub(super) sockets: usize,
}

impl Holder {
    /// Starts it; it holds them when this returns.
    pub(super) fn start(connections: usize, by_ipv6: bool) -> anyhow::Result<Self> {
        let errand = Errand {
            connections,
            by_ipv6,
        };
        let mut child = Command::new(own_path()?)
            .args([HOLD_VERB, &serde_json::to_string(&errand)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("its stdout")?;
        let read = BufReader::new(stdout).read_line(&mut line);
        let ready = read.map_err(anyhow::Error::from).and_then(|_| {
            let ready: Ready = serde_json::from_str(&line)?;
            Ok(ready)
        });
        let ready = match ready {
            Ok(ready) => ready,
            Err(error) => {
                let ended = child.kill().and_then(|()| child.wait());
                return Err(error).with_context(|| format!("a holder of sockets: {ended:?}"));
            }
        };
        Ok(Self {
            child,
            address: ready.address,
            sockets: ready.sockets,
        })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else that could be done here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
