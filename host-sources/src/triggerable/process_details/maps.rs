//! What a process has mapped.
//!
//! Bytes in, texts out. The invariant: a line that isn't one of a map is left out, and what the process
//! can choose, a file's name, is never taken for anything else.

use super::listing::{Listing, text};

/// What the kernel appends to the name of a file that was deleted. A name may end so by itself: it is
/// told as the kernel tells it.
const DELETED_SUFFIX: &[u8] = b" (deleted)";
/// Memory that the kernel itself maps into each process to be executed.
const OF_THE_KERNEL: [&[u8]; 3] = [b"[vdso]", b"[vsyscall]", b"[uprobes]"];
/// The fields before a map's name: addresses, permissions, offset, device, inode.
const FIELDS: usize = 5;

/// What is mapped.
#[derive(Default)]
pub(super) struct Maps {
    count: usize,
    files: Listing,
    deleted: Listing,
    /// Memory that can be executed and is of no file.
    anonymous_executable: usize,
    /// Memory that can be written and executed.
    writable_executable: usize,
    cut: bool,
}

impl Maps {
    /// What `maps` says; `cut` if it says more than was read.
    pub(super) fn parse(bytes: &[u8], cut: bool) -> Self {
        let mut maps = Self {
            cut,
            ..Self::default()
        };
        for line in bytes.split(|byte| *byte == b'\n') {
            if let Some((permissions, name)) = split(line) {
                maps.add(permissions, name);
            }
        }
        maps
    }

    fn add(&mut self, permissions: &[u8], name: &[u8]) {
        self.count = self.count.saturating_add(1);
        let is_file = name.starts_with(b"/");
        let can = |what: u8| permissions.contains(&what);
        if can(b'x') {
            if can(b'w') {
                self.writable_executable = self.writable_executable.saturating_add(1);
            }
            if !is_file && !OF_THE_KERNEL.contains(&name) {
                self.anonymous_executable = self.anonymous_executable.saturating_add(1);
            }
        }
        if is_file {
            self.files.add(&text(name));
            if let Some(name) = name.strip_suffix(DELETED_SUFFIX) {
                self.deleted.add(&text(name));
            }
        }
    }

    pub(super) fn files(&self) -> String {
        format!("in {} maps, {}", self.count, self.files.told(self.cut))
    }

    /// Those that are in no folder any more; none if there are none.
    pub(super) fn deleted(&self) -> Option<String> {
        (!self.deleted.is_empty()).then(|| self.deleted.told(self.cut))
    }

    pub(super) fn executable_memory(&self) -> String {
        match (self.anonymous_executable, self.writable_executable) {
            (0, 0) => "only of files, none of it writable".to_owned(),
            (anonymous, writable) => format!("{anonymous} of no file, {writable} writable"),
        }
    }
}

/// A line as permissions and name, which is empty where there is none.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = line;
    let mut permissions: &[u8] = &[];
    for field in 0..FIELDS {
        let end = rest.iter().position(|byte| *byte == b' ')?;
        let (found, after) = rest.split_at_checked(end)?;
        if field == 1 {
            permissions = found;
        }
        rest = after.trim_ascii_start();
        // The last field has no blank after it where there is no name.
        if rest.is_empty() && field + 2 < FIELDS {
            return None;
        }
        if field + 2 == FIELDS && !rest.contains(&b' ') {
            return Some((permissions, &[]));
        }
    }
    (permissions.len() == 4).then_some((permissions, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_counted_by_what_they_are() {
        let maps = "55e0-55e2 r--p 00000000 08:01 1                          /usr/bin/x y\n\
            55e2-55e4 r-xp 00002000 08:01 1                          /usr/bin/x y\n\
            7f00-7f01 rwxp 00000000 00:00 0 \n\
            7f01-7f02 r-xp 00000000 00:00 0                          [heap]\n\
            7f02-7f03 r-xp 00000000 00:00 0                          [vdso]\n\
            7f03-7f04 rw-p 00000000 00:00 0\n\
            7f04-7f05 r-xs 00000000 00:01 9                          /memfd:a (deleted)\n";
        let told = Maps::parse(maps.as_bytes(), false);
        assert_eq!(
            told.files(),
            "in 7 maps, 2: /usr/bin/x y, /memfd:a (deleted)"
        );
        assert_eq!(told.executable_memory(), "2 of no file, 1 writable");
        assert_eq!(told.deleted().as_deref(), Some("1: /memfd:a"));
        let check = |bytes: &[u8], cut, expected: &str| {
            let told = Maps::parse(bytes, cut);
            assert_eq!(told.files(), expected);
            assert_eq!(told.deleted(), None);
            assert_eq!(
                told.executable_memory(),
                "only of files, none of it writable"
            );
        };
        check(b"", false, "in 0 maps, none");
        check(b"a b c\nrwxp rwxp\n\n \xff\n", false, "in 0 maps, none");
        check(
            b"1-2 r--p 0 0:0 7 /a\n3-4 r--p 0",
            true,
            "in 1 maps, at least 1: /a",
        );
    }
}
