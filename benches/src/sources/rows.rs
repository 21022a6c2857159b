//! Processes as ours and its peers tell them, in one form: to see that it is the same.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use procfs::process::{Stat, Status, all_processes};
use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};
use weir_bus::CollectionEvent;

use super::ours::Look;

/// What all of them can say exactly. Memory and CPU time change while one looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    parent: Option<u32>,
    name: String,
    state: String,
    user: Option<u32>,
    path: Option<String>,
    arguments: Vec<String>,
}

/// By process id.
pub(super) type Processes = BTreeMap<u32, Told>;

/// Ours.
pub(super) fn of_ours(look: &Look) -> Processes {
    let told = look.events().filter_map(|event| match event {
        CollectionEvent::Process(row) => Some((
            row.pid,
            Told {
                parent: row.ppid,
                name: row.name,
                state: row.state.unwrap_or_default(),
                user: row.user_id,
                path: row.executable,
                arguments: row.command_line,
            },
        )),
        _ => None,
    });
    told.collect()
}

/// One `System` that is kept, as its documentation advises, asked for the fields that ours have.
pub(super) struct Sysinfo {
    system: System,
    fields: ProcessRefreshKind,
}

impl Sysinfo {
    /// `lasting`: when executable, arguments and user are read. Ours sees when those become others; of these only
    /// [`UpdateKind::Always`] does.
    pub(super) fn new(lasting: UpdateKind) -> anyhow::Result<Self> {
        let fields = ProcessRefreshKind::nothing()
            .without_tasks()
            .with_cpu()
            .with_memory()
            .with_user(lasting)
            .with_exe(lasting)
            .with_cmd(lasting);
        let system = System::new().map_err(|error| anyhow::anyhow!("sysinfo: {error}"))?;
        Ok(Self { system, fields })
    }

    /// Looks; answers how many there are.
    pub(super) fn look(&mut self) -> usize {
        self.system
            .refresh_processes_specifics(ProcessesToUpdate::All, true, self.fields);
        self.system.processes().len()
    }

    /// The arguments of each that the last look showed.
    pub(super) fn arguments(&self) -> impl Iterator<Item = (u32, Vec<String>)> {
        self.told()
            .into_iter()
            .map(|(process, told)| (process, told.arguments))
    }

    /// What the last look showed.
    pub(super) fn told(&self) -> Processes {
        let processes = self.system.processes().values();
        let told = processes.map(|process| {
            let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
            let told = Told {
                parent: process.parent().map(|parent| parent.as_u32()),
                name: text(process.name()),
                state: match process.status() {
                    ProcessStatus::Sleep => "sleeping".to_owned(),
                    other => other.to_string(),
                },
                user: process.effective_user_id().map(|user| **user),
                path: process.exe().map(|path| text(path.as_os_str())),
                arguments: process.cmd().iter().map(|word| text(word)).collect(),
            };
            (process.pid().as_u32(), told)
        });
        told.collect()
    }
}

/// A process as the crate procfs reads it.
pub(super) struct Read {
    stat: Stat,
    status: Status,
    arguments: Vec<String>,
    path: Option<std::path::PathBuf>,
}

/// Reads all processes by the crate procfs: `stat`, `status`, `cmdline`, `exe`. What ends meanwhile is left out.
pub(super) fn read_by_procfs() -> anyhow::Result<Vec<Read>> {
    let read = all_processes()?.filter_map(|process| {
        let process = process.ok()?;
        Some(Read {
            stat: process.stat().ok()?,
            status: process.status().ok()?,
            arguments: process.cmdline().ok()?,
            path: process.exe().ok(),
        })
    });
    Ok(read.collect())
}

/// The same as all tell it.
pub(super) fn of_procfs(read: Vec<Read>) -> Processes {
    let told = read.into_iter().filter_map(|read| {
        let told = Told {
            parent: u32::try_from(read.stat.ppid).ok().filter(|id| *id != 0),
            name: read.status.name,
            state: match read.stat.state {
                'S' => "sleeping".to_owned(),
                other => other.to_string(),
            },
            user: Some(read.status.euid),
            path: read.path.map(|path| path.to_string_lossy().into_owned()),
            arguments: read.arguments,
        };
        Some((u32::try_from(read.stat.pid).ok()?, told))
    });
    told.collect()
}

/// Shows that both tell the same of these processes.
pub(super) fn ensure_same(
    of: &[u32],
    ours: &Processes,
    (name, peer): (&str, &Processes),
) -> anyhow::Result<()> {
    for process in of {
        let told = |by: &Processes, who: &str| {
            let told = by.get(process).cloned();
            told.with_context(|| format!("{who} doesn't tell of process {process}"))
        };
        let (ours, peer) = (told(ours, "ours")?, told(peer, name)?);
        ensure!(
            ours == peer,
            "process {process} is {ours:?} to ours, and {peer:?} to {name}"
        );
    }
    Ok(())
}

/// Whether that process has these arguments.
#[cfg(test)]
pub(super) fn has_arguments(told: &Processes, process: u32, arguments: &[&str]) -> bool {
    let told = told.get(&process);
    told.is_some_and(|told| told.arguments == arguments)
}

/// Whether all of them wait: then nothing of them changes.
pub(super) fn are_all_asleep(of: &[u32], told: &Processes) -> bool {
    of.iter().all(|process| {
        let told = told.get(process);
        told.is_some_and(|told| told.state == "sleeping")
    })
}
