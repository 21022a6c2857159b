//! Promises of the digests in rows, over real files.

use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::time::Instant;

use super::*;
use crate::testing::PATIENCE;

fn at(path: &str) -> Whereabouts<'_> {
    Whereabouts {
        path,
        container: None,
        is_deleted: false,
    }
}

/// Looks until it is told, or never will be.
fn settled(hashes: &Hashes, file: &Path) -> OfExecutable {
    let began = Instant::now();
    let path = file.to_str().unwrap();
    let at = at(path);
    let mut known = hashes.look(path, at, &OfExecutable::Unasked);
    while matches!(known, OfExecutable::Waiting(_)) {
        assert!(began.elapsed() < PATIENCE, "no digest comes");
        std::thread::yield_now();
        known = hashes.again(&known, at);
    }
    known
}

fn told(known: &OfExecutable) -> (&str, Option<&str>) {
    let digests = known.digests().expect("a digest");
    (&digests.sha256, digests.baseline.as_deref())
}

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn a_file_is_read_aside_and_known_at_once_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("program");
    fs::write(&file, b"").unwrap();
    let hashes = Hashes::new();
    let known = settled(&hashes, &file);
    assert_eq!(told(&known), (EMPTY, Some(EMPTY)));
    let entry = file.to_str().unwrap();
    let again = hashes.look(entry, at(entry), &OfExecutable::Unasked);
    assert_eq!(again, known);
    // It isn't read again because it was deleted, or has another name.
    fs::hard_link(&file, folder.path().join("other")).unwrap();
    assert_eq!(hashes.look(entry, at(entry), &known), known);

    fs::remove_file(&file).unwrap();
    fs::write(&file, b"another").unwrap();
    let replaced = settled(&hashes, &file);
    let (digest, baseline) = told(&replaced);
    assert_ne!(digest, EMPTY);
    assert_eq!(baseline, Some(EMPTY));
    assert_eq!(hashes.trouble(), None);
}

#[test]
fn a_process_that_runs_another_program_by_now_gives_its_old_path_no_digest() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    fs::write(&old, b"").unwrap();
    fs::write(&new, b"another").unwrap();
    let hashes = Hashes::new();
    // Known or not: the digest of one must not become the first that was seen at the other's path.
    let (old_path, new_path) = (old.to_str().unwrap(), new.to_str().unwrap());
    let look = || hashes.look(new_path, at(old_path), &OfExecutable::Unasked);
    assert_eq!(look(), OfExecutable::Unasked);
    settled(&hashes, &new);
    assert_eq!(look(), OfExecutable::Unasked);
    assert_eq!(told(&settled(&hashes, &old)), (EMPTY, Some(EMPTY)));

    // One that was deleted has its path still.
    let open = fs::File::open(&new).unwrap();
    fs::remove_file(&new).unwrap();
    let entry = format!("/proc/self/fd/{}", open.as_raw_fd());
    let deleted = hashes.look(&entry, at(new_path), &OfExecutable::Unasked);
    assert_ne!(deleted, OfExecutable::Unasked);
}

#[test]
fn what_is_no_file_on_a_disk_or_too_large_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let huge = folder.path().join("huge");
    let made = fs::File::create(&huge).unwrap();
    made.set_len(1 << 40).unwrap();
    let hashes = Hashes::new();
    let known = settled(&hashes, &huge);
    assert!(matches!(known, OfExecutable::Never(_)), "{known:?}");
    for other in [
        folder.path(),
        Path::new("/proc/self/status"),
        Path::new("/nothing"),
    ] {
        let known = settled(&hashes, other);
        assert_eq!(known, OfExecutable::Unasked, "{}", other.display());
    }
}

#[test]
fn more_files_than_wait_are_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let hashes = Hashes::new();
    let began = Instant::now();
    let files: Vec<_> = (0..WAITING_MAX * 3)
        .map(|number| {
            let file = folder.path().join(number.to_string());
            fs::write(&file, number.to_string()).unwrap();
            file
        })
        .collect();
    let mut left: Vec<_> = files.iter().collect();
    while !left.is_empty() {
        assert!(began.elapsed() < PATIENCE, "{} have no digest", left.len());
        left.retain(|file| {
            let path = file.to_str().unwrap();
            let known = hashes.look(path, at(path), &OfExecutable::Unasked);
            known.digests().is_none()
        });
    }
}
