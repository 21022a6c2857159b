//! `weir guest`: for those who write guests. One file a verb; the work is in `crate::authoring`.

mod about;
mod build;
mod inspect;
mod keygen;
mod new;
mod sign;
mod signed;
mod test;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Failure, Global, logs, sandbox};
use crate::authoring::{
    BuildError, EventsError, ExpectedError, NewError, SettingsError, TrialError, TrialSlot,
    read_settings,
};
use crate::config::{Config, Limits};
use crate::sandbox::{
    Interfaces, Module, ModuleError, ModuleFolders, PrepareError, Shape, ShapeError,
};
use crate::trust::{KeyFileError, SecretKeyError};

/// How the name of a guest begins that is part of the program.
const BUILT_IN_PREFIX: &str = "builtin:";

/// The most bytes of a component that any slot may allow; the same as the range of
/// `limits.component_bytes_max`.
const COMPONENT_BYTES_CEILING: usize = 128 << 20;

#[derive(Args)]
pub(super) struct GuestArguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Writes a new project, with all that its build needs.
    New(new::NewArguments),
    /// Builds a project's component.
    Build(build::BuildArguments),
    /// Runs a guest on recorded events, in the daemon's own sandbox.
    Test(test::TestArguments),
    /// Says what a component imports, exports and wants.
    Inspect(inspect::InspectArguments),
    /// Makes a key to sign guests with.
    Keygen(keygen::KeygenArguments),
    /// Signs a guest: writes its signature beside it.
    Sign(sign::SignArguments),
    /// Says who signed a guest, and whether it is what they signed.
    Verify(verify::VerifyArguments),
}

pub(super) fn guest(global: &Global, arguments: &GuestArguments) -> Result<ExitCode, Failure> {
    match &arguments.verb {
        Verb::New(arguments) => new::new(arguments),
        Verb::Build(arguments) => build::build(arguments),
        Verb::Test(arguments) => test::test(global, arguments),
        Verb::Inspect(arguments) => inspect::inspect(global, arguments),
        Verb::Keygen(arguments) => keygen::keygen(arguments),
        Verb::Sign(arguments) => sign::sign(arguments),
        Verb::Verify(arguments) => verify::verify(global, arguments),
    }
}

/// What was asked for can't be done as asked: 2. What went wrong on the way: 1.
macro_rules! usage_where {
    ($($error:ty: $usage:pat,)*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                match error {
                    $usage => Self::Usage(error.to_string()),
                    #[allow(unreachable_patterns, reason = "some are usage in every case")]
                    _ => Self::Failed(error.into()),
                }
            }
        })*
    };
}

usage_where! {
    NewError: NewError::Exists { .. },
    BuildError: BuildError::NoProject { .. } | BuildError::NoComponent { .. },
    ModuleError: _,
    SettingsError: _,
    EventsError: _,
    ExpectedError: ExpectedError::Malformed { .. },
    KeyFileError: _,
    SecretKeyError: SecretKeyError::Name(_),
    TrialError: TrialError::Prepare(
        PrepareError::Module(_)
        | PrepareError::Shape { .. }
        | PrepareError::Link { .. }
        | PrepareError::Init { .. },
    ),
}

/// Flags of the verbs that run a guest.
#[derive(Args)]
struct SlotArguments {
    /// A slot of the config: its settings, grants and limits are the guest's. Without one the
    /// guest has no settings, all grants of its world, and the limits that are the default.
    #[arg(long, value_name = "NAME")]
    slot: Option<String>,
    /// The guest's settings: JSON, or TOML where the name ends in .toml.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
}

impl SlotArguments {
    fn slot(&self, config: &Config) -> Result<TrialSlot, Failure> {
        let mut slot = match &self.slot {
            None => TrialSlot::default(),
            Some(name) => config.slots.get(name).map(TrialSlot::from).ok_or_else(|| {
                let known: Vec<&str> = config.slots.keys().map(String::as_str).collect();
                Failure::Usage(format!(
                    "--slot {name}: the config has no such slot; there are {}",
                    known.join(", ")
                ))
            })?,
        };
        if let Some(path) = &self.settings {
            slot.settings = read_settings(path)?;
        }
        Ok(slot)
    }
}

/// The most bytes of a component where no slot says it.
fn component_bytes_max() -> usize {
    Limits::default().component_bytes_max
}

/// A component that the author names, read once: a file, or `builtin:NAME`.
fn module_at(path: &Path, component_bytes_max: usize) -> Result<Module, ModuleError> {
    match path
        .to_str()
        .and_then(|name| name.strip_prefix(BUILT_IN_PREFIX))
    {
        Some(name) => ModuleFolders::read_builtin(name, component_bytes_max),
        None => Module::from_own_file(path, component_bytes_max),
    }
}

/// The shape that the daemon asks of a guest.
fn shape_of(module: &Module) -> Result<Shape, ShapeError> {
    Interfaces::read(&module.bytes)?.shape()
}

/// The project that is meant where none is named.
fn project(named: Option<&Path>) -> PathBuf {
    named.map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// What a guest says, on one line that shows what it says and does nothing to a terminal.
fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// A count with its digits in groups.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_texts_do_nothing_to_a_terminal() {
        let table = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ];
        for (number, expected) in table {
            assert_eq!(grouped(number), expected);
        }
        assert_eq!(printable("a\u{1b}[2J\nb ü"), "a\\u{1b}[2J\\nb ü");
    }
}
