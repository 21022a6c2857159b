//! Promises of the tiers: whatever they read, they say the same, of real processes and of odd trees.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::super::details::ReaderOptions;
use super::ebpf::state;
use super::*;
use crate::process::details::{DetailsReader, Stale, stat};
use crate::process::fuzzing;
use crate::testing::{IDLE_SECONDS, Kept};

/// A tier that can be had; none for an ordinary user, which is printed. As root all must do.
fn open(name: TierName) -> Option<Tier> {
    match Tier::open(name, &ProcRoot::default()) {
        Ok(tier) => Some(tier),
        Err(reason) => {
            assert!(!rustix::process::geteuid().is_root(), "{reason}");
            println!("not by {}: {reason}", name.as_str());
            None
        }
    }
}

/// Looks: replaces what is in `seen`, and answers how many there were besides.
fn look(tier: &mut Tier, seen: &mut Vec<Seen>) -> usize {
    let over = tier.look().unwrap();
    tier.seen().clone_into(seen);
    over
}

/// Children that do nothing, and one that is a zombie.
struct Idle(Vec<Kept>);

impl Idle {
    fn new(count: usize) -> Self {
        let mut children: Vec<Kept> = (0..count).map(|_| Kept::idle()).collect();
        let mut zombie = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
        // It has ended when the other end of its pipe has.
        let mut pipe = zombie.stdout.take().unwrap();
        std::io::copy(&mut pipe, &mut std::io::sink()).unwrap();
        let is_zombie = |pid: u32| {
            let line = std::fs::read(format!("/proc/{pid}/stat")).unwrap();
            Stat::parse(&line).unwrap().state == b'Z'
        };
        while !is_zombie(zombie.id()) {
            std::thread::yield_now();
        }
        children.push(Kept(zombie));
        Self(children)
    }
}

use stat::Stat;

#[test]
fn all_tiers_say_the_same_of_processes_that_do_nothing() {
    let idle = Idle::new(5);
    let mut told: Vec<(TierName, Vec<Seen>)> = Vec::new();
    for name in TierName::ALL {
        let Some(mut tier) = open(name) else {
            continue;
        };
        assert_eq!(tier.name(), name);
        let mut seen = Vec::new();
        // Twice, for the second look knows of the first.
        for _ in 0..2 {
            assert_eq!(look(&mut tier, &mut seen), 0);
        }
        assert!(seen.is_sorted_by_key(|seen| seen.pid));
        assert!(seen.iter().any(|seen| seen.pid == std::process::id()));
        let of_children = idle.0.iter().map(|child| {
            let seen = seen.iter().find(|seen| seen.pid == child.id()).unwrap();
            Seen {
                // What tiers have in their own ways.
                exec_mark: 0,
                file_mark: None,
                group_mark: None,
                cpu_ns: seen.cpu_ns / 1_000_000_000,
                resident_pages: seen.resident_pages.map(|_| 0),
                ..*seen
            }
        });
        told.push((name, of_children.collect()));
    }
    for (name, seen) in &told {
        assert_eq!(seen, &told[0].1, "{name:?}");
    }
    let zombie = told[0].1.last().unwrap();
    assert_eq!(
        (zombie.state, zombie.resident_pages),
        (Some("zombie"), None)
    );
    assert_eq!(told[0].1[0].parent, Some(std::process::id()));
}

#[test]
fn what_has_run_is_seen_at_the_next_look() {
    for tier_name in TierName::ALL {
        let Some(mut tier) = open(tier_name) else {
            continue;
        };
        let mut command = Command::new("sh");
        command.args(["-c", "read line; exec sleep 1000"]);
        let mut child = Kept::spawn(command.stdin(Stdio::piped()));
        let pid = child.id();
        let mut seen = Vec::new();
        let mut name = |tier: &mut Tier| {
            look(tier, &mut seen);
            let found = seen.iter().find(|seen| seen.pid == pid).unwrap();
            String::from_utf8_lossy(found.name()).into_owned()
        };
        // Until it is the shell: the fork has the name of this test.
        while name(&mut tier) != "sh" {}
        // It is known to wait: it waits in all of these looks.
        for _ in 0..3 {
            name(&mut tier);
        }
        drop(child.0.stdin.take());
        while std::fs::read(format!("/proc/{pid}/comm")).unwrap() != b"sleep\n" {
            std::thread::yield_now();
        }
        assert_eq!(name(&mut tier), "sleep", "{tier_name:?}");
    }
}

#[test]
fn a_process_of_several_threads_is_read_whichever_of_them_has_run() {
    for name in TierName::ALL {
        let Some(mut tier) = open(name) else {
            continue;
        };
        let (to_thread, turns) = std::sync::mpsc::channel::<()>();
        let (say_turn, had_turn) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            while turns.recv().is_ok() {
                let began = std::time::Instant::now();
                // More than a tick of CPU time.
                while began.elapsed() < std::time::Duration::from_millis(30) {}
                let _ = say_turn.send(());
            }
        });
        let mut seen = Vec::new();
        let own = |seen: &[Seen]| {
            let own = seen.iter().find(|seen| seen.pid == std::process::id());
            own.unwrap().cpu_ns
        };
        for _ in 0..3 {
            look(&mut tier, &mut seen);
            let before = own(&seen);
            to_thread.send(()).unwrap();
            had_turn.recv().unwrap();
            look(&mut tier, &mut seen);
            assert!(own(&seen) > before, "{name:?}");
        }
        drop(to_thread);
        thread.join().unwrap();
    }
}

#[test]
fn what_rests_and_loses_its_parent_has_another_at_the_next_look() {
    for name in TierName::ALL {
        let Some(mut tier) = open(name) else {
            continue;
        };
        // The shell says who its child is, which goes on when the shell is gone.
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 >/dev/null 2>&1 & echo $!; read line"]);
        let mut shell = Kept::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let mut said = BufReader::new(shell.0.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let child: u32 = line.trim().parse().unwrap();
        let mut seen = Vec::new();
        let mut parent = |tier: &mut Tier| {
            look(tier, &mut seen);
            seen.iter().find(|seen| seen.pid == child).unwrap().parent
        };
        let shell_id = Some(shell.id());
        let before: Vec<_> = (0..4).map(|_| parent(&mut tier)).collect();
        drop(shell);
        let now = parent(&mut tier);
        let child = rustix::process::Pid::from_raw(child.cast_signed()).unwrap();
        rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
        assert_eq!(before, [shell_id; 4], "{name:?}");
        assert!(now.is_some() && now != shell_id, "{name:?}");
    }
}

#[test]
fn everything_of_what_rests_is_asked_for_after_some_looks() {
    let Some(mut tier) = open(TierName::Ebpf) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rests");
    std::fs::copy("/bin/sleep", &path).unwrap();
    let child = Kept::spawn(Command::new(&path).arg(IDLE_SECONDS));
    let mut seen = Vec::new();
    let mut mark = |tier: &mut Tier| {
        look(tier, &mut seen);
        let found = seen.iter().find(|seen| seen.pid == child.id()).unwrap();
        found.file_mark
    };
    let before = (0..3).map(|_| mark(&mut tier)).next_back().unwrap();
    // Nothing of this wakes the process.
    std::fs::remove_file(&path).unwrap();
    let looks = (0..IDLE_LOOKS).take_while(|_| mark(&mut tier) == before);
    assert!((looks.count() as u64) < IDLE_LOOKS);
}

#[test]
fn a_state_is_the_one_that_proc_says() {
    let check = |task, exit, expected| assert_eq!(state(task, exit), Some(expected));
    check(0, 0, "running");
    check(1, 0, "sleeping");
    check(0x2001, 0, "sleeping");
    check(2, 0, "disk-sleep");
    check(0x402, 0, "idle");
    check(4, 0, "stopped");
    check(8, 0, "traced");
    check(0x80, 0x20, "zombie");
    check(0x80, 0x10, "dead");
    check(0x40, 0, "parked");
}

/// A tree that looks like `/proc`.
struct Tree(tempfile::TempDir);

/// A line of `stat` of a process of that name, which began at the tick 4711.
fn line(pid: u32, name: &[u8], state: char) -> Vec<u8> {
    let mut line = format!("{pid} (").into_bytes();
    line.extend_from_slice(name);
    line.extend_from_slice(
        format!(
            ") {state} 1 7 7 0 -1 4194560 1 2 3 4 50 6 7 8 20 0 2 0 4711 4096 77 18446744073709551615 \
             94000 94100 95000 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 96000 96100 97000 98000 98100 98100 98200 0\n"
        )
        .as_bytes(),
    );
    line
}

impl Tree {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, pid: u32, name: &str, content: &[u8]) {
        let folder = self.0.path().join(pid.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), content).unwrap();
    }

    fn process(&self, pid: u32, name: &[u8], arguments: &[u8]) {
        self.file(pid, "stat", &line(pid, name, 'S'));
        self.file(pid, "statm", b"100 80 3 4 5 6 7\n");
        self.file(pid, "cmdline", arguments);
        self.file(pid, "cgroup", b"0::/unit\n");
    }

    fn root(&self) -> ProcRoot {
        ProcRoot::at(self.0.path())
    }

    fn look(&self) -> Vec<Seen> {
        let mut tier = Tier::open(TierName::Proc, &self.root()).unwrap();
        let mut seen = Vec::new();
        look(&mut tier, &mut seen);
        seen
    }
}

fn executable(path: &Path, of: &Tree, pid: u32) {
    let folder = of.0.path().join(pid.to_string());
    std::os::unix::fs::symlink(path, folder.join("exe")).unwrap();
}

#[test]
fn odd_processes_are_read_as_what_they_are() {
    let tree = Tree::new();
    tree.process(5, b") R 1", b"a\nb\0c\0");
    executable(&PathBuf::from("/usr/bin/odd"), &tree, 5);
    // 4 MiB of arguments, and a name that is no text.
    tree.process(6, b"\xff(", &vec![b'x'; 4 << 20]);
    // A zombie, and a process whose leading thread has exited: neither has memory, or anything of its own.
    for pid in [7, 8] {
        tree.process(pid, b"gone", b"");
        let dead = String::from_utf8(line(pid, b"gone", 'Z')).unwrap();
        tree.file(pid, "stat", dead.replace(" 4096 77 ", " 0 0 ").as_bytes());
    }
    // No processes.
    tree.file(9, "stat", b"");
    std::fs::create_dir(tree.0.path().join("self")).unwrap();
    std::fs::create_dir(tree.0.path().join("+10")).unwrap();
    std::fs::create_dir(tree.0.path().join("99999999999")).unwrap();

    let seen = tree.look();
    let pids: Vec<u32> = seen.iter().map(|seen| seen.pid).collect();
    assert_eq!(pids, [5, 6, 7, 8]);
    assert_eq!(
        (seen[0].name(), seen[0].state),
        (&b") R 1"[..], Some("sleeping"))
    );
    assert_eq!(
        (seen[0].parent, seen[0].resident_pages),
        (Some(1), Some(77))
    );
    assert_eq!(seen[0].cpu_ns, 56 * stat::tick_ns());
    assert_eq!(
        (seen[2].state, seen[2].resident_pages),
        (Some("zombie"), None)
    );

    let mut reader = DetailsReader::new(&tree.root(), ReaderOptions::default()).unwrap();
    let mut details = |index: usize| {
        let seen = &seen[index];
        reader.read(seen.pid, seen.start_ticks, seen.name(), false)
    };
    let odd = details(0);
    assert_eq!(odd.command_line, ["a\nb", "c"]);
    assert_eq!(odd.executable.as_deref(), Some("/usr/bin/odd"));
    assert_eq!(odd.cgroup.as_deref(), Some("/unit"));
    assert!(odd.accessible && !odd.is_lossy());
    let large = details(1);
    assert_eq!(large.command_line.len(), 1);
    assert!(large.command_line[0].len() < 33 * 1024 && large.command_line[0].ends_with('…'));
    assert_eq!(large.name, "\u{fffd}(");
    assert!(large.is_lossy());
    let dead = details(2);
    assert!(dead.command_line.is_empty() && dead.executable.is_none());
}

#[test]
fn an_entry_that_vanishes_between_two_steps_leaves_what_was_known() {
    let tree = Tree::new();
    tree.process(5, b"x", b"a\0");
    let seen = tree.look()[0];
    let mut reader = DetailsReader::new(&tree.root(), ReaderOptions::default()).unwrap();
    let mut details = reader.read(5, seen.start_ticks, seen.name(), false);
    assert!(details.accessible);
    let before = details.clone();
    std::fs::remove_dir_all(tree.0.path().join("5")).unwrap();
    reader.read_again(5, &mut details, Stale::ALL);
    assert_eq!(details, before);
    assert_eq!(reader.resident_pages(5), None);
    let gone = reader.read(5, seen.start_ticks, seen.name(), false);
    assert!(!gone.accessible);
    assert_eq!(gone.name, "x");
    // The pid is another's.
    tree.process(5, b"y", b"b\0");
    assert!(!reader.read(5, 1, b"x", false).accessible);
    assert!(tree.look().len() == 1);
}

#[test]
fn only_the_kernels_own_tree_is_asked_in_other_ways() {
    let tree = Tree::new();
    for name in [TierName::Ebpf, TierName::Taskstats] {
        let error = Tier::open(name, &tree.root()).map(drop).unwrap_err();
        assert_eq!(error.to_string(), "only for the kernel's own /proc");
    }
    let mut refused = Vec::new();
    let best = Tier::best(&tree.root(), |name, _| refused.push(name)).unwrap();
    assert_eq!((best.name(), refused.len()), (TierName::Proc, 2));
    assert!(Tier::best(&ProcRoot::at(Path::new("/nowhere")), |_, _| {}).is_err());
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Vec<u8>>(),
        (0_usize..300).prop_map(|bytes| {
            let mut line = line(5, b") R 1", 'R');
            line.truncate(bytes);
            line
        }),
        "[0-9 ()RSZ\\n-]{0,200}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_tree_of_any_content_is_read_within_its_bounds(
        files in proptest::collection::vec(
            (1_u32..5, prop_oneof![Just("stat"), Just("statm"), Just("cmdline"), Just("cgroup"), Just("comm")], content()),
            0..12,
        )
    ) {
        let tree = Tree::new();
        for (pid, name, content) in &files {
            tree.file(*pid, name, content);
        }
        let root = tree.root();
        let mut tier = Tier::open(TierName::Proc, &root).unwrap();
        let mut reader = DetailsReader::new(&root, ReaderOptions::default()).unwrap();
        let mut seen = Vec::new();
        for _ in 0..2 {
            look(&mut tier, &mut seen);
            prop_assert!(seen.len() <= 4);
            for seen in &seen {
                let mut details = reader.read(seen.pid, seen.start_ticks, seen.name(), false);
                reader.read_again(seen.pid, &mut details, Stale::ALL);
                reader.take_name(seen.pid, &mut details);
                let _ = reader.resident_pages(seen.pid);
                let _ = reader.owner(seen.pid);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_as_what_the_kernel_writes_or_refused(bytes in content()) {
        fuzzing::proc_files(&bytes);
        fuzzing::kernel_messages(&bytes);
    }
}
