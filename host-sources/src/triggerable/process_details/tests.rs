//! Promises of the source of details, over real processes.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::testing::{another, ask};
use super::*;
use crate::testing::Kept;

/// Entries and characters that fit on one screen.
const ENTRIES_MAX: usize = 20;
const ENTRY_CHARS_MAX: usize = 1_000;

fn details(about: &About) -> Answer {
    let answer = ask(&ProcessDetails::default(), about).unwrap();
    assert!(answer.evidence.len() <= ENTRIES_MAX, "{answer:?}");
    for (key, told) in &answer.evidence {
        assert!(told.chars().count() <= ENTRY_CHARS_MAX, "{key}: {told}");
        assert!(!told.chars().any(char::is_control), "{key}: {told:?}");
    }
    answer
}

#[test]
fn a_process_is_told_with_what_it_has_and_may_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("open");
    fs::write(&path, b"").unwrap();
    let mut command = Command::new("sleep");
    command.arg("1000").current_dir(folder.path());
    command.stdin(File::open(&path).unwrap());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
        .env_clear()
        .env("FIRST", "a value")
        .env("SECOND", "another");
    let child = Kept::spawn(&mut command).waiting();
    let answer = details(&child.about());
    assert_eq!(answer.subject, format!("sleep[{}]", child.id()));
    let text = |key| {
        answer
            .text(key)
            .unwrap_or_else(|| panic!("{key}: {answer:?}"))
    };
    assert_eq!(text("environment"), "2: FIRST, SECOND");
    assert_eq!(
        text("cwd"),
        fs::canonicalize(folder.path()).unwrap().to_str().unwrap()
    );
    let exe = fs::read_link(format!("/proc/{}/exe", child.id())).unwrap();
    assert_eq!(text("executable"), exe.to_str().unwrap());
    assert_eq!(
        text("users"),
        rustix::process::getuid().as_raw().to_string()
    );
    assert_eq!(text("namespaces"), "the daemon's");
    assert_eq!(text("threads"), "1");
    assert_eq!(
        text("executable_memory"),
        "only of files, none of it writable"
    );
    assert!(text("mapped_files").contains(exe.to_str().unwrap()));
    assert!(text("open_paths").contains(path.to_str().unwrap()));
    assert!(text("open_files").contains(" pipes"), "{answer:?}");
    for key in ["capabilities", "seccomp", "cgroup"] {
        assert!(!text(key).starts_with("unreadable"), "{answer:?}");
    }
    for key in ["root", "tracer", "mapped_deleted", "sockets"] {
        assert_eq!(answer.text(key), None, "{answer:?}");
    }
    assert!(!format!("{answer:?}").contains("a value"), "{answer:?}");
}

#[test]
fn nothing_of_a_command_line_is_told() {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "read line",
        "sh",
        "--password=hunter2",
        "https://me:hunter2@host/",
    ]);
    command.env("SECRET", "hunter2").stdin(Stdio::piped());
    let child = Kept::spawn(&mut command).waiting();
    let answer = details(&child.about());
    assert!(!format!("{answer:?}").contains("hunter2"), "{answer:?}");
}

/// Listens, connects to itself, and says both ends' ports.
const CONNECTED: &str = "
import socket, time
listener = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
print(listener.getsockname()[1], client.getsockname()[1], flush=True)
time.sleep(1000)
";

/// The first line that a child says.
fn said(child: &mut Kept) -> String {
    let mut line = String::new();
    let stdout = child.0.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    line
}

#[test]
fn connections_are_told_with_both_ends() {
    let mut command = Command::new("python3");
    command.args(["-c", CONNECTED]).stdout(Stdio::piped());
    let mut child = Kept::spawn(&mut command).waiting();
    let line = said(&mut child);
    let (listener, client) = line.trim().split_once(' ').unwrap();
    let (here, there) = (
        format!("127.0.0.1:{listener}"),
        format!("127.0.0.1:{client}"),
    );
    let answer = details(&child.about());
    let sockets = answer.text("sockets").unwrap();
    for expected in [
        format!("tcp {here} listens"),
        format!("tcp {here} → {there}"),
        format!("tcp {there} → {here}"),
    ] {
        assert!(sockets.contains(&expected), "{expected}: {sockets}");
    }
}

#[test]
fn a_program_that_is_deleted_while_it_runs_shows_among_the_maps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program");
    let child = Kept::copy(&path).waiting();
    fs::remove_file(&path).unwrap();
    let answer = details(&child.about());
    let deleted = answer.text("mapped_deleted").unwrap();
    assert!(deleted.contains(path.to_str().unwrap()), "{deleted}");
    let executable = answer.text("executable").unwrap();
    assert!(executable.ends_with(" (deleted)"), "{executable}");
}

#[test]
fn what_a_process_chooses_fills_no_screen_and_moves_no_cursor() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("a\x1b[2J\nb");
    fs::create_dir(&odd).unwrap();
    let mut command = Command::new("sleep");
    command.arg("1000").env_clear().current_dir(&odd);
    for number in 0..5_000 {
        command.env(format!("\x1b[31mNAME_{number}"), "x");
    }
    command.env("L".repeat(50_000), "x");
    let child = Kept::spawn(&mut command).waiting();
    let answer = details(&child.about());
    let environment = answer.text("environment").unwrap();
    assert!(
        environment.starts_with("5001: \\u{1b}[31mNAME_"),
        "{environment}"
    );
    assert!(environment.ends_with(" more"), "{environment}");
}

#[test]
fn more_descriptors_than_are_looked_at_are_told_as_at_least() {
    let folder = tempfile::tempdir().unwrap();
    // What the shell has open, the program that it becomes has.
    let script = "ulimit -n 5000; i=10; while [ $i -lt 4500 ]; do eval \"exec $i<.\"; i=$((i+1)); done; \
        echo ready; exec sleep 1000";
    let mut command = Command::new("bash");
    command.args(["-c", script]).current_dir(folder.path());
    command.stdout(Stdio::piped());
    let mut child = Kept::spawn(&mut command).waiting();
    said(&mut child);
    let answer = details(&child.about());
    let told = answer.text("open_files").unwrap();
    assert!(told.starts_with("at least 4096: "), "{told}");
}

#[test]
fn a_process_of_which_little_is_left_is_told_with_that() {
    let mut child = Kept::idle().waiting();
    child.kill();
    let answer = details(&child.about());
    assert_eq!(
        answer.text("executable"),
        Some("unreadable: it has none, or has ended")
    );
    assert_eq!(answer.subject, format!("sleep[{}]", child.id()));
    assert!(answer.text("cgroup").is_some());
}

#[test]
fn only_the_process_that_was_asked_for_is_told() {
    let child = Kept::idle().waiting();
    let about = child.about();
    let check = |about: &About, expected| {
        assert_eq!(ask(&ProcessDetails::default(), about), Err(expected));
    };
    check(&another(&about), AnswerError::ProcessGone);
    check(&About::default(), AnswerError::NoTarget);
    check(&About::file("/"), AnswerError::NoTarget);
    let no_time = About {
        start_time: None,
        ..about.clone()
    };
    check(&no_time, AnswerError::NoTarget);
    drop(child);
    check(&about, AnswerError::ProcessGone);
}

#[test]
fn every_way_not_to_read_a_part_is_said_in_a_word() {
    let check = |error, expected| assert_eq!(unreadable(&error), expected);
    check(AnswerError::PermissionDenied, "unreadable: permission");
    check(
        AnswerError::ProcessGone,
        "unreadable: it has none, or has ended",
    );
    check(AnswerError::Unreadable, "unreadable");
    assert!(Path::new("/proc/self/ns/mnt").is_symlink());
}
