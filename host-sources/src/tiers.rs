//! The ways in which sources reach into the host: which are in use, and why not the others.
//!
//! For the first words of the daemon, its status, and tests that print what a kernel allows. It opens nothing
//! itself: the sources' modules do. The invariant: a way that isn't in use says why.

#[cfg(target_os = "linux")]
use std::sync::{Mutex, PoisonError};

/// What is said of a way that would do, where a better one does.
const NOT_NEEDED: &str = "not needed: a better one is there";

/// A way in which a source reaches into the host.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TierReport {
    /// Its name, for a person.
    pub name: String,
    /// Whether it is in use.
    pub used: bool,
    /// Why it isn't, in words that a person can act on; none if it is.
    pub reason: Option<String>,
}

impl TierReport {
    /// A way that is in use if there is no reason why not.
    #[must_use]
    pub fn of(name: &str, reason: Option<String>) -> Self {
        Self {
            name: name.to_owned(),
            used: reason.is_none(),
            reason,
        }
    }

    /// Whether it works here: it is in use, or only a better one keeps it from that.
    #[must_use]
    pub fn works(&self) -> bool {
        self.used || self.reason.as_deref() == Some(NOT_NEEDED)
    }
}

/// Several ways on one line: those in use, then those that can't be, each with its reason. Empty where there is
/// nothing to be said.
#[must_use]
pub fn told(reports: &[TierReport]) -> String {
    let used = reports.iter().filter(|report| report.used);
    let used: Vec<&str> = used.map(|report| report.name.as_str()).collect();
    let refused = reports.iter().filter(|report| !report.works());
    let refused = refused.map(|report| {
        let reason = report.reason.as_deref().unwrap_or_default();
        format!("not {}: {reason}", report.name)
    });
    let by = (!used.is_empty()).then(|| format!("by {}", used.join(", ")));
    let parts: Vec<String> = by.into_iter().chain(refused).collect();
    parts.join("; ")
}

/// Tries all ways, those that do the same with the best first: to look at all processes, to hear of what happens to
/// them, to list sockets, to hear of their ends and whose they were, to hear of what happens to files. It takes some 100 ms where eBPF may
/// be loaded.
#[must_use]
pub fn tiers() -> Vec<TierReport> {
    platform::tiers()
}

/// Reports on ways that do the same, the best first: the first that can be had is used.
pub(crate) fn of_alternatives<'a>(
    tried: impl IntoIterator<Item = (&'a str, Result<(), String>)>,
) -> Vec<TierReport> {
    let mut is_found = false;
    let report = |(name, opened): (&str, Result<(), String>)| {
        let used = opened.is_ok() && !is_found;
        is_found |= opened.is_ok();
        let not_needed = (!used).then(|| NOT_NEEDED.to_owned());
        TierReport::of(name, opened.err().or(not_needed))
    };
    tried.into_iter().map(report).collect()
}

/// What a source last said of its ways.
#[cfg(target_os = "linux")]
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Vec<TierReport>>);

#[cfg(target_os = "linux")]
impl Known {
    pub(crate) fn set(&self, reports: Vec<TierReport>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reports;
    }

    pub(crate) fn get(&self) -> Vec<TierReport> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(target_os = "linux")]
mod platform {
    use super::TierReport;
    use crate::{filesystem, network, process};

    pub(super) fn tiers() -> Vec<TierReport> {
        let mut reports = process::try_all();
        reports.extend(network::try_all());
        reports.extend(filesystem::try_all());
        reports
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use super::{TierReport, of_alternatives};

    pub(super) fn tiers() -> Vec<TierReport> {
        let opened = sysinfo::System::new();
        let opened = opened.map(drop).map_err(|error| error.to_string());
        of_alternatives([("sysinfo", opened)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_can_be_had_is_used_and_all_others_say_why_not() {
        let check =
            |tried: &[Result<(), String>], expected: &[(bool, Option<&str>)], line: &str| {
                let found = of_alternatives(tried.iter().map(|tried| ("x", tried.clone())));
                assert_eq!(told(&found), line);
                let found: Vec<_> = found
                    .iter()
                    .map(|report| (report.used, report.reason.as_deref()))
                    .collect();
                assert_eq!(found, expected);
            };
        let no = || Err("no".to_owned());
        check(&[], &[], "");
        check(
            &[no(), no()],
            &[(false, Some("no")), (false, Some("no"))],
            "not x: no; not x: no",
        );
        check(
            &[no(), Ok(())],
            &[(false, Some("no")), (true, None)],
            "by x; not x: no",
        );
        check(
            &[Ok(()), Ok(()), no()],
            &[(true, None), (false, Some(NOT_NEEDED)), (false, Some("no"))],
            "by x; not x: no",
        );
    }

    /// `make tiers` prints what this says.
    #[cfg(target_os = "linux")]
    #[test]
    fn this_host_has_ways_and_as_root_all_of_them_work() {
        let reports = tiers();
        for report in &reports {
            let state = match (&report.reason, report.works()) {
                (None, _) => "in use",
                (Some(_), true) => "works",
                (Some(reason), false) => reason,
            };
            println!("tier {}: {state}", report.name);
        }
        assert!(reports.iter().any(|report| report.used));
        for report in &reports {
            assert_eq!(report.used, report.reason.is_none());
            assert!(
                report.works() || !rustix::process::geteuid().is_root(),
                "{report:?}"
            );
        }
        let names: Vec<&str> = reports.iter().map(|report| report.name.as_str()).collect();
        let expected = [
            "eBPF task iterator",
            "taskstats and /proc",
            "/proc",
            "eBPF exec, fork and exit",
            "proc connector",
            "sock_diag with tcp_info",
            "notices of sockets that end",
            "eBPF owners of short connections",
            "eBPF iterator over open files",
            "fanotify",
            "inotify",
        ];
        assert_eq!(names, expected);
    }
}
