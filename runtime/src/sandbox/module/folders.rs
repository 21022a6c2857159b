//! The folders that modules come from. Alone opens guest files and their signatures for a daemon.
//!
//! A path's links are followed once, within its folder; then each step is opened from the handle of the
//! step before, no link is followed any more, and what was opened is looked at, not what a name stands for.
//! Invariant: no file outside of the folders is read, whatever is changed meanwhile.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata, MetadataExt};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{BUILTINS, Module, ModuleError, read_bounded};
use crate::digest::Digest;
use crate::regular_file;
use crate::trust::{
    Claim, SIGNATURE_BYTES_MAX, SIGNATURE_ENDING, SignatureError, Trust, TrustError,
};

/// What the name of a built-in module starts with.
const BUILTIN_PREFIX: &str = "builtin:";
/// Write permission of a file's group and of all others.
const OTHERS_WRITE: u32 = 0o022;
/// The permission bits of a mode.
const MODE_BITS: u32 = 0o7777;
/// The user whose files root trusts besides its own: root itself.
pub(super) const ROOT: u32 = 0;
/// How a step is opened: for reading, as itself and not as what it links to, and not for children.
const STEP: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// A folder on the way: only its place is wanted, which needs no right to list it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const FOLDER: OFlags = STEP.union(OFlags::DIRECTORY).union(OFlags::PATH);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const FOLDER: OFlags = STEP.union(OFlags::DIRECTORY);
/// A file: a pipe in its place would otherwise wait for its writer.
const FILE: OFlags = STEP.union(OFlags::NONBLOCK);

/// What a slot wants of its module beside its being one.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// What its SHA-256 must be.
    pub sha256: Option<&'a Digest>,
    /// Whom the daemon trusts.
    pub trust: &'a Trust,
    /// Whose signature it must have; empty: anybody's that is trusted.
    pub signed_by: &'a BTreeSet<String>,
}

/// The places that modules come from: the built-in ones, and the configured folders.
#[derive(Clone, Debug)]
pub struct ModuleFolders {
    folders: Vec<PathBuf>,
    /// The effective user; root trusts less.
    pub(super) user: u32,
}

/// A module's file, opened, and the place where it is.
pub(super) struct Place {
    dir: Dir,
    /// The folder's path, for messages.
    at: PathBuf,
    name: OsString,
    pub(super) file: File,
}

/// What was read of a module's file and beside it.
struct Found {
    bytes: Vec<u8>,
    /// Where the signature is, or would be.
    file: PathBuf,
    /// What stands there; none where it wasn't asked for, either.
    signature: Option<Vec<u8>>,
}

impl ModuleFolders {
    /// Modules from under these folders. A folder is looked at when a module of it is read: it may
    /// come to be later.
    ///
    /// # Errors
    ///
    /// [`ModuleError::Folder`] for a folder's path that can't be made absolute: an empty one.
    pub fn open(folders: &[PathBuf]) -> Result<Self, ModuleError> {
        let absolute = |folder: &PathBuf| {
            std::path::absolute(folder).map_err(|source| ModuleError::Folder {
                folder: folder.clone(),
                source,
            })
        };
        Ok(Self {
            folders: folders.iter().map(absolute).collect::<Result<_, _>>()?,
            user: rustix::process::geteuid().as_raw(),
        })
    }

    /// The names of the built-in modules, without `builtin:`.
    pub fn builtins() -> impl Iterator<Item = &'static str> {
        BUILTINS.iter().map(|&(name, _)| name)
    }

    /// Reads a module: `builtin:NAME`, an absolute path under one of the folders, or a path
    /// relative to one of them (the first that has it). Blocks on the disk.
    ///
    /// # Errors
    ///
    /// Every [`ModuleError`]; each names the module, the limit and the remedy.
    pub fn read(
        &self,
        name: &str,
        component_bytes_max: usize,
        demand: &Demand<'_>,
    ) -> Result<Module, ModuleError> {
        if let Some(builtin) = name.strip_prefix(BUILTIN_PREFIX) {
            // As trusted as the program that it is part of: there is nothing to sign.
            let module = Self::read_builtin(builtin, component_bytes_max)?;
            return pinned(module, demand.sha256);
        }
        let asks = demand.trust.asks(demand.signed_by);
        let found = self.find(Path::new(name), component_bytes_max, asks)?;
        let module = Module::from_bytes(name, found.bytes, component_bytes_max)?;
        let mut module = pinned(module, demand.sha256)?;
        if asks {
            let claim = Claim {
                module: name,
                digest: &module.digest,
                file: &found.file.display().to_string(),
                signature: found.signature.as_deref(),
            };
            module.signed_by = demand.trust.judge(&claim, demand.signed_by)?;
            module.signature = found.signature.map(Into::into);
        }
        Ok(module)
    }

    /// A module that is part of the program, by its name without `builtin:`.
    ///
    /// # Errors
    ///
    /// If there is none of that name, or it is larger than asked for.
    pub fn read_builtin(name: &str, component_bytes_max: usize) -> Result<Module, ModuleError> {
        let found = BUILTINS.iter().find(|(known, _)| *known == name);
        let Some(&(_, bytes)) = found else {
            let known: Vec<_> = Self::builtins().collect();
            return Err(ModuleError::UnknownBuiltin {
                name: name.to_owned(),
                known: known.join(", "),
            });
        };
        Module::from_bytes(
            format!("{BUILTIN_PREFIX}{name}"),
            bytes,
            component_bytes_max,
        )
    }

    /// What is at a path, from the first folder that has it, and its signature where that is asked for.
    fn find(
        &self,
        path: &Path,
        bytes_max: usize,
        with_signature: bool,
    ) -> Result<Found, ModuleError> {
        let mut was_under = false;
        for folder in &self.folders {
            let Some(inside) = inside(folder, path) else {
                continue;
            };
            let Ok(dir) = Dir::open_ambient_dir(folder, ambient_authority()) else {
                // Missing or unreadable as a whole: if no other folder has it, it isn't there.
                was_under = true;
                continue;
            };
            // All links are followed here, and none may lead out of the folder.
            match dir.canonicalize(inside) {
                Ok(way) => {
                    let place = self.walk(folder, dir, &way, path)?;
                    return self.read_place(place, path, bytes_max, with_signature);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => was_under = true,
                Err(error) if is_escape(&error) => {}
                Err(source) => {
                    let path = path.to_owned();
                    return Err(ModuleError::Unreadable { path, source });
                }
            }
        }
        let (path, folders) = (path.to_owned(), self.folders_text());
        Err(if was_under {
            ModuleError::Missing { path, folders }
        } else {
            ModuleError::Outside { path, folders }
        })
    }

    /// Walks a way without links from the folder to the file.
    pub(super) fn walk(
        &self,
        folder: &Path,
        mut dir: Dir,
        way: &Path,
        path: &Path,
    ) -> Result<Place, ModuleError> {
        let unreadable = |source| ModuleError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let not_a_file = || ModuleError::NotAFile {
            path: path.to_owned(),
        };
        // The way has no links: where there is one, or no folder any more, it has come since.
        let step = |error: Errno| match error {
            Errno::LOOP | Errno::NOTDIR => ModuleError::Changed {
                path: path.to_owned(),
            },
            error => unreadable(error.into()),
        };
        let mut at = folder.to_owned();
        self.trust(&at, &dir.dir_metadata().map_err(unreadable)?)?;
        for name in way.parent().unwrap_or(Path::new("")).components() {
            if name == Component::CurDir {
                continue;
            }
            let opened = open_step(&dir, name.as_os_str(), FOLDER).map_err(step)?;
            dir = Dir::from_std_file(opened);
            at.push(name);
            self.trust(&at, &dir.dir_metadata().map_err(unreadable)?)?;
        }
        let name = way.file_name().ok_or_else(not_a_file)?.to_owned();
        let file = File::from_std(open_step(&dir, &name, FILE).map_err(step)?);
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(not_a_file());
        }
        self.trust(&at.join(&name), &metadata)?;
        Ok(Place {
            dir,
            at,
            name,
            file,
        })
    }

    fn read_place(
        &self,
        place: Place,
        path: &Path,
        bytes_max: usize,
        with_signature: bool,
    ) -> Result<Found, ModuleError> {
        let unreadable = |source| ModuleError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let length = place.file.metadata().map_err(unreadable)?.len();
        let bytes = read_bounded(place.file, length, bytes_max, path).map_err(unreadable)??;
        let mut name = place.name;
        name.push(SIGNATURE_ENDING);
        let file = place.at.join(&name);
        let signature = if with_signature {
            self.read_signature(&place.dir, &name, &file)?
        } else {
            None
        };
        Ok(Found {
            bytes,
            file,
            signature,
        })
    }

    /// What stands beside a module as its signature: in the very folder that the module was opened in.
    fn read_signature(
        &self,
        dir: &Dir,
        name: &OsStr,
        path: &Path,
    ) -> Result<Option<Vec<u8>>, ModuleError> {
        let unreadable = |source| ModuleError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let not_a_file = || TrustError::Malformed {
            file: path.display().to_string(),
            source: SignatureError::NotAFile,
        };
        let file = match open_step(dir, name, FILE) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(not_a_file().into()),
            Err(error) => return Err(unreadable(error.into())),
        };
        let metadata = Metadata::from_file(&file).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(not_a_file().into());
        }
        self.trust(path, &metadata)?;
        let text = regular_file::read_small(file, SIGNATURE_BYTES_MAX).map_err(unreadable)?;
        Ok(Some(text))
    }

    fn trust(&self, path: &Path, metadata: &Metadata) -> Result<(), ModuleError> {
        let (mode, user) = (metadata.mode() & MODE_BITS, metadata.uid());
        match distrust(self.user, user, mode) {
            None => Ok(()),
            Some(fault) => Err(ModuleError::Untrusted {
                path: path.to_owned(),
                mode,
                user,
                fault,
            }),
        }
    }

    fn folders_text(&self) -> String {
        if self.folders.is_empty() {
            return "none is configured".to_owned();
        }
        let names: Vec<_> = self
            .folders
            .iter()
            .map(|f| f.display().to_string())
            .collect();
        names.join(", ")
    }
}

/// Opens one name in a folder, and follows nothing.
fn open_step(dir: &Dir, name: &OsStr, flags: OFlags) -> Result<std::fs::File, Errno> {
    let opened = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    Ok(std::fs::File::from(opened))
}

/// The module, where it is the one that the config pins or none is pinned.
fn pinned(module: Module, pinned: Option<&Digest>) -> Result<Module, ModuleError> {
    match pinned {
        Some(&pinned) if pinned != module.digest => Err(ModuleError::PinMismatch {
            name: module.name,
            found: module.digest,
            pinned,
        }),
        _ => Ok(module),
    }
}

/// The path as it is called within the folder; none where its text already says that it is elsewhere.
fn inside<'a>(folder: &Path, path: &'a Path) -> Option<&'a Path> {
    if path.is_absolute() {
        path.strip_prefix(folder).ok()
    } else {
        Some(path)
    }
}

/// Whether a path led out of its folder. cap-std says so with this kind, and no error of the
/// system behind it.
fn is_escape(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none()
}

/// Why a daemon of that user doesn't trust a file. Only root is asked to be careful: what others
/// can write would run with all of its rights over the host's data.
pub(super) fn distrust(daemon: u32, owner: u32, mode: u32) -> Option<&'static str> {
    if daemon != ROOT {
        return None;
    }
    if owner != ROOT {
        return Some("its owner could change it (`chown root`)");
    }
    if mode & OTHERS_WRITE != 0 {
        return Some("its group or others could change it (`chmod go-w`)");
    }
    None
}
