//! The repository's own text, for tests that hold invariants by reading the sources.

use std::path::{Path, PathBuf};

/// The repository's root.
///
/// # Panics
/// If this crate lies in no repository.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the repository")
}

/// A text of the repository.
///
/// # Panics
/// If it can't be read.
#[must_use]
pub fn text(path: &str) -> String {
    read(&root().join(path))
}

/// Every Rust source under a folder of the repository, with its path from the root; what builds
/// leave behind isn't one.
///
/// # Panics
/// If a folder or file can't be read.
#[must_use]
pub fn sources(folder: &str) -> Vec<(String, String)> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    paths.sort();
    let sources = paths.iter().map(|path| {
        let name = path.strip_prefix(root()).unwrap_or(path);
        (name.to_string_lossy().into_owned(), read(path))
    });
    sources.collect()
}

/// The part of a source before its tests: what is in the product.
#[must_use]
pub fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, paths);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}
