//! What a process has for long: its name, executable, arguments, group. Read once, and after an exec.
//!
//! Each platform has its reader. The invariant: a process that vanishes or can't be read while it is
//! looked at gives what was had of it, never an error; and a text that isn't UTF-8 is kept, and marked.

#[cfg(target_os = "linux")]
pub(crate) mod cgroup;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(not(target_os = "linux"), test))]
pub(super) mod portable;
#[cfg(target_os = "linux")]
pub(crate) mod stat;

#[cfg(target_os = "linux")]
pub(super) use linux::{DetailsReader, Stale};

use std::borrow::Cow;

use weir_bus::Timestamp;

#[cfg(target_os = "linux")]
use super::hashes::OfExecutable;

/// Bytes of a command line that are kept; a process may have megabytes of arguments, every second.
pub(super) const COMMAND_LINE_BYTES_MAX: usize = 32 * 1024;
/// What stands at the end of a command line that was cut.
const CUT_MARK: &str = "…";
/// Looks after which what a process can change without an exec, its name and arguments, is read
/// again; a part of the processes at each look.
#[cfg(any(not(target_os = "linux"), test))]
const REREAD_LOOKS: u64 = 10;

/// What a process has for long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::process) struct Details {
    pub(in crate::process) start_time: Timestamp,
    pub(in crate::process) name: String,
    pub(in crate::process) executable: Option<String>,
    pub(in crate::process) executable_deleted: Option<bool>,
    pub(in crate::process) file_exists: Option<bool>,
    pub(in crate::process) command_line: Vec<String>,
    pub(in crate::process) cgroup: Option<String>,
    pub(in crate::process) container_id: Option<String>,
    pub(in crate::process) accessible: bool,
    /// What is known of the executable's digest.
    #[cfg(target_os = "linux")]
    pub(in crate::process) of_executable: OfExecutable,
    /// The executable's link as the system shows it; a change of it is an exec, or a deletion.
    link: Vec<u8>,
    /// Which texts aren't what they were, for they were no UTF-8.
    name_is_lossy: bool,
    executable_is_lossy: bool,
    command_line_is_lossy: bool,
}

impl Details {
    /// The SHA-256 of the executable, and that which was first seen at its path; in hexadecimal digits.
    pub(in crate::process) fn digests(&self) -> Option<(&str, Option<&str>)> {
        #[cfg(target_os = "linux")]
        return self
            .of_executable
            .digests()
            .map(|known| (known.sha256.as_str(), known.baseline.as_deref()));
        #[cfg(not(target_os = "linux"))]
        return None;
    }

    /// Whether the name, the executable or an argument was no UTF-8, and stands here with marks in it.
    pub(in crate::process) const fn is_lossy(&self) -> bool {
        self.name_is_lossy || self.executable_is_lossy || self.command_line_is_lossy
    }

    /// Takes a name; where it is the one that is known nothing is allocated.
    pub(in crate::process) fn set_name(&mut self, name: &[u8]) {
        // A text that was made anew never equals the bytes that it was made of.
        self.name_is_lossy = false;
        if name != self.name.as_bytes() {
            (self.name, self.name_is_lossy) = text(name);
        }
    }

    fn set_executable(&mut self, path: &[u8]) {
        let (path, is_lossy) = text(path);
        self.executable_is_lossy = is_lossy;
        self.executable = Some(path);
    }

    /// Takes arguments, each ended by a zero byte; what is over the limit is cut, and marked. Empty
    /// arguments are kept. Where they are the ones that are known nothing is allocated.
    pub(in crate::process) fn set_command_line(&mut self, bytes: &[u8]) {
        let cut = bytes.len() > COMMAND_LINE_BYTES_MAX;
        let bytes = bytes.get(..COMMAND_LINE_BYTES_MAX).unwrap_or(bytes);
        self.set_arguments(bytes, cut);
    }

    /// The same of arguments of which some may be missing at the end.
    pub(in crate::process) fn set_arguments(&mut self, bytes: &[u8], cut: bool) {
        // A cut leaves the last argument without its end.
        let bytes = match cut {
            true => without_half_a_character(bytes),
            false => bytes.strip_suffix(&[0]).unwrap_or(bytes),
        };
        let arguments = || bytes.split(|byte| *byte == 0);
        let known = self.command_line.iter().map(String::as_bytes);
        if bytes.is_empty() {
            self.command_line.clear();
            self.command_line_is_lossy = false;
            return;
        }
        if !cut && known.eq(arguments()) {
            self.command_line_is_lossy = false;
            return;
        }
        self.command_line_is_lossy = false;
        self.command_line.clear();
        for argument in arguments() {
            let (argument, is_lossy) = text(argument);
            self.command_line_is_lossy |= is_lossy;
            self.command_line.push(argument);
        }
        if cut && let Some(last) = self.command_line.last_mut() {
            last.push_str(CUT_MARK);
        }
    }
}

/// Bytes without the beginning of a character whose rest was cut off.
fn without_half_a_character(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => {
            bytes.get(..error.valid_up_to()).unwrap_or(bytes)
        }
        _ => bytes,
    }
}

/// Bytes as a text, and whether there were any in it that weren't UTF-8: then it had to be made anew.
fn text(bytes: &[u8]) -> (String, bool) {
    let text = String::from_utf8_lossy(bytes);
    let is_lossy = matches!(text, Cow::Owned(_));
    (text.into_owned(), is_lossy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_kept_as_they_are_and_cut_where_there_are_too_many() {
        let check = |bytes: &[u8], expected: &[&str], lossy| {
            let mut details = Details::default();
            // Twice: what is known is compared, not read.
            for _ in 0..2 {
                details.set_command_line(bytes);
                assert_eq!(details.command_line, expected);
                assert_eq!(details.is_lossy(), lossy);
            }
        };
        check(b"", &[], false);
        check(b"\0", &[], false);
        check(b"a\0", &["a"], false);
        check(b"a\0\0b c\0", &["a", "", "b c"], false);
        check(b"title without an end", &["title without an end"], false);
        check(b"a\nb\0\xff\0", &["a\nb", "\u{fffd}"], true);
        check("\u{fffd}\0".as_bytes(), &["\u{fffd}"], false);
        let mut details = Details::default();
        details.set_command_line(&vec![b'x'; COMMAND_LINE_BYTES_MAX + 1]);
        let kept = &details.command_line;
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].len(), COMMAND_LINE_BYTES_MAX + CUT_MARK.len());
        assert!(kept[0].ends_with(CUT_MARK));
        details.set_command_line(b"b\0");
        assert_eq!(details.command_line, ["b"]);
        details.set_command_line("é".repeat(COMMAND_LINE_BYTES_MAX).as_bytes());
        assert!(!details.is_lossy());
        details.set_arguments(b"a\0\xc3", true);
        assert_eq!(details.command_line, ["a", "…"]);
        assert!(!details.is_lossy());
    }

    #[test]
    fn a_name_that_is_no_text_is_kept_and_marked() {
        let mut details = Details::default();
        let mut check = |name: &[u8], expected: &str, lossy| {
            details.set_name(name);
            assert_eq!(
                (details.name.as_str(), details.is_lossy()),
                (expected, lossy)
            );
        };
        check(b"a", "a", false);
        check(b"a\xff", "a\u{fffd}", true);
        check("a\u{fffd}".as_bytes(), "a\u{fffd}", false);
        check(b"b", "b", false);
    }
}
