//! Builds the built-in guests from source and embeds them: `OUT_DIR/builtins.rs` holds a table of
//! (name, component bytes) and the embedded default config, and `OUT_DIR/authoring.rs` what
//! `weir guest new` writes into a project: (path in the repository, text).
//!
//! It runs again only when the guests, the SDK or the contract change.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

#[path = "../guests/building.rs"]
mod building;

use building::Place;

/// The built-in guests: the name in `"builtin:NAME"`; the package is `weir-builtin-NAME`.
const BUILTINS: [&str; 3] = ["rest", "lineage", "sql-trigger"];
/// Beside them: the config of a daemon that was given none, and the rules that come with it.
const TEXTS: [&str; 2] = ["default.toml", "rules.toml"];
/// Under the repository: what the built-in guests are made of.
const INPUTS: [&str; 8] = [
    "guests/building.rs",
    "guests/Cargo.toml",
    "guests/Cargo.lock",
    "guests/.cargo",
    "guests/sdk",
    "guests/builtin",
    "guests/templates",
    "wit",
];
/// Under the repository: what new projects of guests are made of, all of it text.
const AUTHORING: [&str; 5] = [
    "guests/Cargo.lock",
    "guests/.cargo/config.toml",
    "guests/sdk",
    "guests/templates",
    "wit",
];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            // Shown as the one line `error: weir@VERSION: TEXT`.
            println!("cargo::error={text}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let place = Place::of_build_script()?;
    place.depends_on(&INPUTS);
    place.build_guests("weir-builtin", &BUILTINS)?;
    let (out, repository) = (&place.out, &place.repository);
    for text in TEXTS {
        let from = repository.join("guests/builtin").join(text);
        building::copy(&from, &out.join(text))?;
    }
    let authoring = out.join("authoring.rs");
    let source = authoring_source(repository)?;
    fs::write(&authoring, source).map_err(|error| describe("write", &authoring, &error))?;
    let table = out.join("builtins.rs");
    fs::write(&table, table_source()).map_err(|error| describe("write", &table, &error))
}

/// The table of what new projects are made of, in the order of the paths.
fn authoring_source(repository: &Path) -> Result<String, String> {
    let mut paths = Vec::new();
    for path in AUTHORING {
        files_under(&repository.join(path), &mut paths)?;
    }
    paths.sort();
    let mut source = String::from("&[\n");
    for path in paths {
        let text = fs::read_to_string(&path).map_err(|error| describe("read", &path, &error))?;
        let name = path
            .strip_prefix(repository)
            .map_err(|error| error.to_string())?
            .to_string_lossy()
            .replace('\\', "/");
        // The text itself, so that no path of this machine gets into the program.
        source.push_str(&format!("    ({name:?}, {text:?}),\n"));
    }
    source.push_str("]\n");
    Ok(source)
}

/// All files at or under a path; what a build leaves there is none of it.
fn files_under(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = fs::read_dir(path).map_err(|error| describe("read", path, &error))?;
    for entry in entries {
        let entry = entry
            .map_err(|error| describe("read", path, &error))?
            .path();
        if entry.file_name() != Some(OsStr::new("target")) {
            files_under(&entry, files)?;
        }
    }
    Ok(())
}

fn table_source() -> String {
    let mut source = String::from("&[\n");
    for name in BUILTINS {
        source.push_str(&format!(
            "    ({name:?}, include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.wasm\"))),\n"
        ));
    }
    source.push_str("]\n");
    source
}

fn describe(verb: &str, path: &Path, error: &io::Error) -> String {
    format!("can't {verb} {}: {error}", path.display())
}
