//! The folders under which files may be read, and the way from them to a file.
//!
//! A path is walked step by step, each from the open folder of the step before and none as a link: what
//! a link says is walked in its place. So a link of `/proc` that leads elsewhere than its text says (a
//! process's root, an open file) leads to its text. The invariant: no step leaves a root, but through a
//! link whose text is an absolute path under one; nothing is opened for reading here, and whether
//! something outside of the roots is there makes no difference to the answer.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat, readlinkat};

use super::read::of_file;
use crate::triggerable::AnswerError;
use crate::triggerable::pinned::PLACE;

/// Bytes of a path on Linux.
const PATH_BYTES_MAX: usize = 4_095;
/// Links on a way, as in the kernel.
const LINKS_MAX: usize = 40;
/// Folders in each other: each is held open until the end of the way.
const DEPTH_MAX: usize = 128;

/// The folders under which files may be read.
pub(super) struct Roots(Vec<PathBuf>);

/// Where a walk is.
struct Walk {
    /// The root, and each folder below it on the way.
    folders: Vec<OwnedFd>,
    /// The steps to come, the next one last.
    steps: Vec<OsString>,
    links: usize,
}

impl Roots {
    /// The longest is the first to be looked under.
    pub(super) fn new(mut roots: Vec<PathBuf>) -> Self {
        roots.sort_by_key(|root| std::cmp::Reverse(root.components().count()));
        Self(roots)
    }

    /// Whether a path without links lies under a root.
    pub(super) fn hold(&self, path: &str) -> bool {
        // A process's path may be no path any more, or none of our own names.
        let is_all = |root: &PathBuf| root == Path::new("/");
        self.0.iter().any(is_all) || self.split(Path::new(path)).is_some()
    }

    /// The place of a file.
    ///
    /// # Errors
    /// [`AnswerError::OutsideRoots`] if the path or one of its links leads out of the roots.
    pub(super) fn open(&self, path: &str) -> Result<OwnedFd, AnswerError> {
        let is_path = path.starts_with('/') && path.len() <= PATH_BYTES_MAX && !path.contains('\0');
        if !is_path {
            return Err(AnswerError::NotAPath {
                bytes_max: PATH_BYTES_MAX,
            });
        }
        let mut walk = Walk {
            folders: Vec::new(),
            steps: Vec::new(),
            links: 0,
        };
        self.enter(Path::new(path), &mut walk)?;
        while let Some(step) = walk.steps.pop() {
            if let Some(place) = self.step(&step, &mut walk)? {
                return Ok(place);
            }
        }
        // The way ends at a folder.
        Err(AnswerError::NotARegularFile)
    }

    /// Takes one step; the place if it was the last.
    fn step(&self, step: &OsString, walk: &mut Walk) -> Result<Option<OwnedFd>, AnswerError> {
        if step == ".." {
            walk.folders.pop();
            return match walk.folders.is_empty() {
                true => Err(AnswerError::OutsideRoots),
                false => Ok(None),
            };
        }
        let here = walk.folders.last().ok_or(AnswerError::OutsideRoots)?;
        let flags = PLACE.union(OFlags::NOFOLLOW);
        let place = openat(here, step, flags, Mode::empty()).map_err(of_file)?;
        let kind = fstat(&place).map_err(of_file)?.st_mode;
        match FileType::from_raw_mode(kind) {
            FileType::Symlink => {
                walk.links += 1;
                if walk.links > LINKS_MAX {
                    return Err(AnswerError::NotFound);
                }
                let text = readlinkat(&place, "", Vec::new()).map_err(of_file)?;
                let text = PathBuf::from(OsString::from_vec(text.into_bytes()));
                if text.is_absolute() {
                    self.enter(&text, walk)?;
                } else {
                    walk.add(&text);
                }
                Ok(None)
            }
            _ if walk.steps.is_empty() => Ok(Some(place)),
            FileType::Directory if walk.folders.len() < DEPTH_MAX => {
                walk.folders.push(place);
                Ok(None)
            }
            _ => Err(AnswerError::NotFound),
        }
    }

    /// Goes to the root of a path; the rest of it is to be walked.
    fn enter(&self, path: &Path, walk: &mut Walk) -> Result<(), AnswerError> {
        let (root, rest) = self.split(path).ok_or(AnswerError::OutsideRoots)?;
        let flags = PLACE.union(OFlags::DIRECTORY);
        let root = openat(CWD, root, flags, Mode::empty()).map_err(of_file)?;
        walk.folders.clear();
        walk.folders.push(root);
        walk.add(rest);
        Ok(())
    }

    /// A path as the root that it is under, and the rest.
    fn split<'a>(&self, path: &'a Path) -> Option<(&Path, &'a Path)> {
        self.0
            .iter()
            .find_map(|root| Some((root.as_path(), path.strip_prefix(root).ok()?)))
    }
}

impl Walk {
    fn add(&mut self, rest: &Path) {
        let steps = rest.components().rev();
        self.steps.extend(steps.filter_map(|step| match step {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        }));
    }
}
