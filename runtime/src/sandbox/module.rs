//! Modules: the bytes of a component, their digest, and who signed them. `folders` is the way to those of files.
//!
//! Invariant: a module's bytes were read once, within the size limit, and the digest is that of these
//! very bytes; what is compiled and run later is never read again.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use crate::digest::Digest;
use crate::regular_file::{self, Opened};

pub use error::ModuleError;
pub use folders::{Demand, ModuleFolders};

mod error;
mod folders;

/// The modules that are part of the program, by name: built from `guests/builtin/`.
static BUILTINS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/builtins.rs"));

/// The config of a daemon that was given none, with the built-in guests' settings.
pub const DEFAULT_CONFIG: &str = include_str!(concat!(env!("OUT_DIR"), "/default.toml"));

/// The rules that come with the daemon, and who answers them.
pub const BUILTIN_RULES: &str = include_str!(concat!(env!("OUT_DIR"), "/rules.toml"));

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
    /// Which key of the config has signed them, where that was looked at.
    pub signed_by: Option<String>,
    /// The signature that lay beside them, where that was looked for.
    pub signature: Option<Arc<[u8]>>,
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
            signed_by: None,
            signature: None,
        })
    }

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
        let (file, length) = match regular_file::open(path).map_err(unreadable)? {
            Opened::File(file, metadata) => (file, metadata.len()),
            Opened::Other(_) => {
                let path = path.to_owned();
                return Err(ModuleError::NotAFile { path });
            }
        };
        let bytes = read_bounded(file, length, component_bytes_max, path).map_err(unreadable)??;
        Self::from_bytes(path.display().to_string(), bytes, component_bytes_max)
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("name", &self.name)
            .field("bytes", &self.bytes.len())
            .field("digest", &self.digest)
            .field("signed_by", &self.signed_by)
            .finish()
    }
}

/// The size is looked at before, and again while reading: a file can grow.
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
