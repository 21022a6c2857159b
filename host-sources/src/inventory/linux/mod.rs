//! A look on Linux: its parts, each with its own files and facts.
//!
//! It sends nothing. The invariant: a part that can't be read keeps what was known of it, and harms no other.

mod cpu;
mod disks;
mod host;
mod interfaces;
mod memory;
mod mounts;
mod os_release;
mod watch;

use std::path::{Path, PathBuf};

pub(super) use watch::Watch;

use super::facts::{Facts, Table};
use crate::kernel_files::text::{lossy, trimmed};
use crate::kernel_files::{FileError, Roots, read_once};
use crate::schedule::Tier;

/// The parsers, for whoever shows them any bytes.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod parsers {
    pub(in crate::inventory) use super::cpu::{CPUS_MAX, cpu_info, cpu_list};
    pub(in crate::inventory) use super::mounts::mount_lines;
    pub(in crate::inventory) use super::os_release::assignments;
}

/// Bytes that are read of a small file, of one value or of several.
const FILE_BYTES_MAX: usize = 64 * 1024;
/// Items of one class that are told of.
const ITEMS_MAX: usize = 4_096;

/// What a part has in hand while it looks.
struct Hand<'a> {
    facts: &'a mut Facts,
    buffer: &'a mut Vec<u8>,
    /// The first thing that couldn't be read.
    trouble: Option<FileError>,
}

impl Hand<'_> {
    fn note(&mut self, trouble: FileError) {
        self.trouble.get_or_insert(trouble);
    }

    /// A file's text, trimmed; none if it isn't there, or has nothing in it. A value that a device doesn't have shows
    /// as an error, too, which is no trouble.
    fn text(&mut self, path: &Path) -> Option<String> {
        use rustix::io::Errno;
        match read_once(path, FILE_BYTES_MAX, self.buffer) {
            Ok(contents) => {
                let text = lossy(trimmed(contents.bytes)).into_owned();
                if let Some(cut) = contents.cut {
                    self.note(cut);
                }
                (!text.is_empty()).then_some(text)
            }
            Err(error) => {
                let has_none = matches!(
                    error.errno(),
                    Some(Errno::INVAL | Errno::OPNOTSUPP | Errno::IO)
                );
                if !error.is_missing() && !has_none {
                    self.note(error);
                }
                None
            }
        }
    }

    /// Says what the files of a folder hold, each as an attribute of the item.
    fn say_files(
        &mut self,
        class: &'static str,
        item: &str,
        folder: &Path,
        files: &[(&str, &str)],
    ) {
        for (attribute, file) in files {
            if let Some(text) = self.text(&folder.join(file)) {
                self.facts.say(class, item, attribute, &text);
            }
        }
    }
}

/// One sort of facts.
trait Part: Send + Sync {
    /// Its name in reasons.
    fn name(&self) -> &'static str;

    /// How fast it changes.
    fn tier(&self) -> Tier {
        Tier::Static
    }

    /// Looks.
    fn look(&mut self, hand: &mut Hand<'_>);
}

/// The looks of one run of the source.
pub(super) struct Look {
    parts: Vec<Box<dyn Part>>,
    failed: Vec<Option<String>>,
    table: Table,
    buffer: Vec<u8>,
}

/// The place of the mounts among the parts.
const MOUNTS: usize = 0;

impl Look {
    pub(super) fn new(roots: &Roots) -> Self {
        let parts: Vec<Box<dyn Part>> = vec![
            Box::new(mounts::Mounts::new(roots)),
            Box::new(interfaces::Interfaces::new(roots)),
            Box::new(disks::Disks::new(roots)),
            Box::new(cpu::Cpu::new(roots)),
            Box::new(memory::Memory::new(roots)),
            Box::new(host::Host::new(roots)),
            Box::new(os_release::OsRelease::new(roots)),
        ];
        Self {
            failed: vec![None; parts.len()],
            parts,
            table: Table::default(),
            buffer: Vec::new(),
        }
    }

    /// Looks at what is due.
    pub(super) fn take(&mut self, due: impl Fn(Tier) -> bool) {
        for index in 0..self.parts.len() {
            if self.parts.get(index).is_some_and(|part| due(part.tier())) {
                self.take_part(index);
            }
        }
    }

    /// Looks at mounts only.
    pub(super) fn take_mounts(&mut self) {
        self.take_part(MOUNTS);
    }

    fn take_part(&mut self, index: usize) {
        let Some(part) = self.parts.get_mut(index) else {
            return;
        };
        let mut facts = Facts::default();
        let mut hand = Hand {
            facts: &mut facts,
            buffer: &mut self.buffer,
            trouble: None,
        };
        part.look(&mut hand);
        let trouble = hand.trouble.map(|error| error.to_string());
        let over = facts.is_over().then(|| {
            let most = Facts::most();
            format!("there is more than the {most} attributes that are told")
        });
        self.table.update(index, facts, trouble.is_none());
        if let Some(failed) = self.failed.get_mut(index) {
            *failed = trouble.or(over);
        }
    }

    /// What is known.
    pub(super) const fn table(&mut self) -> &mut Table {
        &mut self.table
    }

    /// What can't be read, by part.
    pub(super) fn failed(&self) -> Vec<(&'static str, String)> {
        let parts = self.parts.iter().zip(&self.failed);
        parts
            .filter_map(|(part, failed)| Some((part.name(), failed.clone()?)))
            .collect()
    }
}

/// Why there is nothing to tell here; none if there is.
pub(super) fn unavailable(roots: &Roots) -> Option<String> {
    let error = read_once(
        &roots.proc.join("self/mountinfo"),
        FILE_BYTES_MAX,
        &mut Vec::new(),
    )
    .err()?;
    Some(format!(
        "{error}: the inventory needs procfs; mount it at {}",
        roots.proc.display()
    ))
}

/// The names in a folder, in order, at most [`ITEMS_MAX`]; none if there is no such folder.
fn names(
    folder: &Path,
    what: &'static str,
    hand: &mut Hand<'_>,
) -> Vec<(std::ffi::OsString, PathBuf)> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            if error.kind() != std::io::ErrorKind::NotFound {
                hand.note(FileError::malformed(folder, "a folder"));
            }
            return Vec::new();
        }
    };
    let mut names: Vec<_> = entries
        .flatten()
        .take(ITEMS_MAX + 1)
        .map(|entry| (entry.file_name(), entry.path()))
        .collect();
    if names.len() > ITEMS_MAX {
        hand.note(FileError::too_many(folder, what, ITEMS_MAX));
        names.truncate(ITEMS_MAX);
    }
    names.sort();
    names
}
