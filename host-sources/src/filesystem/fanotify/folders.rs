//! From folders' handles to their paths, remembered: most of what happens, happens in few folders.
//!
//! A folder can be gone by the time that its events are read; then what was told of it — where it was made, moved
//! or deleted — still says where it was. The invariant: after a folder was renamed nothing that was remembered
//! before is believed.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use rustix::fs::fstat;

use super::event::{Handle, Part};
use super::handle;
use crate::kernel_files::{DELETED_SUFFIX, link_of};

/// Folders that are remembered, each way; one more, and all are forgotten.
const FOLDERS_MAX: usize = 16_384;
/// How many folders up a path is put together from what was told; a path has at most 4,096 bytes.
const DEPTH_MAX: usize = 128;

/// A handle that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    filesystem: [u8; 8],
    kind: i32,
    bytes: Box<[u8]>,
}

impl Key {
    fn of(handle: &Handle<'_>) -> Self {
        Self {
            filesystem: handle.filesystem,
            kind: handle.kind,
            bytes: handle.bytes.into(),
        }
    }
}

/// Finds paths of folders.
#[derive(Debug, Default)]
pub(super) struct Folders {
    /// Something open on each file system.
    mounts: HashMap<[u8; 8], OwnedFd>,
    paths: HashMap<Key, PathBuf>,
    /// Where folders were said to be: the folder they are in, and their name.
    told: HashMap<Key, (Key, OsString)>,
}

impl Folders {
    /// Takes a file system in, by something on it that is open.
    pub(super) fn add_mount(&mut self, filesystem: [u8; 8], open: OwnedFd) {
        self.mounts.insert(filesystem, open);
    }

    /// Whether a file system was taken in.
    pub(super) fn has_mount(&self, filesystem: &[u8; 8]) -> bool {
        self.mounts.contains_key(filesystem)
    }

    /// Whether any file system was taken in.
    pub(super) fn has_mounts(&self) -> bool {
        !self.mounts.is_empty()
    }

    /// Notes that a folder was seen at a place.
    pub(super) fn tell(&mut self, folder: &Handle<'_>, place: &Part<'_>) {
        let Some(name) = place.name else { return };
        if self.told.len() >= FOLDERS_MAX {
            self.told.clear();
        }
        let name = OsString::from_vec(name.to_vec());
        self.told
            .insert(Key::of(folder), (Key::of(&place.handle), name));
    }

    /// A folder was renamed: what is below it has another path now.
    pub(super) fn forget_paths(&mut self) {
        self.paths.clear();
    }

    /// The path that an event's part names; none where its folder is gone without a trace.
    pub(super) fn path(&mut self, part: &Part<'_>) -> Option<PathBuf> {
        let mut path = self.folder(Key::of(&part.handle))?;
        if let Some(name) = part.name {
            path.push(OsString::from_vec(name.to_vec()));
        }
        Some(path)
    }

    fn folder(&mut self, key: Key) -> Option<PathBuf> {
        if let Some(path) = self.paths.get(&key) {
            return Some(path.clone());
        }
        let path = self.open(&key).or_else(|| self.put_together(&key))?;
        if self.paths.len() >= FOLDERS_MAX {
            self.paths.clear();
        }
        self.paths.insert(key, path.clone());
        Some(path)
    }

    /// Asks the kernel.
    fn open(&mut self, key: &Key) -> Option<PathBuf> {
        let mount = self.mounts.get(&key.filesystem)?;
        let folder = handle::open(mount.as_fd(), key.kind, &key.bytes).ok()?;
        let mut path = link_of(&folder).ok()?;
        if path.ends_with(DELETED_SUFFIX) && fstat(&folder).is_ok_and(|stat| stat.st_nlink == 0) {
            path.truncate(path.len() - DELETED_SUFFIX.len());
        }
        Some(PathBuf::from(OsString::from_vec(path)))
    }

    /// From what was told: up to a folder that is known, and down again.
    fn put_together(&mut self, key: &Key) -> Option<PathBuf> {
        let mut names = Vec::new();
        let mut at = key.clone();
        let mut path = loop {
            let (parent, name) = self.told.get(&at)?.clone();
            names.push(name);
            if names.len() > DEPTH_MAX {
                return None;
            }
            if let Some(path) = self.paths.get(&parent) {
                break path.clone();
            }
            if let Some(path) = self.open(&parent) {
                break path;
            }
            at = parent;
        };
        path.extend(names.into_iter().rev());
        Some(path)
    }
}
