//! Which paths are reported.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::super::paths::{FOLDERS_MAX, FilesystemOptionsError, PATTERNS_MAX, Paths};

fn paths(
    folders: &[&str],
    include: &[&str],
    exclude: &[&str],
) -> Result<Paths, FilesystemOptionsError> {
    let folders: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
    let texts = |list: &[&str]| {
        list.iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    Paths::new(&folders, &texts(include), &texts(exclude))
}

#[test]
fn globs_choose_within_the_folders() {
    let check = |include: &[&str], exclude: &[&str], path: &[u8], expected| {
        let paths = paths(&["/srv/a", "/srv/b/"], include, exclude).unwrap();
        let path = Path::new(OsStr::from_bytes(path));
        assert_eq!(
            paths.wants(path),
            expected,
            "{path:?} {include:?} {exclude:?}"
        );
    };
    check(&[], &[], b"/srv/a/x", true);
    check(&[], &[], b"/srv/b/x/y", true);
    check(&[], &[], b"/srv/ab", false);
    check(&[], &[], b"/srv/c/x", false);
    check(&["**/*.conf"], &[], b"/srv/a/x/y.conf", true);
    check(&["**/*.conf"], &[], b"/srv/a/x/y.txt", false);
    check(&["/srv/a/*"], &[], b"/srv/a/x", true);
    // What is below a match is in it, too.
    check(&["/srv/a/x"], &[], b"/srv/a/x/y/z", true);
    check(&[], &["/srv/a/x/"], b"/srv/a/x/y", false);
    check(&[], &["/srv/a/x"], b"/srv/a/x", false);
    check(&[], &["/srv/a/x"], b"/srv/a/xy", true);
    check(&[], &["*.log"], b"/srv/a/y.log", true);
    check(&[], &["**/*.{log,tmp}"], b"/srv/a/y.tmp", false);
    // An exclude wins over an include.
    check(&["**/*.conf"], &["/srv/a/x"], b"/srv/a/x/y.conf", false);
    check(&[], &["**/a?"], b"/srv/a/\xff\n", true);
    check(&["/srv/a/**"], &[], b"/srv/a/\xff\n\xfe", true);
}

#[test]
fn a_folder_within_another_is_watched_once() {
    let paths = paths(&["/b", "/a/x", "/a", "/a/x/y/", "/ab"], &[], &[]).unwrap();
    assert_eq!(paths.folders(), ["/a", "/ab", "/b"].map(PathBuf::from));
}

#[test]
fn options_that_are_wrong_say_what_is_wrong() {
    let check = |wrong: Result<Paths, FilesystemOptionsError>, told: &str| {
        let error = wrong.unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    };
    check(paths(&["srv"], &[], &[]), "`srv` to watch is not absolute");
    check(paths(&["/"], &["a{b"], &[]), "`a{b` is no pattern");
    check(paths(&["/"], &[], &["[z-a]"]), "`[z-a]` is no pattern");
    check(
        paths(&vec!["/a"; FOLDERS_MAX + 1], &[], &[]),
        "65 folders to watch are more than the 64",
    );
    check(
        paths(&["/"], &vec!["a"; PATTERNS_MAX + 1], &[]),
        "257 patterns are more than the 256",
    );
}
