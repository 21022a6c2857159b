//! Builds a guest with cargo, and makes sure that a guest is what comes out.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

/// What guests are built for.
const TARGET: &str = "wasm32-wasip2";
/// How the file of a component ends.
const COMPONENT_END: &str = "wasm";

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no project.
    #[error("{path} isn't there: give the folder of a guest's project, or make one with `weir guest new`", path = path.display())]
    NoProject {
        /// The manifest that was looked for.
        path: PathBuf,
    },
    /// A tool can't be started.
    #[error(
        "can't run {program}: {source}; guests in Rust are built with cargo, which rustup installs"
    )]
    Start {
        /// The tool.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The target isn't there, and can't be added.
    #[error("this Rust toolchain lacks the target {TARGET}: run `rustup target add {TARGET}`")]
    NoTarget,
    /// The compiler refuses.
    #[error("{path} did not build: cargo's messages above say why", path = path.display())]
    Cargo {
        /// The project.
        path: PathBuf,
    },
    /// It builds something else.
    #[error("{path} builds no component: its Cargo.toml needs `[lib]` with `crate-type = [\"cdylib\"]`", path = path.display())]
    NoComponent {
        /// The project.
        path: PathBuf,
    },
}

/// One of the messages of cargo, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// Builds the project in `folder` and gives the path of its component. What cargo says goes to
/// stderr.
///
/// # Errors
/// If there is no project, a tool or the target is missing, or it doesn't build.
pub fn build(folder: &Path) -> Result<PathBuf, BuildError> {
    let manifest = folder.join("Cargo.toml");
    let Ok(manifest) = manifest.canonicalize() else {
        return Err(BuildError::NoProject { path: manifest });
    };
    have_target(folder)?;
    let output = Command::new("cargo")
        // Where cargo starts decides which `.cargo/config.toml` it reads: the project's own.
        .current_dir(folder)
        .args(["build", "--release", "--target", TARGET])
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| BuildError::Start {
            program: "cargo",
            source,
        })?;
    if !output.status.success() {
        return Err(BuildError::Cargo {
            path: folder.to_owned(),
        });
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    component_in(&stdout, &manifest).ok_or_else(|| BuildError::NoComponent {
        path: folder.to_owned(),
    })
}

/// The component among what cargo says it has made; the last, if there are several.
fn component_in(messages: &str, manifest: &Path) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| message.reason == "compiler-artifact")
        .filter(|message| message.manifest_path.as_deref() == Some(manifest))
        .flat_map(|message| message.filenames)
        .rfind(|path| path.extension() == Some(OsStr::new(COMPONENT_END)))
}

/// Adds the target where it is missing. The project's folder may choose a toolchain of its own.
fn have_target(folder: &Path) -> Result<(), BuildError> {
    if is_target_there(folder)? {
        return Ok(());
    }
    eprintln!("adding the target {TARGET} to this Rust toolchain");
    let added = Command::new("rustup")
        .current_dir(folder)
        .args(["target", "add", TARGET])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    let added = added.is_ok_and(|status| status.success());
    if added && is_target_there(folder)? {
        return Ok(());
    }
    Err(BuildError::NoTarget)
}

fn is_target_there(folder: &Path) -> Result<bool, BuildError> {
    let output = Command::new("rustc")
        .current_dir(folder)
        .args(["--print", "target-libdir", "--target", TARGET])
        .stdin(Stdio::null())
        .output()
        .map_err(|source| BuildError::Start {
            program: "rustc",
            source,
        })?;
    let libraries = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success() && Path::new(libraries.trim()).is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_is_the_projects_own_and_not_a_dependencys() {
        let line = |manifest: &str, file: &str| {
            serde_json::json!({
                "reason": "compiler-artifact", "manifest_path": manifest, "filenames": [file],
            })
        };
        let messages = format!(
            "not json\n{}\n{}\n{}\n{{\"reason\":\"build-finished\"}}",
            line("/x/sdk/Cargo.toml", "/t/sdk.wasm"),
            line("/x/Cargo.toml", "/t/libx.rlib"),
            line("/x/Cargo.toml", "/t/x.wasm"),
        );
        let found = component_in(&messages, Path::new("/x/Cargo.toml"));
        assert_eq!(found.as_deref(), Some(Path::new("/t/x.wasm")));
        assert_eq!(component_in(&messages, Path::new("/y/Cargo.toml")), None);
    }
}
