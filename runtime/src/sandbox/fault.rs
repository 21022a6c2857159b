//! Faults: calls that did not end in an answer. Alone knows how wasmtime's errors become reasons.
//!
//! A guest's error (it answered `reject`), a guest's fault and a host's error are three things;
//! this is the second.

use std::fmt;

use serde::{Deserialize, Serialize};

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
            || (FaultReason::Trap, root),
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

/// Function names come mangled; the frame's symbols would need debug info.
fn readable(name: &str) -> String {
    rustc_demangle::demangle(name).to_string()
}
