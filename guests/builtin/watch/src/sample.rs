//! Made-up processes, for the self-test and the tests.

use super::process::Columns;
use weir_guest::{BoolColumn, FixedColumn, TextColumn, TextListColumn};

/// One process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process<'a> {
    pub pid: u32,
    pub start_time: Option<i64>,
    pub parent_name: Option<&'a str>,
    pub parent_executable: Option<&'a str>,
    pub name: &'a str,
    pub executable: Option<&'a str>,
    pub executable_deleted: Option<bool>,
    pub command_line: &'a [&'a str],
    pub cpu_usage: Option<f64>,
    pub memory_bytes: Option<u64>,
    pub accessible: bool,
    pub lifecycle: &'a str,
}

/// A process about which there is nothing to say.
pub(crate) const QUIET: Process<'static> = Process {
    pid: 100,
    start_time: Some(1),
    parent_name: Some("systemd"),
    parent_executable: Some("/usr/lib/systemd/systemd"),
    name: "quiet",
    executable: Some("/usr/bin/quiet"),
    executable_deleted: Some(false),
    command_line: &["quiet"],
    cpu_usage: Some(1.0),
    memory_bytes: Some(1 << 20),
    accessible: true,
    lifecycle: "observed",
};

/// A batch of that process.
pub(crate) fn one(process: &Process<'_>) -> Columns {
    let p = process;
    Columns {
        rows: 1,
        pid: FixedColumn::of(&[Some(p.pid)]),
        start_time: FixedColumn::of(&[p.start_time]),
        parent_name: TextColumn::of(&[p.parent_name]),
        parent_executable: TextColumn::of(&[p.parent_executable]),
        name: TextColumn::of(&[Some(p.name)]),
        executable: TextColumn::of(&[p.executable]),
        executable_deleted: BoolColumn::of(&[p.executable_deleted]),
        command_line: TextListColumn::of(&[Some(p.command_line)]),
        cpu_usage: FixedColumn::of(&[p.cpu_usage]),
        memory_bytes: FixedColumn::of(&[p.memory_bytes]),
        accessible: BoolColumn::of(&[Some(p.accessible)]),
        lifecycle: TextColumn::of(&[Some(p.lifecycle)]),
    }
}
