//! Builds guests from source, for the build scripts of the crates that embed them.
//!
//! The guests are a workspace of their own, for another target. Their cargo runs in a target
//! folder of its own, so that it waits for no lock of the outer one, and with the outer one's
//! settings taken away, so that `cargo clippy` or `RUSTFLAGS` of the host change nothing in them.
//! All who embed guests build into the same folder, so that the SDK is compiled once.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What guests are built for.
const GUEST_TARGET: &str = "wasm32-wasip2";
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

/// Where a build script of this repository works.
pub(crate) struct Place {
    /// Its own `OUT_DIR`.
    pub(crate) out: PathBuf,
    /// The repository.
    pub(crate) repository: PathBuf,
}

impl Place {
    /// As cargo tells it.
    pub(crate) fn of_build_script() -> Result<Self, String> {
        let repository = PathBuf::from(variable("CARGO_MANIFEST_DIR")?)
            .parent()
            .ok_or("the crate lies in no repository")?
            .to_owned();
        Ok(Self {
            out: PathBuf::from(variable("OUT_DIR")?),
            repository,
        })
    }

    /// Runs the build script again only when one of these changes.
    pub(crate) fn depends_on(&self, paths: &[&str]) {
        for path in paths {
            let path = self.repository.join(path);
            // A path that isn't there would make cargo run the script at every build.
            if path.exists() {
                println!("cargo::rerun-if-changed={}", path.display());
            }
        }
    }

    /// Builds packages of the guests' workspace, and copies each component from its name there to
    /// its name here in `OUT_DIR`: `PREFIX-NAME` becomes `NAME.wasm`.
    pub(crate) fn build_guests(&self, prefix: &str, names: &[&str]) -> Result<(), String> {
        have_target()?;
        let target = target_folder(&self.out);
        let packages: Vec<String> = names
            .iter()
            .map(|name| format!("{prefix}-{name}"))
            .collect();
        run_cargo(&self.repository.join("guests"), &target, &packages)?;
        let built = target.join(GUEST_TARGET).join("release");
        for (name, package) in names.iter().zip(&packages) {
            let from = built.join(format!("{}.wasm", package.replace('-', "_")));
            copy(&from, &self.out.join(format!("{name}.wasm")))?;
        }
        Ok(())
    }
}

/// Copies a file; the error names it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    std::fs::copy(from, to)
        .map(|_| ())
        .map_err(|error| format!("can't copy {}: {error}", from.display()))
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
        "guests need the target {GUEST_TARGET}, which this Rust toolchain lacks: run `rustup target add {GUEST_TARGET}`"
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

fn run_cargo(guests: &Path, target: &Path, packages: &[String]) -> Result<(), String> {
    let mut command = Command::new(variable("CARGO")?);
    command
        // Where cargo starts decides which `.cargo/config.toml` it reads: the guests' own.
        .current_dir(guests)
        .args(["build", "--release", "--locked", "--target", GUEST_TARGET])
        .arg("--target-dir")
        .arg(target);
    for package in packages {
        command.args(["--package", package]);
    }
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_foreign) {
            command.env_remove(name);
        }
    }
    let output = command
        .output()
        .map_err(|error| format!("can't start cargo for the guests: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    Err("the guests did not build: see the compiler's messages below, or run `cargo build` in guests/".to_owned())
}

fn is_foreign(name: &str) -> bool {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    (starts(&FOREIGN_PREFIXES) || FOREIGN_NAMES.contains(&name)) && !starts(&KEPT_PREFIXES)
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("cargo gave no {name}: {error}"))
}
