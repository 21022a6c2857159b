//! A whole bus under pressure: whoever comes, goes, stalls and reads, under whatever policy, both laws hold, the gaps
//! say what is missing where it is missing, and the bounds are kept, at every step.

use std::collections::BTreeMap;

use super::*;
use crate::batch::{BatchHeader, Snapshot};

const ITEMS_MAX: usize = 4;
/// A batch of a row weighs some thousands: a few of the larger ones fill a queue, a few queues the bus.
const QUEUE_BYTES: u64 = 60_000;
const BUS_BYTES: u64 = 150_000;
const SUBSCRIBERS_MAX: usize = 6;

#[derive(Debug, Clone)]
enum Step {
    Subscribe(QueuePolicy, bool),
    Leave(usize),
    Publish {
        topic: u8,
        rows: u32,
        snapshot: Option<u64>,
    },
    Receive(usize, usize),
    ReceiveAll(usize),
    Advance(u64),
}

fn policies() -> impl Strategy<Value = QueuePolicy> {
    prop_oneof![
        Just(QueuePolicy::DropOldest),
        Just(QueuePolicy::DropNewest),
        Just(QueuePolicy::Block {
            deadline: Duration::ZERO
        }),
        Just(QueuePolicy::Latest),
        (1_u32..4).prop_map(|times| QueuePolicy::Disconnect {
            times,
            pause: Duration::from_millis(10)
        }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (policies(), any::<bool>()).prop_map(|(policy, odd)| Step::Subscribe(policy, odd)),
        1 => (0..SUBSCRIBERS_MAX).prop_map(Step::Leave),
        12 => (0_u8..3, prop_oneof![Just(1_u32), Just(40), Just(200)], prop::option::of(0_u64..2))
            .prop_map(|(topic, rows, snapshot)| Step::Publish { topic, rows, snapshot }),
        3 => (0..SUBSCRIBERS_MAX, 1_usize..4).prop_map(|(who, many)| Step::Receive(who, many)),
        1 => (0..SUBSCRIBERS_MAX).prop_map(Step::ReceiveAll),
        1 => (1_u64..30).prop_map(Step::Advance),
    ];
    prop::collection::vec(step, 0..150)
}

/// What a subscriber should have seen and has.
struct Reader {
    subscriber: Subscriber,
    /// Only rows with odd pids.
    odd: bool,
    /// The rows of each position that matched and hasn't been accounted for.
    matched: BTreeMap<u64, u64>,
    /// The sum of the gaps that stand since the last batch.
    missing: u64,
    missed: BTreeMap<DropReason, u64>,
    rows: u64,
}

impl Reader {
    fn see(&mut self, delivery: &Delivery<Arc<Batch>>) {
        match delivery {
            Delivery::Gap(gap) => {
                let rows = gap.missed.expect("in process every loss is known");
                self.missing += rows;
                *self.missed.entry(gap.reason).or_default() += rows;
                let first = self.matched.keys().next().copied();
                assert!(
                    first.is_some_and(|first| gap.from >= first),
                    "{gap:?} comes late"
                );
            }
            Delivery::Batch { position, item } => {
                let later = self.matched.split_off(position);
                let before = std::mem::replace(&mut self.matched, later);
                let lost: u64 = before.values().sum();
                assert_eq!(lost, self.missing, "before position {position}");
                self.missing = 0;
                let rows = self
                    .matched
                    .remove(position)
                    .expect("each comes once, in order");
                assert_eq!(rows, Batch::rows(item) as u64);
                self.rows += rows;
            }
        }
    }

    fn finish(mut self) {
        for delivery in drain(&self.subscriber) {
            self.see(&delivery);
        }
        assert_eq!(self.missing, self.matched.values().sum::<u64>());
        let counts = self.subscriber.counts();
        assert_eq!(counts.delivered.rows, self.rows);
        for (reason, count) in counts.dropped.iter() {
            let missed = self.missed.remove(&reason);
            assert_eq!(missed, Some(count.rows), "{reason}");
        }
        assert!(self.missed.is_empty(), "{:?}", self.missed);
    }
}

struct Driver {
    bus: LocalBus,
    clock: Clock,
    readers: Vec<Reader>,
    published: u32,
    /// The bytes of each batch, by position.
    bytes: BTreeMap<u64, u64>,
}

impl Driver {
    fn new() -> Self {
        let clock = Clock::manual();
        let options = LocalBusOptions {
            bytes_max: BUS_BYTES,
            clock: clock.clone(),
        };
        Self {
            bus: LocalBus::with_options(options),
            clock,
            readers: Vec::new(),
            published: 0,
            bytes: BTreeMap::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Subscribe(policy, odd) if self.readers.len() < SUBSCRIBERS_MAX => {
                self.subscribe(policy, odd);
            }
            Step::Subscribe(..) => {}
            Step::Leave(who) => {
                if who < self.readers.len() {
                    self.readers.remove(who).finish();
                }
            }
            Step::Publish {
                topic,
                rows,
                snapshot,
            } => self.publish(topic, rows, snapshot),
            Step::Receive(who, many) => {
                if let Some(reader) = self.readers.get_mut(who) {
                    let taken = std::iter::from_fn(|| reader.subscriber.try_recv().got());
                    let taken: Vec<_> = taken.take(many).collect();
                    taken.iter().for_each(|delivery| reader.see(delivery));
                }
            }
            Step::ReceiveAll(who) => {
                if let Some(reader) = self.readers.get_mut(who) {
                    let mut taken = Vec::new();
                    let _some =
                        reader
                            .subscriber
                            .recv_many_timeout(&mut taken, usize::MAX, Duration::ZERO);
                    taken.iter().for_each(|delivery| reader.see(delivery));
                }
            }
            Step::Advance(ms) => self.clock.advance(Duration::from_millis(ms)),
        }
    }

    fn subscribe(&mut self, policy: QueuePolicy, odd: bool) {
        let limits = QueueLimits {
            items_max: ITEMS_MAX,
            bytes_max: QUEUE_BYTES,
        };
        let mut options = everything("reader").policy(policy).limits(limits);
        if odd {
            options = options.filter(EventFilter::new().pids([1, 3, 5, 7]));
        }
        self.readers.push(Reader {
            subscriber: self.bus.subscribe(options).unwrap(),
            odd,
            matched: BTreeMap::new(),
            missing: 0,
            missed: BTreeMap::new(),
            rows: 0,
        });
    }

    fn publish(&mut self, topic: u8, rows: u32, snapshot: Option<u64>) {
        let pids: Vec<u32> = (0..rows).map(|row| (self.published + row) % 9).collect();
        let batch = processes("source", &format!("t{topic}"), &pids);
        let header = BatchHeader {
            snapshot: snapshot.map(|id| Snapshot { id, last: false }),
            ..batch.header().clone()
        };
        let batch = Batch::new(header, batch.records().columns().to_vec()).unwrap();
        let odd = pids.iter().filter(|pid| !pid.is_multiple_of(2)).count() as u64;
        self.published += 1;
        let position = u64::from(self.published);
        self.bytes.insert(position, batch.bytes() as u64);
        for reader in &mut self.readers {
            let matched = if reader.odd { odd } else { u64::from(rows) };
            if matched > 0 {
                reader.matched.insert(position, matched);
            }
        }
        let receipt = publish(&self.bus, &Arc::new(batch));
        assert_eq!(receipt.position, position);
    }

    fn check(&self) {
        let statistics = balanced(&self.bus);
        let mut whole = BTreeMap::new();
        for (reader, subscriber) in self.readers.iter().zip(&statistics.subscribers) {
            let counts = &subscriber.counts;
            assert!(counts.queued.batches <= ITEMS_MAX as u64);
            assert!(counts.queued_bytes <= QUEUE_BYTES);
            let queued = reader.subscriber.queue.positions().into_iter();
            if !reader.odd {
                whole.extend(queued.map(|position| (position, self.bytes[&position])));
            }
        }
        // Each once, however many have it; what filters cut weighs something besides.
        let shared: u64 = whole.values().sum();
        assert!(statistics.bytes <= BUS_BYTES, "{}", statistics.bytes);
        if self.readers.iter().any(|reader| reader.odd) {
            assert!(statistics.bytes >= shared, "{} {shared}", statistics.bytes);
        } else {
            assert_eq!(statistics.bytes, shared);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn under_any_pressure_all_is_counted_and_stands_where_it_is_missing(steps in steps()) {
        let mut driver = Driver::new();
        for step in &steps {
            driver.take(step);
            driver.check();
        }
        for reader in driver.readers.drain(..) {
            reader.finish();
        }
        let statistics = balanced(&driver.bus);
        prop_assert_eq!(statistics.bytes, 0);
        prop_assert_eq!(statistics.published.batches, u64::from(driver.published));
    }
}
