//! The config: one table of keys, layers over each other, every value with its origin, errors that say what would be right.
//!
//! This folder alone knows how the daemon is configured: which keys there are, where files lie and what a
//! variable is called. It reads no guest, starts nothing, and prints nothing.
//!
//! The way of a value: `text.rs` and `variables.rs` read a layer into raw values (`raw.rs`), each is checked
//! against its key (`keys/`, `check.rs`) and laid over the weaker layers (`layer.rs`), what nobody set gets its
//! default (`complete.rs`), values are checked against each other (`rules.rs`), and what is left becomes the typed
//! [`Config`] (`validated.rs`) and its [`Provenance`].
//!
//! Invariant: either a whole, valid [`Config`] comes out, or all errors, and nothing has changed.

mod chain_rules;
mod check;
mod complete;
mod conditions;
mod difference;
mod error;
mod init;
pub mod keys;
mod layer;
mod limits;
mod named;
mod names;
mod origin;
mod page;
mod provenance;
mod raw;
mod redact_rules;
mod rules;
mod source_rules;
mod text;
mod trigger_rules;
mod units;
mod validated;
mod value;
mod variables;

#[cfg(test)]
mod tests;

pub use conditions::CONDITIONS_SLOT;
pub use error::{ConfigError, ConfigErrors, ERRORS_MAX};
pub use init::init_text;
pub use limits::Limits;
pub use names::Module;
pub use origin::{Layer, Origin};
pub use page::keys_page;
pub use provenance::{Known, Provenance, render};
pub use validated::{
    AccessSettings, AdmissionSettings, BusSettings, ChainSettings, ChainStageSettings,
    ChainsSettings, CollectorSettings, Config, DeadLetterSettings, ExceptionSettings,
    FilesystemMethod, FilesystemSettings, Grant, LogFormat, LogSettings, MetricsSettings, OnFault,
    OnState, RedactSettings, ReplayPace, RulesSettings, SandboxSettings, SinkSettings,
    SlotQueuePolicy, SlotSettings, SourceSettings, SupervisionSettings, SwapSettings,
    ThresholdSettings, TriggerSettings, TrustSettings, TrustedKey,
};
pub use value::Value;
pub use weir_bus::pubsub::BusKind;

pub(crate) use keys::{name_is_good, nearest_of};

use complete::{Host, SYSTEM_FOLDER, complete};
use layer::Layered;
use serde_json::{Map, Value as Json};
use std::path::PathBuf;

/// What a config file is called.
const FILE_NAME: &str = "weir.toml";

/// What to load a config from.
#[derive(Debug, Clone, Default)]
pub struct LoadRequest<'a> {
    /// The file of `--config`; it must be there.
    pub explicit: Option<PathBuf>,
    /// The system's file, if there is one; see [`standard_paths`].
    pub system: Option<PathBuf>,
    /// The user's file, if there is one; see [`standard_paths`].
    pub user: Option<PathBuf>,
    /// Names and values: what begins with `WEIR_` is a layer; `HOME` and `XDG_*_HOME` say where default folders are.
    pub environment: Vec<(String, String)>,
    /// Dotted keys and their values, from the command line.
    pub flags: Vec<(String, String)>,
    /// The config that holds where there is no file.
    pub embedded_default: &'a str,
    /// The rules that hold with `rules.builtin = true`.
    pub embedded_rules: &'a str,
}

/// A config that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The config.
    pub config: Config,
    /// Where each value comes from.
    pub provenance: Provenance,
    /// The files to watch: those that were read, and those that would be if they came to exist.
    pub files: Vec<PathBuf>,
}

/// Where config files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandardPaths {
    /// The system's.
    pub system: PathBuf,
    /// The user's: `$XDG_CONFIG_HOME/weir/weir.toml` or `~/.config/weir/weir.toml`; nothing without both variables.
    pub user: Option<PathBuf>,
}

/// Where config files lie for somebody with this environment (see [`process_environment`]).
#[must_use]
pub fn standard_paths(environment: &[(String, String)]) -> StandardPaths {
    let own = Host::new(false, environment).own("XDG_CONFIG_HOME", ".config");
    StandardPaths {
        system: PathBuf::from(SYSTEM_FOLDER).join(FILE_NAME),
        user: own.map(|folder| folder.join(FILE_NAME)),
    }
}

/// What of this process's environment a config is loaded from. Bytes that aren't UTF-8 become `U+FFFD`.
#[must_use]
pub fn process_environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        })
        .filter(|(name, _)| {
            name.starts_with(variables::PREFIX) || name == "HOME" || name.starts_with("XDG_")
        })
        .collect()
}

/// Loads a config from all its layers.
///
/// # Errors
///
/// Everything that is wrong, each in one line; nothing of the config is used then.
pub fn load(request: &LoadRequest<'_>) -> Result<Loaded, ConfigErrors> {
    load_as(request, runs_as_root())
}

fn load_as(request: &LoadRequest<'_>, as_root: bool) -> Result<Loaded, ConfigErrors> {
    let (mut layered, mut files) = read_layers(request, as_root, "");
    if asks_for_rules(&layered) {
        (layered, files) = read_layers(request, as_root, request.embedded_rules);
    }
    conditions::place_slot(&mut layered);
    complete(&mut layered, &Host::new(as_root, &request.environment));
    rules::check_rules(&mut layered);
    let errors = std::mem::take(&mut layered.errors);
    if !errors.is_empty() {
        return Err(ConfigErrors::new(errors));
    }
    let mut config = build(&layered)
        .map_err(|error| ConfigErrors::new(vec![ConfigError::Internal(error.to_string())]))?;
    conditions::fill(&mut config);
    Ok(Loaded {
        config,
        provenance: Provenance::new(&layered),
        files,
    })
}

/// Reads all layers, the weakest first.
fn read_layers(request: &LoadRequest<'_>, as_root: bool, rules: &str) -> (Layered, Vec<PathBuf>) {
    let mut layered = Layered::default();
    text::read_text(&mut layered, rules, Layer::Rules, None);
    let files = read_files(&mut layered, request, as_root);
    variables::read_environment(&mut layered, &request.environment);
    variables::read_flags(&mut layered, &request.flags);
    (layered, files)
}

/// Whether the layers say that the built-in rules hold, too.
fn asks_for_rules(layered: &Layered) -> bool {
    let key = ["rules".to_owned(), "builtin".to_owned()];
    matches!(layered.get(&key), Some((Value::Switch(true), _)))
}

/// Reads the files, or the embedded default where there is none; answers which files to watch.
fn read_files(layered: &mut Layered, request: &LoadRequest<'_>, as_root: bool) -> Vec<PathBuf> {
    let candidates = [
        (Layer::System, &request.system),
        (Layer::User, &request.user),
        (Layer::Explicit, &request.explicit),
    ];
    let mut files: Vec<PathBuf> = Vec::new();
    let mut found = false;
    for (layer, path) in candidates {
        let Some(path) = path else { continue };
        // `--config` may name a standard file: then it must be there, and one reading is enough.
        let again = layer != Layer::Explicit && request.explicit.as_ref() == Some(path);
        if again || files.contains(path) {
            continue;
        }
        files.push(path.clone());
        found |= text::read_file(layered, path, layer, as_root);
    }
    if !found {
        text::read_text(layered, request.embedded_default, Layer::Embedded, None);
    }
    files
}

/// Makes the typed config of checked values.
fn build(layered: &Layered) -> Result<Config, serde_json::Error> {
    let mut root = Map::new();
    for (path, (value, _)) in &layered.values {
        let is_left_out = |entry: &[String]| {
            let is_switch = matches!(path.get(entry.len()..), Some([key]) if key == "enabled");
            is_switch || !rules::is_enabled(layered, entry)
        };
        if layered.entries_around(path).any(is_left_out) {
            continue;
        }
        insert(&mut root, path, value.to_plain_json());
    }
    serde_json::from_value(Json::Object(root))
}

/// Puts a value at its path. Paths are at most as deep as a checked config.
fn insert(table: &mut Map<String, Json>, path: &[String], value: Json) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let inner = table
                .entry(key.clone())
                .or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// The number of the user that runs this.
#[cfg(unix)]
fn user_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn user_id() -> u32 {
    0
}

#[cfg(unix)]
fn runs_as_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn runs_as_root() -> bool {
    false
}
