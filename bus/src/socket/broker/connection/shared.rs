//! What of a connection others see and do: its status, its heartbeat, answers on their way out.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::sync::Notify;

use super::super::super::access::Rights;
use super::super::ConnectionStatus;
use super::super::ingress::Entrance;
use super::super::outgoing::{Outgoing, Stream};
use crate::wire::{FrameType, control_frame};

/// What others may know of a connection.
#[derive(Debug)]
pub(in super::super) struct Shared {
    pub(super) outgoing: Outgoing,
    pub(super) source: Arc<str>,
    pub(super) rights: Rights,
    pub(super) since: Instant,
    pub(super) name: OnceLock<String>,
    pub(super) entrance: OnceLock<EntranceBox>,
    pub(super) refused_rows: AtomicU64,
    /// Counts what was read, so that silence is seen.
    pub(super) reads: AtomicU64,
    pub(super) reads_at_beat: AtomicU64,
    pub(super) silent_beats: AtomicU32,
    /// Publish frames that were taken in this session.
    pub(super) frames: AtomicU64,
    pub(super) requests: AtomicU32,
    pub(super) leaving: AtomicBool,
    ending: AtomicBool,
    superseded: AtomicBool,
    pub(super) end: Notify,
}

pub(super) struct EntranceBox(pub(super) Arc<dyn Entrance>);

impl std::fmt::Debug for EntranceBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entrance")
    }
}

impl Shared {
    pub(super) fn new(source: Arc<str>, rights: Rights) -> Self {
        Self {
            outgoing: Outgoing::default(),
            source,
            rights,
            since: Instant::now(),
            name: OnceLock::new(),
            entrance: OnceLock::new(),
            refused_rows: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            reads_at_beat: AtomicU64::new(0),
            silent_beats: AtomicU32::new(0),
            frames: AtomicU64::new(0),
            requests: AtomicU32::new(0),
            leaving: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            superseded: AtomicBool::new(false),
            end: Notify::new(),
        }
    }

    pub(in super::super) fn status(&self) -> ConnectionStatus {
        let entrance = self.entrance.get();
        ConnectionStatus {
            name: self.name.get().cloned().unwrap_or_default(),
            source: self.source.as_ref().to_owned(),
            rules: self.rights.rules().to_vec(),
            subscriptions: self.outgoing.names(),
            seconds: self.since.elapsed().as_secs_f64(),
            published: entrance
                .map(|entrance| entrance.0.counts())
                .unwrap_or_default(),
            refused_rows: self.refused_rows.load(Ordering::Relaxed),
        }
    }

    /// This side ends the connection.
    pub(super) fn end_now(&self) {
        self.ending.store(true, Ordering::Relaxed);
        self.end.notify_one();
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// The client has come back on another connection: nothing more is taken of this one.
    pub(in super::super) fn supersede(&self) {
        self.superseded.store(true, Ordering::Relaxed);
        self.end_now();
    }

    pub(super) fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Relaxed)
    }

    /// Hands over its subscriptions, for another connection.
    pub(in super::super) fn detach(&self) -> Vec<Arc<Stream>> {
        self.outgoing.detach()
    }

    /// Publish frames that were taken in this session.
    pub(in super::super) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// What it calls itself, and what its batches are said to come from.
    pub(in super::super) fn who(&self) -> (String, String) {
        let name = self.name.get().cloned().unwrap_or_default();
        (name, self.source.as_ref().to_owned())
    }

    /// What is queued goes out, then the connection ends.
    pub(in super::super) fn say_goodbye(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.end_now();
    }

    /// A heartbeat: a ping, or the end where nothing has been heard for too long.
    pub(in super::super) fn beat(&self, silent_beats_max: u32) {
        // Nothing comes before the welcome; who says no hello has a limit of its own.
        if self.name.get().is_none() {
            return;
        }
        let reads = self.reads.load(Ordering::Relaxed);
        if self.reads_at_beat.swap(reads, Ordering::Relaxed) == reads {
            if self.silent_beats.fetch_add(1, Ordering::Relaxed) >= silent_beats_max {
                tracing::info!(source = %self.source, "a connection is silent, and ended");
                self.end_now();
                return;
            }
        } else {
            self.silent_beats.store(0, Ordering::Relaxed);
        }
        if !self.outgoing.ping() {
            self.end_now();
        }
    }

    /// Sends a frame without a payload. Who doesn't read the answers to what it sends is cut off: the
    /// alternative would be memory without a bound.
    pub(super) fn answer<H: serde::Serialize>(&self, frame_type: FrameType, header: &H) {
        if let Ok(frame) = control_frame(frame_type, header)
            && !self.outgoing.answer(frame)
        {
            self.end_now();
        }
    }
}
