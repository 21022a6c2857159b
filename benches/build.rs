//! Builds the guests that the benches run, from source, into this crate's `OUT_DIR`.
//!
//! They lie in a workspace of their own (`guests/`), for another target. Their cargo runs in the
//! target folder that the built-in guests use too, so that the SDK is compiled once; and with the
//! outer cargo's settings taken away, so that `cargo clippy` or `RUSTFLAGS` of the host change
//! nothing in them. It runs again only when these guests, the SDK or the contract change.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

/// What guests are built for.
const GUEST_TARGET: &str = "wasm32-wasip2";
/// The guests of the benches; the package is `weir-bench-NAME`.
const GUESTS: [&str; 5] = ["text", "numeric", "empty", "rules", "records"];
/// Under the repository: what they are made of.
const INPUTS: [&str; 6] = [
    "guests/Cargo.toml",
    "guests/Cargo.lock",
    "guests/.cargo",
    "guests/sdk",
    "guests/bench",
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
            println!("cargo::error={text}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let repository = PathBuf::from(variable("CARGO_MANIFEST_DIR")?)
        .parent()
        .ok_or("benches/ lies in no repository")?
        .to_owned();
    for input in INPUTS {
        println!(
            "cargo::rerun-if-changed={}",
            repository.join(input).display()
        );
    }
    have_target()?;
    let target = target_folder(&out);
    run_cargo(&repository.join("guests"), &target)?;
    let built = target.join(GUEST_TARGET).join("release");
    for name in GUESTS {
        let from = built.join(format!("weir_bench_{name}.wasm"));
        fs::copy(&from, out.join(format!("{name}.wasm")))
            .map_err(|error| format!("can't copy {}: {error}", from.display()))?;
    }
    Ok(())
}

/// `<target>/guests`, where `<target>` is what the outer cargo builds into. `OUT_DIR` is
/// `<target>/PROFILE/build/PACKAGE/out`.
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
        "the benches' guests need the target {GUEST_TARGET}, which this Rust toolchain lacks: run `rustup target add {GUEST_TARGET}`"
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
    for name in GUESTS {
        command.arg("--package").arg(format!("weir-bench-{name}"));
    }
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_foreign) {
            command.env_remove(name);
        }
    }
    let output = command
        .output()
        .map_err(|error| format!("can't start cargo for the benches' guests: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    Err("the benches' guests did not build: see the compiler's messages below, or run `cargo build` in guests/".to_owned())
}

fn is_foreign(name: &str) -> bool {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    (starts(&FOREIGN_PREFIXES) || FOREIGN_NAMES.contains(&name)) && !starts(&KEPT_PREFIXES)
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("cargo gave no {name}: {error}"))
}
