//! Builds the built-in guests from source and embeds them: `OUT_DIR/builtins.rs` holds a table of
//! (name, component bytes) and the embedded default config, and `OUT_DIR/authoring.rs` what
//! `weir guest new` writes into a project: (path in the repository, text).
//!
//! The guests are a workspace of their own, for another target. Their cargo runs in a target
//! folder of its own, so that it waits for no lock of the outer one, and with the outer one's
//! settings taken away, so that `cargo clippy` or `RUSTFLAGS` of the host change nothing in them.
//! It runs again only when the guests, the SDK or the contract change.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs, io};

/// What guests are built for.
const GUEST_TARGET: &str = "wasm32-wasip2";
/// The built-in guests: the name in `"builtin:NAME"`; the package is `weir-builtin-NAME`.
const BUILTINS: [&str; 3] = ["rest", "watch", "lineage"];
/// The config of a daemon that was given none, beside the guests whose settings it holds.
const DEFAULT_CONFIG: &str = "builtin/default.toml";
/// Under the repository: what the built-in guests are made of.
const INPUTS: [&str; 7] = [
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
/// Settings of the outer cargo, rustc and clippy that would change or disturb the guests' build.
const FOREIGN_PREFIXES: [&str; 5] = ["CARGO", "RUSTFLAGS", "RUSTDOC", "CLIPPY", "DEP_"];
const FOREIGN_NAMES: [&str; 9] = [
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_LINKER",
    "MAKEFLAGS",
    "MFLAGS",
    "TARGET",
    "HOST",
    "PROFILE",
    "OUT_DIR",
];
/// Of these the guests' cargo needs the same as the outer one: its home, and how to reach a registry.
const KEPT_PREFIXES: [&str; 5] = [
    "CARGO_HOME",
    "CARGO_HTTP",
    "CARGO_NET",
    "CARGO_REGISTR",
    "CARGO_SOURCE",
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
    let out = PathBuf::from(variable("OUT_DIR")?);
    let repository = PathBuf::from(variable("CARGO_MANIFEST_DIR")?)
        .parent()
        .ok_or("runtime/ lies in no repository")?
        .to_owned();
    for input in INPUTS {
        let path = repository.join(input);
        // A path that isn't there would make cargo run this at every build.
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    let guests = repository.join("guests");
    have_target()?;
    let target = target_folder(&out);
    run_cargo(&guests, &target)?;

    let built = target.join(GUEST_TARGET).join("release");
    for name in BUILTINS {
        let from = built.join(format!("weir_builtin_{name}.wasm"));
        copy(&from, &out.join(format!("{name}.wasm")))?;
    }
    copy(&guests.join(DEFAULT_CONFIG), &out.join("default.toml"))?;
    let authoring = out.join("authoring.rs");
    let source = authoring_source(&repository)?;
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

/// `<target>/guests`, where `<target>` is what the outer cargo builds into: found again by the
/// next build. `OUT_DIR` is `<target>/PROFILE/build/PACKAGE/out`.
fn target_folder(out: &Path) -> PathBuf {
    out.ancestors()
        .find(|folder| folder.file_name() == Some(OsStr::new("build")))
        .and_then(|build| build.parent()?.parent())
        .unwrap_or(out)
        .join("guests")
}

/// Adds the guests' target where it is missing.
fn have_target() -> Result<(), String> {
    if is_target_there() {
        return Ok(());
    }
    let added = Command::new("rustup")
        .args(["target", "add", GUEST_TARGET])
        .output()
        .is_ok_and(|output| output.status.success());
    if added && is_target_there() {
        return Ok(());
    }
    Err(format!(
        "the built-in guests need the target {GUEST_TARGET}, which this Rust toolchain lacks: run `rustup target add {GUEST_TARGET}`"
    ))
}

fn is_target_there() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let Ok(output) = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", GUEST_TARGET])
        .output()
    else {
        return false;
    };
    let folder = String::from_utf8_lossy(&output.stdout);
    output.status.success() && Path::new(folder.trim()).is_dir()
}

fn run_cargo(guests: &Path, target: &Path) -> Result<(), String> {
    let mut command = Command::new(variable("CARGO")?);
    command
        // Where cargo starts decides which `.cargo/config.toml` it reads: the guests' own.
        .current_dir(guests)
        .args(["build", "--release", "--locked", "--target", GUEST_TARGET])
        .arg("--target-dir")
        .arg(target);
    for name in BUILTINS {
        command.arg("--package").arg(format!("weir-builtin-{name}"));
    }
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_foreign) {
            command.env_remove(name);
        }
    }
    let output = command
        .output()
        .map_err(|error| format!("can't start cargo for the built-in guests: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    Err("the built-in guests did not build: see the compiler's messages below, or run `cargo build` in guests/".to_owned())
}

fn is_foreign(name: &str) -> bool {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    (starts(&FOREIGN_PREFIXES) || FOREIGN_NAMES.contains(&name)) && !starts(&KEPT_PREFIXES)
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

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to)
        .map(|_| ())
        .map_err(|error| describe("copy", from, &error))
}

fn describe(verb: &str, path: &Path, error: &io::Error) -> String {
    format!("can't {verb} {}: {error}", path.display())
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("cargo gave no {name}: {error}"))
}
