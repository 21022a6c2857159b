//! The peer `native`: each condition as a closure over the typed Arrow columns, as one would write it by hand. No
//! sandbox, no limits, no unknowns that outlive the loop, and nothing shared between conditions.

use memchr::memmem::Finder;
use regex::Regex;
use weir_bus::event::ProcessColumns;

use super::conditions::Condition;

/// The rows that match, ascending.
pub(super) type Test = Box<dyn for<'a> Fn(&ProcessColumns<'a>) -> Vec<u32>>;

fn rows(says: impl Iterator<Item = bool>) -> Vec<u32> {
    let rows = (0_u32..).zip(says);
    rows.filter(|(_, is_match)| *is_match)
        .map(|(row, _)| row)
        .collect()
}

/// Prepares a condition: what can be compiled is.
pub(super) fn test(condition: &Condition) -> anyhow::Result<Test> {
    Ok(match condition.clone() {
        Condition::MemoryAbove(bytes) => Box::new(move |columns| {
            rows(
                columns
                    .memory_bytes
                    .iter()
                    .map(|found| found.is_some_and(|found| found > bytes)),
            )
        }),
        Condition::CpuFrom(percent) => Box::new(move |columns| {
            rows(
                columns
                    .cpu_usage
                    .iter()
                    .map(|found| found.is_some_and(|found| found >= percent)),
            )
        }),
        Condition::PidWithin(low, high) => Box::new(move |columns| {
            rows(
                columns
                    .pid
                    .values()
                    .iter()
                    .map(|found| (low..=high).contains(found)),
            )
        }),
        Condition::UserIs(user) => {
            Box::new(move |columns| rows(columns.user_id.iter().map(|found| found == Some(user))))
        }
        Condition::ExecutableStarts(folder) => {
            Box::new(move |columns| texts(columns.executable, |text| text.starts_with(folder)))
        }
        Condition::ParentEnds(end) => {
            Box::new(move |columns| texts(columns.parent_executable, |text| text.ends_with(end)))
        }
        Condition::CgroupLike(start, end) => Box::new(move |columns| {
            texts(columns.cgroup, |text| {
                text.strip_prefix(start)
                    .is_some_and(|rest| rest.ends_with(&end))
            })
        }),
        Condition::ExecutableMatches(expression) => {
            let expression = Regex::new(expression)?;
            Box::new(move |columns| texts(columns.executable, |text| expression.is_match(text)))
        }
        Condition::NameAmong(names) => {
            Box::new(move |columns| texts(columns.name, |text| names.contains(&text)))
        }
        Condition::GroupContains(part) => {
            let finder = Finder::new(part);
            Box::new(move |columns| {
                texts(columns.cgroup, |text| {
                    finder.find(text.as_bytes()).is_some()
                })
            })
        }
    })
}

fn texts(column: &arrow_array::StringArray, says: impl Fn(&str) -> bool) -> Vec<u32> {
    rows(column.iter().map(|text| text.is_some_and(&says)))
}
