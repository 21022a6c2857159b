//! The daemon's counts as a file: both laws can be checked from it alone, and it never stops the daemon.

use std::collections::BTreeMap;

use weir_tests::daemon::Home;

/// The lines of a file in Prometheus's text format: a family's name and its labels, with the values as they stand there.
type Lines = BTreeMap<(String, BTreeMap<String, String>), f64>;

fn read(text: &str) -> Lines {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(line).collect()
}

/// `name{a="b"} 1`; no label of the daemon holds a comma or a quote.
fn line(line: &str) -> ((String, BTreeMap<String, String>), f64) {
    let (what, value) = line.rsplit_once(' ').expect("a value");
    let (name, labels) = what.split_once('{').unwrap_or((what, "}"));
    let labels = labels.trim_end_matches('}').split(',');
    let labels = labels.filter(|label| !label.is_empty()).map(|label| {
        let (name, value) = label.split_once('=').expect("a label");
        (name.to_owned(), value.trim_matches('"').to_owned())
    });
    let value = value.parse().expect("a number");
    ((name.to_owned(), labels.collect()), value)
}

/// The sum of a family's lines that have these labels.
fn sum(lines: &Lines, family: &str, wanted: &[(&str, &str)]) -> f64 {
    let has = |labels: &BTreeMap<String, String>| {
        wanted
            .iter()
            .all(|(name, value)| labels.get(*name).is_some_and(|found| found == value))
    };
    let found = lines
        .iter()
        .filter(|((name, labels), _)| name == family && has(labels));
    found.map(|(_, value)| value).sum()
}

/// The values that a label has in a family.
fn values(lines: &Lines, family: &str, label: &str) -> Vec<String> {
    let mut found: Vec<String> = lines
        .keys()
        .filter(|(name, _)| name == family)
        .filter_map(|(_, labels)| labels.get(label).cloned())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Whether two sums of whole numbers are the same.
#[track_caller]
fn assert_same(left: f64, right: f64, what: &str) {
    assert!((left - right).abs() < 0.5, "{what}: {left} is not {right}");
}

#[test]
fn both_laws_balance_from_the_file_alone() {
    let home = Home::new();
    let path = home.path("weir.prom");
    let textfile = format!("metrics.textfile={}", path.display());
    let set = ["--set", &textfile, "--set", "metrics.interval=1s"];
    let daemon = home.start(&[&["run", "--for", "3s"][..], &set].concat());
    let ended = daemon.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let text = std::fs::read_to_string(&path).expect("the file");
    let lines = read(&text);

    let sources = values(&lines, "weir_source_rows_total", "source");
    let told = ended.summary()["sources"].as_array().expect("sources");
    assert_eq!(sources.len(), told.len(), "{text}");
    for source in &sources {
        let source = ("source", source.as_str());
        let rows = |state| {
            sum(
                &lines,
                "weir_source_rows_total",
                &[source, ("state", state)],
            )
        };
        let dropped = sum(&lines, "weir_source_dropped_rows_total", &[source]);
        let in_flight = sum(&lines, "weir_source_in_flight_rows", &[source]);
        let accounted = rows("published") + rows("removed") + dropped + in_flight;
        assert_same(rows("produced"), accounted, source.1);
        let summary = told.iter().find(|one| one["name"] == source.1);
        let produced = summary.and_then(|summary| summary["produced"].as_f64());
        let produced = produced.expect("a number");
        assert!(produced > 0.0 || source.1 != "process", "{summary:#?}");
        assert_same(rows("produced"), produced, "the file and the last words");
    }

    let mut matched_by_slots = 0.0;
    for of in ["slot", "subscriber", "departed"] {
        for name in values(&lines, "weir_queue_rows_total", "name") {
            let labels = [("of", of), ("name", name.as_str())];
            let rows = |state| {
                let labels = [&labels[..], &[("state", state)]].concat();
                sum(&lines, "weir_queue_rows_total", &labels)
            };
            let accounted = rows("delivered")
                + sum(&lines, "weir_queue_dropped_rows_total", &labels)
                + sum(&lines, "weir_queue_queued_rows", &labels);
            assert_same(rows("matched"), accounted, &format!("{of} {name}"));
            matched_by_slots += if of == "slot" { rows("matched") } else { 0.0 };
        }
    }
    assert!(matched_by_slots > 0.0, "{text}");
    for family in ["weir_slot_cpu_seconds_total", "weir_uptime_seconds"] {
        assert!(sum(&lines, family, &[]) > 0.0, "{family}: {text}");
    }
    for source in &sources {
        let health = sum(&lines, "weir_source_health", &[("source", source)]);
        assert_same(health, 1.0, source);
    }
}

#[test]
fn metrics_that_cannot_be_written_are_told_once_and_stop_nothing() {
    let home = Home::new();
    let textfile = format!(
        "metrics.textfile={}",
        home.path("absent/weir.prom").display()
    );
    let set = ["--set", &textfile, "--set", "metrics.interval=1s"];
    let daemon = home.start(&[&["run", "--for", "2500ms"][..], &set].concat());
    let ended = daemon.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let told = ended.stderr.matches("the metrics can't be written").count();
    assert_eq!(told, 1, "{}", ended.stderr);
}
