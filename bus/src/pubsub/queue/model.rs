//! The queue under every order of steps: nobody who waits sleeps on, and the bound over many queues is exact.
//!
//! Small models of the real code, not of a drawing of it: two threads, two or three items. loom runs each under all
//! interleavings that the memory model allows, up to a number of preemptions; a thread that is never woken is a deadlock,
//! which it reports.

use std::time::Duration;

use loom::thread;

use super::*;

/// Switches that threads are forced into, in one run: what depends on three races at once is found, in some seconds.
const PREEMPTIONS_MAX: usize = 3;

#[derive(Debug, Clone, Copy)]
struct Item(u64);

impl Weigh for Item {
    fn rows(&self) -> u64 {
        1
    }

    fn bytes(&self) -> u64 {
        self.0
    }
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS_MAX);
    builder.check(model);
}

fn queue(policy: QueuePolicy, items_max: usize) -> Arc<Queue<Item>> {
    let limits = QueueLimits {
        items_max,
        bytes_max: 100,
    };
    Arc::new(Queue::new(policy, limits))
}

const NEVER: Duration = Duration::from_secs(600);

const BLOCK: QueuePolicy = QueuePolicy::Block { deadline: NEVER };

#[test]
fn loom_a_receiver_that_parks_is_woken_by_what_comes_and_by_the_end() {
    check(|| {
        let queue = queue(QueuePolicy::DropOldest, 2);
        let pusher = Arc::clone(&queue);
        let pushing = thread::spawn(move || {
            pusher.push(1, Item(1));
            pusher.close();
        });
        let mut received = 0;
        while let Recv::Got(_) = queue.recv_blocking() {
            received += 1;
        }
        pushing.join().unwrap();
        assert_eq!(received, 1);
    });
}

#[test]
fn loom_two_receivers_that_park_are_both_woken() {
    check(|| {
        let queue = queue(QueuePolicy::DropOldest, 2);
        let receivers = [(); 2].map(|()| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || matches!(queue.recv_blocking(), Recv::Got(_)))
        });
        queue.push(1, Item(1));
        queue.push(2, Item(1));
        for receiver in receivers {
            assert!(receiver.join().unwrap());
        }
    });
}

#[test]
fn loom_a_pusher_that_parks_is_woken_by_room() {
    check(|| {
        let queue = queue(BLOCK, 1);
        let pusher = Arc::clone(&queue);
        let pushing = thread::spawn(move || {
            for position in 1..=2 {
                assert_eq!(pusher.push(position, Item(1)), Pushed::Queued);
            }
        });
        let mut many = Vec::new();
        while many.len() < 2 {
            queue.recv_many_blocking(&mut many, 2);
        }
        pushing.join().unwrap();
        assert!(queue.counts().balances());
    });
}

#[test]
fn loom_an_interrupt_is_seen_by_who_parks() {
    check(|| {
        let queue = queue(QueuePolicy::DropOldest, 1);
        let other = Arc::clone(&queue);
        let interrupting = thread::spawn(move || other.interrupt());
        assert!(matches!(queue.recv_blocking(), Recv::Interrupted));
        interrupting.join().unwrap();
    });
}

#[test]
fn loom_a_task_that_waits_is_woken() {
    check(|| {
        let queue = queue(QueuePolicy::DropOldest, 1);
        let other = Arc::clone(&queue);
        let pushing = thread::spawn(move || {
            other.push(1, Item(1));
        });
        let received = loom::future::block_on(queue.recv());
        assert!(matches!(received, Recv::Got(_)));
        pushing.join().unwrap();
    });
}

fn under(budget: &Arc<Budget>, policy: QueuePolicy) -> Arc<Queue<Item>> {
    let limits = QueueLimits {
        items_max: 2,
        bytes_max: 100,
    };
    Queue::under(budget, policy, limits, Clock::system())
}

#[test]
fn loom_the_bound_over_all_is_kept_and_nothing_of_it_is_lost() {
    check(|| {
        let budget = Budget::new(3);
        let queues = [QueuePolicy::DropOldest, QueuePolicy::DropNewest];
        let queues = queues.map(|policy| under(&budget, policy));
        let pushing = {
            let queue = Arc::clone(&queues[0]);
            thread::spawn(move || {
                queue.push(1, Item(2));
                queue.try_recv();
            })
        };
        queues[1].push(2, Item(2));
        assert!(budget.used() <= 3);
        pushing.join().unwrap();
        let sum: u64 = queues.iter().map(|queue| queue.counts().queued_bytes).sum();
        assert_eq!(budget.used(), sum);
        for queue in &queues {
            assert!(queue.counts().balances());
            queue.retire();
        }
        assert_eq!(budget.used(), 0);
    });
}

#[test]
fn loom_a_shared_item_is_counted_out_once_by_whoever_is_last() {
    check(|| {
        let budget = Budget::new(4);
        let queues = [(); 2].map(|()| under(&budget, QueuePolicy::DropOldest));
        let charge = budget.try_charge(4).unwrap();
        for queue in &queues {
            queue.offer(1, Item(4), Some(&charge));
        }
        drop(charge);
        assert_eq!(budget.used(), 4);
        let receiving = {
            let queue = Arc::clone(&queues[0]);
            thread::spawn(move || drop(queue.try_recv()))
        };
        let mut many = Vec::new();
        queues[1].recv_many_timeout(&mut many, 9, Duration::ZERO);
        receiving.join().unwrap();
        assert_eq!(budget.used(), 0);
    });
}

#[test]
fn loom_a_full_bus_drops_as_much_as_it_needs_and_wakes_who_waits_for_that_room() {
    check(|| {
        let budget = Budget::new(4);
        let full = under(&budget, QueuePolicy::DropOldest);
        full.push(1, Item(2));
        full.push(2, Item(2));
        let other = under(&budget, QueuePolicy::DropOldest);
        let pushing = {
            let other = Arc::clone(&other);
            thread::spawn(move || other.push(3, Item(2)))
        };
        let taken = full.try_recv();
        assert_eq!(pushing.join().unwrap(), Pushed::Queued);
        let counts = full.counts();
        assert!(counts.balances());
        // Received or dropped before: one of them is enough.
        let lost = counts.dropped.get(DropReason::BusFull).batches;
        assert!(lost <= 1 && matches!(taken, Recv::Got(_)), "{counts:?}");
        assert_eq!(budget.used(), counts.queued_bytes + 2);
    });
}
