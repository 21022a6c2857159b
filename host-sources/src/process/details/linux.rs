//! Details on Linux: the few files of `/proc` that sysinfo reads too often, or not as needed.
//!
//! What changes all the time (cpu, memory, parent, user) stays sysinfo's. The invariant: in steady
//! state one link is read for each process, and nothing is allocated. A digest is never waited for.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{CWD, readlinkat_raw};
use rustix::io::Errno;
use sysinfo::{Process, ProcessRefreshKind, ThreadKind, UpdateKind};

use super::{COMMAND_LINE_BYTES_MAX, Details, REREAD_LOOKS, Reread, arguments, cgroup, stat};
use crate::process::hashes::{Hashes, OfExecutable, Whereabouts};
use crate::process::look::timestamp_of_seconds;

/// Bytes that are read of a file that has one line: `stat` has at most some 400.
const LINE_BYTES_MAX: usize = 4 * 1024;
/// Bytes that are read of a control group's file: 16 hierarchies of long paths.
const CGROUP_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a path on Linux, and of what the kernel appends.
const LINK_BYTES_MAX: usize = 4 * 1024 + DELETED_SUFFIX.len();
/// What the kernel appends to the path of a file that was deleted.
const DELETED_SUFFIX: &[u8] = b" (deleted)";

/// Reads details; its buffers serve all processes.
pub(in crate::process) struct DetailsReader {
    path: String,
    link: Vec<u8>,
    file: Vec<u8>,
    /// Where digests come from; none: there are none.
    hashes: Option<Arc<Hashes>>,
}

impl DetailsReader {
    pub(in crate::process) fn new(hashes: Option<Arc<Hashes>>) -> Self {
        Self {
            path: String::new(),
            link: vec![0; LINK_BYTES_MAX],
            file: Vec::new(),
            hashes,
        }
    }

    /// What sysinfo shall read each time. It reads the users' file whether asked to or not.
    pub(in crate::process) fn refresh_kind() -> ProcessRefreshKind {
        ProcessRefreshKind::nothing()
            .with_cpu()
            .with_memory()
            .with_user(UpdateKind::Always)
    }

    /// Everything, for a process that is seen for the first time.
    pub(in crate::process) fn read(&mut self, process: &Process) -> Details {
        let pid = process.pid().as_u32();
        let mut details = Details {
            name: process.name().to_string_lossy().into_owned(),
            accessible: true,
            ..Details::default()
        };
        let is_kernel_thread = process.thread_kind() == Some(ThreadKind::Kernel);
        if !is_kernel_thread {
            let link = self.read_link(pid);
            self.take_executable(pid, link, &mut details);
            self.take_command_line(pid, &mut details);
        }
        self.take_cgroup(pid, &mut details);
        self.take_digest(pid, &mut details, true);
        // Last, for it says whether the process was there all along.
        match self.start_ticks(pid) {
            Some(ticks) => details.start_time = stat::start_time(ticks),
            None => {
                details.start_time = timestamp_of_seconds(process.start_time());
                details.accessible = false;
            }
        }
        details
    }

    /// What may have changed: after an exec everything, else what is due (`turn` counts looks).
    pub(in crate::process) fn read_again(
        &mut self,
        process: &Process,
        details: &mut Details,
        suspicious: bool,
        turn: u64,
    ) -> Reread {
        if process.thread_kind() == Some(ThreadKind::Kernel) {
            return Reread::Same;
        }
        let pid = process.pid().as_u32();
        let link = self.read_link(pid);
        let link_changed = match link {
            Link::Read(bytes) => self.link.get(..bytes) != Some(&details.link),
            Link::Denied => !details.link.is_empty(),
            // It is ending; what is known stays.
            Link::None => false,
        };
        if suspicious || link_changed {
            let ticks = self.start_ticks(pid);
            if ticks.is_some_and(|ticks| stat::start_time(ticks) != details.start_time) {
                return Reread::Another;
            }
        }
        if link_changed {
            self.take_executable(pid, link, details);
            self.take_cgroup(pid, details);
        } else if details.executable_deleted == Some(true) {
            // A file may come back to a path, as in an upgrade.
            details.file_exists = self.file_exists(pid, details.executable.as_deref());
        }
        let is_due = suspicious || link_changed || turn.is_multiple_of(REREAD_LOOKS);
        self.take_digest(pid, details, is_due);
        if is_due {
            self.take_name(pid, details);
            self.take_command_line(pid, details);
        }
        Reread::Same
    }

    /// The path of a process's file in `/proc`.
    fn path(&mut self, pid: u32, file: &str) -> &str {
        self.path.clear();
        // Writing to a text can't fail.
        let _ = write!(self.path, "/proc/{pid}/{file}");
        &self.path
    }

    /// Reads a file, up to a byte more than `bytes_max`, into the buffer.
    fn read_file(&mut self, pid: u32, file: &str, bytes_max: usize) -> std::io::Result<()> {
        self.file.clear();
        let opened = File::open(self.path(pid, file))?;
        let mut limited = opened.take(bytes_max as u64 + 1);
        limited.read_to_end(&mut self.file)?;
        Ok(())
    }

    fn start_ticks(&mut self, pid: u32) -> Option<u64> {
        self.read_file(pid, "stat", LINE_BYTES_MAX).ok()?;
        stat::start_ticks(&self.file)
    }

    fn read_link(&mut self, pid: u32) -> Link {
        self.path(pid, "exe");
        match readlinkat_raw(CWD, self.path.as_str(), self.link.as_mut_slice()) {
            Ok(bytes) => Link::Read(bytes),
            Err(Errno::ACCESS | Errno::PERM) => Link::Denied,
            Err(_) => Link::None,
        }
    }

    fn take_executable(&mut self, pid: u32, link: Link, details: &mut Details) {
        details.link.clear();
        details.executable = None;
        details.executable_deleted = None;
        details.file_exists = None;
        details.accessible = link != Link::Denied;
        let Link::Read(bytes) = link else { return };
        let Some(link) = self.link.get(..bytes) else {
            return;
        };
        details.link.extend_from_slice(link);
        let path = match link.strip_suffix(DELETED_SUFFIX) {
            Some(path) if !is_that_file(pid, link) => {
                details.executable_deleted = Some(true);
                path
            }
            _ => {
                details.executable_deleted = Some(false);
                details.file_exists = Some(true);
                link
            }
        };
        let executable = String::from_utf8_lossy(path).into_owned();
        if details.executable_deleted == Some(true) {
            details.file_exists = self.file_exists(pid, Some(&executable));
        }
        details.executable = Some(executable);
    }

    /// Whether a file lies at the path as the process itself sees it; none if that can't be told.
    fn file_exists(&mut self, pid: u32, executable: Option<&str>) -> Option<bool> {
        self.path(pid, "root");
        self.path.push_str(executable?);
        match std::fs::symlink_metadata(&self.path) {
            Ok(_) => Some(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Some(false),
            Err(error) if error.kind() == ErrorKind::NotADirectory => Some(false),
            Err(_) => None,
        }
    }

    fn take_command_line(&mut self, pid: u32, details: &mut Details) {
        // A process that is ending has none any more: what is known stays.
        match self.read_file(pid, "cmdline", COMMAND_LINE_BYTES_MAX) {
            Ok(()) if !self.file.is_empty() => details.command_line = arguments(&self.file),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => details.accessible = false,
            _ => {}
        }
    }

    fn take_name(&mut self, pid: u32, details: &mut Details) {
        if self.read_file(pid, "comm", LINE_BYTES_MAX).is_ok() {
            let name = self.file.strip_suffix(b"\n").unwrap_or(&self.file);
            if name != details.name.as_bytes() {
                details.name = String::from_utf8_lossy(name).into_owned();
            }
        }
    }

    /// What is known of the executable's digest. `is_due`: it may run another file than before, or what wasn't
    /// asked for may be by now.
    fn take_digest(&mut self, pid: u32, details: &mut Details, is_due: bool) {
        let before = &details.of_executable;
        let is_waiting = matches!(before, OfExecutable::Waiting(_));
        if !is_due && !is_waiting {
            return;
        }
        let (Some(hashes), Some(path)) = (self.hashes.clone(), &details.executable) else {
            details.of_executable = OfExecutable::Unasked;
            return;
        };
        let at = Whereabouts {
            path,
            container: details.container_id.as_deref(),
            is_deleted: details.executable_deleted == Some(true),
        };
        let known = if is_due {
            hashes.look(self.path(pid, "exe"), at, before)
        } else {
            hashes.again(before, at)
        };
        details.of_executable = known;
    }

    fn take_cgroup(&mut self, pid: u32, details: &mut Details) {
        if self.read_file(pid, "cgroup", CGROUP_BYTES_MAX).is_err() {
            return;
        }
        let text = String::from_utf8_lossy(&self.file);
        let path = cgroup::path(&text);
        details.container_id = path.and_then(cgroup::container_id).map(str::to_owned);
        details.cgroup = path.map(str::to_owned);
    }
}

/// What the link to a process's executable says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    /// So many bytes in the reader's buffer.
    Read(usize),
    /// It is there, and may not be read.
    Denied,
    /// There is none: a process that is ending.
    None,
}

/// Whether the process's executable is the file at that very path: a name may well end in what the
/// kernel appends.
fn is_that_file(pid: u32, link: &[u8]) -> bool {
    let mut at_path = PathBuf::from(format!("/proc/{pid}/root")).into_os_string();
    at_path.push(std::ffi::OsStr::from_bytes(link));
    let running = std::fs::metadata(format!("/proc/{pid}/exe"));
    let at_path = std::fs::metadata(at_path);
    match (running, at_path) {
        (Ok(running), Ok(at_path)) => {
            (running.dev(), running.ino()) == (at_path.dev(), at_path.ino())
        }
        _ => false,
    }
}
