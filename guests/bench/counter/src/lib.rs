//! A bench guest: a trigger with memory, which numbers the rows that it has seen, from 0.
//!
//! It fires with the number on every so many-th row, and on each row that isn't the one of that number: row
//! `n` of the bench has pid `n + 1`. So what a swap loses or doubles, of verdicts or of memory, is seen from outside.

use serde::Deserialize;
use weir_guest::{Batch, EvalError, Firing, Guest, Memory, Priority, Trigger, Verdicts, Wants};

weir_guest::columns! { process { pid: u32 } }

/// What the slot's settings say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// One row in so many fires.
    fires_every: u64,
    /// Bytes that it has in memory besides its count, and hands on with it.
    ballast_bytes: usize,
}

#[derive(Debug)]
struct Counter {
    fires_every: u64,
    seen: u64,
    ballast: Vec<u8>,
}

impl Counter {
    fn firings(&mut self, pids: impl Iterator<Item = u32>) -> Vec<Firing> {
        let mut firings = Vec::new();
        for (pid, row) in pids.zip(0_u32..) {
            let number = self.seen;
            self.seen += 1;
            if number.is_multiple_of(self.fires_every) || u64::from(pid) != number + 1 {
                firings.push(Firing {
                    row,
                    rule: 0,
                    message: Some(number.to_string()),
                });
            }
        }
        firings
    }
}

impl Guest for Counter {
    type Settings = Settings;
    const DEFAULTS: &'static str = r#"{"fires_every": 10, "ballast_bytes": 0}"#;

    fn new(settings: Settings) -> Result<Self, String> {
        if settings.fires_every == 0 {
            return Err("settings: fires_every: 0 is not within 1 and more".to_owned());
        }
        Ok(Self {
            fires_every: settings.fires_every,
            seen: 0,
            ballast: vec![0x5a; settings.ballast_bytes],
        })
    }

    fn wants(&self) -> Wants {
        process::wants().rule("counted", Priority::Normal)
    }
}

impl Trigger for Counter {
    fn evaluate(&mut self, batch: &Batch<'_>) -> Result<Verdicts, EvalError> {
        let columns = process::Columns::fetch(batch)?;
        Ok(Verdicts {
            firings: self.firings(columns.pid.values()),
            undecided: Vec::new(),
        })
    }
}

impl Memory for Counter {
    const VERSION: u32 = 1;

    fn snapshot(&self) -> Vec<u8> {
        let mut state = Vec::with_capacity(size_of::<u64>() + self.ballast.len());
        state.extend(self.seen.to_le_bytes());
        state.extend(&self.ballast);
        state
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), String> {
        let Some((seen, ballast)) = state.split_first_chunk() else {
            return Err(format!("{} bytes hold no count", state.len()));
        };
        self.seen = u64::from_le_bytes(*seen);
        self.ballast = ballast.to_vec();
        Ok(())
    }
}

weir_guest::export!(trigger Counter with memory);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_goes_on_counting_and_a_row_out_of_step_fires() {
        let fresh = || Counter::new(weir_guest::settings(Counter::DEFAULTS, "").unwrap()).unwrap();
        let numbers = |firings: Vec<Firing>| {
            let messages = firings.into_iter().filter_map(|firing| firing.message);
            messages.collect::<Vec<_>>()
        };
        let (mut one, mut other) = (fresh(), fresh());
        assert_eq!(numbers(one.firings(1..=15)), ["0", "10"]);
        other.restore(&one.snapshot()).unwrap();
        assert_eq!(numbers(other.firings(16..=21)), ["20"]);
        assert_eq!(numbers(other.firings(23..=24)), ["21", "22"]);
    }
}
