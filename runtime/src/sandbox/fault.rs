//! Faults: calls that did not end in an answer. Alone knows how wasmtime's errors become reasons.
//!
//! A guest's error (it answered `reject`), a guest's fault and a host's error are three things;
//! this is the second.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use crate::printable::one_line;

/// What is kept of a text that a guest says of itself: why it has no verdict, why it refuses its
/// settings.
const WORDS_BYTES_MAX: usize = 4 << 10;
/// What is kept of a frame's name.
const FRAME_BYTES_MAX: usize = 512;

/// What a guest says, as it may be told to people. Named attack: words of megabytes, or such as a
/// terminal would obey, that go past the log's gate because they come as an error.
pub(super) fn words(text: &str) -> String {
    one_line(text, WORDS_BYTES_MAX)
}

/// Why a call did not end in an answer: one for every limit, and for every way to break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultReason {
    /// The guest trapped: unreachable code, a panic, an access out of bounds, a division by zero.
    Trap,
    /// It used more CPU time than a call may.
    Deadline,
    /// It used more fuel than a call may.
    Fuel,
    /// It wanted more linear memory than it may have, and broke when refused.
    Memory,
    /// It wanted more tables or table elements than it may have, and broke when refused.
    Tables,
    /// It has more core instances than it may have.
    Instances,
    /// It recursed deeper than the wasm stack.
    Stack,
    /// Its answer is larger than an answer may be.
    Output,
    /// Its answer doesn't fit the batch: rows or rules that don't exist, a mask of another length.
    InvalidOutput,
    /// It waited for something that isn't ready at once.
    WouldBlock,
    /// It called `exit`.
    Exit,
    /// It called the host more often than it may for a batch.
    HostCalls,
    /// It holds more handles than it may.
    Handles,
    /// It made the host allocate more than it may.
    HostBytes,
    /// It said itself that it is broken.
    Fatal,
    /// The wall clock ran out, not the guest's CPU time: never held against the guest.
    Stalled,
    /// Our own code panicked: never held against the guest.
    HostPanic,
}

impl FaultReason {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 17] = [
        Self::Trap,
        Self::Deadline,
        Self::Fuel,
        Self::Memory,
        Self::Tables,
        Self::Instances,
        Self::Stack,
        Self::Output,
        Self::InvalidOutput,
        Self::WouldBlock,
        Self::Exit,
        Self::HostCalls,
        Self::Handles,
        Self::HostBytes,
        Self::Fatal,
        Self::Stalled,
        Self::HostPanic,
    ];

    /// The reason's code, as status and statistics show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Fuel => "fuel",
            Self::Memory => "memory",
            Self::Tables => "tables",
            Self::Instances => "instances",
            Self::Stack => "stack",
            Self::Output => "output",
            Self::InvalidOutput => "invalid-output",
            Self::WouldBlock => "would-block",
            Self::Exit => "exit",
            Self::HostCalls => "host-calls",
            Self::Handles => "handles",
            Self::HostBytes => "host-bytes",
            Self::Fatal => "fatal",
            Self::Stalled => "stalled",
            Self::HostPanic => "host-panic",
        }
    }

    /// Whether the guest is to blame.
    #[must_use]
    pub const fn is_the_guests(self) -> bool {
        !matches!(self, Self::Stalled | Self::HostPanic)
    }
}

impl fmt::Display for FaultReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A call that did not end in an answer.
#[derive(Clone, Debug, Serialize, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Fault {
    /// Why.
    pub reason: FaultReason,
    /// What happened, with the value and the limit.
    pub message: String,
    /// The wasm frames, innermost first, with function names where the module has them.
    pub backtrace: Vec<String>,
    /// The end of what the guest wrote to stderr: where a panic's message stands.
    pub stderr: String,
}

impl Fault {
    /// A fault without frames.
    pub(crate) fn of(reason: FaultReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            backtrace: Vec::new(),
            stderr: String::new(),
        }
    }
}

/// What a host function or callback raises to end a call: carried through wasmtime's errors.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) reason: FaultReason,
    pub(super) message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// An error that ends the call with that reason.
pub(super) fn refuse(reason: FaultReason, message: impl Into<String>) -> wasmtime::Error {
    wasmtime::Error::from(Refusal {
        reason,
        message: message.into(),
    })
}

/// What wasmtime says when a guest passes the host more bytes than one call may; the type that
/// says it is private there.
const HOSTCALL_FUEL_TEXT: &str = "fuel allocated for hostcalls has been exhausted";
/// What it says when a guest makes more handles of its own than its store may have.
const STORE_HANDLES_TEXT: &str = "store handle limit exceeded";

/// What was refused during the call, by the limiter, which can't end it.
#[derive(Clone, Debug, Default)]
pub(super) struct Refused(pub(super) Option<Refusal>);

/// The reason of a call that wasmtime ended with an error.
pub(super) fn fault_of(error: &wasmtime::Error, refused: &Refused, limits: &str) -> Fault {
    let (reason, message) = reason_of(error, refused, limits);
    let backtrace = error
        .downcast_ref::<wasmtime::WasmBacktrace>()
        .map(frames)
        .unwrap_or_default();
    Fault {
        reason,
        message,
        backtrace,
        stderr: String::new(),
    }
}

fn reason_of(error: &wasmtime::Error, refused: &Refused, limits: &str) -> (FaultReason, String) {
    if let Some(refusal) = error.downcast_ref::<Refusal>() {
        return (refusal.reason, refusal.message.clone());
    }
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        let message = format!("called exit({}); a guest answers, or traps", exit.0);
        return (FaultReason::Exit, message);
    }
    if let Some(wasmtime_wasi::ResourceTableError::Full) =
        error.downcast_ref::<wasmtime_wasi::ResourceTableError>()
    {
        let message = format!("holds as many handles as it may ({limits})");
        return (FaultReason::Handles, message);
    }
    let root = error.root_cause().to_string();
    if root.contains(HOSTCALL_FUEL_TEXT) {
        let message = format!("passed the host more bytes than one call may ({limits})");
        return (FaultReason::HostBytes, message);
    }
    if root.contains(STORE_HANDLES_TEXT) {
        let message = format!("made as many handles as it may ({limits})");
        return (FaultReason::Handles, message);
    }
    match error.downcast_ref::<wasmtime::Trap>() {
        Some(wasmtime::Trap::OutOfFuel) => {
            (FaultReason::Fuel, format!("used all its fuel ({limits})"))
        }
        Some(wasmtime::Trap::StackOverflow) => (
            FaultReason::Stack,
            format!(
                "recursed past the stack of {} KiB",
                super::engine::WASM_STACK_BYTES / 1024
            ),
        ),
        // A refused allocation usually ends in a trap of the guest's own: the refusal is the story.
        Some(_) | None => refused.0.clone().map_or_else(
            || (FaultReason::Trap, words(&root)),
            |refusal| (refusal.reason, refusal.message),
        ),
    }
}

fn frames(backtrace: &wasmtime::WasmBacktrace) -> Vec<String> {
    backtrace
        .frames()
        .iter()
        .map(|frame| {
            frame
                .func_name()
                .map_or_else(|| format!("function {}", frame.func_index()), readable)
        })
        .collect()
}

/// Function names come mangled; the frame's symbols would need debug info. Named attack: names are the
/// module's own, of any length and of any characters, and a short one can unfold to a megabyte.
fn readable(name: &str) -> String {
    let mut beginning = Beginning(String::new());
    // What doesn't fit any more is what is to be left out.
    let _ = write!(beginning, "{}", rustc_demangle::demangle(name));
    one_line(&beginning.0, FRAME_BYTES_MAX)
}

/// Takes a text until it is longer than a frame's name may be, and then no more.
struct Beginning(String);

impl fmt::Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let left = FRAME_BYTES_MAX.saturating_sub(self.0.len());
        let end = text.floor_char_boundary(left.saturating_add(1));
        self.0.push_str(text.get(..end).unwrap_or_default());
        if self.0.len() > FRAME_BYTES_MAX {
            return Err(fmt::Error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_says_of_itself_is_one_short_line() {
        let long = format!("\u{1b}[2J\n{}", "x".repeat(100 << 10));
        for (told, most) in [
            (words(&long), WORDS_BYTES_MAX),
            (readable(&long), FRAME_BYTES_MAX),
        ] {
            assert!(told.starts_with("\\u{1b}[2J\\nxxx"), "{told}");
            assert!(told.len() <= most + "…".len(), "{}", told.len());
            assert!(told.ends_with('…'));
        }
        assert_eq!(readable("_ZN4weir4keepE"), "weir::keep");
    }
}
