//! Promises of the source of digests, over real files and processes.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, mkfifoat, openat};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::super::pinned::PLACE;
use super::super::testing::{another, ask};
use super::super::{ANSWERS_MAX, CACHE_ENTRIES_MAX};
use super::*;
use crate::testing::{Kept, PATIENCE};

fn source_of(roots: &[&Path], file_bytes_max: u64) -> BinaryHash {
    let options = BinaryHashOptions {
        roots: roots.iter().map(|root| root.to_path_buf()).collect(),
        file_bytes_max,
        ..BinaryHashOptions::default()
    };
    BinaryHash::with_settling(options, Duration::ZERO)
}

fn everywhere() -> BinaryHash {
    source_of(&[Path::new("/")], FILE_BYTES_CEILING)
}

fn sha256_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The digest, or the error.
fn digest(source: &BinaryHash, about: &About) -> Result<String, AnswerError> {
    let answer = ask(source, about)?;
    Ok(answer.text(SHA256_KEY).unwrap().to_owned())
}

fn at(path: &Path) -> About {
    About::file(path.to_str().unwrap())
}

fn place(path: &Path) -> OwnedFd {
    openat(CWD, path, PLACE, Mode::empty()).unwrap()
}

/// Makes a file of so many bytes that takes no room.
fn sparse(path: &Path, bytes: u64) {
    File::create(path).unwrap().set_len(bytes).unwrap();
}

/// A root with what may be read, and beside it what may not.
fn house() -> TempDir {
    let house = tempfile::tempdir().unwrap();
    let inside = house.path().join("inside");
    fs::create_dir_all(inside.join("deep/er")).unwrap();
    fs::write(inside.join("program"), b"a program").unwrap();
    fs::write(inside.join("empty"), b"").unwrap();
    fs::write(house.path().join("secret"), b"a secret").unwrap();
    let link = |to: &str, name: &str| symlink(to, inside.join(name)).unwrap();
    link("program", "beside");
    link("../program", "deep/up");
    link("deep/up", "twice");
    link(inside.join("program").to_str().unwrap(), "absolute");
    link("../secret", "out");
    link(
        house.path().join("secret").to_str().unwrap(),
        "out-absolute",
    );
    link("../nothing", "out-nowhere");
    link("/nothing/at/all", "out-nowhere-absolute");
    link("..", "above");
    link("circle", "circle");
    sparse(&inside.join("huge"), 1 << 40);
    mkfifoat(CWD, inside.join("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
    drop(UnixListener::bind(inside.join("socket")).unwrap());
    house
}

#[test]
fn a_file_is_read_under_the_roots_and_nothing_else_is() {
    let house = house();
    let inside = house.path().join("inside");
    let source = source_of(&[&inside], FILE_BYTES_CEILING);
    let check = |path: &str, expected: Result<&[u8], AnswerError>| {
        let found = digest(&source, &at(&inside.join(path)));
        assert_eq!(found, expected.map(sha256_of), "{path}");
    };
    let program: &[u8] = b"a program";
    check("program", Ok(program));
    check("empty", Ok(b""));
    check("beside", Ok(program));
    check("deep/up", Ok(program));
    check("twice", Ok(program));
    check("absolute", Ok(program));
    check("deep/../program", Ok(program));
    check("./deep/er/../../program", Ok(program));

    for path in [
        "out",
        "out-absolute",
        "out-nowhere",
        "out-nowhere-absolute",
        "above/secret",
        "above/nothing",
        "../secret",
        "deep/../../secret",
        "/etc/passwd",
        "/nothing/at/all",
    ] {
        check(path, Err(AnswerError::OutsideRoots));
    }
    for path in ["nothing", "program/x", "circle", "deep/nothing/x"] {
        check(path, Err(AnswerError::NotFound));
    }
    for path in ["", "deep", "pipe", "socket", "deep/.."] {
        check(path, Err(AnswerError::NotARegularFile));
    }
    let bytes_max = FILE_BYTES_CEILING;
    check("huge", Err(AnswerError::TooLarge { bytes_max }));
}

#[test]
fn what_the_kernel_makes_up_and_devices_have_no_digest() {
    let source = everywhere();
    for path in [
        "/proc/self/mem",
        "/proc/self/status",
        "/proc/self/fd/0",
        "/proc/self/root/proc/self/maps",
        "/sys/kernel/uevent_seqnum",
        "/dev/null",
        "/dev/zero",
        "/",
    ] {
        let error = digest(&source, &About::file(path)).unwrap_err();
        let refused = [AnswerError::NotARegularFile, AnswerError::NotFound];
        assert!(refused.contains(&error), "{path}: {error}");
    }
}

#[test]
fn a_link_of_a_process_leads_to_its_text_and_not_out_of_the_roots() {
    let house = house();
    let inside = house.path().join("inside");
    let secret = File::open(house.path().join("secret")).unwrap();
    let source = source_of(&[&inside, Path::new("/proc")], FILE_BYTES_CEILING);
    use std::os::fd::AsRawFd as _;
    let of_descriptor = format!("/proc/self/fd/{}", secret.as_raw_fd());
    let of_root = format!("/proc/self/root{}/secret", house.path().display());
    for path in [of_descriptor, of_root] {
        let error = digest(&source, &About::file(&path)).unwrap_err();
        assert_eq!(error, AnswerError::OutsideRoots, "{path}");
    }
}

#[test]
fn a_path_is_absolute_and_no_longer_than_paths_are() {
    let source = everywhere();
    let long = format!("/{}", "x".repeat(5_000));
    for path in ["", "program", "../etc/passwd", "/a\0b", &long] {
        let error = digest(&source, &About::file(path)).unwrap_err();
        assert!(
            matches!(error, AnswerError::NotAPath { .. }),
            "{path}: {error}"
        );
    }
    let deep = format!("{}/x", "/.".repeat(2_000));
    assert_eq!(
        digest(&source, &About::file(&deep)),
        Err(AnswerError::NotFound)
    );
}

#[test]
fn nothing_happens_to_a_pipe_that_is_asked_about() {
    let house = house();
    let pipe = house.path().join("inside/pipe");
    digest(&everywhere(), &at(&pipe)).unwrap_err();
    // Nobody has it open for reading, nor had for a moment: who writes would have been let in.
    let write = OFlags::WRONLY.union(OFlags::NONBLOCK);
    let error = openat(CWD, &pipe, write, Mode::empty()).unwrap_err();
    assert_eq!(error, rustix::io::Errno::NXIO);
}

#[test]
fn a_file_that_grows_as_it_is_read_has_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grows");
    fs::write(&path, b"a beginning").unwrap();
    let mut growing = File::options().append(true).open(&path).unwrap();
    let bytes_max = 1 << 20;
    let mut read = 0;
    let endless = read::sha256(&place(&path), bytes_max, &mut |bytes| {
        read += bytes as u64;
        growing.write_all(&[7; 64 * 1024]).unwrap();
        Ok(())
    });
    assert_eq!(endless.err(), Some(AnswerError::TooLarge { bytes_max }));
    assert!(read <= bytes_max, "{read}");

    fs::write(&path, b"a beginning").unwrap();
    let changed = read::sha256(&place(&path), bytes_max, &mut |bytes| {
        if bytes > 0 {
            fs::write(&path, b"an end").unwrap();
        }
        Ok(())
    });
    assert_eq!(changed.err(), Some(AnswerError::Changes));
}

#[test]
fn a_file_that_takes_too_long_or_is_not_wanted_any_more_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    sparse(&path, FILE_BYTES_CEILING);
    let source = everywhere();
    let answer = |until, stop| source.answer(&at(&path), until, &AtomicBool::new(stop));
    let now = Instant::now();
    assert!(matches!(
        answer(now, false),
        Err(AnswerError::TookLonger { .. })
    ));
    assert_eq!(answer(now + PATIENCE, true), Err(AnswerError::Stopped));
}

#[test]
fn a_digest_is_worked_out_once_and_again_when_the_file_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program");
    let source = everywhere();
    let check = |content: &[u8], hits, misses| {
        assert_eq!(digest(&source, &at(&path)), Ok(sha256_of(content)));
        let cache = source.cache();
        assert_eq!((cache.hits, cache.misses), (hits, misses));
    };
    fs::write(&path, b"one").unwrap();
    check(b"one", 0, 1);
    check(b"one", 1, 1);
    fs::rename(&path, folder.path().join("moved")).unwrap();
    fs::write(&path, b"two").unwrap();
    check(b"two", 1, 2);
    assert_eq!(source.cache().entries, 2);
}

#[test]
fn what_changed_just_now_is_not_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program");
    fs::write(&path, b"one").unwrap();
    let source = BinaryHash::with_settling(BinaryHashOptions::default(), PATIENCE);
    for _ in 0..2 {
        assert_eq!(digest(&source, &at(&path)), Ok(sha256_of(b"one")));
    }
    let nothing = CacheStatistics {
        entries: 0,
        hits: 0,
        misses: 2,
    };
    assert_eq!(source.cache(), nothing);
}

#[test]
fn the_cache_is_bounded_and_forgets_the_oldest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program");
    let mut cache = Cache::default();
    fs::write(&path, b"one").unwrap();
    let mut identity = Found::at(&place(&path)).unwrap().identity;
    for bytes in 0..=CACHE_ENTRIES_MAX as u64 {
        identity.bytes = bytes;
        cache.insert(identity, [0; 32]);
        cache.insert(identity, [1; 32]);
    }
    assert_eq!(cache.statistics().entries, CACHE_ENTRIES_MAX);
    assert_eq!(cache.get(&identity), Some([1; 32]));
    identity.bytes = 0;
    assert_eq!(cache.get(&identity), None);
}

#[test]
fn a_process_has_the_digest_of_what_it_runs_whatever_lies_at_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program");
    let mut child = Kept::copy(&path).waiting();
    let source = everywhere();
    let expected = sha256_of(&fs::read(&path).unwrap());
    let about = child.about();
    let answer = ask(&source, &about).unwrap();
    assert_eq!(answer.subject, path.to_str().unwrap());
    assert_eq!(answer.text(SHA256_KEY), Some(expected.as_str()));
    assert_eq!(answer.text("hashed"), None);

    fs::remove_file(&path).unwrap();
    fs::write(&path, b"another").unwrap();
    let answer = ask(&source, &about).unwrap();
    assert_eq!(answer.subject, path.to_str().unwrap());
    assert_eq!(answer.text(SHA256_KEY), Some(expected.as_str()));
    let note = answer.text("hashed").unwrap();
    assert!(note.starts_with("what the process runs"), "{note}");

    // Another process of that pid is not it; nor is one that has ended.
    assert_eq!(
        digest(&source, &another(&about)),
        Err(AnswerError::ProcessGone)
    );
    child.kill();
    assert_eq!(digest(&source, &about), Err(AnswerError::NoExecutable));
    drop(child);
    assert_eq!(digest(&source, &about), Err(AnswerError::ProcessGone));
    let with_path = About {
        path: path.to_str().map(str::to_owned),
        ..about
    };
    let answer = ask(&source, &with_path).unwrap();
    assert_eq!(
        answer.text(SHA256_KEY),
        Some(sha256_of(b"another").as_str())
    );
    let note = answer.text("hashed").unwrap();
    assert!(note.ends_with("the process is gone"), "{note}");
}

#[test]
fn a_process_outside_of_the_roots_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let child = Kept::idle().waiting();
    let source = source_of(&[folder.path()], FILE_BYTES_CEILING);
    assert_eq!(
        digest(&source, &child.about()),
        Err(AnswerError::OutsideRoots)
    );
    let nobody = About {
        pid: Some(1),
        ..About::default()
    };
    assert_eq!(digest(&source, &nobody), Err(AnswerError::NoTarget));
}

#[test]
fn more_ask_at_once_than_there_are_places_and_all_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program");
    fs::write(&path, vec![3; 1 << 20]).unwrap();
    let source = everywhere();
    let expected = Ok(sha256_of(&vec![3; 1 << 20]));
    std::thread::scope(|scope| {
        for _ in 0..ANSWERS_MAX * 4 {
            scope.spawn(|| assert_eq!(digest(&source, &at(&path)), expected));
        }
    });
}

#[test]
fn no_error_tells_more_than_was_asked() {
    let house = house();
    let inside = house.path().join("inside");
    let source = source_of(&[&inside], FILE_BYTES_CEILING);
    for path in ["out", "out-absolute", "circle", "pipe", "nothing", "huge"] {
        let error = digest(&source, &at(&inside.join(path))).unwrap_err();
        let text = error.to_string();
        let leaks = ["/", "os error", "secret"];
        assert!(!leaks.iter().any(|leak| text.contains(leak)), "{text}");
    }
}
