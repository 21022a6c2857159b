//! fanotify: everything that happens on whole file systems, with who did it.
//!
//! One mark a file system, whatever the number of folders; what isn't below those that are watched is left out by
//! its path. Its events name folders by handles, which need `CAP_DAC_READ_SEARCH` to become paths; a folder that was
//! renamed in the few milliseconds until its events are read is called by its new name. The invariant:
//! an overflow of the kernel's queue is always told.

mod event;
mod folders;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
mod handle;

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use rustix::fs::{CWD, Mode, OFlags, fstatvfs, openat};
use rustix::thread::CapabilitySet;

use super::happened::{Happened, Losses, Operation};
use crate::privileges;
use event::{Event, Events, Role, mask};
use folders::Folders;

/// `FAN_REPORT_DFID_NAME_TARGET`: folders by handle, names, and the file itself. Linux 5.17.
const REPORT_NAMES: u32 = 0x1e00;
/// Bytes that are read at once: some 1,000 events.
const READ_BYTES: usize = 128 * 1024;
/// Reads in a row, so that a flood keeps nobody from stopping; the kernel's queue holds 16,384 events by default.
const READS_MAX: usize = 32;
/// In how many reads an event may wait for the one that names its folder: a folder is gone before its deletion is in
/// the queue, and who deletes it may be kept from going on in between.
const WAITS_MAX: u32 = 5;

/// A watch over file systems.
pub(super) struct Watch {
    /// Not blocking: an empty queue is an error that says so.
    queue: File,
    marks: Fanotify,
    folders: Folders,
    mask: MaskFlags,
    /// What was read and isn't handed on yet.
    bytes: Vec<u8>,
    /// How often the first of them has waited for its folder's name.
    waits: u32,
    /// The bytes of those that have waited as often. A process that makes events without paths, one after the other,
    /// would else hold back all others by a row of reads for each.
    waiting: usize,
    /// Our own, whose operations are never told: a daemon that writes what it sees would see what it writes.
    own_pid: u32,
}

impl Watch {
    /// A watch over nothing yet.
    ///
    /// # Errors
    /// Why this host can't, in words that a person can act on.
    pub(super) fn new(with_access: bool) -> Result<Self, String> {
        // Without them a watch can be made, and nothing of use be done with it.
        if !privileges::has(CapabilitySet::SYS_ADMIN | CapabilitySet::DAC_READ_SEARCH) {
            return Err(
                "needs CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH: run as root, or add them to the unit"
                    .to_owned(),
            );
        }
        let flags = InitFlags::FAN_CLASS_NOTIF | InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK;
        let flags = flags | InitFlags::from_bits_retain(REPORT_NAMES);
        let marks = Fanotify::init(flags, EventFFlags::O_CLOEXEC).map_err(|errno| match errno {
            Errno::EINVAL | Errno::ENOSYS => {
                format!("needs Linux 5.17 with CONFIG_FANOTIFY ({errno})")
            }
            errno => errno.to_string(),
        })?;
        let queue = marks.as_fd().try_clone_to_owned();
        let queue = queue.map_err(|error| error.to_string())?;
        let mut mask = MaskFlags::FAN_CREATE
            | MaskFlags::FAN_DELETE
            | MaskFlags::FAN_RENAME
            | MaskFlags::FAN_MODIFY
            | MaskFlags::FAN_OPEN_EXEC
            | MaskFlags::FAN_ONDIR;
        if with_access {
            mask |= MaskFlags::FAN_ACCESS;
        }
        Ok(Self {
            queue: File::from(queue),
            marks,
            folders: Folders::default(),
            mask,
            bytes: Vec::new(),
            waits: 0,
            waiting: 0,
            own_pid: std::process::id(),
        })
    }

    /// Takes in the file system that a folder is on.
    ///
    /// # Errors
    /// Why that can't be watched.
    pub(super) fn add(&mut self, folder: &Path) -> Result<(), String> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = openat(CWD, folder, flags, Mode::empty()).map_err(|errno| errno.to_string())?;
        let filesystem = filesystem_of(&open).map_err(|errno| errno.to_string())?;
        if self.folders.has_mount(&filesystem) {
            return Ok(());
        }
        let flags = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_FILESYSTEM;
        let marked = self.marks.mark(flags, self.mask, CWD, Some(folder));
        marked.map_err(|errno| match errno {
            Errno::EXDEV | Errno::ENODEV | Errno::EOPNOTSUPP => {
                format!("its file system names no files by handle ({errno})")
            }
            errno => errno.to_string(),
        })?;
        // Without the right to open handles every event would be without a path.
        self.folders.add_mount(filesystem, open);
        Ok(())
    }

    /// The kernel's queue, to wait for.
    pub(super) const fn queue(&self) -> &File {
        &self.queue
    }

    /// Whether any file system is watched.
    pub(super) fn is_watching(&self) -> bool {
        self.folders.has_mounts()
    }

    /// Whether what was read waits for the name of a folder.
    pub(super) const fn is_waiting(&self) -> bool {
        self.waits > 0
    }

    /// Reads what waits in the queue, and appends what happened, in order: all of it, or up to what happened in a
    /// folder that is gone and isn't named yet.
    ///
    /// # Errors
    /// What keeps the queue from being read.
    pub(super) fn read(&mut self, happened: &mut Vec<Happened>) -> Result<Losses, String> {
        let mut bytes = std::mem::take(&mut self.bytes);
        let read = self.read_queue(&mut bytes);
        let (losses, taken) = self.take_all(&bytes, happened);
        bytes.drain(..taken);
        self.bytes = bytes;
        match read {
            Ok(()) => Ok(losses),
            Err(error) => Err(format!("fanotify: its queue can't be read: {error}")),
        }
    }

    /// Appends what waits to `bytes`, up to a bound.
    fn read_queue(&mut self, bytes: &mut Vec<u8>) -> std::io::Result<()> {
        while bytes.len() < READ_BYTES * READS_MAX {
            let length = bytes.len();
            bytes.resize(length + READ_BYTES, 0);
            let room = bytes.get_mut(length..).unwrap_or_default();
            let read = self.queue.read(room);
            bytes.truncate(length + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What was lost, and how many bytes were taken.
    fn take_all(&mut self, bytes: &[u8], happened: &mut Vec<Happened>) -> (Losses, usize) {
        let mut losses = Losses::default();
        // All that these events tell of folders comes first: it names those that are gone by now.
        for event in Events::new(bytes).filter_map(Result::ok) {
            self.learn(&event);
        }
        let mut events = Events::new(bytes);
        loop {
            let taken = bytes.len() - events.rest().len();
            let begins = happened.len();
            match events.next() {
                None => {
                    self.waits = 0;
                    return (losses, taken);
                }
                Some(Ok(event)) if event.mask & mask::OVERFLOW != 0 => losses.overflows += 1,
                Some(Ok(event)) => {
                    let unnamed = self.take(&event, happened);
                    if unnamed > 0 && self.waits_at(taken, bytes.len()) {
                        happened.truncate(begins);
                        return (losses, taken);
                    }
                    losses.unnamed += unnamed;
                }
                // What follows can't be found any more.
                Some(Err(_)) => losses.overflows += 1,
            }
        }
    }

    /// Whether an event that has no path, so many bytes from the first, waits for another read.
    fn waits_at(&mut self, place: usize, length: usize) -> bool {
        if self.waits > 0 && place < self.waiting {
            if self.waits >= WAITS_MAX {
                return false;
            }
            self.waits += 1;
        } else {
            self.waits = 1;
            self.waiting = length;
        }
        self.waiting -= place;
        true
    }

    fn learn(&mut self, event: &Event<'_>) {
        if event.mask & mask::ON_FOLDER == 0 {
            return;
        }
        let Some(target) = event.part(Role::Target) else {
            return;
        };
        let place = event
            .part(Role::NewPlace)
            .or_else(|| event.part(Role::Place));
        if let Some(place) = place {
            self.folders.tell(&target.handle, &place);
        }
    }

    /// Appends what an event tells; how many operations have no path.
    fn take(&mut self, event: &Event<'_>, happened: &mut Vec<Happened>) -> u64 {
        if event.pid == Some(self.own_pid) {
            return 0;
        }
        let mut unnamed = 0;
        if event.mask & mask::RENAME != 0 {
            unnamed += self.take_rename(event, happened);
        }
        let Some(place) = event.part(Role::Place) else {
            return unnamed;
        };
        // The kernel joins what happened to one file in a row; the order is that of a file's life.
        let operations = [
            (mask::CREATE, Operation::Create),
            (mask::ACCESS, Operation::Access),
            (mask::OPEN_EXEC, Operation::Execute),
            (mask::MODIFY, Operation::Modify),
            (mask::DELETE, Operation::Delete),
        ];
        let is_folder = event.mask & mask::ON_FOLDER != 0;
        for (bit, operation) in operations {
            if event.mask & bit == 0 || (is_folder && operation == Operation::Access) {
                continue;
            }
            match self.folders.path(&place) {
                Some(path) => happened.push(Happened {
                    operation,
                    path,
                    new_path: None,
                    pid: event.pid,
                }),
                None => unnamed += 1,
            }
        }
        unnamed
    }

    /// Appends a renaming; 1 where neither side has a path.
    fn take_rename(&mut self, event: &Event<'_>, happened: &mut Vec<Happened>) -> u64 {
        let path = |folders: &mut Folders, role| folders.path(&event.part(role)?);
        let old = path(&mut self.folders, Role::OldPlace);
        let new = path(&mut self.folders, Role::NewPlace);
        if event.mask & mask::ON_FOLDER != 0 {
            self.folders.forget_paths();
        }
        match (old, new) {
            (Some(old), new_path) => happened.push(Happened {
                operation: Operation::Rename,
                path: old,
                new_path,
                pid: event.pid,
            }),
            (None, Some(new)) => happened.push(Happened {
                operation: Operation::Create,
                path: new,
                new_path: None,
                pid: event.pid,
            }),
            (None, None) => return 1,
        }
        0
    }
}

/// The id of the file system that something open is on, as events tell it: two numbers of 32 bits.
fn filesystem_of(open: &OwnedFd) -> rustix::io::Result<[u8; 8]> {
    let joined = fstatvfs(open)?.f_fsid;
    let number =
        |shift: u32| u32::try_from(joined >> shift & u64::from(u32::MAX)).unwrap_or_default();
    let mut id = [0; 8];
    let (low, high) = id.split_at_mut(4);
    low.copy_from_slice(&number(0).to_ne_bytes());
    high.copy_from_slice(&number(32).to_ne_bytes());
    Ok(id)
}
