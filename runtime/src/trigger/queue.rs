//! Requests that wait, the most urgent first.
//!
//! Invariant: it holds at most [`RequestQueue::requests_max`] requests and [`BYTES_MAX`] bytes of them; a request
//! leaves it before every less urgent one, and after those as urgent as it that came before.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Priority, Request};

/// The most bytes that waiting requests may keep alive, whatever their number. Named attack: firings with long messages
/// about rows with long command lines.
pub(super) const BYTES_MAX: u64 = 64 << 20;

/// Why a request isn't taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// It is of low priority, and the queue has little room left.
    NearlyFull,
    /// There is none.
    Full,
}

/// A request, and since when it waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) request: Request,
    pub(super) since: Instant,
    bytes: u64,
}

/// The queue.
#[derive(Debug)]
pub(super) struct RequestQueue {
    requests_max: usize,
    /// The share of `requests_max` from which on requests of low priority are refused.
    low_share_max: f64,
    by_priority: [VecDeque<Waiting>; Priority::ALL.len()],
    requests: usize,
    bytes: u64,
}

impl RequestQueue {
    /// An empty one.
    pub(super) fn new(requests_max: usize, low_share_max: f64) -> Self {
        Self {
            requests_max,
            low_share_max,
            by_priority: std::array::from_fn(|_| VecDeque::new()),
            requests: 0,
            bytes: 0,
        }
    }

    /// Other bounds; what waits stays.
    pub(super) fn set_bounds(&mut self, requests_max: usize, low_share_max: f64) {
        self.requests_max = requests_max;
        self.low_share_max = low_share_max;
    }

    /// Whether there is room for one of that priority.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn room_for(&self, priority: Priority, bytes: u64) -> Result<(), NoRoom> {
        let too_heavy = self.bytes.saturating_add(bytes) > BYTES_MAX;
        if self.requests >= self.requests_max || too_heavy {
            return Err(NoRoom::Full);
        }
        // Counts are far below 2^52, where a float is exact.
        #[allow(clippy::cast_precision_loss, reason = "compared with a share")]
        let share = self.requests as f64 / self.requests_max.max(1) as f64;
        if priority == Priority::Low && share >= self.low_share_max {
            return Err(NoRoom::NearlyFull);
        }
        Ok(())
    }

    /// Puts a request behind those as urgent as it; there must be room.
    pub(super) fn push(&mut self, request: Request, bytes: u64, now: Instant) {
        self.requests += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        let waiting = Waiting {
            since: now,
            bytes,
            request,
        };
        if let Some(queue) = self.by_priority.get_mut(waiting.request.priority as usize) {
            queue.push_back(waiting);
        }
    }

    /// The most urgent one.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let queues = self.by_priority.iter_mut().rev();
        let waiting = queues.into_iter().find_map(VecDeque::pop_front)?;
        self.left(&waiting);
        Some(waiting)
    }

    /// Takes out what `wanted` says.
    pub(super) fn take_if(&mut self, mut wanted: impl FnMut(&Waiting) -> bool) -> Vec<Waiting> {
        let mut taken = Vec::new();
        for queue in &mut self.by_priority {
            let (out, kept) = queue.drain(..).partition(&mut wanted);
            *queue = kept;
            let out: VecDeque<Waiting> = out;
            taken.extend(out);
        }
        taken.iter().for_each(|waiting| self.left(waiting));
        taken
    }

    fn left(&mut self, waiting: &Waiting) {
        self.requests -= 1;
        self.bytes = self.bytes.saturating_sub(waiting.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trigger::testing::request;

    fn queue() -> RequestQueue {
        RequestQueue::new(10, 0.8)
    }

    fn fill(queue: &mut RequestQueue, priority: Priority, tries: usize) -> usize {
        let one = |_| {
            let room = queue.room_for(priority, 1).is_ok();
            if room {
                queue.push(request(priority, ""), 1, Instant::now());
            }
            usize::from(room)
        };
        (0..tries).map(one).sum()
    }

    #[test]
    fn low_is_refused_from_its_share_on_and_the_others_when_it_is_full() {
        let mut queue = queue();
        assert_eq!(fill(&mut queue, Priority::Low, 20), 8);
        assert_eq!(queue.room_for(Priority::Low, 1), Err(NoRoom::NearlyFull));
        assert_eq!(fill(&mut queue, Priority::Normal, 1), 1);
        assert_eq!(fill(&mut queue, Priority::Critical, 20), 1);
        for priority in Priority::ALL {
            assert_eq!(queue.room_for(priority, 1), Err(NoRoom::Full));
        }
    }

    #[test]
    fn the_most_urgent_comes_first_and_as_urgent_ones_in_turn() {
        let mut queue = queue();
        let given = [
            (Priority::Low, "1"),
            (Priority::High, "2"),
            (Priority::Normal, "3"),
            (Priority::Critical, "4"),
            (Priority::High, "5"),
        ];
        for (priority, id) in given {
            queue.push(request(priority, id), 1, Instant::now());
        }
        let order = std::iter::from_fn(|| queue.pop());
        let order: Vec<String> = order
            .map(|waiting| waiting.request.event.request_id.clone())
            .collect();
        assert_eq!(order, ["4", "2", "5", "3", "1"]);
        assert_eq!((queue.requests, queue.bytes), (0, 0));
    }

    #[test]
    fn what_is_taken_out_leaves_the_others_in_order() {
        let mut queue = queue();
        for id in ["1", "2", "3"] {
            queue.push(request(Priority::Normal, id), 1, Instant::now());
        }
        let taken = queue.take_if(|waiting| waiting.request.event.request_id == "2");
        assert_eq!(taken.len(), 1);
        assert_eq!((queue.requests, queue.bytes), (2, 2));
        let first = queue
            .pop()
            .map(|waiting| waiting.request.event.request_id.clone());
        assert_eq!(first.as_deref(), Some("1"));
    }

    #[test]
    fn heavy_requests_fill_it_before_their_number_does() {
        let mut queue = queue();
        queue.push(request(Priority::High, ""), BYTES_MAX, Instant::now());
        assert_eq!(queue.room_for(Priority::Critical, 1), Err(NoRoom::Full));
        queue.pop();
        assert_eq!(queue.room_for(Priority::Critical, 1), Ok(()));
    }
}
