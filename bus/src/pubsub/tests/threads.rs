//! Threads that publish, receive, come and leave at the same time: order, counts, nothing lost.

use std::sync::atomic::AtomicBool;
use std::thread;

use proptest::prelude::*;

use super::*;

#[test]
fn each_publishers_batches_arrive_in_order_and_none_is_lost() {
    const EACH: u32 = 5_000;
    let bus = LocalBus::new();
    let limits = QueueLimits {
        items_max: 8,
        ..QueueLimits::default()
    };
    let block = QueuePolicy::Block { deadline: NEVER };
    let subscribers: Vec<_> = (0..3)
        .map(|n| {
            let options = everything(&format!("s{n}")).policy(block).limits(limits);
            bus.subscribe(options).unwrap()
        })
        .collect();
    let names = ["a", "b"];
    thread::scope(|scope| {
        for subscriber in &subscribers {
            scope.spawn(move || {
                let (mut next, mut many) = ([0; 2], Vec::new());
                while let Recv::Got(_) = subscriber.recv_many_blocking(&mut many, 64) {
                    for delivery in many.drain(..) {
                        let Delivery::Batch { item, .. } = delivery else {
                            panic!("nothing may be missing");
                        };
                        let publisher = names
                            .iter()
                            .position(|name| **name == *item.header().source);
                        let next = &mut next[publisher.unwrap()];
                        assert_eq!(item.header().first_sequence, *next);
                        *next += 1;
                    }
                }
                assert_eq!(next, [u64::from(EACH); 2]);
            });
        }
        let publishers = names.map(|name| {
            let bus = &bus;
            scope.spawn(move || {
                let from = PublisherId::unique();
                let rows: [CollectionEvent; 1] = [ProcessEvent::default().into()];
                for sequence in 0..u64::from(EACH) {
                    let topic = of_event(Kind::Process, "observed");
                    let batch = Batch::of_events(topic, name, sequence, &rows).unwrap();
                    bus.publish(from, Arc::new(batch)).unwrap();
                }
            })
        });
        for publisher in publishers {
            publisher.join().unwrap();
        }
        bus.close();
    });
    let total = balanced(&bus).total;
    assert_eq!(total.delivered.batches, 2 * 3 * u64::from(EACH));
    assert!(total.dropped.is_empty());
}

/// What a thread does to the bus: publishes so many rows, or comes, receives some and leaves.
#[derive(Debug, Clone)]
enum Act {
    Publish(u32),
    Visit {
        policy: usize,
        items_max: usize,
        receive: usize,
    },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        3 => (0_u32..5).prop_map(Act::Publish),
        1 => (0_usize..3, 1_usize..4, 0_usize..6).prop_map(|(policy, items_max, receive)| {
            Act::Visit { policy, items_max, receive }
        }),
    ];
    prop::collection::vec(act, 0..60)
}

fn perform(bus: &LocalBus, acts: &[Act]) {
    let policies = [
        QueuePolicy::DropOldest,
        QueuePolicy::DropNewest,
        QueuePolicy::Block {
            deadline: Duration::from_micros(50),
        },
    ];
    let mut kept = Vec::new();
    for act in acts {
        match act {
            Act::Publish(rows) => {
                let pids: Vec<u32> = (0..*rows).collect();
                publish(bus, &processes("s", "observed", &pids));
            }
            Act::Visit {
                policy,
                items_max,
                receive,
            } => {
                let limits = QueueLimits {
                    items_max: *items_max,
                    ..QueueLimits::default()
                };
                let filter = EventFilter::new().pids([0, 2]);
                let options = everything("visitor")
                    .policy(policies[*policy])
                    .limits(limits);
                let subscriber = bus.subscribe(options.filter(filter)).unwrap();
                for _ in 0..*receive {
                    let _ = subscriber.try_recv();
                }
                kept.push(subscriber);
                kept.drain(..kept.len().saturating_sub(3));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn the_law_holds_at_any_instant_whoever_comes_and_goes(
        acts in prop::collection::vec(acts(), 2..4),
        items_max in 1_usize..6,
    ) {
        let bus = LocalBus::new();
        let limits = QueueLimits { items_max, ..QueueLimits::default() };
        let resident = bus.subscribe(everything("resident").limits(limits)).unwrap();
        let done = AtomicBool::new(false);
        let received = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut received = Count::ZERO;
                while let Recv::Got(delivery) = resident.recv_blocking() {
                    if let Delivery::Batch { item, .. } = delivery {
                        received += Count::batch(Weigh::rows(&item));
                    }
                }
                received
            });
            let sampler = scope.spawn(|| {
                let mut before = balanced(&bus);
                while !done.load(Ordering::Acquire) {
                    thread::yield_now();
                    let now = balanced(&bus);
                    // Totals never go back, whoever leaves.
                    assert!(now.published.rows >= before.published.rows);
                    assert!(now.total.matched.rows >= before.total.matched.rows);
                    assert!(now.total.delivered.rows >= before.total.delivered.rows);
                    before = now;
                }
            });
            let actors: Vec<_> = acts.iter().map(|acts| scope.spawn(|| perform(&bus, acts))).collect();
            for actor in actors {
                actor.join().unwrap();
            }
            done.store(true, Ordering::Release);
            sampler.join().unwrap();
            bus.close();
            reader.join().unwrap()
        });
        let statistics = balanced(&bus);
        let resident = &statistics.subscriber("resident").unwrap().counts;
        prop_assert_eq!(resident.matched, statistics.published);
        prop_assert_eq!(resident.delivered, received);
        prop_assert_eq!(resident.queued, Count::ZERO);
    }
}
