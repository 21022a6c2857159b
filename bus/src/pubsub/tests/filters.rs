//! Filters: what they select, what they refuse, and that nothing is made twice.

use super::*;

fn check_filter(
    filter: EventFilter,
    correlation: CorrelationFilter,
    pids: &[u32],
    correlations: &[&str],
) {
    let bus = LocalBus::new();
    let what = format!("{filter:?} {correlation:?}");
    let options = everything("filtered")
        .filter(filter)
        .correlation(correlation);
    let subscriber = bus.subscribe(options).unwrap();
    publish(
        &bus,
        &processes("source-a", "observed", &[1, 2, 3, 4, 5, 6]),
    );
    publish(
        &bus,
        &triggers(&[
            ("low", "run-1", "r1"),
            ("high", "run-2", "r1"),
            ("critical", "x", "r2"),
        ]),
    );
    let (mut got_pids, mut got_correlations) = (Vec::new(), Vec::new());
    for batch in batches(&subscriber) {
        for row in 0..Batch::rows(&batch) {
            match batch.row(row).unwrap() {
                CollectionEvent::Process(process) => got_pids.push(process.pid),
                CollectionEvent::Trigger(trigger) => got_correlations.push(trigger.correlation_id),
                _ => unreachable!(),
            }
        }
    }
    assert_eq!(got_pids, pids, "{what}");
    assert_eq!(got_correlations, correlations, "{what}");
    let matched = (pids.len() + correlations.len()) as u64;
    assert_eq!(balanced(&bus).total.matched.rows, matched);
}

#[test]
fn filters_select_whole_batches_by_kind_and_source() {
    let check = |filter, pids: &[u32], correlations: &[&str]| {
        check_filter(filter, CorrelationFilter::new(), pids, correlations);
    };
    let (all, three) = (&[1, 2, 3, 4, 5, 6], &["run-1", "run-2", "x"]);
    check(EventFilter::new(), all, three);
    check(EventFilter::new().kinds([Kind::Process]), all, &[]);
    check(
        EventFilter::new().kinds([Kind::Network, Kind::Trigger]),
        &[],
        three,
    );
    check(EventFilter::new().source("source-a"), all, &[]);
    check(EventFilter::new().source("source"), &[], &[]);
}

#[test]
fn filters_select_rows() {
    use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let check = |filter, pids: &[u32], correlations: &[&str]| {
        check_filter(filter, CorrelationFilter::new(), pids, correlations);
    };
    let three = &["run-1", "run-2", "x"];
    check(EventFilter::new().pids([6, 2, 99]), &[2, 6], &[]);
    check(EventFilter::new().pids([7]), &[], three);
    check(
        EventFilter::new().priority_min(Priority::High),
        &[],
        &["run-2", "x"],
    );
    let compare = |column: &str, operator, literal: Literal| {
        EventFilter::new().compare(Comparison::new(column, operator, literal))
    };
    check(compare("pid", Equal, 3_u32.into()), &[3], &[]);
    check(
        compare("pid", NotEqual, 3_u32.into()),
        &[1, 2, 4, 5, 6],
        &[],
    );
    check(compare("pid", Less, 3_u32.into()), &[1, 2], &[]);
    check(compare("pid", LessOrEqual, (-1_i64).into()), &[], &[]);
    check(
        compare("pid", Greater, Literal::Integer(i128::MIN)),
        &[1, 2, 3, 4, 5, 6],
        &[],
    );
    check(
        compare("cpu_usage", GreaterOrEqual, 2.5.into()),
        &[5, 6],
        &[],
    );
    check(compare("cpu_usage", Less, 1_u32.into()), &[1], &[]);
    check(compare("name", Greater, "name-4".into()), &[5, 6], &[]);
    // Null is neither equal nor unequal.
    check(
        compare("executable", NotEqual, "/bin/4".into()),
        &[2, 6],
        &[],
    );
    check(compare("executable", Equal, "/bin/4".into()), &[4], &[]);
    check(compare("priority", Equal, "low".into()), &[], &["run-1"]);
    let both = compare("pid", Greater, 2_u32.into()).pids([1, 2, 3]);
    check(both.kinds([Kind::Process]), &[3], &[]);
}

#[test]
fn correlation_filters_select_rows() {
    let check = |correlation, correlations: &[&str]| {
        check_filter(EventFilter::new(), correlation, &[], correlations);
    };
    check(CorrelationFilter::new().id("run-2"), &["run-2"]);
    check(CorrelationFilter::new().glob("run-*"), &["run-1", "run-2"]);
    check(CorrelationFilter::new().glob("?"), &["x"]);
    check(CorrelationFilter::new().root("r1"), &["run-1", "run-2"]);
    check(CorrelationFilter::new().root("r1").glob("*1"), &["run-1"]);
}

#[test]
fn a_filter_that_can_not_be_evaluated_is_refused_with_what_would_be_right() {
    let bus = LocalBus::new();
    let check = |filter: EventFilter, expected: &str| {
        let error = bus.subscribe(everything("s").filter(filter)).unwrap_err();
        assert_eq!(error.to_string(), format!("subscription `s`: {expected}"));
    };
    let compare = |column: &str, operator, literal: Literal| {
        EventFilter::new().compare(Comparison::new(column, operator, literal))
    };
    let process = |filter: EventFilter| filter.kinds([Kind::Process]);
    check(
        process(compare("executible", Operator::Equal, "x".into())),
        "process events have no column `executible`; the nearest is `executable`",
    );
    check(
        compare("tiemstamp", Operator::Equal, "x".into()).kinds([]),
        "no kind of event has a column `tiemstamp`; the nearest is `timestamp`",
    );
    check(
        process(compare("pid", Operator::Equal, "x".into())),
        "column `pid` of process events is u32 and can't be compared with 'x'; write a whole number",
    );
    check(
        process(compare("pid", Operator::Equal, 1.5.into())),
        "column `pid` of process events is u32 and can't be compared with 1.5; write a whole number",
    );
    check(
        process(compare("command_line", Operator::Equal, "x".into())),
        "column `command_line` of process events is a list of texts and can't be compared; a guest can look into it",
    );
    check(
        process(compare("accessible", Operator::Less, true.into())),
        "column `accessible` of process events is true or false and has no order for `<`; use `=` or `!=`",
    );
    check(
        process(EventFilter::new().priority_min(Priority::Low)),
        "process events have no priority, none would ever be selected; leave the kind or the condition out",
    );
    check(
        EventFilter::new().pids(0..1_025),
        "the filter names 1025 pids, at most 1024 are allowed; use several subscriptions, or a guest",
    );
    let empty = everything("s").correlation(CorrelationFilter::new().glob(""));
    assert_eq!(
        bus.subscribe(empty).unwrap_err().to_string(),
        "subscription `s`: the correlation glob has 0 bytes, 1 to 255 are allowed"
    );
    assert!(balanced(&bus).subscribers.is_empty());
}

#[test]
fn a_filtered_batch_is_made_once_for_all_who_get_the_same_rows() {
    let bus = LocalBus::new();
    let by = |filter: EventFilter| bus.subscribe(everything("s").filter(filter)).unwrap();
    let pid = Comparison::new("pid", Operator::Equal, 2_u32);
    let subscribers = [
        by(EventFilter::new().pids([2])),
        by(EventFilter::new().pids([2])),
        by(EventFilter::new().compare(pid)),
    ];
    let batch = processes("s", "observed", &[1, 2]);
    publish(&bus, &batch);
    let received: Vec<_> = subscribers.iter().flat_map(batches).collect();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|one| Arc::ptr_eq(one, &received[0])));
    // All rows selected: it is the batch itself.
    let all = processes("s", "observed", &[2, 2]);
    publish(&bus, &all);
    assert!(
        subscribers
            .iter()
            .flat_map(batches)
            .all(|one| Arc::ptr_eq(&one, &all))
    );
}
