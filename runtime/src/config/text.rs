//! The layers that are TOML texts: the embedded default and the files.
//!
//! Alone knows which file is safe to read. Invariant: a file is judged and read by the same descriptor, and at
//! most [`FILE_BYTES_MAX`] of it are read.

use super::error::ConfigError;
use super::layer::{Layered, Reader};
use super::origin::{Layer, Origin, shown};
use super::raw::parse_document;
use crate::regular_file::{self, Opened};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A config larger than this is another file by mistake.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a TOML text as a layer.
pub(crate) fn read_text(into: &mut Layered, text: &str, layer: Layer, file: Option<&Path>) {
    let lines = Lines::of(text);
    let file_name = file.map(|file| Arc::new(file.to_path_buf()));
    let origin = |offset: usize| Origin {
        file: file_name.clone(),
        position: Some(lines.position(offset)),
        layer,
        variable: None,
    };
    match parse_document(text) {
        Ok(entries) => {
            let folder = file.map(folder_of);
            Reader {
                into,
                origin: &origin,
                folder: folder.as_deref(),
            }
            .table(&Vec::new(), &entries);
        }
        Err(problems) => {
            let errors = problems.into_iter().map(|problem| ConfigError::Syntax {
                origin: origin(problem.offset),
                message: shown(&problem.message),
            });
            into.errors.extend(errors);
        }
    }
}

/// Reads a file as a layer; false where there is none and none needs to be.
pub(crate) fn read_file(into: &mut Layered, path: &Path, layer: Layer, as_root: bool) -> bool {
    match open(path, as_root) {
        Ok(text) => {
            read_text(into, &text, layer, Some(path));
            true
        }
        Err(OpenError::Absent) if layer != Layer::Explicit => false,
        Err(OpenError::Absent) => {
            into.errors.push(ConfigError::Unreadable {
                path: path.to_path_buf(),
                reason: "no such file".to_owned(),
            });
            true
        }
        Err(OpenError::Other(error)) => {
            into.errors.push(*error);
            true
        }
    }
}

enum OpenError {
    Absent,
    Other(Box<ConfigError>),
}

fn open(path: &Path, as_root: bool) -> Result<String, OpenError> {
    let unreadable = |reason: String| {
        OpenError::Other(Box::new(ConfigError::Unreadable {
            path: path.to_path_buf(),
            reason,
        }))
    };
    let opened = regular_file::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => OpenError::Absent,
        _ => unreadable(error.to_string()),
    })?;
    let (file, metadata) = match opened {
        Opened::File(file, metadata) => (file, metadata),
        // A pipe has its text once, and a config is read again.
        Opened::Other(what) => return Err(unreadable(format!("it is {what}"))),
    };
    #[cfg(unix)]
    if as_root {
        use std::os::unix::fs::MetadataExt;
        check_owner(path, metadata.mode(), metadata.uid()).map_err(OpenError::Other)?;
    }
    #[cfg(not(unix))]
    let _ = (as_root, metadata);
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(error.to_string()))?;
    if u64::try_from(bytes.len()).is_ok_and(|read| read > FILE_BYTES_MAX) {
        return Err(OpenError::Other(Box::new(ConfigError::TooLarge {
            path: path.to_path_buf(),
            bytes_max: FILE_BYTES_MAX,
        })));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        unreadable(format!("byte {at} isn't UTF-8"))
    })
}

/// Refuses what others than root can change: who runs as root runs what its config says.
#[cfg(unix)]
pub(crate) fn check_owner(path: &Path, mode: u32, owner: u32) -> Result<(), Box<ConfigError>> {
    /// Write permission of group and others.
    const OTHERS_WRITE: u32 = 0o022;
    /// The permission bits of a mode.
    const PERMISSIONS: u32 = 0o7777;
    if owner == 0 && mode & OTHERS_WRITE == 0 {
        return Ok(());
    }
    Err(Box::new(ConfigError::Unsafe {
        path: path.to_path_buf(),
        mode: mode & PERMISSIONS,
        owner,
    }))
}

/// The folder that a file's relative paths begin at.
fn folder_of(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new(""));
    // Without a working folder the path stays relative: nothing is lost but the place in messages.
    std::path::absolute(folder).unwrap_or_else(|_| {
        std::env::current_dir().map_or_else(|_| folder.to_path_buf(), |here| here.join(folder))
    })
}

/// Where the lines of a text begin, so that a place is found without reading it all again.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(after_breaks).collect(),
        }
    }

    /// Line and column of a byte, both from 1; columns count characters.
    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.as_bytes().get(start..offset.min(self.text.len()));
        // A byte that continues a character doesn't begin one.
        let characters = before
            .unwrap_or_default()
            .iter()
            .filter(|byte| (**byte & 0b1100_0000) != 0b1000_0000)
            .count();
        (line, characters + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let lines = Lines::of("ab\nçd\n");
        let check = |offset, expected| assert_eq!(lines.position(offset), expected, "{offset}");
        check(0, (1, 1));
        check(2, (1, 3));
        check(3, (2, 1));
        check(5, (2, 2));
        check(7, (3, 1));
        check(99, (3, 1));
    }

    #[cfg(unix)]
    #[test]
    fn root_reads_no_config_that_others_can_change() {
        let check = |mode, owner, expected: bool| {
            let result = check_owner(Path::new("/etc/weir/weir.toml"), mode, owner);
            assert_eq!(result.is_ok(), expected, "{mode:o} {owner}");
            if let Err(error) = result {
                let text = error.to_string();
                assert!(text.contains("/etc/weir/weir.toml"), "{text}");
                assert!(text.contains(&format!("{:04o}", mode & 0o7777)), "{text}");
            }
        };
        check(0o100_644, 0, true);
        check(0o100_600, 0, true);
        check(0o100_664, 0, false);
        check(0o100_646, 0, false);
        check(0o100_644, 1000, false);
    }
}
