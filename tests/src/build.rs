//! Programs and components that tests need, built from source once a run: the daemon as its users
//! have it, without any test's feature, and the hostile guests.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::repository;

/// Names a built daemon that the tests take instead of building one.
const BINARY_VARIABLE: &str = "TESTED_WEIR_BINARY";
/// What guests are built for.
const GUEST_TARGET: &str = "wasm32-wasip2";
/// The packages of hostile components, in `guests/hostile/`.
pub const HOSTILE_PACKAGES: [&str; 7] = [
    "filter",
    "trigger",
    "stage",
    "memory",
    "plain",
    "sockets",
    "two-worlds",
];

/// What cargo tells the tests about themselves: nothing for another build.
const OWN_PREFIXES: [&str; 4] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_CRATE_",
    "CARGO_BIN_",
];
/// Settings for the host's code that would change or disturb a guest's build.
const HOST_PREFIXES: [&str; 6] = [
    "CARGO_BUILD",
    "CARGO_ENCODED",
    "CARGO_PROFILE",
    "CARGO_TARGET",
    "RUSTFLAGS",
    "CLIPPY",
];
/// The same, by their whole names.
const HOST_NAMES: [&str; 4] = [
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_LINKER",
    "MAKEFLAGS",
];

/// The folder that this build goes into: this program lies in `<target>/release/deps`.
///
/// # Panics
/// If this program lies elsewhere.
#[must_use]
pub fn target_folder() -> PathBuf {
    let program = std::env::current_exe().expect("this program has a path");
    let profile = program.ancestors().find(|folder| {
        folder
            .file_name()
            .is_some_and(|name| name == OsStr::new("deps"))
    });
    profile
        .and_then(|deps| deps.parent()?.parent())
        .expect("a test lies in <target>/<profile>/deps")
        .to_owned()
}

/// The `weir` binary: what `TESTED_WEIR_BINARY` names, or built here, once a run.
///
/// # Panics
/// If it can't be built.
#[must_use]
pub fn weir_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os(BINARY_VARIABLE) {
            return PathBuf::from(path);
        }
        let target = target_folder();
        let mut cargo = cargo(repository::root(), &target);
        cargo.args(["--package", "weir", "--bin", "weir"]);
        run(cargo, "the daemon");
        target
            .join("release")
            .join(format!("weir{}", std::env::consts::EXE_SUFFIX))
    })
}

/// The folder with the hostile guests' components, built once a run; a package `NAME` of
/// `guests/hostile/` is `weir_hostile_NAME.wasm` there.
///
/// # Panics
/// If they can't be built.
#[must_use]
pub fn hostile_guests() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let target = target_folder().join("guests-hostile");
        let mut cargo = cargo(&repository::root().join("guests"), &target);
        cargo.args(["--target", GUEST_TARGET]);
        for name in HOSTILE_PACKAGES {
            cargo.args(["--package", &format!("weir-hostile-{name}")]);
        }
        for (name, _) in std::env::vars_os() {
            let is_hosts = name.to_str().is_some_and(|name| {
                HOST_NAMES.contains(&name) || starts_with_one(name, &HOST_PREFIXES)
            });
            if is_hosts {
                cargo.env_remove(name);
            }
        }
        run(cargo, "the hostile guests");
        target.join(GUEST_TARGET).join("release")
    })
}

/// The path of a hostile guest's component.
#[must_use]
pub fn hostile_module(package: &str) -> PathBuf {
    let name = package.replace('-', "_");
    hostile_guests().join(format!("weir_hostile_{name}.wasm"))
}

fn starts_with_one(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

fn cargo(folder: &Path, target: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command
        // Where cargo starts decides which `.cargo/config.toml` it reads.
        .current_dir(folder)
        // Nobody answers it, and without a terminal nothing can stop it for asking.
        .stdin(Stdio::null())
        .args(["build", "--release", "--locked", "--quiet"])
        .arg("--target-dir")
        .arg(target);
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| starts_with_one(name, &OWN_PREFIXES))
        {
            command.env_remove(name);
        }
    }
    command
}

fn run(mut command: Command, what: &str) {
    let output = command.output().expect("cargo can be started");
    assert!(
        output.status.success(),
        "{what} did not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
