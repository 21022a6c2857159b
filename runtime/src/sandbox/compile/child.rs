//! The child's side: sets its own limits, reads, compiles, writes. Knows nothing of config, logs or
//! threads, and reads no environment.

use std::ffi::OsString;
use std::io::{Read, Write};

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};
use wasmtime::{Engine, OutOfMemory};

use super::super::engine::engine_config;
use super::{Code, CodeKey, EXIT_MEMORY, EXIT_REJECTED, EXIT_USAGE};
use crate::digest::Digest;

/// The lowest priority: whatever else the host has to do goes first.
const NICE: i32 = 19;
/// From the signal that can be handled to the one that can't, in seconds.
const CPU_GRACE_SECONDS: u64 = 1;

/// Why the child ends without code.
pub(super) struct Failure {
    pub(super) code: u8,
    pub(super) message: String,
}

fn failure(code: u8) -> impl Fn(String) -> Failure {
    move |message| Failure { code, message }
}

/// What stands after the verb.
struct Arguments {
    memory_bytes_max: u64,
    cpu_seconds_max: u64,
    /// Exactly so many follow on stdin.
    input_bytes: u64,
}

impl Arguments {
    fn parse(arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut numbers = arguments.map(|argument| argument.to_str()?.parse::<u64>().ok());
        let parsed = Self {
            memory_bytes_max: numbers.next()??,
            cpu_seconds_max: numbers.next()??,
            input_bytes: numbers.next()??,
        };
        numbers.next().is_none().then_some(parsed)
    }
}

/// All that the child does.
pub(super) fn run(
    arguments: impl Iterator<Item = OsString>,
    input: impl Read,
    mut output: impl Write,
) -> Result<(), Failure> {
    let arguments = Arguments::parse(arguments).ok_or_else(|| {
        failure(EXIT_USAGE)(
            "this verb is the daemon's own: it compiles guests in a child".to_owned(),
        )
    })?;
    limit(&arguments)
        .map_err(|error| failure(EXIT_USAGE)(format!("its limits can't be set: {error}")))?;
    let mut wasm = Vec::new();
    input
        .take(arguments.input_bytes)
        .read_to_end(&mut wasm)
        .map_err(|error| failure(EXIT_USAGE)(format!("can't read the component: {error}")))?;
    if wasm.len() as u64 != arguments.input_bytes {
        return Err(failure(EXIT_USAGE)("the component broke off".to_owned()));
    }
    let engine = Engine::new(&engine_config()).map_err(compile_failure)?;
    let key = CodeKey::of(&engine, Digest::of(&wasm));
    let code = engine
        .precompile_component(&wasm)
        .map_err(compile_failure)?;
    output
        .write_all(&Code::header(&key))
        .and_then(|()| output.write_all(&code))
        .and_then(|()| output.flush())
        .map_err(|error| failure(EXIT_USAGE)(format!("can't write the code: {error}")))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn compile_failure(error: wasmtime::Error) -> Failure {
    let code = if error.is::<OutOfMemory>() {
        EXIT_MEMORY
    } else {
        EXIT_REJECTED
    };
    failure(code)(format!("{error:#}"))
}

/// Limits on this process, before it has read anything of the guest's.
fn limit(arguments: &Arguments) -> rustix::io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        // A daemon that is killed leaves no compiler behind.
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        rustix::thread::set_name(c"weir-compile")?;
    }
    nice(NICE)?;
    let cpu = arguments.cpu_seconds_max;
    lower(Resource::Cpu, cpu, cpu.saturating_add(CPU_GRACE_SECONDS))?;
    lower(
        Resource::As,
        arguments.memory_bytes_max,
        arguments.memory_bytes_max,
    )?;
    // It writes to a pipe only, and what breaks it is no one's business to look at.
    lower(Resource::Fsize, 0, 0)?;
    lower(Resource::Core, 0, 0)
}

/// Lowers a limit; one that is lower already stays.
fn lower(resource: Resource, current: u64, maximum: u64) -> rustix::io::Result<()> {
    let now = getrlimit(resource);
    let least = |now: Option<u64>, wanted: u64| Some(now.map_or(wanted, |now| now.min(wanted)));
    let maximum = least(now.maximum, maximum);
    let new = Rlimit {
        current: least(now.current, current).min(maximum),
        maximum,
    };
    setrlimit(resource, new)
}
