//! The source of details: what a process has open and mapped, what it may do, and where it lives.
//!
//! Read when asked for, and only then: it is too much to be read of every process. It judges nothing.
//! The invariant: all of it is of one process (pid and start time, looked at before and after), each
//! part is bounded, and a part that can't be read is told as such and keeps no other from being told.

mod capabilities;
mod descriptors;
mod listing;
mod maps;
mod sockets;
mod status;
#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::aside::{Aside, Watch};
use super::pinned::Pinned;
use super::{ANSWER_TIME_CEILING, About, Answer, AnswerError, PROCESS_DETAILS_NAME, Triggerable};
use crate::process::details::cgroup;
use listing::{Listing, text};
use status::Status;

/// Bytes that are read of a process's environment.
const ENVIRONMENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes that are read of its maps: some 80,000, and a process may have 65,530 where nobody raised that.
const MAPS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes that are read of a file of a few lines.
const LINES_BYTES_MAX: usize = 64 * 1024;
/// The namespaces that a process can have of its own, as `/proc` calls them.
const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// Answers with details of processes.
pub struct ProcessDetails {
    name: String,
    timeout: Duration,
    aside: Aside,
}

/// A part that could be read, or why it couldn't.
type Part = Result<String, AnswerError>;

impl ProcessDetails {
    /// A source of details that answers within that time, at most [`ANSWER_TIME_CEILING`].
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self {
            name: PROCESS_DETAILS_NAME.to_owned(),
            timeout: timeout.min(ANSWER_TIME_CEILING),
            aside: Aside::default(),
        }
    }

    /// The same under another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }
}

impl Default for ProcessDetails {
    fn default() -> Self {
        Self::new(ANSWER_TIME_CEILING)
    }
}

impl Triggerable for ProcessDetails {
    fn name(&self) -> &str {
        &self.name
    }

    fn analyses(&self) -> &'static [&'static str] {
        &[PROCESS_DETAILS_NAME]
    }

    fn answer(
        &self,
        about: &About,
        until: Instant,
        stop: &AtomicBool,
    ) -> Result<Answer, AnswerError> {
        let (pid, start_time) = about.as_process().ok_or(AnswerError::NoTarget)?;
        let (answer, cpu) = self.aside.run((until, self.timeout), stop, move |watch| {
            let process = Pinned::open(pid, start_time)?;
            let answer = tell(pid, &process, watch)?;
            // Half of what is told of a process that ended meanwhile would be missing.
            process.check()?;
            Ok(answer)
        })?;
        Ok(Answer { cpu, ..answer })
    }
}

/// An answer in the making.
struct Telling<'a> {
    watch: &'a Watch,
    evidence: Vec<(String, String)>,
}

impl Telling<'_> {
    /// Tells a part, or why it can't be told.
    fn tell(&mut self, key: &str, part: Part) -> Result<(), AnswerError> {
        self.watch.check()?;
        let text = part.unwrap_or_else(|error| unreadable(&error).to_owned());
        self.evidence.push((key.to_owned(), text));
        Ok(())
    }

    /// Tells a part that most processes don't have.
    fn tell_if(&mut self, key: &str, part: Option<String>) -> Result<(), AnswerError> {
        part.map_or(Ok(()), |text| self.tell(key, Ok(text)))
    }
}

/// A part that isn't there, in a word.
const fn unreadable(error: &AnswerError) -> &'static str {
    match error {
        AnswerError::PermissionDenied => "unreadable: permission",
        AnswerError::ProcessGone => "unreadable: it has none, or has ended",
        _ => "unreadable",
    }
}

fn tell(pid: u32, process: &Pinned, watch: &Watch) -> Result<Answer, AnswerError> {
    let mut telling = Telling {
        watch,
        evidence: Vec::new(),
    };
    let status = process
        .read("status", LINES_BYTES_MAX)
        .map(|entry| Status::parse(&entry.bytes));
    let name = status.as_ref().map(|status| status.name.clone());
    telling.tell("executable", link(process, "exe"))?;
    telling.tell("cwd", link(process, "cwd"))?;
    match link(process, "root") {
        Ok(root) if root == "/" => {}
        root => telling.tell("root", root)?,
    }
    match &status {
        Ok(status) => {
            telling.tell("users", Ok(status.users.clone()))?;
            telling.tell("capabilities", Ok(capabilities::names(status.capabilities)))?;
            telling.tell("seccomp", Ok(status.seccomp()))?;
            telling.tell_if("tracer", status.tracer())?;
            telling.tell("threads", Ok(status.threads.clone()))?;
        }
        Err(error) => telling.tell("status", Err(error.clone()))?,
    }
    telling.tell("namespaces", namespaces(process))?;
    telling.tell("cgroup", control_group(process))?;
    tell_maps(process, &mut telling)?;
    tell_descriptors(process, &mut telling)?;
    telling.tell("environment", environment(process))?;
    let name = name.unwrap_or_else(|_| "?".to_owned());
    Ok(Answer {
        title: "details of a process".to_owned(),
        subject: format!("{name}[{pid}]"),
        evidence: telling.evidence,
        cpu: Duration::ZERO,
    })
}

fn tell_maps(process: &Pinned, telling: &mut Telling<'_>) -> Result<(), AnswerError> {
    match process.read("maps", MAPS_BYTES_MAX) {
        Err(error) => telling.tell("mapped_files", Err(error)),
        Ok(entry) => {
            let maps = maps::Maps::parse(&entry.bytes, entry.cut);
            telling.tell("executable_memory", Ok(maps.executable_memory()))?;
            telling.tell_if("mapped_deleted", maps.deleted())?;
            telling.tell("mapped_files", Ok(maps.files()))
        }
    }
}

fn tell_descriptors(process: &Pinned, telling: &mut Telling<'_>) -> Result<(), AnswerError> {
    match descriptors::Descriptors::read(process, telling.watch) {
        // What ends an answer, ends it here too.
        Err(error @ (AnswerError::Stopped | AnswerError::TookLonger { .. })) => Err(error),
        Err(error) => telling.tell("open_files", Err(error)),
        Ok(descriptors) => {
            telling.tell("open_files", Ok(descriptors.counts()))?;
            telling.tell_if("open_paths", descriptors.paths())?;
            let sockets = sockets::tell(process, descriptors.socket_inodes(), telling.watch)?;
            telling.tell_if("sockets", sockets)
        }
    }
}

/// The text of a link.
fn link(process: &Pinned, entry: &str) -> Part {
    Ok(text(&process.link(entry)?))
}

/// The names of the environment's variables. Never a value; what has no name may be one, and is counted.
fn environment(process: &Pinned) -> Part {
    let entry = process.read("environ", ENVIRONMENT_BYTES_MAX)?;
    let mut names = Listing::default();
    let mut nameless: usize = 0;
    let entries = entry.bytes.split(|byte| *byte == 0);
    for variable in entries.filter(|variable| !variable.is_empty()) {
        match variable.iter().position(|byte| *byte == b'=') {
            Some(end @ 1..) => names.add(&text(variable.get(..end).unwrap_or_default())),
            _ => nameless = nameless.saturating_add(1),
        }
    }
    let mut told = names.told(entry.cut);
    if nameless > 0 {
        told.push_str(&format!(" ({nameless} without a name)"));
    }
    Ok(told)
}

/// Which of its namespaces aren't the daemon's.
fn namespaces(process: &Pinned) -> Part {
    let mut own = Vec::new();
    for namespace in NAMESPACES {
        let Ok(ours) = std::fs::read_link(format!("/proc/self/ns/{namespace}")) else {
            // This kernel has none of that kind.
            continue;
        };
        let theirs = process.link(&format!("ns/{namespace}"))?;
        if ours.as_os_str().as_encoded_bytes() != theirs {
            own.push(namespace);
        }
    }
    Ok(match own.as_slice() {
        [] => "the daemon's".to_owned(),
        own => format!("its own: {}", own.join(", ")),
    })
}

fn control_group(process: &Pinned) -> Part {
    let entry = process.read("cgroup", LINES_BYTES_MAX)?;
    let lines = String::from_utf8_lossy(&entry.bytes);
    Ok(cgroup::path(&lines).map_or_else(|| "none".to_owned(), |path| text(path.as_bytes())))
}
