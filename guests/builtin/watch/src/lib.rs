//! The built-in trigger `watch`: a handful of rules about processes.
//!
//! Which they are is in `rules.rs`; what they compare with is settings, the defaults in
//! `settings.json`. Here is when they fire: once for each rule and process (pid, start time).
//!
//! Invariant: what isn't known is no match. Where it isn't known because the process could not be
//! read, the rule says that it could not decide, once for each process, too.

mod names;
mod rules;

use rules::{Answer, RULES, Rules};
use serde::Deserialize;
use weir_guest::{
    Batch, EvalError, Firing, Guest, Memory, Recent, Trigger, Undecided, Verdicts, Wants,
};

weir_guest::columns! {
    process {
        pid: u32,
        start_time: timestamp,
        parent_name: text,
        parent_executable: text,
        name: text,
        executable: text,
        executable_deleted: boolean,
        command_line: texts,
        cpu_usage: f64,
        memory_bytes: u64,
        accessible: boolean,
        lifecycle: text,
    }
}

/// The most processes that fit a snapshot (1 MiB): one takes 14 bytes of it, and 50 in memory.
const REMEMBERED_MAX: usize = 70_000;

/// What the slot's settings may say; the defaults are in `settings.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Absolute folders; an executable anywhere below one fires.
    temporary_folders: Vec<String>,
    /// Executables that the kernel shows as deleted though they never lay in a folder: container
    /// runtimes and tool servers run themselves from sealed memory. `*` stands for any run of
    /// characters, here and in the next four.
    never_on_disk: Vec<String>,
    /// Names.
    kernel_thread_names: Vec<String>,
    shells: Vec<String>,
    network_services: Vec<String>,
    /// Network services whose children are meant to be shells.
    login_services: Vec<String>,
    /// In % of one core; none: the rule is off.
    cpu_percent_max: Option<f64>,
    /// Resident; none: the rule is off.
    memory_bytes_max: Option<u64>,
    /// How many processes that fired are remembered; the oldest are forgotten.
    remembered_max: usize,
}

/// What a process has been told of already: a bit a rule.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    fired: u8,
    undecided: u8,
}

/// The trigger, with what it has told.
#[derive(Debug)]
struct Watch {
    settings: Settings,
    rules: Rules,
    told: Recent<(u32, i64), Told>,
}

impl Watch {
    fn verdicts(&mut self, columns: &process::Columns) -> Verdicts {
        let mut verdicts = Verdicts {
            firings: Vec::new(),
            undecided: Vec::new(),
        };
        for row in columns.rows() {
            for (rule, number) in RULES.iter().zip(0_u32..) {
                match (rule.decide)(&self.rules, row) {
                    Answer::No => {}
                    Answer::Fires(message) => {
                        if self.is_first(row, |told| &mut told.fired, number) {
                            let message = Some(message);
                            verdicts.firings.push(Firing {
                                row: row.number(),
                                rule: number,
                                message,
                            });
                        }
                    }
                    Answer::Unknown(part) => {
                        if self.is_first(row, |told| &mut told.undecided, number) {
                            verdicts.undecided.push(Undecided {
                                row: row.number(),
                                rule: number,
                                part: part.to_owned(),
                                reason: "the process could not be read".to_owned(),
                            });
                        }
                    }
                }
            }
        }
        verdicts
    }

    /// Whether this is the first time for that rule and process; remembers that it was.
    fn is_first(
        &mut self,
        row: process::Row<'_>,
        of: impl Fn(&mut Told) -> &mut u8,
        rule: u32,
    ) -> bool {
        // Without a start time there is no process to remember: better twice than never.
        let (Some(pid), Some(start_time)) = (row.pid(), row.start_time()) else {
            return true;
        };
        let bit = 1 << rule;
        if let Some(told) = self.told.get((pid, start_time)) {
            let bits = of(told);
            let first = *bits & bit == 0;
            *bits |= bit;
            return first;
        }
        let mut told = Told::default();
        *of(&mut told) |= bit;
        self.told.insert((pid, start_time), told);
        true
    }
}

impl Guest for Watch {
    type Settings = Settings;
    const DEFAULTS: &'static str = include_str!("../settings.json");

    fn new(settings: Settings) -> Result<Self, String> {
        if !(2..=REMEMBERED_MAX).contains(&settings.remembered_max) {
            let remembered = settings.remembered_max;
            return Err(format!(
                "settings: remembered_max: {remembered} is not within 2 to {REMEMBERED_MAX}"
            ));
        }
        if settings
            .cpu_percent_max
            .is_some_and(|level| !level.is_finite() || level <= 0.0)
        {
            return Err("settings: cpu_percent_max: it is not above 0".to_owned());
        }
        let rules = Rules::new(&settings)?;
        Ok(Self {
            rules,
            told: Recent::new(settings.remembered_max),
            settings,
        })
    }

    fn wants(&self) -> Wants {
        RULES.iter().fold(process::wants(), |wants, rule| {
            wants.rule(rule.name, rule.priority)
        })
    }

    fn self_test(&self) -> Result<(), String> {
        let mut fresh = Self::new(self.settings.clone())?;
        let Some(folder) = self.settings.temporary_folders.first() else {
            return Ok(());
        };
        let path = format!("{}/weir-self-test", folder.trim_end_matches('/'));
        let columns = sample::one(&sample::Process {
            executable: Some(&path),
            ..sample::QUIET
        });
        let counts = [&columns, &columns].map(|columns| fresh.verdicts(columns).firings.len());
        match counts {
            [1, 0] => Ok(()),
            other => Err(format!(
                "{path} seen twice fired {other:?} times, not [1, 0]"
            )),
        }
    }
}

/// Bytes of a process in a snapshot: pid, start time, what fired, what was undecided.
const SNAPSHOT_ENTRY_BYTES: usize = 4 + 8 + 1 + 1;

impl Memory for Watch {
    const VERSION: u32 = 1;

    fn snapshot(&self) -> Vec<u8> {
        let mut state = Vec::with_capacity(self.told.len() * SNAPSHOT_ENTRY_BYTES);
        for ((pid, start_time), told) in self.told.iter() {
            state.extend(pid.to_le_bytes());
            state.extend(start_time.to_le_bytes());
            state.extend([told.fired, told.undecided]);
        }
        state
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), String> {
        let (entries, rest) = state.as_chunks::<SNAPSHOT_ENTRY_BYTES>();
        if !rest.is_empty() {
            return Err(format!(
                "{} bytes are no list of entries of {SNAPSHOT_ENTRY_BYTES}",
                state.len()
            ));
        }
        for &[
            p0,
            p1,
            p2,
            p3,
            s0,
            s1,
            s2,
            s3,
            s4,
            s5,
            s6,
            s7,
            fired,
            undecided,
        ] in entries
        {
            let pid = u32::from_le_bytes([p0, p1, p2, p3]);
            let start_time = i64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
            self.told
                .insert((pid, start_time), Told { fired, undecided });
        }
        Ok(())
    }
}

impl Trigger for Watch {
    fn evaluate(&mut self, batch: &Batch<'_>) -> Result<Verdicts, EvalError> {
        Ok(self.verdicts(&process::Columns::fetch(batch)?))
    }
}

weir_guest::export!(trigger Watch with memory);

mod sample;
#[cfg(test)]
mod tests;
