//! Findings, good ones and others.

use weir_guest::{Batch, EvalError, Finding, Severity, host};

/// The counter that `init` asked for.
const CALLS: u32 = 0;

fn finding(subject: String, evidence: Vec<(String, String)>) -> Finding {
    Finding {
        severity: Severity::Info,
        title: "seen".to_owned(),
        subject,
        evidence,
    }
}

/// A good one: a finding for each row, with its name.
pub(crate) fn find(event: &Batch<'_>, _: u64) -> Result<Vec<Finding>, EvalError> {
    (0..event.rows())
        .map(|row| {
            let row = event.row(row)?;
            let name = host::text(&row, "name").unwrap_or("?");
            Ok(finding(name.to_owned(), Vec::new()))
        })
        .collect()
}

/// A good one that counts its calls, too.
pub(crate) fn count(event: &Batch<'_>, _: u64) -> Result<Vec<Finding>, EvalError> {
    host::count(CALLS, 1);
    find(event, 0)
}

/// Counts, and traps: the counter must stay as it was.
pub(crate) fn count_then_trap(_: &Batch<'_>, _: u64) -> Result<Vec<Finding>, EvalError> {
    host::count(CALLS, 1);
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    Ok(Vec::new())
}

/// Adds to a counter that `init` didn't ask for.
pub(crate) fn unknown_counter(event: &Batch<'_>, _: u64) -> Result<Vec<Finding>, EvalError> {
    host::count(CALLS + 99, 1);
    find(event, 0)
}

/// Looks at a process that isn't there, `amount` times.
pub(crate) fn inspect_often(event: &Batch<'_>, amount: u64) -> Result<Vec<Finding>, EvalError> {
    let seen = (0..amount)
        .filter(|_| host::process(u32::MAX, 0).is_some())
        .count();
    host::info(format_args!("seen {seen}"));
    find(event, 0)
}

/// Has the host look at what there isn't, at what has no end, and at one file that there is.
pub(crate) fn look_absurd(event: &Batch<'_>, _: u64) -> Result<Vec<Finding>, EvalError> {
    let long = format!("/{}", "x".repeat(1 << 16));
    let paths = [
        "",
        "a",
        "/a\0b",
        "/proc/self/mem",
        "/proc/kmsg",
        "/dev/zero",
        "/dev/tty",
        "/",
        "/../../x",
        &long,
        "/proc/self/exe",
    ];
    let hashed = paths.iter().filter(|path| host::file_hash(path).is_ok());
    let hashed = hashed.count();
    let times = [i64::MIN, -1, 0, i64::MAX];
    let told = times
        .iter()
        .flat_map(|time| [(1, *time), (0, *time), (u32::MAX, *time)]);
    let told = told.filter(|(pid, time)| host::details(*pid, *time).is_ok());
    host::info(format_args!(
        "hashed {hashed} of {}, told {}",
        paths.len(),
        told.count()
    ));
    find(event, 0)
}

/// Has the host look at a file that isn't there, `amount` times.
pub(crate) fn look_often(event: &Batch<'_>, amount: u64) -> Result<Vec<Finding>, EvalError> {
    let hashed = (0..amount)
        .filter(|_| host::file_hash("/nothing/at/all").is_ok())
        .count();
    host::info(format_args!("hashed {hashed}"));
    find(event, 0)
}

/// `amount` findings.
pub(crate) fn too_many(_: &Batch<'_>, amount: u64) -> Result<Vec<Finding>, EvalError> {
    Ok((0..amount)
        .map(|number| finding(number.to_string(), Vec::new()))
        .collect())
}

/// Evidence of `amount` bytes.
pub(crate) fn huge_evidence(_: &Batch<'_>, amount: u64) -> Result<Vec<Finding>, EvalError> {
    let text = "x".repeat(usize::try_from(amount).unwrap_or(usize::MAX));
    Ok(vec![finding(
        "huge".to_owned(),
        vec![("text".to_owned(), text)],
    )])
}

/// Counts as far as there are numbers, twice a call.
pub(crate) fn count_too_far(event: &Batch<'_>, _: u64) -> Result<Vec<Finding>, EvalError> {
    host::count(CALLS, u64::MAX);
    host::count(CALLS, u64::MAX);
    find(event, 0)
}

/// Asks for processes of times that never were, and that no clock can show.
pub(crate) fn inspect_absurd(event: &Batch<'_>, _: u64) -> Result<Vec<Finding>, EvalError> {
    let times = [i64::MIN, -1, 0, i64::MAX];
    let seen = times
        .iter()
        .filter(|time| host::process(u32::MAX, **time).is_some())
        .count();
    host::info(format_args!("seen {seen} of {}", times.len()));
    find(event, 0)
}

/// One finding, with `amount` small pieces of evidence.
pub(crate) fn much_evidence(_: &Batch<'_>, amount: u64) -> Result<Vec<Finding>, EvalError> {
    let evidence = (0..amount).map(|number| (number.to_string(), String::new()));
    Ok(vec![finding("much".to_owned(), evidence.collect())])
}
