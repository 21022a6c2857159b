//! A process's `status`, as far as it is told.
//!
//! Bytes in, texts out. The invariant: a line that isn't there, or isn't as it should be, is told as
//! unknown, and is nobody else's line: the process's name, which it chose, is escaped by the kernel.

use std::str::FromStr;

use super::listing::text;

/// What is told where the kernel says nothing.
const UNKNOWN: &str = "unknown";

/// What `status` says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) name: String,
    pub(super) users: String,
    pub(super) threads: String,
    /// The effective ones, a bit each.
    pub(super) capabilities: Option<u64>,
    tracer: Option<u32>,
    seccomp: Option<u32>,
    seccomp_filters: Option<u32>,
    no_new_privileges: Option<u32>,
}

impl Status {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let lines = String::from_utf8_lossy(bytes);
        let value = |key: &str| {
            let mut lines = lines.lines().filter_map(|line| line.split_once(':'));
            lines
                .find(|(name, _)| *name == key)
                .map(|(_, value)| value.trim())
        };
        let told =
            |key| value(key).map_or_else(|| UNKNOWN.to_owned(), |told| text(told.as_bytes()));
        Self {
            name: told("Name"),
            users: value("Uid").map_or_else(|| UNKNOWN.to_owned(), users),
            threads: told("Threads"),
            capabilities: value("CapEff").and_then(|bits| u64::from_str_radix(bits, 16).ok()),
            tracer: number(value("TracerPid")),
            seccomp: number(value("Seccomp")),
            seccomp_filters: number(value("Seccomp_filters")),
            no_new_privileges: number(value("NoNewPrivs")),
        }
    }

    /// Who traces it; none if nobody does.
    pub(super) fn tracer(&self) -> Option<String> {
        let pid = self.tracer.filter(|pid| *pid != 0)?;
        Some(format!("pid {pid}"))
    }

    /// Which of its system calls are filtered, and whether an exec can give it more rights.
    pub(super) fn seccomp(&self) -> String {
        let mode = match self.seccomp {
            Some(0) => "off".to_owned(),
            Some(1) => "strict".to_owned(),
            Some(2) => self.seccomp_filters.map_or_else(
                || "filtered".to_owned(),
                |filters| format!("filtered ({filters} filters)"),
            ),
            _ => UNKNOWN.to_owned(),
        };
        match self.no_new_privileges {
            Some(1) => format!("{mode}, no new privileges"),
            _ => mode,
        }
    }
}

fn number<T: FromStr>(value: Option<&str>) -> Option<T> {
    value?.parse().ok()
}

/// The real, effective, saved and file system's user; one number where they are the same.
fn users(line: &str) -> String {
    let users: Vec<&str> = line.split_ascii_whitespace().collect();
    match users.as_slice() {
        [real, effective, saved, files] if [effective, saved, files] == [real; 3] => {
            (*real).to_owned()
        }
        [real, effective, saved, files] => {
            format!("real {real}, effective {effective}, saved {saved}, files {files}")
        }
        _ => UNKNOWN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_and_what_is_missing_is_unknown() {
        let full = b"Name:\tsu\\nx\nTracerPid:\t7\nUid:\t1000\t0\t0\t0\nThreads:\t3\n\
            CapEff:\t0000000000003000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t4\n";
        let status = Status::parse(full);
        assert_eq!(status.name, "su\\nx");
        assert_eq!(status.users, "real 1000, effective 0, saved 0, files 0");
        assert_eq!(status.threads, "3");
        assert_eq!(status.capabilities, Some(0x3000));
        assert_eq!(status.tracer().as_deref(), Some("pid 7"));
        assert_eq!(status.seccomp(), "filtered (4 filters), no new privileges");
        let check = |bytes: &[u8]| {
            let status = Status::parse(bytes);
            assert_eq!(
                (status.users.as_str(), status.capabilities),
                (UNKNOWN, None)
            );
            assert_eq!((status.tracer(), status.seccomp()), (None, UNKNOWN.into()));
        };
        check(b"");
        check(b"nonsense\nUid:\nCapEff: xyz\nTracerPid:\t-1\nSeccomp:\t9\n");
        assert_eq!(Status::parse(b"Uid:\t5\t5\t5\t5\n").users, "5");
        assert_eq!(
            Status::parse(b"TracerPid:\t0\nSeccomp:\t0\n").seccomp(),
            "off"
        );
    }
}
