//! The weakest layer: for every key that no other layer sets, its default; and what has none is missing.
//!
//! Invariant: afterwards every key that has a meaning has a value, is unset on purpose, or is an error.

use super::check::check;
use super::error::ConfigError;
use super::keys::{Computed, Fallback, Key, NAME_SEGMENT, Takes, all};
use super::layer::{KeyPath, Layered, shown_key};
use super::origin::Origin;
use super::raw::parse_free;
use super::user_id;
use super::value::Value;
use std::path::{Path, PathBuf};

/// The config folder of the system.
pub(crate) const SYSTEM_FOLDER: &str = "/etc/weir";

/// Who runs the daemon, as far as defaults depend on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Host {
    /// Whether it is root.
    pub(crate) as_root: bool,
    /// `$HOME`, `$XDG_CONFIG_HOME`, `$XDG_CACHE_HOME`, `$XDG_STATE_HOME` and `$XDG_RUNTIME_DIR`, where set to
    /// absolute paths.
    folders: Vec<(String, PathBuf)>,
}

impl Host {
    /// Reads what matters out of an environment.
    pub(crate) fn new(as_root: bool, environment: &[(String, String)]) -> Self {
        const ASKED: [&str; 5] = [
            "HOME",
            "XDG_CONFIG_HOME",
            "XDG_CACHE_HOME",
            "XDG_STATE_HOME",
            "XDG_RUNTIME_DIR",
        ];
        let folders = environment
            .iter()
            .filter(|(name, value)| {
                ASKED.contains(&name.as_str()) && Path::new(value).is_absolute()
            })
            .map(|(name, value)| (name.clone(), PathBuf::from(value)))
            .collect();
        Self { as_root, folders }
    }

    fn folder(&self, variable: &str) -> Option<&Path> {
        self.folders
            .iter()
            .find(|(name, _)| name == variable)
            .map(|(_, folder)| folder.as_path())
    }

    /// `weir` in a folder of the XDG specification, or in its place in the home folder.
    pub(crate) fn own(&self, variable: &str, in_home: &str) -> Option<PathBuf> {
        self.folder(variable)
            .map(Path::to_path_buf)
            .or_else(|| Some(self.folder("HOME")?.join(in_home)))
            .map(|folder| folder.join("weir"))
    }

    fn socket_folder(&self) -> PathBuf {
        if self.as_root {
            return PathBuf::from("/run/weir");
        }
        self.folder("XDG_RUNTIME_DIR").map_or_else(
            || PathBuf::from(format!("/tmp/weir-{}", user_id())),
            |folder| folder.join("weir"),
        )
    }

    fn compute(&self, what: Computed) -> Value {
        let own = |variable, in_home, of_root: &str| {
            let own = (!self.as_root)
                .then(|| self.own(variable, in_home))
                .flatten();
            Value::Path(own.unwrap_or_else(|| PathBuf::from(of_root)))
        };
        match what {
            Computed::CacheFolder => own("XDG_CACHE_HOME", ".cache", "/var/cache/weir"),
            Computed::StateFolder => own("XDG_STATE_HOME", ".local/state", "/var/lib/weir"),
            Computed::Socket => Value::Path(self.socket_folder().join("weir.sock")),
            Computed::GuestFolders => {
                let system = Path::new(SYSTEM_FOLDER).to_path_buf();
                let own = (!self.as_root)
                    .then(|| self.own("XDG_CONFIG_HOME", ".config"))
                    .flatten();
                let folders = [Some(system), own].into_iter().flatten();
                Value::List(
                    folders
                        .map(|folder| folder.join("guests").to_string_lossy().into_owned())
                        .collect(),
                )
            }
        }
    }
}

/// Gives every key that isn't set its default, and tells what is missing or has no meaning.
pub(crate) fn complete(layered: &mut Layered, host: &Host) {
    for key in all() {
        match key.split_at_name() {
            None => complete_key(
                layered,
                key,
                key.segments().map(str::to_owned).collect(),
                host,
            ),
            Some((table, rest)) => {
                for entry in entries_of(layered, table) {
                    let rest = rest.split('.').map(str::to_owned);
                    let path = entry.iter().cloned().chain(rest).collect();
                    if has_meaning(layered, key, &entry, &path) {
                        complete_key(layered, key, path, host);
                    }
                }
            }
        }
    }
}

/// The entries of a table of names: `sources`, `bus.access`; of all such tables where it lies in another one:
/// `chain.<name>.stages`.
pub(crate) fn entries_of(layered: &Layered, table: &str) -> Vec<KeyPath> {
    let segments: Vec<&str> = table.split('.').collect();
    let is_in = |entry: &KeyPath| {
        entry.len() == segments.len() + 1
            && segments
                .iter()
                .zip(entry)
                .all(|(known, given)| *known == NAME_SEGMENT || known == given)
    };
    let entries = layered.names.keys().filter(|entry| is_in(entry));
    entries.cloned().collect()
}

/// Whether the key means something for an entry of this kind; if it doesn't and is set, that is an error.
fn has_meaning(layered: &mut Layered, key: &Key, entry: &KeyPath, path: &KeyPath) -> bool {
    if key.kinds.is_empty() {
        return true;
    }
    let Some(kind) = kind_of(layered, entry) else {
        // The kind itself is missing or wrong: that is told, and nothing can be said here.
        return false;
    };
    if key.kinds.contains(&kind) {
        return true;
    }
    let problem = format!(
        "has no meaning for kind \"{kind}\", only for {}; take it out",
        key.kinds.join(" and ")
    );
    if let Some((value, origin)) = layered.values.remove(path) {
        layered.errors.push(ConfigError::Conflict {
            origin,
            key: shown_key(path),
            given: value.to_toml(),
            problem,
        });
    }
    false
}

/// What an entry says as its `kind`.
fn kind_of<'a>(layered: &'a Layered, entry: &[String]) -> Option<&'a str> {
    let path: KeyPath = entry.iter().cloned().chain(["kind".to_owned()]).collect();
    layered.get(&path).and_then(|(kind, _)| kind.as_text())
}

/// A default of the key table as a value.
fn default_of(key: &Key, toml: &str) -> Result<Value, Box<ConfigError>> {
    check(key, &parse_free(toml), None).map_err(|problem| {
        let text = format!("the default of {} is {toml}: {}", key.path, problem.what);
        Box::new(ConfigError::Internal(text))
    })
}

fn complete_key(layered: &mut Layered, key: &Key, path: KeyPath, host: &Host) {
    let is_set = layered.values.contains_key(&path)
        || layered.failed.contains(&path)
        || (key.takes == Takes::Free && layered.has_inside(&path));
    if is_set {
        return;
    }
    let (value, origin) = match key.fallback {
        Fallback::Value(toml) => match default_of(key, toml) {
            Ok(value) => (value, Origin::built_in()),
            Err(error) => return layered.errors.push(*error),
        },
        Fallback::OfKind(values) => {
            let entry = path.split_last().map(|(_, entry)| entry);
            let kind = kind_of(layered, entry.unwrap_or_default());
            let Some((_, toml)) = values.iter().find(|(of, _)| Some(*of) == kind) else {
                return;
            };
            match default_of(key, toml) {
                Ok(value) => (value, Origin::built_in()),
                Err(error) => return layered.errors.push(*error),
            }
        }
        Fallback::SameAs(other) => {
            let other: KeyPath = other.split('.').map(str::to_owned).collect();
            match layered.get(&other) {
                Some(found) => found.clone(),
                // The other one is wrong, and that has been told.
                None => return,
            }
        }
        Fallback::Computed { from, .. } => (host.compute(from), Origin::built_in()),
        Fallback::Unset { .. } => return,
        Fallback::Required { example } => {
            missing(layered, key, &path, example);
            return;
        }
    };
    layered.values.insert(path, (value, origin));
}

/// Tells that a key must be set, at the place where its table was first mentioned.
pub(crate) fn missing(layered: &mut Layered, key: &Key, path: &KeyPath, example: &str) {
    let origin = layered
        .entries_around(path)
        .last()
        .and_then(|entry| layered.names.get(entry))
        .cloned()
        .unwrap_or_else(Origin::built_in);
    layered.errors.push(ConfigError::Missing {
        origin,
        key: shown_key(path),
        expected: key.takes.to_string(),
        example: format!("{} = {example}", key.split().1),
    });
}
