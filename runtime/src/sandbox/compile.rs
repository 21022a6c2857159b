//! Compiles components to machine code in a child process of the same program, one at a time.
//!
//! Compiling is where the engine promises nothing about hostile input, and where it keeps memory.
//! The child bounds what that costs: time, memory, output, priority. It runs with the daemon's
//! rights; it is no privilege border. Invariant: what comes back as [`Code`] was made by this
//! program's own compiler, of that module, for that engine.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{env, io};

use rustix::process::Signal;
use wasmtime::Engine;

use super::module::Module;
pub(super) use code::{Code, CodeKey};
use process::{Answer, Bounds, RunError, run};

mod child;
mod code;
mod process;

/// The hidden verb of a program that can compile: [`compile_child_main`] is what it must call.
pub const COMPILE_VERB: &str = "compile-guest";

/// Exit codes of the child: not a component that can be compiled; limits that can't be set, or
/// arguments that aren't the parent's; out of memory, where the engine noticed it itself.
const EXIT_REJECTED: u8 = 1;
const EXIT_USAGE: u8 = 2;
const EXIT_MEMORY: u8 = 3;
/// What Rust's runtime says before it aborts for want of memory; there is no other sign of it.
const ALLOCATION_FAILED: &str = "memory allocation of ";
/// How many times its limit of CPU time a child may take by the clock: it has the lowest priority, and on a host whose
/// cores are all busy a daemon must still come to start.
const WALL_FACTOR: u32 = 10;
/// How many characters of the child's words an error shows.
const SHOWN_CHARACTERS: usize = 400;

/// One child at a time, whichever sandbox asks: the memory limit is each child's.
static TURN: Mutex<()> = Mutex::new(());

/// The program whose hidden verb compiles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CompilerProgram {
    /// This program itself, as it was when it started, even if its file was replaced since. Its
    /// `main` must give way to [`compile_child_main`] when its first argument is [`COMPILE_VERB`].
    #[default]
    CurrentExe,
    /// A `weir` of the same build, for programs that use the library.
    Path(PathBuf),
}

/// Why there is no machine code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The child can't be started, or can't be spoken with.
    #[error("can't run the compiler {program}: {source}", program = program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The compiler doesn't take the component.
    #[error("it doesn't compile: {message}")]
    Rejected {
        /// What the compiler says.
        message: String,
    },
    /// It takes too long.
    #[error("compiling it takes more than {seconds:.1} s of CPU time (sandbox.compile_timeout): make the component smaller, or raise the limit", seconds = time_max.as_secs_f64())]
    TimedOut {
        /// The limit.
        time_max: Duration,
    },
    /// It didn't get as much CPU time as it may use, or waits for something.
    #[error("its compiler has not ended after {seconds:.1} s, {WALL_FACTOR} times sandbox.compile_timeout: the host leaves it no CPU time; try again when it is less busy, or raise the limit", seconds = waited.as_secs_f64())]
    Starved {
        /// How long it was waited for.
        waited: Duration,
    },
    /// It takes too much memory.
    #[error(
        "compiling it takes more than {memory_bytes_max} bytes of memory (sandbox.compile_memory_bytes_max): make the component smaller, or raise the limit"
    )]
    OutOfMemory {
        /// The limit.
        memory_bytes_max: u64,
    },
    /// It makes too much code.
    #[error(
        "its machine code has more than {code_bytes_max} bytes, which is the most it may have: make the component smaller"
    )]
    TooLarge {
        /// The limit.
        code_bytes_max: usize,
    },
    /// The child was killed by something else: a fault of the compiler, the system short of memory.
    #[error("its compiler was killed by signal {signal}: {message}; make the component simpler")]
    Killed {
        /// The signal's number.
        signal: i32,
        /// What the child said last.
        message: String,
    },
    /// The child ended in a way of its own: a panic of the compiler, limits that can't be set.
    #[error("its compiler failed with exit code {code}: {message}")]
    Failed {
        /// The exit code.
        code: i32,
        /// What the child said last.
        message: String,
    },
    /// The program is another one, or of another build.
    #[error("{program} is no compiler of this build of Weir: {what}; give the path of the `weir` that belongs to this program", program = program.display())]
    NotACompiler {
        /// The program.
        program: PathBuf,
        /// What it answered.
        what: &'static str,
    },
    /// The code was made, and the engine doesn't load it.
    #[error("the engine doesn't load its machine code: {message}")]
    Load {
        /// What the engine says.
        message: String,
    },
}

/// What compiling one component may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// The child's address space, in bytes, its own program included (under 40 MiB).
    pub memory_bytes_max: u64,
    /// CPU time, rounded up to seconds; by the clock it may take ten times as long.
    pub time_max: Duration,
    /// Bytes of machine code.
    pub code_bytes_max: usize,
}

impl Default for CompileLimits {
    /// 1 GiB (the largest functions take 400 MB), 60 s of CPU time, and 256 MiB of code: eight times the
    /// default limit of a component.
    fn default() -> Self {
        Self {
            memory_bytes_max: 1 << 30,
            time_max: Duration::from_secs(60),
            code_bytes_max: 256 << 20,
        }
    }
}

/// Turns components into machine code. Clones have the same settings; all wait for the one turn.
#[derive(Clone, Debug, Default)]
pub struct Compiler {
    program: CompilerProgram,
    limits: CompileLimits,
}

impl Compiler {
    /// A compiler in that program's child, within these limits.
    #[must_use]
    pub const fn new(program: CompilerProgram, limits: CompileLimits) -> Self {
        Self { program, limits }
    }

    /// Compiles a module for an engine. Blocks until the child has ended, or has been killed.
    pub(super) fn compile(&self, engine: &Engine, module: &Module) -> Result<Code, CompileError> {
        let program = self.path()?;
        let key = CodeKey::new(engine, module);
        let code_bytes_max = self.limits.code_bytes_max;
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.limits.time_max.saturating_mul(WALL_FACTOR);
        let bounds = Bounds {
            time_max: waited,
            output_bytes_max: code_bytes_max.saturating_add(Code::HEADER_BYTES),
        };
        let command = self.command(&program, module);
        let answer = match run(command, Arc::clone(&module.bytes), &bounds) {
            Ok(answer) => answer,
            Err(RunError::Io(source)) => return Err(CompileError::Start { program, source }),
            Err(RunError::TimedOut) => return Err(CompileError::Starved { waited }),
            Err(RunError::TooMuchOutput) => return Err(CompileError::TooLarge { code_bytes_max }),
        };
        if !answer.status.success() {
            return Err(self.exit_error(&answer));
        }
        Code::of_child(answer.stdout, &key)
            .map_err(|what| CompileError::NotACompiler { program, what })
    }

    fn path(&self) -> Result<PathBuf, CompileError> {
        let found = match &self.program {
            // The file that this process runs, whatever its name leads to by now.
            CompilerProgram::CurrentExe if cfg!(target_os = "linux") => Ok("/proc/self/exe".into()),
            CompilerProgram::CurrentExe => env::current_exe(),
            CompilerProgram::Path(path) => std::path::absolute(path),
        };
        found.map_err(|source| CompileError::Start {
            program: match &self.program {
                CompilerProgram::CurrentExe => PathBuf::from("(this program)"),
                CompilerProgram::Path(path) => path.clone(),
            },
            source,
        })
    }

    /// The child: nothing of the daemon's environment or working folder reaches it.
    fn command(&self, program: &Path, module: &Module) -> Command {
        let seconds = self.limits.time_max.as_secs();
        let cpu_seconds_max =
            seconds.saturating_add(u64::from(self.limits.time_max.subsec_nanos() > 0));
        let mut command = Command::new(program);
        command
            .arg(COMPILE_VERB)
            .arg(self.limits.memory_bytes_max.to_string())
            .arg(cpu_seconds_max.to_string())
            .arg(module.bytes.len().to_string())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn exit_error(&self, answer: &Answer) -> CompileError {
        let message = one_line(&answer.stderr);
        let out_of_memory = CompileError::OutOfMemory {
            memory_bytes_max: self.limits.memory_bytes_max,
        };
        if let Some(signal) = signal(answer.status) {
            return match signal {
                _ if signal == Signal::XCPU.as_raw() => CompileError::TimedOut {
                    time_max: self.limits.time_max,
                },
                _ if signal == Signal::ABORT.as_raw() && message.contains(ALLOCATION_FAILED) => {
                    out_of_memory
                }
                _ => CompileError::Killed { signal, message },
            };
        }
        let code = answer.status.code().unwrap_or_default();
        match u8::try_from(code) {
            Ok(EXIT_REJECTED) => CompileError::Rejected { message },
            Ok(EXIT_MEMORY) => out_of_memory,
            _ => CompileError::Failed { code, message },
        }
    }
}

/// The hidden verb: reads a component from stdin and writes its machine code to stdout, within the
/// limits that stand in the arguments after the verb. To be called first in `main`, before any
/// thread is started or memory is taken.
#[must_use]
pub fn compile_child_main() -> ExitCode {
    // The program's name and the verb come first.
    let arguments = env::args_os().skip(2);
    match child::run(arguments, io::stdin().lock(), io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_status: ExitStatus) -> Option<i32> {
    None
}

/// What the child wrote, on one line, without control characters, and cut to a length.
fn one_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let words: Vec<_> = text.split_whitespace().collect();
    if words.is_empty() {
        return "it said nothing".to_owned();
    }
    let line = words.join(" ");
    let mut shown: String = line
        .chars()
        .take(SHOWN_CHARACTERS)
        .flat_map(char::escape_debug)
        .collect();
    if line.chars().nth(SHOWN_CHARACTERS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
pub(super) mod tests;
