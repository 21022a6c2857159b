//! The same random use of the bus in process and of the bus over a socket: every subscriber sees the same.
//!
//! Each publisher's rows are compared in their order; how those of several publishers lie between each
//! other is nobody's promise. No sleeps: what came before a subscription begins or ends has arrived.

use proptest::prelude::*;
use weir_bus::CollectionEvent;
use weir_bus::event::{ProcessEvent, TriggerEvent};
use weir_bus::pubsub::{
    Comparison, CorrelationFilter, EventFilter, Operator, Priority, Subscriber, SubscriptionOptions,
};
use weir_tests::buses::{Fixture, Make, Party, Seen, seen, subscription};

/// Both publish, and both subscribe.
const PARTIES: [&str; 2] = ["first", "second"];
/// Subscriptions that there are at once, at most.
const SLOTS: usize = 3;
const TOPICS: [&str; 5] = ["a", "a.b", "a.b.c", "b.c", "a.c.c"];
const PATTERNS: [&str; 8] = [">", "a", "*", "a.>", "a.*", "*.c", "*.b.>", "*.*.c"];
const PRIORITIES: [&str; 3] = ["low", "normal", "critical"];

/// What a row is: few enough values that filters select some and leave some.
type Row = (u32, usize);

#[derive(Debug, Clone)]
struct Asked {
    party: usize,
    patterns: Vec<&'static str>,
    filter: EventFilter,
    correlation: CorrelationFilter,
    /// None: nobody owns the subscription.
    own_events: Option<bool>,
}

#[allow(clippy::large_enum_variant, reason = "only as many as a run has steps")]
#[derive(Debug, Clone)]
enum Step {
    Subscribe(usize, Box<Asked>),
    Unsubscribe(usize),
    Publish {
        party: usize,
        topic: &'static str,
        triggers: bool,
        rows: Vec<Row>,
    },
    Receive(usize),
    Settle,
}

fn filters() -> impl Strategy<Value = EventFilter> {
    let any = EventFilter::new;
    let compare = |column: &str, operator| any().compare(Comparison::new(column, operator, 2_u32));
    prop_oneof![
        3 => Just(any()),
        1 => Just(any().kinds([weir_bus::Kind::Trigger])),
        1 => Just(any().pids([0, 3])),
        1 => Just(any().priority_min(Priority::Normal)),
        1 => Just(compare("pid", Operator::Greater)),
        1 => Just(compare("user_id", Operator::NotEqual)),
    ]
}

fn correlations() -> impl Strategy<Value = CorrelationFilter> {
    let any = CorrelationFilter::new;
    prop_oneof![
        4 => Just(any()),
        1 => Just(any().id("run-2")),
        1 => Just(any().glob("*-[1]").root("root-1")),
        1 => Just(any().glob("run-?").root("root-1")),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    let patterns = prop::collection::vec(prop::sample::select(&PATTERNS), 1..3);
    let own_events = prop::option::of(any::<bool>());
    let parts = (
        0..PARTIES.len(),
        patterns,
        filters(),
        correlations(),
        own_events,
    );
    parts.prop_map(|(party, patterns, filter, correlation, own_events)| Asked {
        party,
        patterns,
        filter,
        correlation,
        own_events,
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row = (0_u32..5, 0..PRIORITIES.len());
    let publish = (
        0..PARTIES.len(),
        prop::sample::select(&TOPICS),
        any::<bool>(),
        prop::collection::vec(row, 0..5),
    );
    let step = prop_oneof![
        4 => (0..SLOTS, asked()).prop_map(|(slot, asked)| Step::Subscribe(slot, Box::new(asked))),
        1 => (0..SLOTS).prop_map(Step::Unsubscribe),
        12 => publish.prop_map(|(party, topic, triggers, rows)| {
            Step::Publish { party, topic, triggers, rows }
        }),
        1 => (0..SLOTS).prop_map(Step::Receive),
        1 => Just(Step::Settle),
    ];
    prop::collection::vec(step, 1..60)
}

fn events(party: usize, triggers: bool, rows: &[Row]) -> Vec<CollectionEvent> {
    let publisher = PARTIES[party].to_owned();
    let event = |&(number, priority): &Row| -> CollectionEvent {
        let name = publisher.clone();
        if triggers {
            TriggerEvent {
                trigger: name,
                priority: PRIORITIES[priority].to_owned(),
                target_pid: (number > 0).then_some(number),
                metadata: vec![String::new(); number as usize],
                correlation_id: format!("run-{number}"),
                root_id: format!("root-{}", number % 2),
                ..TriggerEvent::default()
            }
            .into()
        } else {
            ProcessEvent {
                name,
                pid: number,
                user_id: (priority > 0).then_some(number),
                ..ProcessEvent::default()
            }
            .into()
        }
    };
    rows.iter().map(event).collect()
}

fn publisher(event: &CollectionEvent) -> &str {
    match event {
        CollectionEvent::Process(process) => &process.name,
        CollectionEvent::Trigger(trigger) => &trigger.trigger,
        other => panic!("nobody published {other:?}"),
    }
}

/// What one subscription saw, of each publisher.
type Log = [Vec<Seen>; PARTIES.len()];

/// A use of the bus, and what each subscription sees.
struct Use {
    fixture: Fixture,
    parties: [Party; PARTIES.len()],
    /// The subscriptions that there are, with the numbers of their logs.
    slots: [Option<(Subscriber, usize)>; SLOTS],
    logs: Vec<Log>,
}

impl Use {
    fn new(make: Make) -> Self {
        let fixture = Fixture::new(make);
        Self {
            parties: PARTIES.map(|name| fixture.party(name)),
            fixture,
            slots: [const { None }; SLOTS],
            logs: Vec::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Subscribe(slot, asked) => {
                self.unsubscribe(*slot);
                let log = self.logs.len();
                let subscriber = self.subscribe(&log.to_string(), asked);
                self.logs.push(Log::default());
                self.slots[*slot] = Some((subscriber, log));
            }
            Step::Unsubscribe(slot) => self.unsubscribe(*slot),
            Step::Publish {
                party,
                topic,
                triggers,
                rows,
            } => {
                let events = events(*party, *triggers, rows);
                self.parties[*party].publish(topic, &events);
            }
            Step::Receive(slot) => self.receive(*slot),
            Step::Settle => self.fixture.settle(),
        }
    }

    fn subscribe(&self, name: &str, asked: &Asked) -> Subscriber {
        let party = &self.parties[asked.party];
        let options: SubscriptionOptions = subscription(name, &asked.patterns)
            .filter(asked.filter.clone())
            .correlation(asked.correlation.clone());
        party.subscribe(match asked.own_events {
            None => options,
            Some(own_events) => options.owner(party.publisher).own_events(own_events),
        })
    }

    /// What was published before is seen, what comes after isn't.
    fn unsubscribe(&mut self, slot: usize) {
        self.fixture.settle();
        self.receive(slot);
        self.slots[slot] = None;
        self.fixture.settle();
    }

    /// Whatever there is just now.
    fn receive(&mut self, slot: usize) {
        let Some((subscriber, log)) = &self.slots[slot] else {
            return;
        };
        for row in seen(subscriber) {
            let Seen::Row { event, .. } = &row else {
                panic!("nothing may be missing, and {row:?} is");
            };
            let from = PARTIES.iter().position(|name| *name == publisher(event));
            self.logs[*log][from.expect("one of the parties")].push(row);
        }
    }

    fn finish(mut self) -> Vec<Log> {
        for slot in 0..SLOTS {
            self.unsubscribe(slot);
        }
        assert!(self.fixture.balanced().subscribers.is_empty());
        self.logs
    }
}

fn perform(make: Make, steps: &[Step]) -> Vec<Log> {
    let mut used = Use::new(make);
    for step in steps {
        used.step(step);
    }
    used.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn whatever_is_done_a_subscriber_sees_the_same_in_process_and_over_the_socket(
        steps in steps(),
    ) {
        let [local, socket] = Make::ALL.map(|make| perform(make, &steps));
        prop_assert_eq!(local, socket);
    }
}
