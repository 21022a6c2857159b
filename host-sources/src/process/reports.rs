//! Which ways to look at processes this host allows, and why not the others: for the first words of the
//! daemon, and for tests to print.

/// A way to look at processes, or to hear of what happens to them.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TierReport {
    /// Its name, for a person.
    pub name: String,
    /// Whether it is the one that is used for what it is for.
    pub used: bool,
    /// Why it isn't, in words that a person can act on; none if it is.
    pub reason: Option<String>,
}

/// Tries all ways, the best first: those to look at all processes, then those to hear of what happens to
/// them. It takes some 100 ms where eBPF may be loaded.
#[must_use]
pub fn tiers() -> Vec<TierReport> {
    platform::tiers()
}

#[cfg(target_os = "linux")]
mod platform {
    use super::TierReport;
    use crate::process::events::{Feed, FeedName};
    use crate::process::proc_root::ProcRoot;
    use crate::process::tier::{Tier, TierName};

    /// What is said of a way that would do, where a better one does.
    const NOT_NEEDED: &str = "not needed: a better one is there";

    pub(super) fn tiers() -> Vec<TierReport> {
        let root = ProcRoot::default();
        let looks = TierName::ALL.map(|name| {
            let opened = Tier::open(name, &root).map(drop);
            (name.as_str(), opened.map_err(|error| error.to_string()))
        });
        let feeds = FeedName::ALL.map(|name| (name.as_str(), Feed::open(name).map(drop)));
        let mut reports = reports(&looks);
        reports.extend(self::reports(&feeds));
        reports
    }

    fn reports(tried: &[(&str, Result<(), String>)]) -> Vec<TierReport> {
        let mut is_found = false;
        let report = |(name, opened): &(&str, Result<(), String>)| {
            let used = opened.is_ok() && !is_found;
            is_found |= opened.is_ok();
            TierReport {
                name: (*name).to_owned(),
                used,
                reason: match opened {
                    Err(reason) => Some(reason.clone()),
                    Ok(()) => (!used).then(|| NOT_NEEDED.to_owned()),
                },
            }
        };
        tried.iter().map(report).collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_first_that_can_be_had_is_used_and_all_others_say_why_not() {
            let check = |tried: &[Result<(), String>], expected: &[(bool, Option<&str>)]| {
                let tried: Vec<_> = tried.iter().map(|tried| ("x", tried.clone())).collect();
                let found = reports(&tried);
                let found: Vec<_> = found
                    .iter()
                    .map(|report| (report.used, report.reason.as_deref()))
                    .collect();
                assert_eq!(found, expected);
            };
            let no = || Err("no".to_owned());
            check(&[no(), no()], &[(false, Some("no")), (false, Some("no"))]);
            check(&[no(), Ok(())], &[(false, Some("no")), (true, None)]);
            check(
                &[Ok(()), Ok(()), no()],
                &[(true, None), (false, Some(NOT_NEEDED)), (false, Some("no"))],
            );
        }

        #[test]
        fn this_host_has_a_way_to_look_and_as_root_all_of_them() {
            let reports = crate::process::tiers();
            for report in &reports {
                println!("{report:?}");
            }
            assert!(reports.iter().any(|report| report.used));
            for report in &reports {
                assert_eq!(report.used, report.reason.is_none());
                let works = report.used || report.reason.as_deref() == Some(NOT_NEEDED);
                assert!(works || !rustix::process::geteuid().is_root(), "{report:?}");
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use super::TierReport;

    pub(super) fn tiers() -> Vec<TierReport> {
        let opened = sysinfo::System::new();
        vec![TierReport {
            name: "sysinfo".to_owned(),
            used: opened.is_ok(),
            reason: opened.err().map(|error| error.to_string()),
        }]
    }
}
