//! A queue of requests in the order in which they came, without admission.
//!
//! Invariant: at most [`WAITING_MAX`] wait; what doesn't fit is refused, and counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{Ending, Request, Requests};

/// So many requests may wait.
const WAITING_MAX: usize = 1_024;

/// Requests that wait.
#[derive(Default)]
pub struct Fifo {
    waiting: Mutex<VecDeque<Request>>,
    refused: AtomicU64,
    wake: OnceLock<Arc<dyn Fn() + Send + Sync>>,
}

impl Fifo {
    /// What is called when a request has come.
    pub fn set_waker(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        drop(self.wake.set(wake));
    }

    /// Puts a request at the end; false: there is no room.
    pub fn admit(&self, request: Request) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        waiting.push_back(request);
        drop(waiting);
        if let Some(wake) = self.wake.get() {
            wake();
        }
        true
    }
}

impl Requests for Fifo {
    fn take(&self) -> Option<Request> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    }

    fn ended(&self, _request: &Request, _ending: Ending) {}
}
