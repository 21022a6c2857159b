//! Cut wherever: what came and the gaps are together all that matched.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Publish { class: usize, rows: usize },
    Cut,
    CutAfter { bytes: usize },
    Read { count: usize },
    Hold(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..2_usize, 1..4_usize).prop_map(|(class, rows)| Step::Publish { class, rows }),
        1 => Just(Step::Cut),
        2 => (0..3_000_usize).prop_map(|bytes| Step::CutAfter { bytes }),
        3 => (1..9_usize).prop_map(|count| Step::Read { count }),
        1 => any::<bool>().prop_map(Step::Hold),
    ]
}

/// What one subscription is to get, and what it got.
struct Followed {
    name: &'static str,
    subscriber: Subscriber,
    expected: Vec<String>,
    received: Vec<String>,
    missed: u64,
}

impl Followed {
    async fn open(client: &BrokerClient, name: &'static str) -> Self {
        let mut options = everything(name);
        if name != "all" {
            let class = Comparison::new("class", Operator::Equal, name);
            options = options.filter(EventFilter::new().compare(class));
        }
        Self {
            name,
            subscriber: client.open_subscription(options).await.unwrap(),
            expected: Vec::new(),
            received: Vec::new(),
            missed: 0,
        }
    }

    fn take(&mut self, delivery: Delivery<Arc<Batch>>) {
        match delivery {
            Delivery::Batch { item: batch, .. } => {
                let rows = (0..batch.rows()).filter_map(|row| batch.row(row));
                self.received.extend(rows.map(|row| item(&row)));
            }
            Delivery::Gap(gap) => {
                assert_eq!(gap.reason, DropReason::Disconnected);
                self.missed += gap.missed.expect("how many");
            }
        }
    }

    fn check(&self) {
        let mut expected = self.expected.iter();
        for text in &self.received {
            assert!(
                expected.any(|one| one == text),
                "{text} again, or out of order"
            );
        }
        let all = self.expected.len() as u64;
        assert_eq!(
            self.received.len() as u64 + self.missed,
            all,
            "{}",
            self.name
        );
    }
}

async fn run(steps: Vec<Step>, ring_bytes: u64, piece_bytes: usize) {
    let house = ring(RingLimits {
        bytes_max: ring_bytes,
        ..RingLimits::default()
    });
    let proxy = proxy(&house);
    proxy.split(piece_bytes);
    let client = client_through(&proxy).await;
    let mut followed = Vec::new();
    for name in ["all", "a", "b"] {
        followed.push(Followed::open(&client, name).await);
    }
    let publisher = PublisherId::unique();
    let mut number = 0_usize;
    let mut put = |followed: &mut Vec<Followed>, class: &str, rows: usize| {
        let texts: Vec<String> = (0..rows)
            .map(|_| {
                number += 1;
                number.to_string()
            })
            .collect();
        for one in followed
            .iter_mut()
            .filter(|one| ["all", class].contains(&one.name))
        {
            one.expected.extend(texts.iter().cloned());
        }
        let batch = Arc::new(classed(class, &texts));
        house.bus.publish(publisher, batch).unwrap();
        texts
    };
    for step in steps {
        match step {
            Step::Publish { class, rows } => drop(put(&mut followed, ["a", "b"][class], rows)),
            Step::Cut => proxy.cut(),
            Step::CutAfter { bytes } => proxy.cut_down_after(Some(bytes)),
            Step::Hold(is_held) => proxy.hold(is_held),
            Step::Read { count } => {
                for one in &mut followed {
                    for _ in 0..count {
                        if let Recv::Got(delivery) = one.subscriber.try_recv() {
                            one.take(delivery);
                        }
                    }
                }
                tokio::task::yield_now().await;
            }
        }
        assert!(house.bus.statistics().balances());
    }
    proxy.hold(false);
    proxy.cut_down_after(None);
    // The last rows of each class can't be lost: the connection stands, and nobody cuts it any more.
    let all_there = || {
        let statistics = house.bus.statistics();
        statistics
            .subscribers
            .iter()
            .all(|one| !one.away && one.counts.queued.rows == 0)
    };
    until("all are back", || client.status().connected && all_there()).await;
    let last = [put(&mut followed, "a", 1), put(&mut followed, "b", 1)].concat();
    for one in &mut followed {
        while !one
            .received
            .last()
            .is_some_and(|text| last.contains(text) && Some(text) == one.expected.last())
        {
            let received = tokio::time::timeout(PATIENCE, one.subscriber.recv()).await;
            match received {
                Ok(Recv::Got(delivery)) => one.take(delivery),
                other => panic!("{}: {other:?}", one.name),
            }
        }
        one.check();
        let counts = counts(&house, &format!("reader/{}", one.name));
        assert_eq!(counts.matched.rows, one.expected.len() as u64);
        assert_eq!(counts.dropped.total().rows, one.missed, "{counts:?}");
        assert_eq!(counts.delivered.rows, one.received.len() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn wherever_the_connection_is_cut_what_came_and_the_gaps_are_all_that_matched(
        steps in prop::collection::vec(step(), 1..80),
        ring_bytes in prop_oneof![Just(0), 1_000..40_000_u64, Just(16 << 20)],
        piece_bytes in prop_oneof![1..500_usize, Just(64 << 10)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(run(steps, ring_bytes, piece_bytes));
    }
}
