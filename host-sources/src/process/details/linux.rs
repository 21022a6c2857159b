//! Details on Linux: what `/proc` says of one process.
//!
//! The invariant: what is known already is compared before it is replaced, so that nothing is allocated
//! where nothing has changed. A digest is never waited for.

use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;

use rustix::io::Errno;

use super::{COMMAND_LINE_READ_BYTES_MAX, Details, ReaderOptions, cgroup, stat};
use crate::kernel_files::DELETED_SUFFIX;
use crate::process::hashes::{OfExecutable, Whereabouts};
use crate::process::proc_root::{ProcReader, ProcRoot};
use crate::redaction::Redacting;

/// Bytes that are read of a control group's file: 16 hierarchies of long paths.
const CGROUP_BYTES_MAX: usize = 64 * 1024;

/// What may have changed of a process's details.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::process) struct Stale {
    /// Its executable: another, or the same renamed or deleted.
    pub(in crate::process) executable: bool,
    /// Its arguments.
    pub(in crate::process) arguments: bool,
    /// Its control group.
    pub(in crate::process) group: bool,
}

impl Stale {
    /// All of it, as after an exec.
    pub(in crate::process) const ALL: Self = Self {
        executable: true,
        arguments: true,
        group: true,
    };

    /// Whether anything may have.
    pub(in crate::process) const fn is_anything(self) -> bool {
        self.executable || self.arguments || self.group
    }
}

/// Reads details; its buffers serve all processes.
pub(in crate::process) struct DetailsReader {
    proc: ProcReader,
    options: ReaderOptions,
}

impl DetailsReader {
    pub(in crate::process) fn new(root: &ProcRoot, options: ReaderOptions) -> Result<Self, Errno> {
        Ok(Self {
            proc: root.reader()?,
            options,
        })
    }

    /// What is replaced in command lines, for arguments that come by another way.
    pub(in crate::process) const fn redacting(&self) -> &Redacting {
        &self.options.redacting
    }

    /// Everything, for a process that is seen for the first time, and that began at `start_ticks`.
    pub(in crate::process) fn read(
        &mut self,
        pid: u32,
        start_ticks: u64,
        name: &[u8],
        is_kernel_thread: bool,
    ) -> Details {
        let mut details = Details {
            start_time: stat::start_time(start_ticks),
            accessible: true,
            ..Details::default()
        };
        details.set_name(name);
        if is_kernel_thread {
            self.take_cgroup(pid, &mut details);
        } else {
            self.read_again(pid, &mut details, Stale::ALL);
        }
        // Last, for it says whether the process was there all along.
        if self.start_ticks(pid) != Some(start_ticks) {
            details.accessible = false;
        }
        details
    }

    /// What may have changed. A digest that is waited for is looked for each time.
    pub(in crate::process) fn read_again(&mut self, pid: u32, details: &mut Details, stale: Stale) {
        if stale.executable {
            self.take_executable(pid, details);
        } else if details.executable_deleted == Some(true) {
            // A file may come back to a path, as in an upgrade.
            details.file_exists = self.file_exists(pid, details.executable.as_deref());
        }
        if stale.group {
            self.take_cgroup(pid, details);
        }
        if stale.arguments {
            self.take_command_line(pid, details);
        }
        self.take_digest(pid, details, stale.is_anything());
    }

    /// What a thread that has the process's name calls itself now: for kernel threads, whose names change.
    pub(in crate::process) fn take_name(&mut self, pid: u32, details: &mut Details) {
        if let Ok(name) = self.proc.line(pid, "comm") {
            details.set_name(name.strip_suffix(b"\n").unwrap_or(name));
        }
    }

    /// The process's start, in ticks since boot; none if it is gone.
    pub(in crate::process) fn start_ticks(&mut self, pid: u32) -> Option<u64> {
        stat::start_ticks(self.proc.line(pid, "stat").ok()?)
    }

    /// What `stat` says, handed to `read`.
    pub(in crate::process) fn stat<T>(
        &mut self,
        pid: u32,
        read: impl FnOnce(stat::Stat<'_>) -> T,
    ) -> Option<T> {
        stat::Stat::parse(self.proc.line(pid, "stat").ok()?).map(read)
    }

    /// Pages in memory, exactly; other counters are behind by some pages for each CPU.
    pub(in crate::process) fn resident_pages(&mut self, pid: u32) -> Option<u64> {
        stat::resident_pages(self.proc.line(pid, "statm").ok()?)
    }

    /// The effective user.
    pub(in crate::process) fn owner(&mut self, pid: u32) -> Option<u32> {
        self.proc.owner(pid).ok()
    }

    /// Takes the executable from the link, if that leads to the file `is_it` knows.
    pub(in crate::process) fn take_executable_if(
        &mut self,
        pid: u32,
        details: &mut Details,
        is_it: impl FnOnce(&std::fs::Metadata) -> bool,
    ) -> bool {
        let entry = self.proc.root().path(pid, "exe");
        let is_it = std::fs::metadata(entry).is_ok_and(|found| is_it(&found));
        if is_it {
            self.take_executable(pid, details);
        }
        is_it
    }

    /// Takes an executable that was just opened at this path.
    pub(in crate::process) fn take_opened_executable(
        &mut self,
        path: &[u8],
        details: &mut Details,
    ) {
        details.link.clear();
        details.link.extend_from_slice(path);
        details.set_executable(path);
        details.executable_deleted = Some(false);
        details.file_exists = Some(true);
        details.accessible = true;
    }

    /// A digest for a process whose entry may be gone: that of the file at `path`, which is the one it ran.
    pub(in crate::process) fn take_digest_at(&mut self, path: &str, details: &mut Details) {
        let (Some(hashes), Some(executable)) = (&self.options.hashes, &details.executable) else {
            return;
        };
        let at = Whereabouts {
            path: executable,
            container: details.container_id.as_deref(),
            is_deleted: details.executable_deleted == Some(true),
        };
        details.of_executable = hashes.look(path, at, &OfExecutable::Unasked);
    }

    fn take_executable(&mut self, pid: u32, details: &mut Details) {
        let root = self.proc.root().clone();
        let link = match self.proc.link(pid, "exe") {
            Ok(link) if link == details.link && details.executable_deleted != Some(true) => {
                details.accessible = true;
                return;
            }
            Ok(link) => link,
            Err(Errno::ACCESS | Errno::PERM) => {
                details.forget_executable();
                details.accessible = false;
                return;
            }
            // It is ending, or has none; what is known stays.
            Err(_) => return,
        };
        details.forget_executable();
        details.accessible = true;
        details.link.extend_from_slice(link);
        match link.strip_suffix(DELETED_SUFFIX) {
            Some(path) if !is_that_file(&root, pid, link) => {
                details.set_executable(path);
                details.executable_deleted = Some(true);
                details.file_exists = self.file_exists(pid, details.executable.as_deref());
            }
            _ => {
                details.set_executable(link);
                details.executable_deleted = Some(false);
                details.file_exists = Some(true);
            }
        }
    }

    /// Whether a file lies at the path as the process itself sees it; none if that can't be told.
    fn file_exists(&self, pid: u32, executable: Option<&str>) -> Option<bool> {
        let mut path = self.proc.root().path(pid, "root").into_os_string();
        path.push(executable?);
        match std::fs::symlink_metadata(&path) {
            Ok(_) => Some(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Some(false),
            Err(error) if error.kind() == ErrorKind::NotADirectory => Some(false),
            Err(_) => None,
        }
    }

    fn take_command_line(&mut self, pid: u32, details: &mut Details) {
        // A process that is ending has none any more: what is known stays.
        match self.proc.file(pid, "cmdline", COMMAND_LINE_READ_BYTES_MAX) {
            Ok(bytes) if !bytes.is_empty() => {
                details.set_command_line(bytes, &self.options.redacting);
            }
            Err(Errno::ACCESS | Errno::PERM) => details.accessible = false,
            _ => {}
        }
    }

    /// What is known of the executable's digest. `is_due`: it may run another file than before, or what wasn't
    /// asked for may be by now.
    fn take_digest(&self, pid: u32, details: &mut Details, is_due: bool) {
        let before = &details.of_executable;
        let is_waiting = matches!(before, OfExecutable::Waiting(_));
        if !is_due && !is_waiting {
            return;
        }
        let (Some(hashes), Some(path)) = (&self.options.hashes, &details.executable) else {
            details.of_executable = OfExecutable::Unasked;
            return;
        };
        let at = Whereabouts {
            path,
            container: details.container_id.as_deref(),
            is_deleted: details.executable_deleted == Some(true),
        };
        let known = if is_due {
            let entry = self.proc.root().path(pid, "exe");
            hashes.look(&entry.to_string_lossy(), at, before)
        } else {
            hashes.again(before, at)
        };
        details.of_executable = known;
    }

    fn take_cgroup(&mut self, pid: u32, details: &mut Details) {
        let Ok(bytes) = self.proc.file(pid, "cgroup", CGROUP_BYTES_MAX) else {
            return;
        };
        let text = String::from_utf8_lossy(bytes);
        let path = cgroup::path(&text);
        if path != details.cgroup.as_deref() {
            details.container_id = path.and_then(cgroup::container_id).map(str::to_owned);
            details.cgroup = path.map(str::to_owned);
        }
    }
}

impl Details {
    /// Forgets what an exec replaces.
    pub(in crate::process) fn forget_program(&mut self) {
        self.forget_executable();
        self.set_name(b"");
        self.forget_command_line();
        self.of_executable = OfExecutable::Unasked;
    }

    fn forget_executable(&mut self) {
        self.link.clear();
        self.executable = None;
        self.executable_is_lossy = false;
        self.executable_deleted = None;
        self.file_exists = None;
    }
}

/// Whether the process's executable is the file at that very path: a name may well end in what the
/// kernel appends.
fn is_that_file(root: &ProcRoot, pid: u32, link: &[u8]) -> bool {
    let mut at_path = root.path(pid, "root").into_os_string();
    at_path.push(std::ffi::OsStr::from_bytes(link));
    let running = std::fs::metadata(root.path(pid, "exe"));
    let at_path = std::fs::metadata(at_path);
    match (running, at_path) {
        (Ok(running), Ok(at_path)) => {
            (running.dev(), running.ino()) == (at_path.dev(), at_path.ino())
        }
        _ => false,
    }
}
