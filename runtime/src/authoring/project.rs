//! A new project: the SDK, the contract, and an example of its world, in a folder that stands alone.
//!
//! Invariant: a folder that is there already is never touched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files::{self, CARGO_CONFIG, LOCK, TEMPLATES};
use super::lock;
use super::name::ProjectName;
use crate::sandbox::World;

/// Files whose names end so have places for the project's own words.
const TEMPLATE_END: &str = ".template";
/// What a project depends on.
const DEPENDENCIES: [&str; 2] = ["serde", "weir-guest"];
/// Where the SDK and the contract lie in a project: as in the repository.
const SDK_FOLDER: &str = "weir";
/// Where cargo leaves the component.
pub(super) const BUILT_IN: &str = "target/wasm32-wasip2/release";

/// Why there is no new project.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    /// Something is there.
    #[error("{path} is there already: give another name, or another place with --path", path = path.display())]
    Exists {
        /// The folder that was to be made.
        path: PathBuf,
    },
    /// A file can't be written.
    #[error("can't write {path}: {source}", path = path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes a project at `path`, with all folders on the way there.
///
/// # Errors
/// If something is there, or can't be written; what was written until then stays.
pub fn create(name: &ProjectName, world: World, path: &Path) -> Result<(), NewError> {
    make_folder(path)?;
    for (name, text) in files::sdk() {
        write(&path.join(SDK_FOLDER).join(name), text)?;
    }
    write(
        &path.join(".cargo/config.toml"),
        files::text_of(CARGO_CONFIG),
    )?;
    let lock = files::text_of(LOCK);
    let own_lock = lock::lock_for(lock, name.as_str(), &DEPENDENCIES);
    write(&path.join("Cargo.lock"), &own_lock)?;
    let serde = lock::version_of(lock, "serde").unwrap_or_else(|| "1".to_owned());
    let words = [
        ("{{name}}", name.to_string()),
        ("{{world}}", world.to_string()),
        ("{{serde}}", serde),
        ("{{grants}}", example_grants(world).to_owned()),
        ("{{slot}}", name.to_string()),
        ("{{wasm}}", format!("{BUILT_IN}/{}.wasm", name.crate_name())),
    ];
    for folder in ["common", world.as_str()] {
        for (file, text) in files::under(&format!("{TEMPLATES}{folder}/")) {
            match file.strip_suffix(TEMPLATE_END) {
                Some(file) => write(&path.join(shown_name(file)), &filled(text, &words))?,
                None => write(&path.join(file), text)?,
            }
        }
    }
    Ok(())
}

/// What the slot of a world's example is granted, as the config writes it.
const fn example_grants(world: World) -> &'static str {
    match world {
        World::Filter | World::Trigger => "\"log\"",
        World::Stage => "\"log\", \"inspect\"",
    }
}

/// A template's file as it is called in a project: those that begin with a dot stand without it,
/// so that they do nothing where they lie.
fn shown_name(file: &str) -> &str {
    if file == "gitignore" {
        ".gitignore"
    } else {
        file
    }
}

fn filled(text: &str, words: &[(&str, String)]) -> String {
    words.iter().fold(text.to_owned(), |text, (place, word)| {
        text.replace(place, word)
    })
}

fn make_folder(path: &Path) -> Result<(), NewError> {
    let failed = |source| NewError::Write {
        path: path.to_owned(),
        source,
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(NewError::Exists {
            path: path.to_owned(),
        }),
        made => made.map_err(failed),
    }
}

fn write(path: &Path, text: &str) -> Result<(), NewError> {
    let failed = |source| NewError::Write {
        path: path.to_owned(),
        source,
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    fs::write(path, text).map_err(failed)
}
