//! What fires, what doesn't, and how often.

use super::*;
use crate::sample::{Process, QUIET, one};
use weir_guest::settings;

fn watch(json: &str) -> Watch {
    Watch::new(settings(Watch::DEFAULTS, json).unwrap()).unwrap()
}

/// The rules that fire for a process, and those that can't decide, each after a star.
fn rules(json: &str, process: Process<'_>) -> Vec<String> {
    let verdicts = watch(json).verdicts(&one(&process));
    let name = |rule: u32| RULES[usize::try_from(rule).unwrap()].name;
    let fired = verdicts
        .firings
        .iter()
        .map(|firing| name(firing.rule).to_owned());
    let undecided = verdicts
        .undecided
        .iter()
        .map(|row| format!("*{}", name(row.rule)));
    fired.chain(undecided).collect()
}

fn check(process: Process<'_>, expected: &[&str]) {
    assert_eq!(rules("", process), expected, "{process:?}");
}

#[test]
fn a_quiet_process_fires_nothing() {
    check(QUIET, &[]);
    check(
        Process {
            cpu_usage: Some(400.0),
            memory_bytes: Some(1 << 40),
            ..QUIET
        },
        &[],
    );
}

#[test]
fn an_executable_in_a_temporary_folder_fires_by_whole_components() {
    let runs = |path| Process {
        executable: Some(path),
        ..QUIET
    };
    for path in ["/tmp/sleep", "/dev/shm/a/b", "/var/tmp/x"] {
        check(runs(path), &["runs-from-temporary-folder"]);
        check(
            Process {
                lifecycle: "exited",
                ..runs(path)
            },
            &["runs-from-temporary-folder"],
        );
    }
    for path in ["/tmpfoo/sleep", "/home/tmp/x", "/var/tmpx", "tmp/x"] {
        check(runs(path), &[]);
    }
}

#[test]
fn a_deleted_executable_fires_while_it_runs() {
    let deleted = Process {
        executable_deleted: Some(true),
        ..QUIET
    };
    check(deleted, &["executable-deleted"]);
    check(
        Process {
            lifecycle: "exited",
            ..deleted
        },
        &[],
    );
    check(
        Process {
            executable_deleted: None,
            ..QUIET
        },
        &[],
    );
}

#[test]
fn an_executable_that_never_lay_in_a_folder_is_not_a_deleted_one() {
    check(
        Process {
            executable: Some("/memfd:runtime"),
            executable_deleted: Some(true),
            ..QUIET
        },
        &[],
    );
}

#[test]
fn a_kernel_threads_name_fires_only_with_an_executable() {
    let named = |name| Process { name, ..QUIET };
    check(named("kworker/0:1"), &["named-like-kernel-thread"]);
    check(named("kthreadd"), &["named-like-kernel-thread"]);
    check(
        Process {
            executable: None,
            executable_deleted: None,
            ..named("kworker/0:1")
        },
        &[],
    );
    check(
        Process {
            command_line: &["[kworker/u8:2]"],
            ..QUIET
        },
        &["named-like-kernel-thread"],
    );
    check(
        Process {
            command_line: &["[title]"],
            ..QUIET
        },
        &[],
    );
    check(named("kworkers"), &[]);
}

#[test]
fn a_shell_fires_under_a_network_service_and_not_under_a_login() {
    let shell = |parent_name, parent_executable| Process {
        name: "sh",
        executable: Some("/usr/bin/dash"),
        parent_name,
        parent_executable,
        ..QUIET
    };
    let fires = &["shell-of-network-service"];
    check(shell(Some("nginx"), Some("/usr/sbin/nginx")), fires);
    check(shell(Some("worker"), Some("/usr/sbin/php-fpm8.2")), fires);
    check(
        Process {
            name: "script.sh",
            ..shell(Some("apache2"), None)
        },
        fires,
    );
    check(
        Process {
            name: "-bash",
            executable: None,
            ..shell(Some("httpd"), None)
        },
        fires,
    );
    check(shell(Some("sshd"), Some("/usr/sbin/sshd")), &[]);
    check(shell(Some("nginx"), Some("/usr/sbin/sshd")), &[]);
    check(shell(None, None), &[]);
    check(
        Process {
            name: "ls",
            executable: Some("/bin/ls"),
            ..shell(Some("nginx"), None)
        },
        &[],
    );
}

#[test]
fn levels_fire_only_where_they_are_set() {
    let json = r#"{"cpu_percent_max": 90, "memory_bytes_max": 1000000}"#;
    let levels = |cpu_usage, memory_bytes| {
        rules(
            json,
            Process {
                cpu_usage,
                memory_bytes,
                ..QUIET
            },
        )
    };
    assert_eq!(levels(Some(90.0), Some(1_000_000)), [""; 0]);
    assert_eq!(
        levels(Some(91.0), Some(1_000_001)),
        ["cpu-above-level", "memory-above-level"]
    );
    assert_eq!(levels(None, None), [""; 0]);
}

#[test]
fn what_could_not_be_read_is_undecided_and_never_a_match() {
    let unread = Process {
        executable: None,
        executable_deleted: None,
        accessible: false,
        ..QUIET
    };
    check(
        unread,
        &["*runs-from-temporary-folder", "*executable-deleted"],
    );
    // A thread of the kernel has no executable, and that is known.
    check(
        Process {
            accessible: true,
            ..unread
        },
        &[],
    );
}

#[test]
fn a_rule_fires_once_for_a_process() {
    let mut watch = watch(r#"{"remembered_max": 4}"#);
    let runs = |pid, start_time| {
        one(&Process {
            pid,
            start_time: Some(start_time),
            executable: Some("/tmp/x"),
            ..QUIET
        })
    };
    let mut count = |columns: process::Columns| watch.verdicts(&columns).firings.len();
    assert_eq!(
        [count(runs(1, 1)), count(runs(1, 1)), count(runs(1, 2))],
        [1, 0, 1]
    );
    // Another rule of the same process is its own.
    let deleted = Process {
        pid: 1,
        executable_deleted: Some(true),
        ..QUIET
    };
    assert_eq!([count(one(&deleted)), count(one(&deleted))], [1, 0]);
    // The oldest are forgotten.
    assert_eq!((10..20).map(|pid| count(runs(pid, 1))).sum::<usize>(), 10);
    assert_eq!(count(runs(1, 1)), 1);
}

#[test]
fn a_message_names_what_it_is_about() {
    let process = Process {
        name: "sleep",
        executable: Some("/tmp/sleep"),
        ..QUIET
    };
    let firing = &watch("").verdicts(&one(&process)).firings[0];
    assert_eq!(
        firing.message.as_deref(),
        Some("sleep runs /tmp/sleep, in /tmp")
    );
}

#[test]
fn settings_that_do_not_do_are_refused_by_name() {
    let cases = [
        (
            r#"{"temporary_folders": ["tmp"]}"#,
            "settings: temporary_folders[0]: \"tmp\" is not a folder's absolute path",
        ),
        (
            r#"{"shells": ["sh", ""]}"#,
            "settings: shells[1]: it is empty",
        ),
        (
            r#"{"cpu_percent_max": 0}"#,
            "settings: cpu_percent_max: it is not above 0",
        ),
        (
            r#"{"remembered_max": 0}"#,
            "settings: remembered_max: 0 is not within 2 to 70000",
        ),
    ];
    for (json, expected) in cases {
        let error = Watch::new(settings(Watch::DEFAULTS, json).unwrap()).unwrap_err();
        assert_eq!(error, expected);
    }
}

#[test]
fn the_self_test_passes_on_any_folders() {
    for json in [
        "",
        r#"{"temporary_folders": []}"#,
        r#"{"temporary_folders": ["/home/"]}"#,
    ] {
        assert_eq!(watch(json).self_test(), Ok(()), "{json}");
    }
}

#[test]
fn what_was_told_is_not_told_again_by_who_takes_over() {
    let process = Process {
        executable: Some("/tmp/sleep"),
        ..QUIET
    };
    let mut first = watch("");
    assert_eq!(first.verdicts(&one(&process)).firings.len(), 1);
    let mut second = watch("");
    second.restore(&first.snapshot()).unwrap();
    assert!(second.verdicts(&one(&process)).firings.is_empty());
    let error = second.restore(&[0; 3]).unwrap_err();
    assert!(error.contains("3 bytes"), "{error}");
}
