//! Over real files that the tests make. What fanotify shall tell is done by children: what this process does is
//! never told.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use weir_bus::{Batch, Batcher, BatcherLimits, CollectionEvent, Settlement};

use super::*;
use crate::emitter::Emitter;
use crate::source::ContextHandle;
use crate::testing::PATIENCE;

/// The last file of each test: once it is told, all before it was.
const LAST: &str = "last-of-all";

/// A filesystem source that runs over a folder, and what it has sent.
struct Watched {
    folder: TempDir,
    batcher: Arc<Batcher>,
    source: Arc<FilesystemSource>,
    handle: ContextHandle,
    task: JoinHandle<Result<(), SourceError>>,
}

impl Watched {
    async fn start(method: FilesystemMethod, prepare: impl FnOnce(&Path)) -> Self {
        Self::of(prepare, |folder| FilesystemOptions {
            folders: vec![folder.to_owned()],
            method,
            ..FilesystemOptions::default()
        })
        .await
    }

    async fn of(
        prepare: impl FnOnce(&Path),
        options: impl FnOnce(&Path) -> FilesystemOptions,
    ) -> Self {
        // Not in a folder for temporary files: those may be on a file system that has no handles.
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        prepare(folder.path());
        let source = Arc::new(FilesystemSource::new(options(folder.path())).unwrap());
        assert_eq!(source.unavailable(), None);
        let limits = BatcherLimits {
            event_buffer_rows_max: 200_000,
            ..BatcherLimits::default()
        };
        let batcher = Arc::new(Batcher::new("filesystem", Pace::Realtime, limits.clone()));
        let emitter = Emitter::new(Arc::clone(&batcher), Pace::Realtime, &limits, PATIENCE);
        let (context, handle) = SourceContext::new(emitter, None);
        let running = Arc::clone(&source);
        let task = tokio::spawn(async move { running.start(context).await });
        handle.ready().await;
        Self {
            folder,
            batcher,
            source,
            handle,
            task,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a script in the folder.
    fn run(&self, script: &str) -> u32 {
        let mut child = Command::new("sh");
        child.args(["-c", script]).current_dir(self.folder.path());
        let mut child = child.spawn().unwrap();
        let pid = child.id();
        assert!(child.wait().unwrap().success());
        pid
    }

    /// All rows up to the last file's, which is made now; then the source is stopped.
    async fn rows(&mut self) -> Vec<FilesystemEvent> {
        self.run(&format!(": > {LAST}"));
        let last = self.path(LAST).to_string_lossy().into_owned();
        let is_last = |row: &FilesystemEvent| row.path == last;
        let mut rows = Vec::new();
        while !rows.iter().any(is_last) {
            let next = tokio::time::timeout(PATIENCE, self.batcher.next());
            rows.extend(self.take(&next.await.expect("no more comes").unwrap()));
        }
        // What waits for the end of its window comes, too.
        self.handle.stop();
        (&mut self.task).await.unwrap().unwrap();
        self.batcher.close();
        while let Some(batch) = self.batcher.next().await {
            rows.extend(self.take(&batch));
        }
        rows.retain(|row| !is_last(row));
        rows
    }

    fn take(&self, batch: &Batch) -> Vec<FilesystemEvent> {
        self.batcher.settle(&Settlement {
            published: batch.rows() as u64,
            ..Settlement::default()
        });
        let row = |row| match batch.row(row) {
            Some(CollectionEvent::Filesystem(event)) => event,
            other => panic!("no file: {other:?}"),
        };
        (0..batch.rows()).map(row).collect()
    }

    /// What is told, as operations and names within the folder.
    async fn told(&mut self) -> Vec<(String, String)> {
        let rows = self.rows().await;
        let short = |path: &str| {
            let folder = format!("{}/", self.folder.path().display());
            path.strip_prefix(&folder).unwrap_or(path).to_owned()
        };
        let name = |row: &FilesystemEvent| match &row.new_path {
            Some(new_path) => format!("{} > {}", short(&row.path), short(new_path)),
            None => short(&row.path),
        };
        rows.iter()
            .map(|row| (row.operation.clone(), name(row)))
            .collect()
    }
}

/// The methods that this host allows.
fn methods() -> Vec<FilesystemMethod> {
    if !geteuid().is_root() {
        println!("skipped in part: fanotify needs root");
        return vec![FilesystemMethod::Inotify];
    }
    vec![FilesystemMethod::Best, FilesystemMethod::Inotify]
}

/// By operation: how often.
fn counts(told: &[(String, String)]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for (operation, _) in told {
        *counts.entry(operation.as_str()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_is_told_from_its_making_to_its_end() {
    for method in methods() {
        let mut watched = Watched::start(method, |_| {}).await;
        watched.run("mkdir d; echo hello > d/a; mv d/a d/b; rm d/b; rmdir d");
        let mut told = watched.told().await;
        // Batches are by operation: their order among each other isn't that of the operations.
        told.sort();
        let expected = [
            ("create", "d"),
            ("create", "d/a"),
            ("delete", "d"),
            ("delete", "d/b"),
            ("modify", "d/a"),
            ("rename", "d/a > d/b"),
        ];
        let expected = expected.map(|(operation, name)| (operation.to_owned(), name.to_owned()));
        if method == FilesystemMethod::Best {
            assert_eq!(told, expected);
        } else {
            // A new folder is listed after it is watched: what was gone by then wasn't seen.
            let listed = ("create".to_owned(), "d/b".to_owned());
            let is_expected = |one: &(String, String)| expected.contains(one) || *one == listed;
            assert!(told.iter().all(is_expected), "{told:?}");
            assert!(
                told.contains(&expected[0]) && told.contains(&expected[2]),
                "{told:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_row_says_who_did_it_and_what_the_file_is_now() {
    for method in methods() {
        let mut watched = Watched::start(method, |_| {}).await;
        let pid = watched.run("umask 027; printf 12345 > a");
        let rows = watched.rows().await;
        let made = rows.iter().find(|row| row.operation == "create").unwrap();
        let written = rows.iter().find(|row| row.operation == "modify").unwrap();
        assert_eq!(
            (written.size_bytes, written.permissions),
            (Some(5), Some(0o640))
        );
        for row in [made, written] {
            let expected = (method == FilesystemMethod::Best).then_some(pid);
            assert_eq!(row.pid, expected, "{row:?}");
            assert_eq!(row.hash, None);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_process_that_still_runs_is_told_with_its_start() {
    if !methods().contains(&FilesystemMethod::Best) {
        return;
    }
    let mut watched = Watched::start(FilesystemMethod::Best, |_| {}).await;
    let mut child = Command::new("sh");
    child
        .args(["-c", ": > a; exec sleep 1000"])
        .current_dir(watched.folder.path());
    let mut child = child.spawn().unwrap();
    while !watched.path("a").exists() {
        std::thread::yield_now();
    }
    let rows = watched.rows().await;
    let row = rows.iter().find(|row| row.path.ends_with("/a")).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(row.pid, Some(child.id()));
    let age_ns = row.timestamp.0 - row.process_start_time.unwrap().0;
    assert!((0..120_000_000_000).contains(&age_ns), "{age_ns}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_execution_is_told() {
    if !methods().contains(&FilesystemMethod::Best) {
        return;
    }
    let mut watched = Watched::start(FilesystemMethod::Best, |folder| {
        fs::copy("/bin/true", folder.join("program")).unwrap();
    })
    .await;
    watched.run("./program");
    let rows = watched.rows().await;
    let row = rows.iter().find(|row| row.operation == "execute").unwrap();
    assert!(row.path.ends_with("/program") && row.pid.is_some());
    assert_eq!(row.permissions.map(|bits| bits & 0o111), Some(0o111));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn ten_thousand_files_are_told_exactly_or_as_a_gap() {
    const FOLDERS: usize = 100;
    const FILES: usize = 10_000;
    for method in methods() {
        let mut watched = Watched::start(method, |folder| {
            for number in 0..FOLDERS {
                fs::create_dir(folder.join(number.to_string())).unwrap();
            }
        })
        .await;
        let last = FILES / FOLDERS - 1;
        watched.run(&format!(
            "for d in $(seq 0 {}); do for f in $(seq 0 {last}); do echo 1 > $d/$f; done; done",
            FOLDERS - 1
        ));
        watched.run("rm -r [0-9]*");
        let told = watched.told().await;
        let told = counts(&told);
        let (lost, unnamed) = {
            let condition = watched.source.condition();
            (condition.overflows, condition.unnamed)
        };
        assert_eq!(unnamed, 0, "{method:?}");
        if lost == 0 {
            let expected = [
                ("create", FILES),
                ("delete", FILES + FOLDERS),
                ("modify", FILES),
            ];
            assert_eq!(told, BTreeMap::from(expected), "{method:?}");
            let health = watched.source.health_check().await;
            assert!(!health.to_string().contains("were lost"), "{health}");
        } else {
            println!("{lost} overflows: {told:?}");
            assert!(
                watched
                    .source
                    .health_check()
                    .await
                    .reason()
                    .unwrap()
                    .contains("were lost")
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn folders_that_move_take_their_names_with_them() {
    for method in methods() {
        let mut watched = Watched::start(method, |folder| {
            fs::create_dir_all(folder.join("a/b")).unwrap();
            fs::create_dir(folder.join("a/b/c")).unwrap();
        })
        .await;
        watched
            .run(": > a/b/c/before; mv a/b z; : > z/c/after; mv z/c y; : > y/last; rm z/../y/last");
        let told = watched.told().await;
        // By handle, a folder is called what it is called when its events are read; by its watch, what it was.
        let names = match method {
            FilesystemMethod::Best => ["y/before", "y/after", "y/last"],
            FilesystemMethod::Inotify => ["a/b/c/before", "z/c/after", "y/last"],
        };
        for name in names {
            assert!(
                told.contains(&("create".to_owned(), name.to_owned())),
                "{method:?} {name} {told:?}"
            );
        }
        assert!(
            told.contains(&("rename".to_owned(), "a/b > z".to_owned())),
            "{told:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_moves_out_is_deleted_and_what_moves_in_is_created() {
    let outside = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    fs::create_dir_all(outside.path().join("in/deep")).unwrap();
    let mut watched = Watched::start(FilesystemMethod::Inotify, |folder| {
        fs::create_dir(folder.join("out")).unwrap();
    })
    .await;
    watched.run(&format!(
        "mv out {0}/out; : > {0}/out/unseen; mv {0}/in .; : > in/deep/seen",
        outside.path().display()
    ));
    let told = watched.told().await;
    let has = |operation: &str, name: &str| told.contains(&(operation.to_owned(), name.to_owned()));
    assert!(
        has("delete", "out") && has("create", "in") && has("create", "in/deep/seen"),
        "{told:?}"
    );
    assert!(
        !told.iter().any(|(_, name)| name.contains("unseen")),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn names_of_any_bytes_are_told() {
    for method in methods() {
        let mut watched = Watched::start(method, |_| {}).await;
        let names: [&[u8]; 4] = [b"a\nb", b"\xff\xfe", b"' \"; rm", &[b'x'; 255]];
        for name in names {
            let path = watched.folder.path().join(OsStr::from_bytes(name));
            let status = Command::new("touch").arg(&path).status().unwrap();
            assert!(status.success());
        }
        let told = watched.told().await;
        for name in names {
            let name = String::from_utf8_lossy(name).into_owned();
            assert!(told.contains(&("create".to_owned(), name)), "{told:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn globs_leave_out_what_nobody_wants() {
    for method in methods() {
        let mut watched = Watched::of(
            |folder| fs::create_dir(folder.join("state")).unwrap(),
            |folder| FilesystemOptions {
                folders: vec![folder.to_owned()],
                exclude: vec![format!("{}/state", folder.display()), "**/*.tmp".to_owned()],
                method,
                ..FilesystemOptions::default()
            },
        )
        .await;
        watched.run(": > state/a; : > b.tmp; : > c");
        let told = watched.told().await;
        assert!(
            told.contains(&("create".to_owned(), "c".to_owned())),
            "{told:?}"
        );
        assert!(told.iter().all(|(_, name)| name == "c"), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_this_process_does_is_never_told_by_fanotify() {
    if !methods().contains(&FilesystemMethod::Best) {
        return;
    }
    let mut watched = Watched::start(FilesystemMethod::Best, |_| {}).await;
    fs::write(watched.path("own"), "x").unwrap();
    fs::remove_file(watched.path("own")).unwrap();
    assert!(watched.told().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn reads_are_told_only_if_asked_for() {
    for (method, access) in methods()
        .into_iter()
        .flat_map(|method| [(method, true), (method, false)])
    {
        let mut watched = Watched::of(
            |folder| fs::write(folder.join("a"), "x").unwrap(),
            |folder| FilesystemOptions {
                folders: vec![folder.to_owned()],
                access,
                method,
                ..FilesystemOptions::default()
            },
        )
        .await;
        watched.run("cat a > /dev/null");
        let told = watched.told().await;
        assert_eq!(
            told.contains(&("access".to_owned(), "a".to_owned())),
            access,
            "{told:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn folders_that_vanish_while_they_are_entered_are_survived() {
    for method in methods() {
        let mut watched = Watched::start(method, |_| {}).await;
        watched.run("for i in $(seq 200); do mkdir -p a/b/c; : > a/b/c/d; rm -r a; done");
        let told = watched.told().await;
        if method == FilesystemMethod::Best {
            // Each of the four was made and deleted each time, and nothing has lost its name.
            let expected = BTreeMap::from([("create", 800), ("delete", 800)]);
            assert_eq!(counts(&told), expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_privileges_inotify_sees_what_it_can_and_says_what_it_cannot() {
    if !geteuid().is_root() {
        println!("skipped: only root can become nobody");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let options = FilesystemOptions {
        folders: vec![folder.path().to_owned()],
        ..FilesystemOptions::default()
    };
    let troubles = std::thread::spawn(move || {
        let nobody = rustix::process::Uid::from_raw(65_534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        let source = FilesystemSource::new(options).unwrap();
        assert_eq!(source.unavailable(), None);
        Watches::new(&source.options, &source.paths)
            .unwrap()
            .troubles()
    });
    let told = troubles.join().unwrap().join("; ");
    assert!(told.contains("needs CAP_SYS_ADMIN"), "{told}");
    assert!(told.contains("executions and pids are missed"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_overflow_of_the_kernels_queue_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let options = FilesystemOptions {
        folders: vec![folder.path().to_owned()],
        method: FilesystemMethod::Inotify,
        ..FilesystemOptions::default()
    };
    let source = FilesystemSource::new(options).unwrap();
    let mut watches = Watches::new(&source.options, &source.paths).unwrap();
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    // Nobody reads meanwhile. Two files in turn, for the kernel joins what is the same.
    let files = ["a", "b"].map(|name| folder.path().join(name));
    for number in 0..=limit {
        fs::write(&files[number % 2], "x").unwrap();
    }
    let mut happened = Vec::new();
    let losses = watches.read(&source.paths, &mut happened).unwrap();
    assert_eq!(losses.overflows, 1);
    source.note(losses);
    let health = source.health_check().await;
    assert!(health.reason().unwrap().contains("were lost"), "{health}");
}
