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
use std::sync::Arc;

use weir_bus::Timestamp;

use super::hashes::Hashes;
#[cfg(target_os = "linux")]
use super::hashes::OfExecutable;
use crate::redaction::{Redacting, SECRET_BYTES_MAX};

/// Bytes of a command line that are kept; a process may have megabytes of arguments, every second.
pub(super) const COMMAND_LINE_BYTES_MAX: usize = 32 * 1024;
/// Bytes that are read of it: a secret that begins before the cut is seen to its end.
pub(super) const COMMAND_LINE_READ_BYTES_MAX: usize = COMMAND_LINE_BYTES_MAX + SECRET_BYTES_MAX;
/// Looks after which what a process can change without an exec, its name and arguments, is read
/// again; a part of the processes at each look.
#[cfg(any(not(target_os = "linux"), test))]
const REREAD_LOOKS: u64 = 10;

/// What readers of details share: of one source.
#[derive(Clone, Default)]
pub(in crate::process) struct ReaderOptions {
    /// Where digests come from; none: there are none.
    pub(in crate::process) hashes: Option<Arc<Hashes>>,
    /// What is replaced in command lines.
    pub(in crate::process) redacting: Redacting,
}

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
    /// Stands for the arguments as they were read, where those that are kept aren't the same.
    command_line_mark: Option<u64>,
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

    /// Whether something of it comes without the process doing anything: a digest, or a file at the path of one that
    /// was deleted.
    #[cfg(target_os = "linux")]
    pub(in crate::process) const fn is_awaited(&self) -> bool {
        matches!(self.executable_deleted, Some(true))
            || matches!(self.of_executable, OfExecutable::Waiting(_))
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

    /// Takes arguments, each ended by a zero byte, without their secrets; what is over the limit is cut, and
    /// marked. Empty arguments are kept. Where they are the ones that are known nothing is allocated.
    pub(in crate::process) fn set_command_line(&mut self, bytes: &[u8], redacting: &Redacting) {
        let is_all = bytes.len() <= COMMAND_LINE_READ_BYTES_MAX;
        let bytes = bytes.get(..COMMAND_LINE_READ_BYTES_MAX).unwrap_or(bytes);
        self.set_arguments(bytes, is_all, redacting);
    }

    /// The same of arguments of which some may be missing at the end. What is kept of those ends that far before
    /// their end that no secret can be in it of which only the beginning was seen.
    pub(in crate::process) fn set_arguments(
        &mut self,
        bytes: &[u8],
        is_all: bool,
        redacting: &Redacting,
    ) {
        let bytes = match is_all {
            true => bytes.strip_suffix(&[0]).unwrap_or(bytes),
            false => without_half_a_character(bytes),
        };
        let arguments = || bytes.split(|byte| *byte == 0);
        if bytes.is_empty() {
            self.forget_command_line();
            return;
        }
        let is_known = match self.command_line_mark {
            Some(mark) => mark == redacting.fingerprint(bytes),
            None => {
                is_all
                    && self
                        .command_line
                        .iter()
                        .map(String::as_bytes)
                        .eq(arguments())
            }
        };
        if is_known {
            return;
        }
        let mut is_lossy = false;
        let texts = arguments().map(|argument| {
            let (argument, was_made_anew) = text(argument);
            is_lossy |= was_made_anew;
            argument
        });
        let texts: Vec<String> = texts.collect();
        let bytes_max = match is_all {
            true => COMMAND_LINE_BYTES_MAX,
            false => {
                let seen: usize = texts.iter().map(|text| text.len() + 1).sum();
                let surely = seen.saturating_sub(1 + SECRET_BYTES_MAX);
                surely.min(COMMAND_LINE_BYTES_MAX)
            }
        };
        let redacted = redacting.redact_and_cut(texts, bytes_max);
        let is_changed = is_lossy || redacted.is_cut || redacted.marks > 0;
        self.command_line_mark = is_changed.then(|| redacting.fingerprint(bytes));
        self.command_line_is_lossy = is_lossy;
        self.command_line = redacted.arguments;
    }

    /// Has no arguments any more.
    fn forget_command_line(&mut self) {
        self.command_line.clear();
        self.command_line_is_lossy = false;
        self.command_line_mark = None;
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
    use crate::redaction::CUT_MARK;

    #[test]
    fn arguments_are_kept_as_they_are_and_cut_where_there_are_too_many() {
        let redacting = Redacting::default();
        let check = |bytes: &[u8], expected: &[&str], lossy| {
            let mut details = Details::default();
            // Twice: what is known is compared, not read.
            for _ in 0..2 {
                details.set_command_line(bytes, &redacting);
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
        for bytes in [COMMAND_LINE_BYTES_MAX + 1, 1 << 20] {
            details.set_command_line(&vec![b'x'; bytes], &redacting);
            let kept = &details.command_line;
            assert_eq!(kept.len(), 1);
            assert_eq!(kept[0].len(), COMMAND_LINE_BYTES_MAX + CUT_MARK.len());
            assert!(kept[0].ends_with(CUT_MARK));
        }
        details.set_command_line(b"b\0", &redacting);
        assert_eq!(details.command_line, ["b"]);
        details.set_command_line("é".repeat(COMMAND_LINE_BYTES_MAX).as_bytes(), &redacting);
        assert!(!details.is_lossy());
        let seen = [b"a\0", vec![b'x'; SECRET_BYTES_MAX].as_slice(), b"\xc3"].concat();
        details.set_arguments(&seen, false, &redacting);
        assert_eq!(details.command_line, ["a…"]);
        assert!(!details.is_lossy());
        details.set_arguments(b"seen too little of", false, &redacting);
        assert_eq!(details.command_line, ["…"]);
        assert_eq!(redacting.lines(), 0);
    }

    #[test]
    fn a_command_line_with_a_secret_is_read_and_counted_once_until_it_changes() {
        let redacting = Redacting::default();
        let mut details = Details::default();
        let mut check = |bytes: &[u8], expected: &[&str], lines| {
            details.set_command_line(bytes, &redacting);
            assert_eq!(details.command_line, expected);
            assert_eq!(redacting.lines(), lines);
        };
        check(b"x\0--password=one\0", &["x", "--password=***"], 1);
        check(b"x\0--password=one\0", &["x", "--password=***"], 1);
        check(b"x\0--password=two\0", &["x", "--password=***"], 2);
        check(b"x\0--password=***\0", &["x", "--password=***"], 3);
        check(b"x\0y\0", &["x", "y"], 3);
        check(b"", &[], 3);
        check(b"x\0--password=two\0", &["x", "--password=***"], 4);
    }

    #[test]
    fn of_a_secret_that_the_limit_cuts_nothing_is_kept() {
        let redacting = Redacting::default();
        let secret = "hunter2-".repeat(16);
        let url = format!("postgres://me:{secret}@host/db");
        // The secret's every byte lies at the limit once.
        for before in COMMAND_LINE_BYTES_MAX - url.len()..=COMMAND_LINE_BYTES_MAX {
            let line = [&vec![b'x'; before], &b"\0"[..], url.as_bytes(), b"\0"].concat();
            let mut details = Details::default();
            details.set_command_line(&line, &redacting);
            let kept = details.command_line.join(" ");
            assert!(
                !kept.contains("hunter2") && !kept.contains(":h"),
                "{before}"
            );
            // An event that had room for no more than this.
            for seen in [before + 20, before + 60] {
                details = Details::default();
                details.set_arguments(&line[..seen], false, &redacting);
                let kept = details.command_line.join(" ");
                assert!(!kept.contains(":h"), "{before}");
            }
        }
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
