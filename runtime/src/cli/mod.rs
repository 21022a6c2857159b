//! The command line: one file a verb.
//!
//! Exit codes: 0, 1 for a failure, 2 for usage or config.

mod bus;
mod chains;
mod check;
mod client;
mod comparison;
mod config;
mod explain;
mod guest;
mod guests;
mod logs;
mod out;
mod overview;
mod publish;
mod record;
mod release;
mod reload;
mod replay;
mod request;
mod run;
mod selection;
mod sources;
mod status;
mod swap;
mod table;
mod tap;
mod top;
mod triggers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};

use crate::config::{
    self as settings, Config, ConfigErrors, LoadRequest, Loaded, process_environment,
    standard_paths,
};
use crate::guests::Guests;
use crate::pipeline::StartError;
use crate::sandbox::{
    BUILTIN_RULES, COMPILE_VERB, CompileLimits, Compiler, CompilerProgram, DEFAULT_CONFIG, Sandbox,
    SandboxError, SandboxOptions, compile_child_main,
};

/// What ends a verb: the text for the user, and the exit code.
pub(crate) enum Failure {
    /// Something went wrong: 1.
    Failed(anyhow::Error),
    /// The command line or the config is wrong: 2.
    Usage(String),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self::Usage(errors.to_string())
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        Self::Usage(format!("sandbox: {error}"))
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Thread { .. } | StartError::Bus(_) => Self::Failed(error.into()),
            _ => Self::Usage(error.to_string()),
        }
    }
}

/// Failure of the command line or the config.
const EXIT_USAGE: u8 = 2;

/// A runtime for host agents whose rules can't hurt the host.
#[derive(Parser)]
#[command(name = "weir", version, about, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// Flags that every verb has.
#[derive(Args, Clone, Default)]
pub(crate) struct Global {
    /// A config file, over the system's and the user's.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A key of the config, over everything else: `--set collector.batch_rows_max=500`.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// What is logged to stderr: a level, or levels by target, as `info,weir::sandbox=debug`.
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<String>,
    /// How a line of the log looks: text or json.
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
}

#[derive(Subcommand)]
enum Verb {
    /// Collects, judges and tells, until it is stopped. The default.
    Run(run::RunArguments),
    /// Serves the bus alone on its socket: no sources, no guests.
    Bus(bus::BusArguments),
    /// Checks the config and every guest that it names, and starts nothing.
    Check,
    /// Shows the config in force, and where each value comes from.
    Config(config::ConfigArguments),
    /// Prints what goes over the bus, a row a line.
    Tap(tap::TapArguments),
    /// Publishes rows: lines of JSON from a file or stdin.
    Pub(publish::PubArguments),
    /// Says why the conditions fire on an event, or don't, and what became of it.
    Explain(explain::ExplainArguments),
    /// Asks the daemon something, and prints its answer.
    Request(request::RequestArguments),
    /// Shows what is at work, what it did, and what is wrong.
    Status(status::StatusArguments),
    /// Shows the guest of each slot, its cost and its faults.
    Guests(guests::GuestsArguments),
    /// Shows the daemon at work, live: rates, queues, costs, who is slow.
    Top(top::TopArguments),
    /// Has the daemon read its config again.
    Reload(reload::ReloadArguments),
    /// Ends the quarantine of a slot's module.
    Release(release::ReleaseArguments),
    /// Has another module take over in a slot, until the config asks for another.
    Swap(swap::SwapArguments),
    /// Has the guest before come back in a slot.
    Rollback(swap::RollbackArguments),
    /// Records what goes over the bus, to Arrow IPC files.
    Record(record::RecordArguments),
    /// Publishes a recording.
    Replay(replay::ReplayArguments),
    /// Makes, builds, tests and inspects guests.
    Guest(guest::GuestArguments),
    /// Compiles a component from stdin to stdout, within limits.
    #[command(hide = true, disable_help_flag = true)]
    CompileGuest {
        /// The limits.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        limits: Vec<String>,
    },
}

/// Parses the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    // The child that compiles must not meet anything of the daemon's before its limits hold.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|verb| verb == COMPILE_VERB)
    {
        return compile_child_main();
    }
    let arguments = Arguments::parse();
    let verb = arguments
        .verb
        .unwrap_or_else(|| Verb::Run(run::RunArguments::default()));
    match done(&arguments.global, &verb) {
        Ok(code) => code,
        Err(Failure::Failed(error)) => {
            eprintln!("weir: {error:#}");
            ExitCode::FAILURE
        }
        Err(Failure::Usage(text)) => {
            eprintln!("weir: {text}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn done(global: &Global, verb: &Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Run(arguments) => run::run(global, arguments),
        Verb::Bus(arguments) => bus::bus(global, arguments),
        Verb::Check => check::check(global),
        Verb::Config(arguments) => config::config(global, arguments),
        Verb::Tap(arguments) => tap::tap(global, arguments),
        Verb::Pub(arguments) => publish::publish(global, arguments),
        Verb::Request(arguments) => request::request(global, arguments),
        Verb::Status(arguments) => status::status(global, arguments),
        Verb::Guests(arguments) => guests::guests(global, arguments),
        Verb::Top(arguments) => top::top(global, arguments),
        Verb::Reload(arguments) => reload::reload(global, arguments),
        Verb::Release(arguments) => release::release(global, arguments),
        Verb::Swap(arguments) => swap::swap(global, arguments),
        Verb::Rollback(arguments) => swap::roll_back(global, arguments),
        Verb::Explain(arguments) => explain::explain(global, arguments),
        Verb::Record(arguments) => record::record(global, arguments),
        Verb::Replay(arguments) => replay::replay(global, arguments),
        Verb::Guest(arguments) => guest::guest(global, arguments),
        Verb::CompileGuest { .. } => Ok(compile_child_main()),
    }
}

impl Global {
    /// Whether no flag is about the config.
    fn says_nothing(&self) -> bool {
        self.config.is_none()
            && self.set.is_empty()
            && self.log.is_none()
            && self.log_format.is_none()
    }

    /// The flags that are keys of the config.
    fn flags(&self) -> Result<Vec<(String, String)>, Failure> {
        let mut flags = Vec::new();
        for flag in &self.set {
            let (key, value) = flag.split_once('=').ok_or_else(|| {
                Failure::Usage(format!(
                    "--set {flag}: write KEY=VALUE, as collector.batch_rows_max=500"
                ))
            })?;
            flags.push((key.to_owned(), value.to_owned()));
        }
        let log = self
            .log
            .iter()
            .map(|level| ("log.level".to_owned(), level.clone()));
        flags.extend(log);
        let format = self.log_format.iter();
        flags.extend(format.map(|format| ("log.format".to_owned(), format.clone())));
        Ok(flags)
    }

    /// The config in force.
    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        self.load_with(Vec::new())
    }

    /// The config in force, with a verb's own flags over everything else.
    pub(crate) fn load_with(&self, own: Vec<(String, String)>) -> Result<Loaded, Failure> {
        let mut flags = self.flags()?;
        flags.extend(own);
        let environment = process_environment();
        let paths = standard_paths(&environment);
        let request = LoadRequest {
            explicit: self.config.clone(),
            system: Some(paths.system),
            user: paths.user,
            environment,
            flags,
            embedded_default: DEFAULT_CONFIG,
            embedded_rules: BUILTIN_RULES,
        };
        Ok(settings::load(&request)?)
    }
}

/// The guests of a sandbox as the config says.
pub(crate) fn guests(config: &Config) -> Result<Arc<Guests>, Failure> {
    Ok(Arc::new(Guests::new(sandbox(config)?)))
}

/// A sandbox as the config says, with this program as the child that compiles.
pub(crate) fn sandbox(config: &Config) -> Result<Sandbox, Failure> {
    let sandbox = &config.sandbox;
    let options = SandboxOptions {
        guest_folders: sandbox.guest_folders.clone(),
        cache_folder: sandbox.cache_folder.clone(),
        state_folder: sandbox.state_folder.clone(),
        guests_memory_bytes_max: usize::try_from(sandbox.guests_memory_bytes_max)
            .unwrap_or(usize::MAX),
        compiler: Compiler::new(
            CompilerProgram::CurrentExe,
            CompileLimits {
                time_max: sandbox.compile_timeout,
                memory_bytes_max: sandbox.compile_memory_bytes_max,
                ..CompileLimits::default()
            },
        ),
    };
    Ok(Sandbox::new(options)?)
}
