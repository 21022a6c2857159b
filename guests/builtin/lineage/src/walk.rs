//! The walk from a process to init.
//!
//! It stops at a process without a parent (pid 1, and what the kernel started), after so many
//! steps, at a process that it has been at, and where a parent isn't known or isn't in the table.

use std::fmt;
use weir_guest::{Row, host};

/// A process on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ancestor {
    name: Option<String>,
    pid: Option<u64>,
}

impl Ancestor {
    /// Who a row is about.
    pub(crate) fn of_row(row: &Row) -> Self {
        let name = host::text(row, "name").map(ToOwned::to_owned);
        Self {
            name,
            pid: host::unsigned(row, "pid"),
        }
    }
}

impl fmt::Display for Ancestor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.as_deref().unwrap_or("?"))?;
        match self.pid {
            Some(pid) => write!(f, "[{pid}]"),
            None => f.write_str("[?]"),
        }
    }
}

/// Why a walk ended before init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// The last one's parent isn't known.
    ParentUnknown,
    /// The parent is known by pid only, and pids are used again.
    ParentStartUnknown,
    /// The parent isn't in the table: it is gone.
    Gone,
    /// The walk came back to where it had been.
    Cycle,
    /// There are more.
    TooLong,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ParentUnknown => "whose parent is not known",
            Self::ParentStartUnknown => "whose start time is not known",
            Self::Gone => "which is gone",
            Self::Cycle => "which was here before",
            Self::TooLong => "and more",
        })
    }
}

/// The parents of a process, the nearest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    ancestors: Vec<Ancestor>,
    broken: Option<Break>,
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ancestors.is_empty() && self.broken.is_none() {
            return f.write_str("none");
        }
        for (place, ancestor) in self.ancestors.iter().enumerate() {
            let arrow = if place == 0 { "" } else { " ← " };
            write!(f, "{arrow}{ancestor}")?;
        }
        match self.broken {
            Some(reason) if self.ancestors.is_empty() => write!(f, "({reason})"),
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

/// Walks from a row upwards; `look` finds a process by pid and start time.
pub(crate) fn walk(row: &Row, steps_max: usize, look: impl Fn(u32, i64) -> Option<Row>) -> Chain {
    let mut chain = Chain {
        ancestors: Vec::new(),
        broken: None,
    };
    let mut visited = vec![(host::unsigned(row, "pid"), host::signed(row, "start_time"))];
    let mut parent = None;
    chain.broken = loop {
        let here = parent.as_ref().unwrap_or(row);
        // Pid 0 is nobody: who has it for a parent was started by the kernel, or from outside of
        // the container.
        let ppid = match host::unsigned(here, "ppid") {
            Some(0) => break None,
            None if host::unsigned(here, "pid") == Some(1) => break None,
            None => break Some(Break::ParentUnknown),
            Some(ppid) => ppid,
        };
        if chain.ancestors.len() >= steps_max {
            break Some(Break::TooLong);
        }
        // What the row says of its parent is all that is known of one that can't be looked up.
        let told = Ancestor {
            name: host::text(here, "parent_name").map(ToOwned::to_owned),
            pid: Some(ppid),
        };
        let Some(start_time) = host::signed(here, "parent_start_time") else {
            chain.ancestors.push(told);
            break Some(Break::ParentStartUnknown);
        };
        let found = u32::try_from(ppid)
            .ok()
            .and_then(|pid| look(pid, start_time));
        let Some(found) = found else {
            chain.ancestors.push(told);
            break Some(Break::Gone);
        };
        chain.ancestors.push(Ancestor::of_row(&found));
        let key = (Some(ppid), Some(start_time));
        if visited.contains(&key) {
            break Some(Break::Cycle);
        }
        visited.push(key);
        parent = Some(found);
    };
    chain
}
