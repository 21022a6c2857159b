//! Promises of the store.

use super::*;

fn confirmed(number: u64, module: &[u8], memory: Option<(u32, Vec<u8>)>) -> Confirmed {
    Confirmed {
        number,
        module: "mine.wasm".to_owned(),
        digest: Digest::of(module),
        settings: r#"{"a":1}"#.to_owned(),
        signature: None,
        asked: Digest::of(b"asked"),
        memory,
    }
}

fn changes(changes: &[(&str, Option<&[u8]>)]) -> Unsaved {
    let owned = |(key, value): &(&str, Option<&[u8]>)| ((*key).to_owned(), value.map(Arc::from));
    changes.iter().map(owned).collect()
}

#[test]
fn a_slot_finds_its_generation_and_its_state_again_and_no_other_s() {
    let folder = tempfile::tempdir().unwrap();
    let memory = Some((3, vec![1, 2]));
    let one = confirmed(7, b"module one", memory);
    {
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.kept("a").unwrap(), Kept::default());
        let state = changes(&[("k", Some(b"v")), ("gone", Some(b"x"))]);
        store.save("a", &one, Some(b"module one"), &state).unwrap();
        let later = changes(&[("gone", None), ("l", Some(b""))]);
        store.save("a", &one, None, &later).unwrap();
        let other = changes(&[("k", Some(b"other"))]);
        store.save("a-neighbour", &one, None, &other).unwrap();
        assert!(matches!(
            Store::open(folder.path()),
            Err(StoreError::InUse { .. })
        ));
    }
    let store = Store::open(folder.path()).unwrap();
    let kept = store.kept("a").unwrap();
    assert_eq!(kept.confirmed, Some(one.clone()));
    let keys: Vec<_> = kept
        .state
        .iter()
        .map(|(key, value)| (key.as_str(), &value[..]))
        .collect();
    assert_eq!(keys, [("k", &b"v"[..]), ("l", b"")]);
    assert_eq!(
        store.module(&one.digest).unwrap().as_deref(),
        Some(&b"module one"[..])
    );
}

#[test]
fn modules_that_no_slot_needs_any_more_go() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (one, two) = (confirmed(1, b"one", None), confirmed(2, b"two", None));
    store
        .save("a", &one, Some(b"one"), &Unsaved::new())
        .unwrap();
    store
        .save("b", &one, Some(b"one"), &Unsaved::new())
        .unwrap();
    store
        .save("a", &two, Some(b"two"), &Unsaved::new())
        .unwrap();
    assert!(store.module(&one.digest).unwrap().is_some(), "b needs it");
    store
        .save("b", &two, Some(b"two"), &Unsaved::new())
        .unwrap();
    assert_eq!(store.module(&one.digest).unwrap(), None);
    assert!(store.module(&two.digest).unwrap().is_some());
}

#[cfg(unix)]
#[test]
fn a_file_that_is_no_store_is_told_with_what_to_do_and_left_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    std::fs::write(&path, vec![7; 10_000]).unwrap();
    let error = Store::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("move it away"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), vec![7; 10_000]);
    std::fs::remove_file(&path).unwrap();
    drop(Store::open(folder.path()).unwrap());
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
