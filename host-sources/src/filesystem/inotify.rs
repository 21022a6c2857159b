//! inotify: what happens in folders, one watch a folder, without who did it.
//!
//! For hosts and file systems where fanotify may not be used. It can't tell executions, nor pids. The invariant: a
//! folder is watched before it is listed, so that nothing that is made in it is missed between the two; an
//! overflow of the kernel's queue is always told, and followed by a new walk.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::happened::{Happened, Losses, Operation};
use super::paths::Paths;

/// Folders that are watched; each takes about 1 KiB of the kernel's memory.
const WATCHES_MAX: usize = 131_072;
/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;
/// Events that are read in a row, so that a flood keeps nobody from stopping; the kernel's queue holds 16,384 by
/// default.
const EVENTS_MAX: usize = 32_768;
/// The wrong number of a watch: of the event that says that the queue overflowed.
const NO_WATCH: i32 = -1;

/// An event, without its buffer.
struct Noted {
    watch: i32,
    flags: ReadFlags,
    cookie: u32,
    name: Option<OsString>,
}

/// Half of a rename, that waits for the other.
struct Moved {
    cookie: u32,
    path: PathBuf,
    is_folder: bool,
}

/// A watch over folders.
pub(super) struct Watch {
    queue: OwnedFd,
    flags: WatchFlags,
    folders: HashMap<i32, PathBuf>,
    watches: HashMap<PathBuf, i32>,
    roots: Vec<PathBuf>,
    unwatched: usize,
    /// Why folders aren't watched.
    trouble: Option<String>,
}

impl Watch {
    /// A watch over nothing yet.
    ///
    /// # Errors
    /// Why this host can't, in words that a person can act on.
    pub(super) fn new(with_access: bool) -> Result<Self, String> {
        let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        let queue = queue.map_err(|errno| match errno {
            Errno::MFILE => {
                "there are too many of it: raise fs.inotify.max_user_instances".to_owned()
            }
            errno => errno.to_string(),
        })?;
        let mut flags = WatchFlags::CREATE
            | WatchFlags::MODIFY
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::DELETE_SELF
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW;
        if with_access {
            flags |= WatchFlags::ACCESS;
        }
        Ok(Self {
            queue,
            flags,
            folders: HashMap::new(),
            watches: HashMap::new(),
            roots: Vec::new(),
            unwatched: 0,
            trouble: None,
        })
    }

    /// Watches a folder and all below it.
    ///
    /// # Errors
    /// Why the folder itself can't be watched.
    pub(super) fn add(&mut self, folder: &Path, paths: &Paths) -> Result<(), String> {
        self.roots.push(folder.to_owned());
        self.watch(folder).map_err(|errno| errno.to_string())?;
        self.walk(folder, paths, None);
        Ok(())
    }

    /// The kernel's queue, to wait for.
    pub(super) const fn queue(&self) -> &OwnedFd {
        &self.queue
    }

    /// What isn't watched, and why.
    pub(super) fn trouble(&self) -> Option<String> {
        let why = self.trouble.as_ref()?;
        Some(format!("{} folders are not watched: {why}", self.unwatched))
    }

    /// Reads what waits in the queue, and appends what happened, in order.
    ///
    /// # Errors
    /// What keeps the queue from being read.
    pub(super) fn read(
        &mut self,
        paths: &Paths,
        happened: &mut Vec<Happened>,
    ) -> Result<Losses, String> {
        let events = self.read_queue()?;
        let mut losses = Losses::default();
        let mut moved: Option<Moved> = None;
        for event in events {
            if event.watch == NO_WATCH {
                losses.overflows += u64::from(event.flags.contains(ReadFlags::QUEUE_OVERFLOW));
                continue;
            }
            if event.flags.contains(ReadFlags::IGNORED) {
                self.forget(event.watch);
                continue;
            }
            // The halves of a rename follow each other: what doesn't get its other half went elsewhere, and what is
            // told of it from then on is nothing of ours.
            let is_arrival = event.flags.contains(ReadFlags::MOVED_TO);
            if !is_arrival {
                self.left(moved.take(), happened);
            }
            let (Some(folder), Some(name)) = (self.folders.get(&event.watch), &event.name) else {
                continue;
            };
            let path = folder.join(name);
            let is_folder = event.flags.contains(ReadFlags::ISDIR);
            if is_arrival {
                self.arrived(event.cookie, path, is_folder, &mut moved, paths, happened);
                continue;
            }
            if event.flags.contains(ReadFlags::MOVED_FROM) {
                moved = Some(Moved {
                    cookie: event.cookie,
                    path,
                    is_folder,
                });
                continue;
            }
            self.take(event.flags, &path, is_folder, paths, happened);
        }
        self.left(moved, happened);
        if losses.overflows > 0 {
            self.walk_again(paths);
        }
        Ok(losses)
    }

    fn read_queue(&self) -> Result<Vec<Noted>, String> {
        let mut buffer = [MaybeUninit::uninit(); READ_BYTES];
        let mut reader = Reader::new(&self.queue, &mut buffer);
        let mut events = Vec::new();
        while events.len() < EVENTS_MAX || !reader.is_buffer_empty() {
            match reader.next() {
                Ok(event) => events.push(Noted {
                    watch: event.wd(),
                    flags: event.events(),
                    cookie: event.cookie(),
                    name: event
                        .file_name()
                        .map(|name| OsStr::from_bytes(name.to_bytes()).to_owned()),
                }),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(format!("inotify: its queue can't be read: {errno}")),
            }
        }
        Ok(events)
    }

    fn take(
        &mut self,
        flags: ReadFlags,
        path: &Path,
        is_folder: bool,
        paths: &Paths,
        happened: &mut Vec<Happened>,
    ) {
        let operation = match () {
            () if flags.contains(ReadFlags::CREATE) => Operation::Create,
            () if flags.contains(ReadFlags::MODIFY) => Operation::Modify,
            () if flags.contains(ReadFlags::DELETE) => Operation::Delete,
            () if flags.contains(ReadFlags::ACCESS) && !is_folder => Operation::Access,
            () => return,
        };
        happened.push(of(operation, path.to_owned()));
        if is_folder && operation == Operation::Create {
            self.enter(path, paths, happened);
        }
    }

    /// The second half of a rename, or what came from where nothing is watched.
    fn arrived(
        &mut self,
        cookie: u32,
        path: PathBuf,
        is_folder: bool,
        moved: &mut Option<Moved>,
        paths: &Paths,
        happened: &mut Vec<Happened>,
    ) {
        let from = moved.take_if(|moved| moved.cookie == cookie);
        self.left(moved.take(), happened);
        let Some(from) = from else {
            happened.push(of(Operation::Create, path.clone()));
            if is_folder {
                self.enter(&path, paths, happened);
            }
            return;
        };
        if is_folder {
            self.rename_below(&from.path, &path);
        }
        happened.push(Happened {
            new_path: Some(path),
            ..of(Operation::Rename, from.path)
        });
    }

    /// What was moved to where nothing is watched is gone.
    fn left(&mut self, moved: Option<Moved>, happened: &mut Vec<Happened>) {
        let Some(moved) = moved else { return };
        if moved.is_folder {
            for watch in self.below(&moved.path) {
                // Its folder may be gone.
                let _ = inotify::remove_watch(&self.queue, watch);
                self.forget(watch);
            }
        }
        happened.push(of(Operation::Delete, moved.path));
    }

    /// Watches a new folder, and tells what is in it already.
    fn enter(&mut self, folder: &Path, paths: &Paths, happened: &mut Vec<Happened>) {
        if !paths.wants_below(folder) || self.watch(folder).is_err() {
            return;
        }
        self.walk(folder, paths, Some(happened));
    }

    /// Watches all folders below one that is watched, and tells what is there if asked.
    fn walk(&mut self, folder: &Path, paths: &Paths, mut found: Option<&mut Vec<Happened>>) {
        let mut left = vec![folder.to_owned()];
        while let Some(folder) = left.pop() {
            // It may be gone, or not ours to read.
            let Ok(entries) = std::fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries.flatten() {
                let path = entry.path();
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if let Some(found) = &mut found {
                    found.push(of(Operation::Create, path.clone()));
                }
                if is_folder && paths.wants_below(&path) && self.watch(&path).is_ok() {
                    left.push(path);
                }
            }
        }
    }

    /// After an overflow: folders may have come unseen, and gone.
    fn walk_again(&mut self, paths: &Paths) {
        self.unwatched = 0;
        self.trouble = None;
        for root in self.roots.clone() {
            self.walk(&root, paths, None);
        }
    }

    fn watch(&mut self, folder: &Path) -> Result<(), Errno> {
        if self.folders.len() >= WATCHES_MAX && !self.watches.contains_key(folder) {
            self.unwatched += 1;
            self.trouble = Some(format!(
                "{WATCHES_MAX} is the most: exclude some, or run as root for fanotify"
            ));
            return Err(Errno::NOSPC);
        }
        match inotify::add_watch(&self.queue, folder, self.flags) {
            Ok(watch) => {
                // The same folder again, by another path: an event has only one.
                if let Some(before) = self.folders.insert(watch, folder.to_owned()) {
                    self.watches.remove(&before);
                }
                self.watches.insert(folder.to_owned(), watch);
                Ok(())
            }
            Err(errno) => {
                // What has gone meanwhile, or is no folder any more, isn't missed.
                if !matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP) {
                    self.unwatched += 1;
                    self.trouble = Some(match errno {
                        Errno::NOSPC => {
                            "the user's watches are used up: raise fs.inotify.max_user_watches, or exclude some".to_owned()
                        }
                        errno => errno.to_string(),
                    });
                }
                Err(errno)
            }
        }
    }

    fn forget(&mut self, watch: i32) {
        if let Some(folder) = self.folders.remove(&watch) {
            self.watches.remove(&folder);
        }
    }

    /// The watches of a folder and of all below it.
    fn below(&self, folder: &Path) -> Vec<i32> {
        let folders = self.folders.iter();
        folders
            .filter(|(_, path)| path.starts_with(folder))
            .map(|(watch, _)| *watch)
            .collect()
    }

    fn rename_below(&mut self, from: &Path, to: &Path) {
        for watch in self.below(from) {
            let Some(path) = self.folders.get_mut(&watch) else {
                continue;
            };
            let Ok(rest) = path.strip_prefix(from) else {
                continue;
            };
            // Joining nothing would leave a slash at the end.
            let renamed = match rest.as_os_str().is_empty() {
                true => to.to_owned(),
                false => to.join(rest),
            };
            self.watches.remove(path);
            self.watches.insert(renamed.clone(), watch);
            *path = renamed;
        }
    }
}

fn of(operation: Operation, path: PathBuf) -> Happened {
    Happened {
        operation,
        path,
        new_path: None,
        pid: None,
    }
}
