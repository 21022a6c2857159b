//! Who gets what: patterns, event filters, correlation filters, and what makes no sense.

use weir_bus::Kind;
use weir_bus::pubsub::{
    Comparison, CorrelationFilter, EventFilter, Literal, Operator, Priority, QueueLimits,
    Subscriber, SubscriptionOptions,
};
use weir_tests::buses::{Party, Seen, seen, subscription};

use super::{OBSERVED, everything, labels, on_every_make, process, trigger};

#[test]
fn a_pattern_selects_the_topics_that_the_grammar_says() {
    let topics = ["a", "b", "a.b", "a.c", "a.b.c", "x.b.c", "a.b.c.d"];
    let table: [(&[&str], &[&str]); 9] = [
        (&[">"], &topics),
        (&["a"], &["a"]),
        (&["*"], &["a", "b"]),
        (&["a.*"], &["a.b", "a.c"]),
        (&["a.>"], &["a.b", "a.c", "a.b.c", "a.b.c.d"]),
        (&["*.b.>"], &["a.b.c", "x.b.c", "a.b.c.d"]),
        (&["*.*.c"], &["a.b.c", "x.b.c"]),
        (&["a.b.c.d.>", "a.*.*.e"], &[]),
        // However many of its patterns match, a subscriber gets a batch once.
        (&["a.c", "*.c", "b", "a.c"], &["b", "a.c"]),
    ];
    on_every_make(|bus| {
        let (writer, reader) = (bus.party("writer"), bus.party("reader"));
        let subscribers: Vec<Subscriber> = table
            .iter()
            .map(|(patterns, _)| reader.subscribe(subscription(&patterns.join(" "), patterns)))
            .collect();
        for topic in topics {
            writer.publish(topic, &[process(1)]);
        }
        bus.settle();
        for (subscriber, (patterns, expected)) in subscribers.iter().zip(&table) {
            let found = seen(subscriber);
            let found: Vec<&str> = found.iter().map(topic_of).collect();
            assert_eq!(found, *expected, "{:?}: {patterns:?}", bus.make);
        }
    });
}

fn topic_of(seen: &Seen) -> &str {
    match seen {
        Seen::Row { topic, .. } => topic.as_str(),
        Seen::Gap(gap) => gap,
    }
}

/// Publishes processes 1 to 6 and three triggers, and says which of them arrive.
fn check_selections(table: impl Fn(&Party) -> Vec<(EventFilter, CorrelationFilter, &'static str)>) {
    on_every_make(|bus| {
        let (writer, reader) = (bus.party("writer"), bus.party("reader"));
        let table = table(&writer);
        let subscribe = |(number, (filter, correlation, _)): (usize, &(_, _, _))| {
            let (filter, correlation): (&EventFilter, &CorrelationFilter) = (filter, correlation);
            let options = everything(&number.to_string()).filter(filter.clone());
            reader.subscribe(options.correlation(correlation.clone()))
        };
        let subscribers: Vec<Subscriber> = table.iter().enumerate().map(subscribe).collect();
        let rows: Vec<_> = (1..=6).map(process).collect();
        writer.publish(OBSERVED, &rows);
        let triggers = [
            trigger("run-1", "r1", "low"),
            trigger("run-2", "r1", "high"),
            trigger("x", "r2", "critical"),
        ];
        writer.publish("control.trigger.hash", &triggers);
        bus.settle();
        for (subscriber, (filter, correlation, expected)) in subscribers.iter().zip(&table) {
            let found = labels(subscriber).join(" ");
            assert_eq!(
                found, *expected,
                "{:?}: {filter:?} {correlation:?}",
                bus.make
            );
        }
        assert!(bus.balanced().total.queued.is_zero());
    });
}

#[test]
fn an_event_filter_selects_the_same_rows() {
    use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let any = EventFilter::new;
    check_selections(|writer| {
        let compare = |column: &str, operator, literal: Literal| {
            any().compare(Comparison::new(column, operator, literal))
        };
        let table = [
            (any(), "1 2 3 4 5 6 run-1 run-2 x"),
            (any().kinds([Kind::Process]), "1 2 3 4 5 6"),
            (any().kinds([Kind::Network, Kind::Trigger]), "run-1 run-2 x"),
            (any().kinds([Kind::Finding]), ""),
            (any().source(&writer.source), "1 2 3 4 5 6 run-1 run-2 x"),
            (any().source("somebody else"), ""),
            (any().pids([6, 2, 99]), "2 6"),
            (any().pids([7]), "run-1 run-2 x"),
            (any().priority_min(Priority::High), "run-2 x"),
            (compare("pid", Equal, 3_u32.into()), "3"),
            (compare("pid", NotEqual, 3_u32.into()), "1 2 4 5 6"),
            (compare("pid", Less, 3_u32.into()), "1 2"),
            (compare("pid", LessOrEqual, (-1_i64).into()), ""),
            (compare("pid", Greater, u64::MAX.into()), ""),
            (compare("cpu_usage", GreaterOrEqual, 2.5.into()), "5 6"),
            (compare("cpu_usage", Less, 1_u32.into()), "1"),
            (compare("name", Greater, "name-4".into()), "5 6"),
            // Null is neither equal nor unequal.
            (compare("executable", NotEqual, "/bin/4".into()), "2 6"),
            (compare("accessible", Equal, false.into()), "1 2 3 4 5 6"),
            (compare("priority", Equal, "low".into()), "run-1"),
            (
                compare("pid", Greater, 2_u32.into())
                    .pids([1, 2, 3])
                    .kinds([Kind::Process]),
                "3",
            ),
        ];
        let row = |(filter, expected)| (filter, CorrelationFilter::new(), expected);
        table.into_iter().map(row).collect()
    });
}

#[test]
fn a_correlation_filter_selects_the_same_rows() {
    let any = CorrelationFilter::new;
    check_selections(|_| {
        let table = [
            (any().id("run-2"), "run-2"),
            (any().id("run-"), ""),
            (any().glob("run-*"), "run-1 run-2"),
            (any().glob("?"), "x"),
            (any().root("r1"), "run-1 run-2"),
            (any().root("r1").glob("*1"), "run-1"),
            (any().root("r2").id("run-1"), ""),
        ];
        let row = |(filter, expected)| (EventFilter::new(), filter, expected);
        table.into_iter().map(row).collect()
    });
}

#[test]
fn a_subscription_that_makes_no_sense_is_refused_in_the_same_words() {
    let compare = |column: &str| {
        let comparison = Comparison::new(column, Operator::Equal, "x");
        everything("s").filter(
            EventFilter::new()
                .kinds([Kind::Process])
                .compare(comparison),
        )
    };
    let nothing = QueueLimits {
        items_max: 0,
        bytes_max: 1,
    };
    let table = [
        (SubscriptionOptions::new("s"), "has no pattern"),
        (everything("s").limits(nothing), "must be at least 1"),
        (compare("executible"), "the nearest is `executable`"),
        (compare("pid"), "write a whole number"),
        (
            everything("s").filter(EventFilter::new().pids(0..1_025)),
            "at most 1024",
        ),
        (
            everything("s").correlation(CorrelationFilter::new().glob("")),
            "1 to 255 are allowed",
        ),
    ];
    on_every_make(|bus| {
        let reader = bus.party("reader");
        for (options, expected) in &table {
            let refused = reader.bus.subscribe(options.clone());
            let error = refused.expect_err(expected).to_string();
            assert!(
                error.starts_with("subscription `s`")
                    || error.starts_with("the queue of subscription `s`"),
                "{error}"
            );
            assert!(error.contains(expected), "{:?}: {error}", bus.make);
        }
        assert!(bus.balanced().subscribers.is_empty());
    });
}
