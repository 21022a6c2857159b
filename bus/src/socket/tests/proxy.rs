//! What stands between a client and its broker, and can hold back, split and cut what goes through it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// What the proxy does with bytes.
#[derive(Debug, Default)]
struct Plan {
    /// What comes from the broker waits.
    is_held: bool,
    /// After so many more bytes from the broker, or to it, the connection is cut.
    down_left: Option<usize>,
    up_left: Option<usize>,
    /// Bytes that are handed on at a time.
    piece_bytes: Option<usize>,
    /// What is open: the client's end, the broker's end.
    open: Vec<(UnixStream, UnixStream)>,
    /// Connections that were made.
    made: u64,
}

#[derive(Debug, Default)]
struct Shared {
    plan: Mutex<Plan>,
    changed: Condvar,
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut Plan)) {
        change(&mut self.plan());
        self.changed.notify_all();
    }
}

/// A proxy for one client.
pub(super) struct Proxy {
    path: PathBuf,
    shared: Arc<Shared>,
}

impl Proxy {
    pub(super) fn new(folder: &Path, broker: PathBuf) -> Self {
        let path = folder.join("proxy.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let Ok(broker) = UnixStream::connect(&broker) else {
                    continue;
                };
                let clone = |stream: &UnixStream| stream.try_clone().unwrap();
                let ends = (clone(&client), clone(&broker));
                theirs.change(|plan| {
                    plan.open.push(ends);
                    plan.made += 1;
                });
                let (up, down) = (Arc::clone(&theirs), Arc::clone(&theirs));
                let (from, to) = (clone(&client), clone(&broker));
                std::thread::spawn(move || pump(&up, from, to, true));
                std::thread::spawn(move || pump(&down, broker, client, false));
            }
        });
        Self { path, shared }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Connections that were made through it.
    pub(super) fn made(&self) -> u64 {
        self.shared.plan().made
    }

    /// What comes from the broker waits in the kernel, or goes on.
    pub(super) fn hold(&self, is_held: bool) {
        self.shared.change(|plan| plan.is_held = is_held);
    }

    pub(super) fn split(&self, piece_bytes: usize) {
        self.shared
            .change(|plan| plan.piece_bytes = Some(piece_bytes));
    }

    /// The connection is cut after so many bytes from the broker, wherever in a frame that is.
    pub(super) fn cut_down_after(&self, bytes: Option<usize>) {
        self.shared.change(|plan| plan.down_left = bytes);
    }

    /// The same, of bytes to the broker.
    pub(super) fn cut_up_after(&self, bytes: Option<usize>) {
        self.shared.change(|plan| plan.up_left = bytes);
    }

    /// Both ends are cut now.
    pub(super) fn cut(&self) {
        self.shared.change(cut);
    }

    /// Only the client notices: to the broker, the connection stands.
    pub(super) fn cut_client(&self) {
        self.shared.change(|plan| {
            for (client, _) in &plan.open {
                drop(client.shutdown(Shutdown::Both));
            }
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

fn cut(plan: &mut Plan) {
    for (client, broker) in plan.open.drain(..) {
        drop(client.shutdown(Shutdown::Both));
        drop(broker.shutdown(Shutdown::Both));
    }
    (plan.down_left, plan.up_left) = (None, None);
}

fn pump(shared: &Shared, mut from: UnixStream, mut to: UnixStream, is_up: bool) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let most = shared.plan().piece_bytes.unwrap_or(buffer.len());
        let Ok(count @ 1..) = from.read(&mut buffer[..most]) else {
            // What was written before is read before the end is seen.
            drop(to.shutdown(Shutdown::Write));
            return;
        };
        let mut plan = shared.plan();
        while plan.is_held && !is_up && !plan.open.is_empty() {
            plan = shared.changed.wait(plan).unwrap();
        }
        let left = if is_up {
            &mut plan.up_left
        } else {
            &mut plan.down_left
        };
        let now = left.map_or(count, |left| left.min(count));
        let is_cut = left.is_some_and(|left| left <= count);
        *left = left.map(|left| left - now);
        drop(plan);
        if to.write_all(&buffer[..now]).is_err() {
            return;
        }
        if is_cut {
            shared.change(cut);
            return;
        }
    }
}
