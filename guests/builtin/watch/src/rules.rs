//! The rules: each looks at one row, and says yes with a reason, no, or that it can't know.
//!
//! They hold no names and no paths: those are settings.

use super::Settings;
use super::names::{Folders, Names, base_name};
use super::process::Row;
use weir_guest::Priority;

/// What a rule says of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// It is not so, or what would be needed is null where that is an answer of its own.
    No,
    /// It is so, and why, for a person to read.
    Fires(String),
    /// The field that it needed could not be read.
    Unknown(&'static str),
}

/// One rule.
pub(crate) struct Rule {
    /// Its name, as operators read it.
    pub name: &'static str,
    /// How urgent it is.
    pub priority: Priority,
    /// Looks at a row.
    pub decide: fn(&Rules, Row<'_>) -> Answer,
}

/// All rules, in the order in which `init` names them. At most eight: what was told is a byte.
pub(crate) const RULES: [Rule; 6] = [
    Rule {
        name: "runs-from-temporary-folder",
        priority: Priority::High,
        decide: runs_from_temporary_folder,
    },
    Rule {
        name: "executable-deleted",
        priority: Priority::Normal,
        decide: executable_deleted,
    },
    Rule {
        name: "named-like-kernel-thread",
        priority: Priority::Critical,
        decide: named_like_kernel_thread,
    },
    Rule {
        name: "shell-of-network-service",
        priority: Priority::Critical,
        decide: shell_of_network_service,
    },
    Rule {
        name: "cpu-above-level",
        priority: Priority::Low,
        decide: cpu_above_level,
    },
    Rule {
        name: "memory-above-level",
        priority: Priority::Low,
        decide: memory_above_level,
    },
];

/// The lifecycle of a process that is gone: it runs nothing any more.
const EXITED: &str = "exited";

/// Settings, made ready to be compared with.
#[derive(Debug)]
pub(crate) struct Rules {
    temporary_folders: Folders,
    never_on_disk: Names,
    kernel_thread_names: Names,
    shells: Names,
    network_services: Names,
    login_services: Names,
    cpu_percent_max: Option<f64>,
    memory_bytes_max: Option<u64>,
}

impl Rules {
    /// Checks the settings.
    ///
    /// # Errors
    /// The key that doesn't do, and why.
    pub(crate) fn new(settings: &Settings) -> Result<Self, String> {
        Ok(Self {
            temporary_folders: Folders::new("temporary_folders", &settings.temporary_folders)?,
            never_on_disk: Names::new("never_on_disk", &settings.never_on_disk)?,
            kernel_thread_names: Names::new("kernel_thread_names", &settings.kernel_thread_names)?,
            shells: Names::new("shells", &settings.shells)?,
            network_services: Names::new("network_services", &settings.network_services)?,
            login_services: Names::new("login_services", &settings.login_services)?,
            cpu_percent_max: settings.cpu_percent_max,
            memory_bytes_max: settings.memory_bytes_max,
        })
    }
}

/// Null where the process could not be read is unknown; elsewhere it is an answer.
fn unread(row: Row<'_>, field: &'static str) -> Answer {
    if row.accessible() == Some(false) {
        Answer::Unknown(field)
    } else {
        Answer::No
    }
}

fn name(row: Row<'_>) -> &str {
    row.name().unwrap_or("a process")
}

fn runs_from_temporary_folder(rules: &Rules, row: Row<'_>) -> Answer {
    let Some(executable) = row.executable() else {
        return unread(row, "executable");
    };
    match rules.temporary_folders.of(executable) {
        Some(folder) => Answer::Fires(format!("{} runs {executable}, in {folder}", name(row))),
        None => Answer::No,
    }
}

fn executable_deleted(rules: &Rules, row: Row<'_>) -> Answer {
    let executable = row.executable();
    if executable.is_some_and(|executable| rules.never_on_disk.have(executable)) {
        return Answer::No;
    }
    match row.executable_deleted() {
        Some(true) if row.lifecycle() != Some(EXITED) => Answer::Fires(format!(
            "{} runs {}, which has been deleted",
            name(row),
            row.executable().unwrap_or("an executable")
        )),
        Some(_) => Answer::No,
        None => unread(row, "executable_deleted"),
    }
}

fn named_like_kernel_thread(rules: &Rules, row: Row<'_>) -> Answer {
    // Tools show a thread of the kernel in brackets, so a first argument in brackets passes as one.
    let argument = row
        .command_line()
        .and_then(|mut arguments| arguments.next());
    let bracketed = argument.and_then(|argument| argument.strip_prefix('[')?.strip_suffix(']'));
    let names = [row.name(), bracketed];
    let Some(like) = names
        .into_iter()
        .flatten()
        .find(|name| rules.kernel_thread_names.have(name))
    else {
        return Answer::No;
    };
    match row.executable() {
        Some("") => Answer::No,
        Some(executable) => Answer::Fires(format!(
            "{like} is named like a thread of the kernel, and runs {executable}"
        )),
        None => unread(row, "executable"),
    }
}

fn shell_of_network_service(rules: &Rules, row: Row<'_>) -> Answer {
    let is_one = |names: &Names, name: Option<&str>, path: Option<&str>| {
        name.is_some_and(|name| names.have(name))
            || path.is_some_and(|path| names.have(base_name(path)))
    };
    // A login shell's name starts with a dash.
    let own_name = row
        .name()
        .map(|name| name.strip_prefix('-').unwrap_or(name));
    let (parent, parent_path) = (row.parent_name(), row.parent_executable());
    if !is_one(&rules.shells, own_name, row.executable())
        || !is_one(&rules.network_services, parent, parent_path)
        || is_one(&rules.login_services, parent, parent_path)
    {
        return Answer::No;
    }
    let service = parent.or(parent_path).unwrap_or("a network service");
    let arguments: Vec<&str> = row.command_line().into_iter().flatten().collect();
    Answer::Fires(format!(
        "the network service {service} started the shell {}: {}",
        name(row),
        shorten(&arguments.join(" "))
    ))
}

fn cpu_above_level(rules: &Rules, row: Row<'_>) -> Answer {
    match (rules.cpu_percent_max, row.cpu_usage()) {
        (Some(level), Some(cpu)) if cpu > level => Answer::Fires(format!(
            "{} uses {cpu:.0} % of a core, above {level} %",
            name(row)
        )),
        _ => Answer::No,
    }
}

fn memory_above_level(rules: &Rules, row: Row<'_>) -> Answer {
    match (rules.memory_bytes_max, row.memory_bytes()) {
        (Some(level), Some(bytes)) if bytes > level => Answer::Fires(format!(
            "{} holds {bytes} bytes of memory, above {level}",
            name(row)
        )),
        _ => Answer::No,
    }
}

/// The most characters of a command line in a message: the whole is in the event.
const COMMAND_LINE_CHARS_MAX: usize = 200;

fn shorten(text: &str) -> String {
    match text.char_indices().nth(COMMAND_LINE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
