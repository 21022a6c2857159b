//! What a process has for long: its name, executable, arguments, group. Read once, and after an exec.
//!
//! Each platform has its reader; both have the same functions. The invariant: a process that vanishes
//! or can't be read while it is looked at gives what was had of it, never an error.

#[cfg(target_os = "linux")]
pub(crate) mod cgroup;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(target_os = "linux")]
pub(crate) mod stat;

#[cfg(target_os = "linux")]
pub(super) use linux::DetailsReader;
#[cfg(not(target_os = "linux"))]
pub(super) use portable::DetailsReader;

use weir_bus::Timestamp;

#[cfg(target_os = "linux")]
use super::hashes::OfExecutable;

/// Bytes of a command line that are kept; a process may have megabytes of arguments, every second.
const COMMAND_LINE_BYTES_MAX: usize = 32 * 1024;
/// What stands at the end of a command line that was cut.
const CUT_MARK: &str = "…";
/// Looks after which what a process can change without an exec, its name and arguments, is read
/// again; a part of the processes at each look.
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
}

/// What reading again has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) enum Reread {
    /// It is the same process.
    Same,
    /// The pid is another process's now.
    Another,
}

/// Arguments, each ended by a zero byte, as texts; what is over the limit is cut, and marked. Empty
/// arguments are kept.
fn arguments(bytes: &[u8]) -> Vec<String> {
    let cut = bytes.len() > COMMAND_LINE_BYTES_MAX;
    let bytes = bytes.get(..COMMAND_LINE_BYTES_MAX).unwrap_or(bytes);
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    let mut arguments: Vec<String> = bytes
        .split(|byte| *byte == 0)
        .map(|argument| String::from_utf8_lossy(argument).into_owned())
        .collect();
    if cut && let Some(last) = arguments.last_mut() {
        last.push_str(CUT_MARK);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_kept_as_they_are_and_cut_where_there_are_too_many() {
        let check = |bytes: &[u8], expected: &[&str]| assert_eq!(arguments(bytes), expected);
        check(b"", &[]);
        check(b"\0", &[]);
        check(b"a\0", &["a"]);
        check(b"a\0\0b c\0", &["a", "", "b c"]);
        check(b"title without an end", &["title without an end"]);
        check(b"a\nb\0\xff\0", &["a\nb", "\u{fffd}"]);
        let long = vec![b'x'; COMMAND_LINE_BYTES_MAX + 1];
        let kept = arguments(&long);
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].len(), COMMAND_LINE_BYTES_MAX + CUT_MARK.len());
        assert!(kept[0].ends_with(CUT_MARK));
    }
}
