//! The index: what was kept, with the seal of each entry; the oldest first. One small text file.
//!
//! A line is `NAME SEAL BYTES`. A file that isn't wholly readable counts as empty: then everything
//! is compiled anew.

use std::io;

use cap_std::fs::Dir;
use tracing::warn;

use super::folder::{read_own, write_own};
use crate::digest::Digest;

/// The file's name in the state folder.
const FILE: &str = "compiled-code.index";
/// Its first line, which says what it is, and in which version.
const TITLE: &str = "weir compiled code 1";
/// Bytes that are read of it: 128 entries of 150 bytes have 19 KB.
const BYTES_MAX: u64 = 256 << 10;

/// What is known of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Of the file, in the folder of code.
    pub(super) name: String,
    /// Over module, engine and code.
    pub(super) seal: Digest,
    /// Of the code.
    pub(super) bytes: u64,
}

/// All entries, the oldest first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    entries: Vec<Entry>,
}

impl Index {
    /// What the file says; nothing where there is none, or none that can be trusted.
    pub(super) fn read(state: &Dir) -> Self {
        let bytes = match read_own(state, FILE, BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::default(),
            Err(error) => {
                warn!(%error, "the index of compiled code isn't used");
                return Self::default();
            }
        };
        Self::parse(&bytes).unwrap_or_else(|| {
            warn!(
                file = FILE,
                "the index of compiled code is damaged, and isn't used"
            );
            Self::default()
        })
    }

    pub(super) fn write(&self, state: &Dir) -> io::Result<()> {
        write_own(state, FILE, self.text().as_bytes())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// How old an entry is among the others: 0 is the oldest.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.name == name)
    }

    /// Puts an entry in, as the newest.
    pub(super) fn put(&mut self, entry: Entry) {
        self.entries.retain(|other| other.name != entry.name);
        self.entries.push(entry);
    }

    /// Forgets all but these.
    pub(super) fn retain(&mut self, mut keeps: impl FnMut(&str) -> bool) {
        self.entries.retain(|entry| keeps(&entry.name));
    }

    fn text(&self) -> String {
        let lines = self
            .entries
            .iter()
            .map(|Entry { name, seal, bytes }| format!("{name} {seal} {bytes}\n"));
        std::iter::once(format!("{TITLE}\n")).chain(lines).collect()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.lines();
        if lines.next()? != TITLE {
            return None;
        }
        let entries = lines.map(parse_line).collect::<Option<_>>()?;
        Some(Self { entries })
    }
}

fn parse_line(line: &str) -> Option<Entry> {
    let mut words = line.split(' ');
    // A name is a digest: no path hides in it.
    let name = words.next()?.parse::<Digest>().ok()?.to_string();
    let seal = words.next()?.parse().ok()?;
    let bytes = words.next()?.parse().ok()?;
    words
        .next()
        .is_none()
        .then_some(Entry { name, seal, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &[u8], bytes: u64) -> Entry {
        Entry {
            name: Digest::of(name).to_string(),
            seal: Digest::of(&[1]),
            bytes,
        }
    }

    #[test]
    fn an_index_is_read_as_it_was_written() {
        let mut index = Index::default();
        for (name, bytes) in [(b"a", 1), (b"b", u64::MAX), (b"a", 3)] {
            index.put(entry(name, bytes));
        }
        assert_eq!(index.entries, [entry(b"b", u64::MAX), entry(b"a", 3)]);
        assert_eq!(Index::parse(index.text().as_bytes()), Some(index));
    }

    #[test]
    fn a_damaged_index_counts_as_none() {
        let line = format!("{0} {0} 1", Digest::of(b"a"));
        assert!(Index::parse(format!("{TITLE}\n{line}\n").as_bytes()).is_some());
        for text in [
            String::new(),
            line.clone(),
            format!("weir compiled code 2\n{line}"),
            format!("{TITLE}\n{line} more"),
            format!("{TITLE}\n{line}\n\n"),
            format!("{TITLE}\n../../etc/passwd {} 1", Digest::of(b"a")),
            format!("{TITLE}\n{line}").replace(" 1", " -1"),
            format!("{TITLE}\n{}\u{0}", &line[..100]),
        ] {
            assert_eq!(Index::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Index::parse(b"\xff\xfe"), None);
    }
}
