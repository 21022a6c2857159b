//! Publishers and subscribers that come, go, stall and read, on threads of their own, with every policy: both laws at
//! every reading, what a subscriber saw is what was counted, each publisher's order is kept, and the bounds are.
//!
//! In process and over the socket, whose broker goes and comes again. Two seconds in all; `WEIR_CHAOS_SECONDS=60 cargo
//! test --release -p weir-bus chaos` takes longer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::*;
use crate::batch::{BatchHeader, Snapshot};
use crate::count::DropReason;
use crate::pubsub::{BusStatistics, LocalBusOptions, QueuePolicy};

const PUBLISHERS: u64 = 3;
const READERS: u64 = 4;
/// Each has a connection of its own.
const CLIENTS: usize = 7;
/// Some twenty batches: the readers' queues together would hold more.
const BUS_BYTES: u64 = 300_000;

/// Numbers that look random and are the same in each run: splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn stall(&mut self) {
        for _ in 0..self.below(200) {
            thread::yield_now();
        }
    }

    fn policy(&mut self) -> QueuePolicy {
        match self.below(5) {
            0 => QueuePolicy::DropOldest,
            1 => QueuePolicy::DropNewest,
            2 => QueuePolicy::Block {
                deadline: Duration::from_micros(self.below(1_500)),
            },
            3 => QueuePolicy::Latest,
            _ => QueuePolicy::Disconnect {
                times: 1 + u32::try_from(self.below(4)).unwrap(),
                pause: Duration::from_millis(self.below(20)),
            },
        }
    }
}

/// What one subscriber saw.
#[derive(Default)]
struct Seen {
    rows: u64,
    missed: BTreeMap<DropReason, u64>,
    /// The last row of each publisher, by topic.
    last: BTreeMap<String, u64>,
}

impl Seen {
    fn see(&mut self, delivery: Delivery<Arc<Batch>>) {
        match delivery {
            Delivery::Gap(gap) => {
                *self.missed.entry(gap.reason).or_default() += gap.missed.unwrap_or(0);
            }
            Delivery::Batch { item, .. } => {
                for row in 0..Batch::rows(&item) {
                    let (_, sequence) = item.stamp(row).unwrap();
                    let before = self.last.insert(item.topic().to_string(), sequence);
                    assert!(
                        before.is_none_or(|before| before < sequence),
                        "out of order"
                    );
                    self.rows += 1;
                }
            }
        }
    }

    /// What was counted once nothing is queued is what was seen.
    fn check(&self, subscriber: &Subscriber) {
        let counts = subscriber.counts();
        assert!(counts.balances() && counts.queued.is_zero(), "{counts:?}");
        assert_eq!(counts.delivered.rows, self.rows, "{counts:?}");
        for reason in DropReason::ALL {
            // What comes after the end has no gap.
            if reason != DropReason::Closed {
                let missed = self.missed.get(&reason).copied().unwrap_or(0);
                assert_eq!(
                    counts.dropped.get(reason).rows,
                    missed,
                    "{reason} {counts:?}"
                );
            }
        }
    }
}

fn publish(bus: &dyn EventBus, number: u64, stop: &AtomicBool, published: &AtomicU64) {
    let (mut dice, from) = (Dice(number), PublisherId::unique());
    let (mut first, mut snapshot) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let count = usize::try_from(1 + dice.below(20)).unwrap();
        let batch = rows_on(
            &format!("events.inventory.p{number}"),
            &vec!["row"; count],
            first,
        );
        first += count as u64;
        let header = BatchHeader {
            source: format!("p{number}").into(),
            snapshot: (dice.below(3) == 0).then(|| {
                snapshot += dice.below(2);
                Snapshot {
                    id: snapshot,
                    last: false,
                }
            }),
            ..batch.header().clone()
        };
        let batch = Batch::new(header, batch.records().columns().to_vec()).unwrap();
        bus.publish(from, Arc::new(batch)).unwrap();
        published.fetch_add(count as u64, Ordering::Relaxed);
        if dice.below(8) == 0 {
            dice.stall();
        }
    }
}

fn read(bus: &dyn EventBus, number: u64, stop: &AtomicBool) {
    let mut dice = Dice(1_000 + number);
    while !stop.load(Ordering::Relaxed) {
        let limits = QueueLimits {
            items_max: usize::try_from(1 + dice.below(30)).unwrap(),
            bytes_max: 20_000 + dice.below(200_000),
        };
        let options = everything(&format!("reader-{number}"));
        let options = options.policy(dice.policy()).limits(limits);
        let subscriber = bus.subscribe(options).unwrap();
        let (mut seen, mut many) = (Seen::default(), Vec::new());
        for _ in 0..dice.below(300) {
            let wait = Duration::from_micros(dice.below(500));
            match dice.below(4) {
                0 => dice.stall(),
                1 => many.extend(subscriber.try_recv().got()),
                2 => many.extend(subscriber.recv_timeout(wait).got()),
                _ => drop(subscriber.recv_many_timeout(&mut many, 5, wait)),
            }
            many.drain(..).for_each(|delivery| seen.see(delivery));
            let counts = subscriber.counts();
            assert!(counts.balances(), "{counts:?}");
            assert!(counts.queued_bytes <= limits.bytes_max);
            assert!(counts.queued.batches <= limits.items_max as u64);
        }
        // Half of them just go.
        if dice.below(2) == 0 {
            subscriber.finish();
            while let Recv::Got(delivery) = subscriber.recv_timeout(PATIENCE) {
                seen.see(delivery);
            }
            seen.check(&subscriber);
        }
    }
}

fn check(statistics: &BusStatistics) {
    assert!(statistics.balances(), "{statistics:?}");
    assert!(statistics.bytes <= statistics.bytes_max, "{statistics:?}");
}

/// Everybody at once for a while; `disturb` happens again and again meanwhile.
fn run(parties: &[Arc<dyn EventBus>], core: &LocalBus, mut disturb: impl FnMut(u64)) {
    let (stop, published) = (&AtomicBool::new(false), &AtomicU64::new(0));
    let until = Instant::now() + duration() / 2;
    thread::scope(|scope| {
        let mut parties = parties.iter().cycle().cloned();
        for number in 0..PUBLISHERS {
            let bus = parties.next().unwrap();
            scope.spawn(move || publish(&*bus, number, stop, published));
        }
        for number in 0..READERS {
            let bus = parties.next().unwrap();
            scope.spawn(move || read(&*bus, number, stop));
        }
        // Whatever fails here, the others end.
        let watched = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for look in 0.. {
                check(&core.statistics());
                disturb(look);
                if Instant::now() >= until {
                    break;
                }
                thread::yield_now();
            }
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = watched {
            std::panic::resume_unwind(panic);
        }
    });
    assert!(published.load(Ordering::Relaxed) > 0);
}

fn duration() -> Duration {
    let asked = std::env::var("WEIR_CHAOS_SECONDS").ok();
    let asked = asked.map(|text| text.parse().expect("WEIR_CHAOS_SECONDS is a number"));
    Duration::from_secs(asked.unwrap_or(2))
}

fn within_bounds() -> Arc<LocalBus> {
    Arc::new(LocalBus::with_options(LocalBusOptions {
        bytes_max: BUS_BYTES,
        ..LocalBusOptions::default()
    }))
}

#[test]
fn in_chaos_in_process_all_is_counted_in_order_and_within_bounds() {
    let bus = within_bounds();
    let party: Arc<dyn EventBus> = Arc::clone(&bus) as _;
    run(&[party], &bus, |_| ());
    let statistics = bus.statistics();
    check(&statistics);
    assert_eq!((statistics.subscribers.len(), statistics.bytes), (0, 0));
    assert_eq!(statistics.total.queued.rows, 0);
}

#[test]
fn in_chaos_over_the_socket_all_is_counted_in_order_and_within_bounds() {
    /// Readings between two ends of the broker: some tens of milliseconds.
    const LOOKS: u64 = 2_000;
    let mut house = House {
        folder: tempfile::tempdir().unwrap(),
        bus: within_bounds(),
        broker: None,
    };
    house.start(|options| options);
    let clients = [(); CLIENTS].map(|()| {
        let mut options = ClientOptions::new(house.socket(), "chaos");
        options.backoff_min = Duration::from_millis(1);
        options.backoff_max = Duration::from_millis(5);
        options.queues_bytes_max = BUS_BYTES;
        Arc::new(BrokerClient::open(options).unwrap())
    });
    let parties = clients.clone().map(|client| client as Arc<dyn EventBus>);
    let core = Arc::clone(&house.bus);
    run(&parties, &core, |look| {
        for client in &clients {
            check(&client.statistics());
        }
        if look % LOOKS == LOOKS - 1 {
            drop(house.broker.take());
            house.start(|options| options);
        }
    });
    drop(house.broker.take());
    let statistics = core.statistics();
    check(&statistics);
    assert_eq!((statistics.subscribers.len(), statistics.bytes), (0, 0));
    for client in &clients {
        let statistics = client.statistics();
        check(&statistics);
        assert_eq!((statistics.subscribers.len(), statistics.bytes), (0, 0));
        assert_eq!(statistics.departed.queued.rows, 0);
    }
}
