//! Made-up snapshots, for the self-test and the tests.

use super::process::Columns;
use weir_guest::{BoolColumn, FixedColumn, FixedWidth, TextColumn, TextListColumn};

fn all<T: FixedWidth>(rows: usize, value: Option<T>) -> FixedColumn<T> {
    FixedColumn::of(&vec![value; rows])
}

fn texts(rows: usize, value: Option<&str>) -> TextColumn {
    TextColumn::of(&vec![value; rows])
}

/// A snapshot of processes, by pid and name; each started at second `pid`.
pub(crate) fn snapshot(processes: &[(u32, &str)]) -> Columns {
    let rows = processes.len();
    let pids: Vec<_> = processes.iter().map(|(pid, _)| Some(*pid)).collect();
    let starts: Vec<_> = pids
        .iter()
        .map(|pid| pid.map(|pid| i64::from(pid) * 1_000_000_000))
        .collect();
    let names: Vec<_> = processes.iter().map(|(_, name)| Some(*name)).collect();
    let lines: Vec<Option<&[&str]>> = processes
        .iter()
        .map(|(_, name)| Some(std::slice::from_ref(name)))
        .collect();
    Columns {
        rows,
        pid: FixedColumn::of(&pids),
        start_time: FixedColumn::of(&starts),
        ppid: all(rows, Some(1)),
        parent_start_time: all(rows, Some(1_000_000_000)),
        parent_name: texts(rows, Some("init")),
        parent_executable: texts(rows, None),
        name: TextColumn::of(&names),
        executable: TextColumn::of(&names),
        executable_deleted: BoolColumn::of(&vec![Some(false); rows]),
        command_line: TextListColumn::of(&lines),
        cpu_usage: all(rows, None),
        memory_bytes: all(rows, Some(1 << 20)),
        user_id: all(rows, Some(0)),
        cgroup: texts(rows, None),
        container_id: texts(rows, None),
        executable_hash: texts(rows, None),
        hash_algorithm: texts(rows, None),
        hash_baseline: texts(rows, None),
        accessible: BoolColumn::of(&vec![Some(true); rows]),
        file_exists: BoolColumn::of(&vec![None; rows]),
        lifecycle: texts(rows, Some("observed")),
    }
}
