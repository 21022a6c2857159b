//! Promises to threads and tasks: who pushes and who receives at once, who waits, and what wakes them.

use super::*;

#[test]
fn many_pushers_and_receivers_lose_nothing_and_every_reading_balances() {
    const PUSHERS: u64 = 3;
    const EACH: u64 = 20_000;
    let block = QueuePolicy::Block { deadline: NEVER };
    let disconnect = QueuePolicy::Disconnect {
        times: 3,
        pause: Duration::from_micros(50),
    };
    for policy in [
        block,
        disconnect,
        QueuePolicy::DropOldest,
        QueuePolicy::DropNewest,
    ] {
        let queue = queue(policy, 16, 10_000);
        let received = AtomicUsize::new(0);
        let (delivered, missed): (u64, u64) = thread::scope(|scope| {
            let receivers = [(); 2].map(|()| scope.spawn(|| receive_all(&queue, &received)));
            let pushers: Vec<_> = (0..PUSHERS)
                .map(|pusher| {
                    let queue = &queue;
                    scope.spawn(move || {
                        for number in 0..EACH {
                            queue.push(pusher * EACH + number, item(1 + number % 3));
                        }
                    })
                })
                .collect();
            while pushers.iter().any(|pusher| !pusher.is_finished()) {
                thread::yield_now();
                balanced(&queue);
            }
            queue.close();
            let sums = receivers
                .into_iter()
                .map(|receiver| receiver.join().unwrap());
            sums.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
        });
        let counts = balanced(&queue);
        assert_eq!(counts.matched.batches, PUSHERS * EACH);
        assert_eq!(counts.queued, Count::ZERO);
        assert_eq!(counts.delivered.rows, delivered);
        assert_eq!(counts.dropped.total().rows, missed);
        if policy == block {
            assert!(counts.dropped.is_empty());
        }
    }
}

/// Rows received, and rows missed.
fn receive_all(queue: &Queue<Item>, received: &AtomicUsize) -> (u64, u64) {
    let (mut rows, mut missed, mut many) = (0, 0, Vec::new());
    loop {
        // In turn one, some, and all.
        let turn = received.fetch_add(1, Ordering::Relaxed) % 3;
        let ended = match turn {
            0 => queue.recv_blocking().got().map(|one| many.push(one)),
            1 => queue.recv_many_blocking(&mut many, 3).got().map(drop),
            _ => queue.recv_many_blocking(&mut many, 1_000).got().map(drop),
        };
        if ended.is_none() {
            return (rows, missed);
        }
        for delivery in many.drain(..) {
            match delivery {
                Delivery::Batch { item, .. } => rows += item.rows,
                Delivery::Gap(gap) => missed += gap.missed.unwrap(),
            }
        }
    }
}

#[test]
fn one_pushers_items_arrive_in_order() {
    let queue = queue(QueuePolicy::Block { deadline: NEVER }, 7, 1_000);
    thread::scope(|scope| {
        scope.spawn(|| {
            for position in 0..50_000 {
                assert_eq!(queue.push(position, item(1)), Pushed::Queued);
            }
            queue.close();
        });
        let (mut next, mut many) = (0, Vec::new());
        while let Recv::Got(_) = queue.recv_many_blocking(&mut many, 5) {
            for delivery in many.drain(..) {
                assert_eq!(delivery, batch(next, 1));
                next += 1;
            }
        }
        assert_eq!(next, 50_000);
    });
}

#[test]
fn a_stalled_receiver_costs_a_pusher_one_deadline_and_not_one_for_each_item() {
    let deadline = Duration::from_millis(30);
    let queue = queue(QueuePolicy::Block { deadline }, 1, 1_000);
    let started = Instant::now();
    queue.push(1, item(1));
    for position in 2..=1_000 {
        let blocked = Pushed::Dropped(DropReason::Blocked);
        assert_eq!(queue.push(position, item(1)), blocked);
    }
    assert!(started.elapsed() >= deadline);
    // One for each item would be a thousand.
    assert!(started.elapsed() < deadline * 500);
    assert_eq!(queue.try_recv(), Recv::Got(batch(1, 1)));
    assert_eq!(queue.push(1_001, item(1)), Pushed::Queued);
    let expected = [gap(999, DropReason::Blocked, 2, 1_000), batch(1_001, 1)];
    assert_eq!(drain(&queue), expected);
    balanced(&queue);
}

#[test]
fn a_pusher_that_waits_goes_on_when_there_is_room_and_when_the_queue_closes() {
    let check = |free: fn(&Queue<Item>), expected: Pushed| {
        let queue = queue(QueuePolicy::Block { deadline: NEVER }, 1, 1_000);
        queue.push(1, item(1));
        thread::scope(|scope| {
            let pusher = scope.spawn(|| queue.push(2, item(2)));
            // Its turn has come when it is counted as waiting.
            while queue.lock().waiting(|waiting| waiting.count()) == 0 {
                thread::yield_now();
            }
            free(&queue);
            assert_eq!(pusher.join().unwrap(), expected);
        });
        balanced(&queue);
    };
    check(|queue| drop(queue.try_recv()), Pushed::Queued);
    check(Queue::close, Pushed::Dropped(DropReason::Closed));
    let retire = |queue: &Queue<Item>| {
        queue.retire();
    };
    check(retire, Pushed::Gone);
}

#[test]
fn an_interrupt_wakes_a_receiver_once_and_takes_nothing() {
    let queue = queue(QueuePolicy::DropOldest, 10, 1_000);
    thread::scope(|scope| {
        let receiver = scope.spawn(|| queue.recv_blocking());
        queue.interrupt();
        assert_eq!(receiver.join().unwrap(), Recv::Interrupted);
    });
    // Where nobody waits the next one gets it, before what is queued, and two are one.
    queue.interrupt();
    queue.interrupt();
    queue.push(1, item(1));
    let mut many = Vec::new();
    assert_eq!(queue.recv_many_blocking(&mut many, 9), Recv::Interrupted);
    assert_eq!(queue.recv_many_blocking(&mut many, 9), Recv::Got(1));
    assert_eq!(queue.recv_timeout(Duration::ZERO), Recv::Empty);
    balanced(&queue);
}

#[test]
fn a_receive_with_a_time_ends_with_it() {
    let queue = queue(QueuePolicy::DropOldest, 10, 1_000);
    let (timeout, started) = (Duration::from_millis(20), Instant::now());
    assert_eq!(queue.recv_timeout(timeout), Recv::Empty);
    assert!(started.elapsed() >= timeout);
    queue.push(1, item(1));
    assert_eq!(queue.recv_timeout(Duration::MAX), Recv::Got(batch(1, 1)));
}

/// Tells a channel that it was woken.
struct Bell(mpsc::SyncSender<()>);

impl std::task::Wake for Bell {
    fn wake(self: Arc<Self>) {
        let _ = self.0.try_send(());
    }
}

fn bell() -> (Waker, mpsc::Receiver<()>) {
    let (sender, receiver) = mpsc::sync_channel(1);
    (Arc::new(Bell(sender)).into(), receiver)
}

#[test]
fn a_task_is_woken_and_one_that_gives_up_takes_nothing() {
    let queue = queue(QueuePolicy::DropOldest, 10, 1_000);
    let (impatient, _) = bell();
    let (patient, woken) = bell();
    let mut dropped = Box::pin(queue.recv());
    let mut kept = Box::pin(queue.recv());
    let pending = |poll: std::task::Poll<_>| assert!(poll.is_pending());
    pending(dropped.as_mut().poll(&mut Context::from_waker(&impatient)));
    pending(kept.as_mut().poll(&mut Context::from_waker(&patient)));
    drop(dropped);
    queue.push(1, item(1));
    woken.recv().unwrap();
    let polled = kept.as_mut().poll(&mut Context::from_waker(&patient));
    assert_eq!(polled, std::task::Poll::Ready(Recv::Got(batch(1, 1))));
    let mut last = Box::pin(queue.recv());
    pending(last.as_mut().poll(&mut Context::from_waker(&patient)));
    queue.close();
    woken.recv().unwrap();
    let polled = last.as_mut().poll(&mut Context::from_waker(&patient));
    assert_eq!(polled, std::task::Poll::Ready(Recv::Closed));
}
