//! Where a module comes from: `"builtin:NAME"`, or a file under the configured guest folders.
//!
//! Alone opens guest files. Invariant: a module's bytes were read once, within the size limit, and
//! the digest is that of these very bytes; what is compiled and run later is never read again.

use std::fmt;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata, MetadataExt, OpenOptions, OpenOptionsExt};

use crate::digest::Digest;

pub use error::ModuleError;

mod error;

/// The modules that are part of the program, by name: built from `guests/builtin/`.
static BUILTINS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/builtins.rs"));

/// The config of a daemon that was given none, with the built-in guests' settings.
pub const DEFAULT_CONFIG: &str = include_str!(concat!(env!("OUT_DIR"), "/default.toml"));

/// What the name of a built-in module starts with.
const BUILTIN_PREFIX: &str = "builtin:";
/// Write permission of a file's group and of all others.
const OTHERS_WRITE: u32 = 0o022;
/// The permission bits of a mode.
const MODE_BITS: u32 = 0o7777;
/// The user whose files root trusts besides its own: root itself.
const ROOT: u32 = 0;
/// How many bytes of a file that is no component an error shows.
const SHOWN_BYTES: usize = 4;

/// A component's bytes, read once.
#[derive(Clone)]
pub struct Module {
    /// As the config names it: `builtin:NAME` or a path.
    pub name: String,
    /// The component, not yet validated but for its header.
    pub bytes: Arc<[u8]>,
    /// Of these bytes.
    pub digest: Digest,
}

impl Module {
    /// A module of bytes that the caller already has.
    ///
    /// # Errors
    ///
    /// [`ModuleError::NotAComponent`] where the bytes are something else, [`ModuleError::TooLarge`]
    /// where they are more than `component_bytes_max`.
    pub fn from_bytes(
        name: impl Into<String>,
        bytes: impl Into<Arc<[u8]>>,
        component_bytes_max: usize,
    ) -> Result<Self, ModuleError> {
        let (name, bytes) = (name.into(), bytes.into());
        if bytes.len() > component_bytes_max {
            return Err(ModuleError::TooLarge {
                name,
                bytes: bytes.len() as u64,
                component_bytes_max,
            });
        }
        if let Some(found) = what_else(&bytes) {
            return Err(ModuleError::NotAComponent { name, found });
        }
        let digest = Digest::of(&bytes);
        Ok(Self {
            name,
            bytes,
            digest,
        })
    }
}

impl Module {
    /// A module of a file that whoever runs this program names for themselves: an author's own,
    /// wherever it lies. A daemon reads its modules by [`ModuleFolders::read`]. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// Those of [`Module::from_bytes`], and where the file isn't there or can't be read.
    pub fn from_own_file(path: &Path, component_bytes_max: usize) -> Result<Self, ModuleError> {
        let unreadable = |source| ModuleError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() {
            let path = path.to_owned();
            return Err(ModuleError::NotAFile { path });
        }
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let bytes =
            read_bounded(file, metadata.len(), component_bytes_max, path).map_err(unreadable)??;
        Self::from_bytes(path.display().to_string(), bytes, component_bytes_max)
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("name", &self.name)
            .field("bytes", &self.bytes.len())
            .field("digest", &self.digest)
            .finish()
    }
}

/// The places that modules come from: the built-in ones, and the configured folders.
#[derive(Clone, Debug)]
pub struct ModuleFolders {
    folders: Vec<PathBuf>,
    /// The effective user; root trusts less.
    user: u32,
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
        pinned: Option<&Digest>,
    ) -> Result<Module, ModuleError> {
        let module = match name.strip_prefix(BUILTIN_PREFIX) {
            Some(builtin) => Module::from_bytes(name, builtin_bytes(builtin)?, component_bytes_max),
            None => {
                let bytes = self.find(Path::new(name), component_bytes_max)?;
                Module::from_bytes(name, bytes, component_bytes_max)
            }
        }?;
        match pinned {
            Some(&pinned) if pinned != module.digest => Err(ModuleError::PinMismatch {
                name: module.name,
                found: module.digest,
                pinned,
            }),
            _ => Ok(module),
        }
    }

    /// The bytes at a path, from the first folder that has it.
    fn find(&self, path: &Path, bytes_max: usize) -> Result<Vec<u8>, ModuleError> {
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
                    let file = self.walk(folder, dir, &way, path)?;
                    return read_file(file, bytes_max, path);
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

    /// Walks a way without links from the folder to the file, each step from the handle of the
    /// step before, and looks at what was opened, not at what a name stands for.
    fn walk(
        &self,
        folder: &Path,
        mut dir: Dir,
        way: &Path,
        path: &Path,
    ) -> Result<File, ModuleError> {
        let unreadable = |source| ModuleError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let not_a_file = || ModuleError::NotAFile {
            path: path.to_owned(),
        };
        let mut at = folder.to_owned();
        self.trust(&at, &dir.dir_metadata().map_err(unreadable)?)?;
        for step in way.parent().unwrap_or(Path::new("")).components() {
            if step == Component::CurDir {
                continue;
            }
            dir = dir.open_dir(step).map_err(unreadable)?;
            at.push(step);
            self.trust(&at, &dir.dir_metadata().map_err(unreadable)?)?;
        }
        let file_name = way.file_name().ok_or_else(not_a_file)?;
        let mut options = OpenOptions::new();
        // A pipe would otherwise wait for its writer.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        options.read(true).custom_flags(flags);
        let file = dir.open_with(file_name, &options).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(not_a_file());
        }
        self.trust(&at.join(file_name), &metadata)?;
        Ok(file)
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

/// The bytes of a built-in module.
fn builtin_bytes(name: &str) -> Result<&'static [u8], ModuleError> {
    let found = BUILTINS.iter().find(|(known, _)| *known == name);
    found.map(|&(_, bytes)| bytes).ok_or_else(|| {
        let known: Vec<_> = ModuleFolders::builtins().collect();
        ModuleError::UnknownBuiltin {
            name: name.to_owned(),
            known: known.join(", "),
        }
    })
}

/// The size is looked at before, and again while reading: a file can grow.
fn read_file(file: File, bytes_max: usize, path: &Path) -> Result<Vec<u8>, ModuleError> {
    let unreadable = |source| ModuleError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let length = file.metadata().map_err(unreadable)?.len();
    read_bounded(file, length, bytes_max, path).map_err(unreadable)?
}

fn read_bounded(
    file: impl Read,
    length: u64,
    bytes_max: usize,
    path: &Path,
) -> io::Result<Result<Vec<u8>, ModuleError>> {
    let too_large = |bytes| ModuleError::TooLarge {
        name: path.display().to_string(),
        bytes,
        component_bytes_max: bytes_max,
    };
    let limit = bytes_max as u64;
    if length > limit {
        return Ok(Err(too_large(length)));
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(if bytes.len() > bytes_max {
        Err(too_large(bytes.len() as u64))
    } else {
        Ok(bytes)
    })
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
fn distrust(daemon: u32, owner: u32, mode: u32) -> Option<&'static str> {
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

/// What bytes are that are no component, and what would be right; none where they are one.
fn what_else(bytes: &[u8]) -> Option<String> {
    use wasmparser::Parser;
    if Parser::is_component(bytes) {
        return None;
    }
    let text = if bytes.is_empty() {
        "it is empty".to_owned()
    } else if Parser::is_core_wasm(bytes) {
        "it is a core module; build it for the target wasm32-wasip2, or wrap it with `wasm-tools component new`".to_owned()
    } else if bytes.starts_with(b"\0asm") {
        "it is WebAssembly of an encoding that isn't known here; build it with a current toolchain for wasm32-wasip2".to_owned()
    } else if bytes.starts_with(b"\x7fELF") {
        "it is machine code; give the component (.wasm) that it was made from".to_owned()
    } else if let Ok(text) = std::str::from_utf8(bytes) {
        if text.trim_start().starts_with('(') {
            "it is WebAssembly as text; make it binary with `wasm-tools parse`".to_owned()
        } else {
            "it is a text; give the path of a component (.wasm)".to_owned()
        }
    } else {
        let start = bytes.get(..SHOWN_BYTES).unwrap_or(bytes);
        format!("it starts with the bytes {start:02x?}; give the path of a component (.wasm)")
    };
    Some(text)
}

#[cfg(test)]
mod tests;
