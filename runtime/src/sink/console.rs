//! The daemon's own words on stdout: lines for a person or JSON for a program, and on a terminal
//! one live status line below them.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// What stdout is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Lines for a person.
    Pretty,
    /// A line of JSON each.
    Json,
}

/// Stdout, shared by everybody who says something there.
pub struct Console {
    output: Output,
    is_terminal: bool,
    status: Mutex<String>,
}

/// To the line's start, and the rest of it cleared.
const CLEAR_LINE: &str = "\r\x1b[2K";

impl Console {
    /// Stdout with that output.
    #[must_use]
    pub fn new(output: Output) -> Self {
        Self {
            output,
            is_terminal: std::io::stdout().is_terminal(),
            status: Mutex::new(String::new()),
        }
    }

    /// What stdout is for.
    #[must_use]
    pub const fn output(&self) -> Output {
        self.output
    }

    /// Whether a person looks at it: then there is a status line, and colour unless `NO_COLOR` says no.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    fn status_line(&self) -> MutexGuard<'_, String> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a text, and a line break.
    pub fn line(&self, text: &str) {
        let status = self.status_line();
        let mut stdout = std::io::stdout().lock();
        let written = if self.is_terminal && !status.is_empty() {
            writeln!(stdout, "{CLEAR_LINE}{text}").and_then(|()| write!(stdout, "{status}"))
        } else {
            writeln!(stdout, "{text}")
        };
        // A reader that went away (`| head`) is no reason to stop watching the machine.
        drop(written.and_then(|()| stdout.flush()));
    }

    /// Prints a value as a line of JSON.
    pub fn json(&self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.line(&text),
            Err(error) => tracing::error!(%error, "a line of output is no JSON"),
        }
    }

    /// Shows the status line, on a terminal with pretty output.
    pub fn status(&self, text: &str) {
        if !self.is_terminal || self.output == Output::Json {
            return;
        }
        let mut status = self.status_line();
        text.clone_into(&mut status);
        let mut stdout = std::io::stdout().lock();
        drop(write!(stdout, "{CLEAR_LINE}{text}").and_then(|()| stdout.flush()));
    }
}
