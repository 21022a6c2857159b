//! What a finding says, and where a walk ends.

use super::*;
use crate::sample::{init_only, row};
use weir_guest::settings;

fn lineage(json: &str) -> Lineage {
    Lineage::new(settings(Lineage::DEFAULTS, json).unwrap()).unwrap()
}

fn with(mut row: Row, name: &str, value: Value) -> Row {
    row.retain(|(field, _)| field != name);
    row.push((name.to_owned(), value));
    row
}

/// The parents of process 9 in a table.
fn check(table: &[Row], expected: &str) {
    let look = |pid: u32, start: i64| {
        let found = |row: &&Row| {
            host::unsigned(row, "pid") == Some(u64::from(pid))
                && host::signed(row, "start_time") == Some(start)
        };
        table.iter().find(found).cloned()
    };
    let first = look(9, 9).unwrap();
    assert_eq!(walk::walk(&first, STEPS_MAX, look).to_string(), expected);
}

#[test]
fn the_parents_go_up_to_init() {
    check(
        &[
            row(9, "sleep", Some(5)),
            row(5, "sh", Some(3)),
            row(3, "sshd", Some(1)),
            row(1, "init", Some(0)),
        ],
        "sh[5] ← sshd[3] ← init[1]",
    );
    check(&[row(9, "a", Some(1)), row(1, "init", None)], "init[1]");
    check(&[row(9, "kthreadd", Some(0))], "none");
}

#[test]
fn a_broken_chain_says_where() {
    check(
        &[row(9, "a", Some(5)), row(5, "sh", Some(3))],
        "sh[5] ← ?[3] (which is gone)",
    );
    let told = with(
        row(9, "a", Some(5)),
        "parent_name",
        Value::Text("nginx".to_owned()),
    );
    check(std::slice::from_ref(&told), "nginx[5] (which is gone)");
    let unknown_start = with(told, "parent_start_time", Value::Null);
    check(&[unknown_start], "nginx[5] (whose start time is not known)");
    check(
        &[row(9, "a", Some(5)), row(5, "sh", None)],
        "sh[5] (whose parent is not known)",
    );
    check(&[row(9, "a", None)], "(whose parent is not known)");
    // The pid was used again: that is not the parent.
    let other = with(row(5, "other", Some(1)), "start_time", Value::Signed(6));
    check(&[row(9, "a", Some(5)), other], "?[5] (which is gone)");
}

#[test]
fn a_walk_has_an_end() {
    check(
        &[row(9, "a", Some(8)), row(8, "b", Some(9))],
        "b[8] ← a[9] (which was here before)",
    );
    check(&[row(9, "a", Some(9))], "a[9] (which was here before)");
    let endless = |pid: u32, _: i64| Some(row(pid, "p", Some(pid + 1)));
    let chain = walk::walk(&row(9, "a", Some(10)), STEPS_MAX, endless).to_string();
    assert_eq!(chain.matches("p[").count(), STEPS_MAX);
    assert!(chain.ends_with("p[73] (and more)"), "{chain}");
}

#[test]
fn a_finding_names_the_process_its_rule_and_its_parents() {
    let cause = TriggerRequest {
        request_id: "r".to_owned(),
        trigger: "watch".to_owned(),
        rule: "runs-from-somewhere".to_owned(),
        priority: "high".to_owned(),
        message: Some("it runs from somewhere".to_owned()),
        correlation_id: "c".to_owned(),
        parent_id: None,
        root_id: "c".to_owned(),
        depth: 0,
        metadata: Vec::new(),
    };
    let process = row(7, "sleep", Some(1));
    let process = with(process, "executable", Value::Text("/x/sleep".to_owned()));
    let process = with(process, "user_id", Value::Unsigned(1000));
    let process = with(process, "executable_hash", Value::Text("ab12".to_owned()));
    let process = with(process, "hash_algorithm", Value::Text("sha256".to_owned()));
    let arguments = vec!["sleep".to_owned(), "60".to_owned()];
    let process = with(process, "command_line", Value::Texts(arguments));
    let finding = lineage("").finding(&process, &[], Some(&cause), init_only);
    assert_eq!(
        (finding.title.as_str(), finding.subject.as_str()),
        ("runs from somewhere", "sleep[7]")
    );
    assert!(matches!(finding.severity, Severity::High));
    let evidence: Vec<_> = finding
        .evidence
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let expected = [
        "message=it runs from somewhere",
        "executable=/x/sleep",
        "command_line=sleep 60",
        "user=1000",
        "sha256=ab12",
        "parents=init[1]",
        "rule=watch/runs-from-somewhere",
    ];
    assert_eq!(evidence, expected);

    let short = lineage(r#"{"command_line_chars_max": 3}"#);
    assert_eq!(
        short.command_line(&process).as_deref(),
        Some("sle… (8 bytes)")
    );
}

/// A stage before, with one finding.
fn stage(name: &str, evidence: &[(&str, &str)]) -> (String, Vec<Finding>) {
    let owned = |(key, text): &(&str, &str)| ((*key).to_owned(), (*text).to_owned());
    let finding = Finding {
        severity: Severity::Info,
        title: "t".to_owned(),
        subject: "s".to_owned(),
        evidence: evidence.iter().map(owned).collect(),
    };
    (name.to_owned(), vec![finding])
}

#[test]
fn what_the_stages_before_found_stands_in_the_evidence_once() {
    let process = with(
        row(7, "x", Some(1)),
        "executable",
        Value::Text("/x".to_owned()),
    );
    let process = with(process, "executable_hash", Value::Text("ab12".to_owned()));
    let process = with(process, "hash_algorithm", Value::Text("sha256".to_owned()));
    let check = |json: &str, upstream: &[(String, Vec<Finding>)], expected: &[&str]| {
        let finding = lineage(json).finding(&process, upstream, None, init_only);
        let told: Vec<String> = finding
            .evidence
            .iter()
            .map(|(key, text)| format!("{key}={text}"))
            .collect();
        let own = ["executable=/x", "sha256=ab12", "parents=init[1]"];
        assert_eq!(told, [&own[..], expected].concat());
    };
    check("", &[], &[]);
    let hash = |digest| stage("hash", &[("sha256", digest), ("file", "9 bytes")]);
    check("", &[hash("ab12")], &[]);
    check("", &[hash("cd34")], &["hash.sha256=cd34"]);
    let details = [
        ("executable", "/x (deleted)"),
        ("threads", "1"),
        ("mapped_files", "many"),
        ("sockets", ""),
        ("cwd", "/tmp"),
    ];
    check(
        "",
        &[hash("ab12"), stage("details", &details)],
        &["details.executable=/x (deleted)", "cwd=/tmp"],
    );
    check(
        "",
        &[hash("1"), hash("2"), hash("2")],
        &["hash.sha256=1", "hash.sha256.2=2"],
    );
    check(
        r#"{"leave_out": ["cwd"], "upstream_chars_max": 3, "upstream_entries_max": 2}"#,
        &[stage("details", &details)],
        &["details.executable=/x …", "threads=1", "more=1 entries"],
    );
}

#[test]
fn a_priority_is_a_severity() {
    let told =
        ["critical", "high", "normal", "low"].map(|priority| format!("{:?}", severity(priority)));
    assert_eq!(
        told,
        [
            "Severity::Critical",
            "Severity::High",
            "Severity::Medium",
            "Severity::Low"
        ]
    );
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    for json in [
        r#"{"steps_max": 0}"#,
        r#"{"steps_max": 65}"#,
        r#"{"command_line_chars_max": 0}"#,
        r#"{"upstream_entries_max": 257}"#,
        r#"{"upstream_chars_max": 0}"#,
    ] {
        let error = Lineage::new(settings(Lineage::DEFAULTS, json).unwrap()).unwrap_err();
        assert!(error.contains("is not within 1 to"), "{error}");
    }
}

#[test]
fn the_self_test_passes() {
    assert_eq!(lineage("").self_test(), Ok(()));
}

#[test]
fn a_connection_is_told_with_whose_it_is_and_who_started_that() {
    let connection: Row = [
        ("protocol", Value::Text("tcp".to_owned())),
        ("destination_address", Value::Text("203.0.113.7".to_owned())),
        ("destination_port", Value::Unsigned(4444)),
        ("state", Value::Null),
        ("pid", Value::Unsigned(9)),
        ("process_start_time", Value::Signed(9)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let owner = row(9, "nc", Some(1));
    let look = |pid: u32, start: i64| match (pid, start) {
        (9, 9) => Some(owner.clone()),
        _ => init_only(pid, start),
    };
    let finding = lineage("").finding_of_other("network", &connection, &[], None, look);
    assert_eq!(finding.subject, "203.0.113.7 4444");
    let told: Vec<(&str, &str)> = finding
        .evidence
        .iter()
        .map(|(key, text)| (key.as_str(), text.as_str()))
        .collect();
    for expected in [
        ("protocol", "tcp"),
        ("destination_port", "4444"),
        ("process", "nc[9]"),
        ("parents", "init[1]"),
    ] {
        assert!(told.contains(&expected), "{expected:?} in {told:?}");
    }
    assert!(!told.iter().any(|(key, _)| *key == "state"), "{told:?}");
    // Without its owner in the table the connection is told alone.
    let alone = lineage("").finding_of_other("network", &connection, &[], None, |_, _| None);
    assert!(!alone.evidence.iter().any(|(key, _)| key == "process"));
}
