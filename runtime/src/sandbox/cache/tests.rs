//! A cache on a disk that somebody meddles with.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::super::compile::tests::{Program, engine, module};
use super::super::compile::{CompileLimits, CompilerProgram};
use super::*;

struct Disk {
    root: tempfile::TempDir,
    real: Program,
}

impl Disk {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().expect("a temporary folder"),
            real: Program::new("real"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn cache(&self) -> Cache {
        Cache::open(&self.path("home/cache"), &self.path("home/state")).expect("trusted folders")
    }

    /// Loads what the cache has, or compiles.
    fn fill(&self, cache: &Cache, core: &str) {
        let compiler = self.real.compiler();
        let loaded = cache.load_or_compile(&engine(), &module(core), &compiler);
        assert!(loaded.is_ok(), "{core}");
    }

    /// A compiler that isn't there.
    fn nobody(&self) -> Compiler {
        let path = CompilerProgram::Path(self.path("nobody"));
        Compiler::new(path, CompileLimits::default())
    }

    /// Whether the cache has it: there is no compiler.
    fn hits(&self, cache: &Cache, core: &str) -> bool {
        let nobody = self.nobody();
        match cache.load_or_compile(&engine(), &module(core), &nobody) {
            Ok(_) => true,
            Err(CompileError::Start { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn entries(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.path("home/cache")).expect("the folder");
        files.map(|file| file.expect("a file").path()).collect()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name))
            .expect("it is there")
            .permissions()
            .mode()
            & 0o7777
    }

    fn set_mode(&self, path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    }
}

const INDEX: &str = "home/state/compiled-code.index";

#[test]
fn a_module_is_compiled_once_and_found_by_the_next_start() {
    let disk = Disk::new();
    let cache = disk.cache();
    assert!(!disk.hits(&cache, "(func nop)"));
    disk.fill(&cache, "(func nop)");
    assert!(disk.hits(&cache, "(func nop)"));
    assert!(disk.hits(&disk.cache(), "(func nop)"));
    assert!(!disk.hits(&cache, "(func)"), "another module");
    for (name, mode) in [
        ("home", 0o700),
        ("home/cache", 0o700),
        ("home/state", 0o700),
        (INDEX, 0o600),
    ] {
        assert_eq!(disk.mode(name), mode, "{name}");
    }
    let entries = disk.entries();
    assert_eq!(entries.len(), 1);
    let file = entries[0].strip_prefix(disk.root.path()).expect("below it");
    assert_eq!(disk.mode(&file.display().to_string()), 0o600);
}

#[test]
fn code_for_another_engine_is_not_found() {
    let disk = Disk::new();
    let cache = disk.cache();
    disk.fill(&cache, "");
    let mut config = super::super::engine::engine_config();
    config.consume_fuel(false);
    let other = Engine::new(&config).expect("an engine");
    let nobody = disk.nobody();
    assert!(cache.load_or_compile(&other, &module(""), &nobody).is_err());
}

/// Each way to meddle with an entry or the index makes a miss, and the next fill mends it.
#[test]
fn what_was_changed_is_a_miss_and_compiled_anew() {
    type Meddle = fn(&Disk, &Path);
    let ways: [(&str, Meddle); 11] = [
        ("a flipped byte", |_, entry| {
            let mut bytes = fs::read(entry).expect("the entry");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(entry, bytes).expect("the entry");
        }),
        ("cut off", |_, entry| {
            let bytes = fs::read(entry).expect("the entry");
            fs::write(entry, &bytes[..bytes.len() - 1]).expect("the entry");
        }),
        ("longer", |_, entry| {
            let mut bytes = fs::read(entry).expect("the entry");
            bytes.push(0);
            fs::write(entry, bytes).expect("the entry");
        }),
        ("empty", |_, entry| fs::write(entry, []).expect("the entry")),
        ("gone", |_, entry| {
            fs::remove_file(entry).expect("the entry");
        }),
        ("others can read and write it", |disk, entry| {
            disk.set_mode(entry, 0o666);
        }),
        ("a link out of the folder", |disk, entry| {
            fs::rename(entry, disk.path("moved")).expect("moved");
            symlink(disk.path("moved"), entry).expect("a link");
        }),
        ("no index", |disk, _| {
            fs::remove_file(disk.path(INDEX)).expect("the index");
        }),
        ("an index that others can write", |disk, _| {
            disk.set_mode(&disk.path(INDEX), 0o620);
        }),
        ("a damaged index", |disk, _| {
            fs::write(disk.path(INDEX), "weir compiled code 1\nnonsense\n").expect("the index");
        }),
        ("another module's seal", |disk, entry| {
            let text = fs::read_to_string(disk.path(INDEX)).expect("the index");
            let name = entry.file_name().expect("a name").to_string_lossy();
            let other = text
                .lines()
                .find(|line| line.len() > 64 && !line.starts_with(&*name));
            let own = text
                .lines()
                .find(|line| line.starts_with(&*name))
                .expect("its line");
            let swapped = other
                .expect("another line")
                .replacen(|_: char| true, "", 64);
            let text = text.replace(own, &format!("{name}{swapped}"));
            fs::write(disk.path(INDEX), text).expect("the index");
        }),
    ];
    let disk = Disk::new();
    let cache = disk.cache();
    disk.fill(&cache, "");
    let entry = disk.entries().pop().expect("an entry");
    for (way, meddle) in ways {
        disk.fill(&cache, "(func nop)");
        assert!(disk.hits(&cache, ""), "before: {way}");
        meddle(&disk, &entry);
        assert!(!disk.hits(&cache, ""), "{way}");
        disk.fill(&cache, "");
        assert!(disk.hits(&cache, ""), "after: {way}");
    }
}

#[test]
fn an_entry_of_another_module_under_this_ones_name_is_a_miss() {
    let disk = Disk::new();
    let cache = disk.cache();
    disk.fill(&cache, "");
    let first = disk.entries().pop().expect("an entry");
    disk.fill(&cache, "(func nop)");
    let mut entries = disk.entries();
    entries.retain(|entry| *entry != first);
    fs::copy(&entries[0], &first).expect("copied");
    assert!(!disk.hits(&cache, ""));
    assert!(disk.hits(&cache, "(func nop)"));
}

#[test]
fn the_oldest_code_goes_when_there_is_too_much() {
    let disk = Disk::new();
    let mut cache = disk.cache();
    let modules = ["", "(func)", "(func nop)", "(func nop nop)"];
    cache.store.as_mut().expect("a store").entries_max = 2;
    for core in modules {
        disk.fill(&cache, core);
    }
    assert_eq!(disk.entries().len(), 2);
    let hits = modules.map(|core| disk.hits(&cache, core));
    assert_eq!(hits, [false, false, true, true]);

    let store = cache.store.as_mut().expect("a store");
    let size = |entry: &PathBuf| fs::metadata(entry).expect("an entry").len();
    // One byte less than the two that are there: none but the newest has room.
    store.bytes_max = disk.entries().iter().map(size).sum::<u64>() - 1;
    store.entries_max = ENTRIES_MAX;
    disk.fill(&cache, "(func nop nop nop)");
    assert_eq!(disk.entries().len(), 1);
    assert!(disk.hits(&cache, "(func nop nop nop)"));
}

#[test]
fn what_a_kill_left_counts_as_oldest_and_what_is_not_ours_is_left_alone() {
    let disk = Disk::new();
    let mut cache = disk.cache();
    let store = cache.store.as_mut().expect("a store");
    store.entries_max = 1;
    fs::write(disk.path("home/cache/.new-1-1"), "half").expect("a file");
    fs::write(disk.path("home/cache/notes.txt"), "hers").expect("a file");
    disk.fill(&cache, "");
    assert!(disk.hits(&cache, ""));
    assert!(!disk.path("home/cache/.new-1-1").exists());
    assert!(disk.path("home/cache/notes.txt").exists());
}

#[test]
fn a_folder_that_others_can_write_is_refused_with_its_path_and_mode() {
    let disk = Disk::new();
    drop(disk.cache());
    for (name, mode, key) in [
        ("home/cache", 0o770, "sandbox.cache_folder"),
        ("home/cache", 0o1777, "sandbox.cache_folder"),
        ("home/state", 0o720, "sandbox.state_folder"),
    ] {
        let path = disk.path(name);
        disk.set_mode(&path, mode);
        let error = Cache::open(&disk.path("home/cache"), &disk.path("home/state"));
        disk.set_mode(&path, 0o700);
        let user = rustix::process::geteuid().as_raw();
        assert_eq!(
            error.err().map(|error| error.to_string()),
            Some(format!(
                "{} (mode {mode:04o}, user {user}) is refused for compiled code: only the daemon's user ({user}) may write there; mend its mode and owner, or set {key}",
                path.display()
            ))
        );
    }
}

#[test]
fn without_a_folder_guests_are_compiled_at_every_start_and_the_reason_is_known() {
    let disk = Disk::new();
    fs::write(disk.path("home"), "a file where a folder would be").expect("a file");
    let cache = disk.cache();
    let reason = cache.why_none().expect("there is no cache");
    assert!(reason.starts_with("sandbox.cache_folder = "), "{reason}");
    disk.fill(&cache, "");
    assert!(!disk.hits(&cache, ""));
}

#[test]
fn a_folder_that_vanishes_costs_the_cache_and_not_the_guest() {
    let disk = Disk::new();
    let cache = disk.cache();
    fs::remove_dir_all(disk.path("home")).expect("gone");
    disk.fill(&cache, "");
    assert!(!disk.hits(&cache, ""));
}

#[test]
fn two_daemons_can_share_one_cache() {
    let disk = Disk::new();
    thread::scope(|scope| {
        for core in ["", "(func)", "(func nop)"] {
            let disk = &disk;
            scope.spawn(move || disk.fill(&disk.cache(), core));
        }
    });
    for core in ["", "(func)", "(func nop)"] {
        assert!(disk.hits(&disk.cache(), core), "{core}");
    }
}
