//! Expected verdicts: read, compared event by event, and written where the author blesses them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::verdict::{EventVerdict, ExpectedVerdicts, Verdict};

/// The most bytes of a file of expected verdicts.
const EXPECTED_BYTES_MAX: u64 = 512 << 20;

/// What goes wrong with a file of expected verdicts.
#[derive(Debug, thiserror::Error)]
pub enum ExpectedError {
    /// It isn't there.
    #[error("{path} isn't there: look at the verdicts, and if they are right, write them with --bless", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It can't be read or written.
    #[error("expected verdicts {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds something else.
    #[error("expected verdicts {path}: {message}; write them anew with --bless", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

/// An event whose verdict isn't the expected one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// The event's number.
    pub event: u64,
    /// What was expected; none if nothing was said of that event.
    pub expected: Option<Verdict>,
    /// What the guest said; none if there is no such event.
    pub found: Option<Verdict>,
}

/// Reads expected verdicts.
///
/// # Errors
/// If the file isn't there, can't be read, or holds something else.
pub fn read_expected(path: &Path) -> Result<ExpectedVerdicts, ExpectedError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => ExpectedError::Missing {
            path: path.to_owned(),
        },
        _ => ExpectedError::Io {
            path: path.to_owned(),
            source,
        },
    };
    let malformed = |message| ExpectedError::Malformed {
        path: path.to_owned(),
        message,
    };
    let bytes = fs::metadata(path).map_err(failed)?.len();
    if bytes > EXPECTED_BYTES_MAX {
        return Err(malformed(format!(
            "{bytes} bytes, and it may have {EXPECTED_BYTES_MAX}"
        )));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))
}

/// The events whose verdicts differ, in the order of their numbers.
#[must_use]
pub fn compare(expected: &[EventVerdict], found: &[EventVerdict]) -> Vec<Difference> {
    let mut pairs: BTreeMap<u64, (Option<&Verdict>, Option<&Verdict>)> = BTreeMap::new();
    for one in expected {
        pairs.entry(one.event).or_default().0 = Some(&one.verdict);
    }
    for one in found {
        pairs.entry(one.event).or_default().1 = Some(&one.verdict);
    }
    pairs
        .into_iter()
        .filter(|(_, (expected, found))| expected != found)
        .map(|(event, (expected, found))| Difference {
            event,
            expected: expected.cloned(),
            found: found.cloned(),
        })
        .collect()
}

/// Writes expected verdicts, a line an event, so that a change of one is a change of one line.
///
/// # Errors
/// If the file can't be written.
pub fn write_expected(path: &Path, verdicts: &ExpectedVerdicts) -> Result<(), ExpectedError> {
    let failed = |source| ExpectedError::Io {
        path: path.to_owned(),
        source,
    };
    let text = text_of(verdicts).map_err(|error| failed(error.into()))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, text).map_err(failed)
}

fn text_of(verdicts: &ExpectedVerdicts) -> Result<String, serde_json::Error> {
    let world = serde_json::to_string(&verdicts.world)?;
    let lines: Vec<String> = verdicts
        .events
        .iter()
        .map(|event| Ok(format!("    {}", serde_json::to_string(event)?)))
        .collect::<Result<_, serde_json::Error>>()?;
    Ok(format!(
        "{{\n  \"world\": {world},\n  \"events\": [\n{}\n  ]\n}}\n",
        lines.join(",\n")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authoring::verdict::{FindingText, NamedFiring};

    fn kept(event: u64) -> EventVerdict {
        EventVerdict {
            event,
            verdict: Verdict::Kept,
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let verdicts = ExpectedVerdicts {
            world: "trigger".to_owned(),
            events: vec![
                kept(1),
                EventVerdict {
                    event: 2,
                    verdict: Verdict::Match {
                        firings: vec![NamedFiring {
                            rule: "r".to_owned(),
                            message: Some("two\nlines".to_owned()),
                        }],
                        undecided: Vec::new(),
                    },
                },
                EventVerdict {
                    event: 3,
                    verdict: Verdict::Findings {
                        findings: vec![FindingText {
                            severity: "low".to_owned(),
                            title: "t".to_owned(),
                            subject: "s".to_owned(),
                            evidence: vec!["k=v".to_owned()],
                        }],
                    },
                },
            ],
        };
        let text = text_of(&verdicts).expect("JSON");
        assert_eq!(text.lines().count(), 3 + verdicts.events.len() + 2);
        let read: ExpectedVerdicts = serde_json::from_str(&text).expect("what was written");
        assert_eq!(read, verdicts);
    }

    #[test]
    fn a_difference_is_told_by_its_event() {
        let removed = EventVerdict {
            event: 2,
            verdict: Verdict::Removed,
        };
        let differences = compare(&[kept(1), kept(2), kept(3)], &[kept(1), removed, kept(4)]);
        let told: Vec<_> = differences
            .iter()
            .map(|one| (one.event, one.expected.is_some(), one.found.is_some()))
            .collect();
        assert_eq!(told, [(2, true, true), (3, true, false), (4, false, true)]);
    }
}
