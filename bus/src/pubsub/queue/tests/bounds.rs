//! Promises of the bound over many queues.

use super::*;

/// Five queues would hold twice as much.
const BYTES_MAX: u64 = 100;

struct Bus {
    budget: Arc<Budget>,
    queues: Vec<Arc<Queue<Item>>>,
    position: u64,
}

impl Bus {
    fn new(policies: &[QueuePolicy]) -> Self {
        let budget = Budget::new(BYTES_MAX);
        let limits = QueueLimits {
            items_max: 5,
            bytes_max: 80,
        };
        let queue = |policy: &QueuePolicy| Queue::under(&budget, *policy, limits, Clock::system());
        let queues = policies.iter().map(queue).collect();
        Self {
            budget,
            queues,
            position: 0,
        }
    }

    fn push(&mut self, queue: usize, bytes: u64) -> Pushed {
        self.position += 1;
        let pushed = self.queues[queue].push(self.position, Item { rows: 1, bytes });
        self.check();
        pushed
    }

    /// The same item to all queues.
    fn push_to_all(&mut self, bytes: u64) {
        self.position += 1;
        let charge = self
            .budget
            .try_charge(bytes)
            .or_else(|| self.budget.charge_with_room(bytes, &mut |_| StandsBack::No));
        for queue in &self.queues {
            let offered = queue.offer(self.position, Item { rows: 1, bytes }, charge.as_ref());
            assert!(matches!(offered, Offer::Done(_)));
        }
        drop(charge);
    }

    fn check(&self) {
        let sum: u64 = self
            .queues
            .iter()
            .map(|queue| balanced(queue).queued_bytes)
            .sum();
        assert_eq!(self.budget.used(), sum);
        assert!(sum <= BYTES_MAX);
    }

    fn positions(&self) -> Vec<Vec<u64>> {
        self.queues.iter().map(|queue| queue.positions()).collect()
    }

    fn lost(&self, queue: usize) -> u64 {
        self.queues[queue]
            .counts()
            .dropped
            .get(DropReason::BusFull)
            .rows
    }
}

const OLDEST: QueuePolicy = QueuePolicy::DropOldest;
const NEWEST: QueuePolicy = QueuePolicy::DropNewest;

#[test]
fn the_fullest_queue_makes_room_and_no_other() {
    let mut bus = Bus::new(&[OLDEST, OLDEST, NEWEST]);
    for bytes in [20, 20, 20] {
        bus.push(0, bytes);
    }
    bus.push(1, 10);
    bus.push(2, 30);
    assert_eq!(bus.budget.used(), BYTES_MAX);
    assert_eq!(bus.push(1, 30), Pushed::Queued);
    assert_eq!(bus.positions(), [vec![3], vec![4, 6], vec![5]]);
    assert_eq!([0, 1, 2].map(|queue| bus.lost(queue)), [2, 0, 0]);
    let expected = [gap(2, DropReason::BusFull, 1, 2)];
    assert_eq!(drain(&bus.queues[0])[..1], expected);
    for queue in &bus.queues {
        drain(queue);
    }
    assert_eq!(bus.budget.used(), 0);
}

#[test]
fn the_fullest_queue_rather_loses_what_comes_where_that_is_its_policy() {
    let mut bus = Bus::new(&[NEWEST, OLDEST]);
    bus.push(0, 40);
    bus.push(0, 30);
    bus.push(1, 30);
    assert_eq!(bus.push(0, 10), Pushed::Dropped(DropReason::BusFull));
    assert_eq!(bus.positions(), [vec![1, 2], vec![3]]);
    // For another's item it loses its newest.
    assert_eq!(bus.push(1, 10), Pushed::Queued);
    assert_eq!(bus.positions(), [vec![1], vec![3, 5]]);
    let expected = [
        Delivery::Batch {
            position: 1,
            item: Item { rows: 1, bytes: 40 },
        },
        gap(2, DropReason::BusFull, 2, 4),
    ];
    assert_eq!(drain(&bus.queues[0]), expected);
}

#[test]
fn a_queue_makes_room_by_its_own_policy_before_others_have_to() {
    let mut bus = Bus::new(&[OLDEST, OLDEST]);
    for _ in 0..5 {
        bus.push(0, 5);
    }
    bus.push(1, 75);
    assert_eq!(bus.push(0, 5), Pushed::Queued);
    assert_eq!(bus.positions(), [vec![2, 3, 4, 5, 7], vec![6]]);
    assert_eq!(bus.lost(1), 0);
    assert_eq!(
        bus.queues[0]
            .counts()
            .dropped
            .get(DropReason::QueueFull)
            .rows,
        1
    );
}

#[test]
fn an_item_that_several_share_counts_once_until_the_last_has_let_go() {
    let mut bus = Bus::new(&[OLDEST, OLDEST, OLDEST]);
    for used in [40, 80] {
        bus.push_to_all(40);
        assert_eq!(bus.budget.used(), used);
    }
    for (queue, used) in [(0, 80), (2, 80), (1, 40)] {
        bus.queues[queue].try_recv();
        assert_eq!(bus.budget.used(), used);
    }
    // All have the same, and all have to let go of it.
    bus.push_to_all(80);
    assert_eq!(bus.positions(), [[3], [3], [3]]);
    assert_eq!([0, 1, 2].map(|queue| bus.lost(queue)), [1, 1, 1]);
    let many = &mut Vec::new();
    assert_eq!(bus.queues[0].recv_many_blocking(many, 9), Recv::Got(2));
    bus.queues[1].retire();
    assert_eq!(bus.budget.used(), 80);
    drain(&bus.queues[2]);
    assert_eq!(bus.budget.used(), 0);
}

#[test]
fn what_is_larger_than_the_whole_bound_is_too_large() {
    let budget = Budget::new(BYTES_MAX);
    let queue = Queue::under(&budget, OLDEST, QueueLimits::default(), Clock::system());
    queue.push(1, item(1));
    let huge = Item {
        rows: 1,
        bytes: BYTES_MAX + 1,
    };
    let dropped = Pushed::Dropped(DropReason::TooLarge);
    assert_eq!(queue.push(2, huge), dropped);
    assert_eq!(queue.positions(), [1]);
}

proptest! {
    #[test]
    fn what_is_used_is_what_the_queues_have(
        steps in prop::collection::vec((0_usize..5, 0_u8..8, 1_u64..50), 0..300),
    ) {
        let block = QueuePolicy::Block { deadline: Duration::ZERO };
        let disconnect = QueuePolicy::Disconnect { times: 1, pause: Duration::ZERO };
        let mut bus = Bus::new(&[OLDEST, NEWEST, block, disconnect, QueuePolicy::Latest]);
        for (queue, what, bytes) in steps {
            match what {
                0 => drop(bus.queues[queue].try_recv()),
                1 => drop(bus.queues[queue].recv_many_timeout(
                    &mut Vec::new(),
                    9,
                    Duration::ZERO,
                )),
                _ => drop(bus.push(queue, bytes)),
            }
            bus.check();
        }
        for queue in &bus.queues {
            queue.retire();
        }
        prop_assert_eq!(bus.budget.used(), 0);
    }
}

#[test]
fn many_at_once_stay_within_the_bound_and_leave_nothing_behind() {
    const EACH: u64 = 20_000;
    let bus = Bus::new(&[
        OLDEST,
        NEWEST,
        QueuePolicy::Latest,
        QueuePolicy::Block {
            deadline: Duration::from_micros(100),
        },
    ]);
    thread::scope(|scope| {
        for queue in &bus.queues {
            scope.spawn(|| {
                for number in 0..EACH {
                    let bytes = 1 + number % 40;
                    queue.push(number, Item { rows: 1, bytes });
                }
                queue.close();
            });
            scope.spawn(|| {
                let mut many = Vec::new();
                while queue.recv_many_blocking(&mut many, 3).got().is_some() {
                    assert!(bus.budget.used() <= BYTES_MAX);
                    many.clear();
                }
            });
        }
    });
    assert_eq!(bus.budget.used(), 0);
    for queue in &bus.queues {
        let counts = balanced(queue);
        assert_eq!(counts.matched.rows, EACH);
    }
}
