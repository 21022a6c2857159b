//! `weir guest test`: a guest on recorded events, its verdicts beside the expected ones.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{
    Failure, Global, SlotArguments, grouped, logs, module_at, printable, project, sandbox,
};
use crate::authoring::{
    self, CallCosts, Difference, EventVerdict, Events, ExpectedError, ExpectedVerdicts,
    FaultReport, Report, Verdict, compare, read_expected, write_expected,
};
use crate::sandbox::Module;

/// Where a project has its events, and what is expected of them.
const EVENTS: &str = "tests/events.jsonl";
const EXPECTED: &str = "tests/expected.json";
/// The most rows of a batch, as `collector.batch_rows_max` allows them.
const BATCH_ROWS_MAX: u64 = 100_000;

#[derive(Args)]
pub(super) struct TestArguments {
    /// A project, which is built first, or a component; the folder that you are in where none is given.
    #[arg(value_name = "DIR|FILE")]
    guest: Option<PathBuf>,
    /// The events: lines of JSON, or a recording (.arrow). A project has them in tests/events.jsonl.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// What is expected of them. A project has it in tests/expected.json.
    #[arg(long, value_name = "FILE")]
    expected: Option<PathBuf>,
    #[command(flatten)]
    slot: SlotArguments,
    /// Writes what came out as what is expected from now on.
    #[arg(long)]
    bless: bool,
    /// Rows of a batch; a recording's batches stay as they are.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=BATCH_ROWS_MAX))]
    batch_rows: u64,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What is on trial, and against what.
struct Case {
    module: Module,
    events: PathBuf,
    expected: Option<PathBuf>,
}

/// What a comparison came to.
#[derive(Serialize)]
struct Compared<'a> {
    /// The file.
    expected: &'a Path,
    /// None if the file was written now.
    as_expected: bool,
    blessed: bool,
    differences: Vec<Difference>,
}

/// All of it, as JSON.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    report: &'a Report,
    fuel_a_row: u64,
    ns_a_row: u64,
    comparison: Option<&'a Compared<'a>>,
}

pub(super) fn test(global: &Global, arguments: &TestArguments) -> Result<ExitCode, Failure> {
    let loaded = global.load()?;
    logs::start(&loaded.config.log)?;
    let slot = arguments.slot.slot(&loaded.config)?;
    let case = case(arguments, slot.limits.component_bytes_max)?;
    if arguments.bless && case.expected.is_none() {
        let text = "--bless has no file to write: name it with --expected FILE";
        return Err(Failure::Usage(text.to_owned()));
    }
    let batch_rows = usize::try_from(arguments.batch_rows).unwrap_or(usize::MAX);
    let events = Events::read(&case.events, batch_rows)?;
    let about = about(&events);
    let report = authoring::run(sandbox(&loaded.config)?, case.module, slot, events)?;
    let compared = case
        .expected
        .as_deref()
        .map(|path| settle(path, &report, arguments.bless))
        .transpose();
    // What the guest did is told first, whatever it is compared with.
    let known = compared.as_ref().ok().and_then(Option::as_ref);
    if arguments.json {
        print_json(&report, known)?;
    } else {
        print(&report, &about, &case.events, known);
    }
    let compared = compared?;
    let is_good = report.faults.is_empty()
        && compared.is_none_or(|compared| compared.as_expected || compared.blessed);
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn case(arguments: &TestArguments, component_bytes_max: usize) -> Result<Case, Failure> {
    let guest = project(arguments.guest.as_deref());
    if guest.is_dir() {
        let module = module_at(&authoring::build(&guest)?, component_bytes_max)?;
        let in_project = |named: &Option<PathBuf>, own: &str| {
            let own = Path::new(own);
            let found = || {
                if guest.as_os_str() == "." {
                    own.to_owned()
                } else {
                    guest.join(own)
                }
            };
            named.clone().unwrap_or_else(found)
        };
        return Ok(Case {
            module,
            events: in_project(&arguments.events, EVENTS),
            expected: Some(in_project(&arguments.expected, EXPECTED)),
        });
    }
    let module = module_at(&guest, component_bytes_max)?;
    let events = arguments.events.clone().ok_or_else(|| {
        Failure::Usage(format!(
            "{}: name its events with --events FILE",
            guest.display()
        ))
    })?;
    Ok(Case {
        module,
        events,
        expected: arguments.expected.clone(),
    })
}

/// Compares, or writes what is expected from now on.
fn settle<'a>(path: &'a Path, report: &Report, bless: bool) -> Result<Compared<'a>, Failure> {
    let has_faults = !report.faults.is_empty();
    let expected = match read_expected(path) {
        Ok(expected) => expected,
        // There is nothing yet, or what is there is to be written anew.
        Err(ExpectedError::Missing { .. } | ExpectedError::Malformed { .. })
            if bless && !has_faults =>
        {
            ExpectedVerdicts {
                world: String::new(),
                events: Vec::new(),
            }
        }
        Err(error) => return Err(error.into()),
    };
    let differences = compare(&expected.events, &report.events);
    let as_expected = differences.is_empty() && expected.world == report.world;
    // A guest that faults has given no verdict to expect.
    let blessed = bless && !has_faults;
    if blessed && !as_expected {
        let verdicts = ExpectedVerdicts {
            world: report.world.clone(),
            events: report.events.clone(),
        };
        write_expected(path, &verdicts)?;
    }
    Ok(Compared {
        expected: path,
        as_expected,
        blessed,
        differences,
    })
}

/// What each event is about, by number.
fn about(events: &Events) -> Vec<(u64, String)> {
    let mut about = Vec::with_capacity(events.rows);
    for (batch, numbers) in &events.batches {
        for (row, &number) in numbers.iter().enumerate() {
            let text = batch.row(row).map(|event| super::about::about(&event));
            about.push((number, text.unwrap_or_default()));
        }
    }
    about.sort_unstable_by_key(|(number, _)| *number);
    about
}

fn print_json(report: &Report, compared: Option<&Compared<'_>>) -> Result<(), Failure> {
    let told = Told {
        report,
        fuel_a_row: a_row(report.costs.fuel, &report.costs),
        ns_a_row: a_row(report.costs.time_ns, &report.costs),
        comparison: compared,
    };
    let text = serde_json::to_string(&told).map_err(anyhow::Error::from)?;
    println!("{text}");
    Ok(())
}

fn print(report: &Report, about: &[(u64, String)], events: &Path, compared: Option<&Compared<'_>>) {
    println!(
        "{} {}, a {}: {} of {}, in {}",
        printable(&report.name),
        printable(&report.version),
        report.world,
        counted(report.events.len() as u64, "event", "events"),
        events.display(),
        counted(report.batches as u64, "batch", "batches")
    );
    let blessed = compared.is_some_and(|compared| compared.blessed);
    let differences = compared.map_or(&[][..], |compared| &compared.differences);
    let mut differences = differences.iter().peekable();
    for (verdict, (_, about)) in report.events.iter().zip(about) {
        print_verdict(verdict, about);
        while let Some(one) = differences.next_if(|one| one.event <= verdict.event) {
            print_difference(one, blessed);
        }
    }
    for one in differences {
        print_difference(one, blessed);
    }
    for fault in &report.faults {
        print_fault(fault);
    }
    print_costs(&report.costs);
    for (name, amount) in &report.counters {
        println!("counter {}: {}", printable(name), grouped(*amount));
    }
    if let Some(compared) = compared {
        print_outcome(compared);
    }
}

fn counted(number: u64, one: &str, many: &str) -> String {
    let word = if number == 1 { one } else { many };
    format!("{} {word}", grouped(number))
}

fn print_verdict(verdict: &EventVerdict, about: &str) {
    let word = word_of(&verdict.verdict);
    println!("{:>6}  {word:<9}  {}", verdict.event, printable(about));
    for line in lines_of(&verdict.verdict) {
        println!("{:>19}{line}", "");
    }
}

fn print_difference(difference: &Difference, blessed: bool) {
    if difference.found.is_none() {
        println!("{:>6}  {:<9}", difference.event, "missing");
    }
    let was = if blessed { "was" } else { "expected" };
    match &difference.expected {
        // A first blessing: there was nothing that anybody could have expected.
        None if blessed => {}
        None => println!("{:>8}≠ {was} nothing", ""),
        Some(expected) => {
            println!("{:>8}≠ {was} {}", "", word_of(expected));
            for line in lines_of(expected) {
                println!("{:>19}{line}", "");
            }
        }
    }
}

const fn word_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Kept => "kept",
        Verdict::Removed => "removed",
        Verdict::NoMatch => "no match",
        Verdict::Match { firings, .. } if firings.is_empty() => "undecided",
        Verdict::Match { .. } => "match",
        Verdict::Findings { findings } if findings.is_empty() => "nothing",
        Verdict::Findings { .. } => "finding",
        Verdict::NotAsked => "not asked",
        Verdict::Rejected { .. } => "rejected",
        Verdict::Fault { .. } => "fault",
    }
}

fn lines_of(verdict: &Verdict) -> Vec<String> {
    match verdict {
        Verdict::Kept | Verdict::Removed | Verdict::NoMatch | Verdict::NotAsked => Vec::new(),
        Verdict::Match { firings, undecided } => {
            let fired = firings.iter().map(|one| match &one.message {
                Some(message) => format!("{}: {}", printable(&one.rule), printable(message)),
                None => printable(&one.rule),
            });
            let undecided = undecided.iter().map(|one| {
                let text = format!("{}: undecided: {}: {}", one.rule, one.part, one.reason);
                printable(&text)
            });
            fired.chain(undecided).collect()
        }
        Verdict::Findings { findings } => {
            let mut lines = Vec::new();
            for finding in findings {
                let head = format!(
                    "{}: {}: {}",
                    finding.severity, finding.subject, finding.title
                );
                lines.push(printable(&head));
                let evidence = finding.evidence.iter();
                lines.extend(evidence.map(|text| format!("  {}", printable(text))));
            }
            lines
        }
        Verdict::Rejected { reason } | Verdict::Fault { reason } => vec![printable(reason)],
    }
}

fn print_fault(report: &FaultReport) {
    let events = match report.events.as_slice() {
        [one] => format!("event {one}"),
        [first, .., last] => format!("{} events from {first} to {last}", report.events.len()),
        [] => "no event".to_owned(),
    };
    let fault = &report.fault;
    println!(
        "fault over {events}: {}: {}",
        fault.reason,
        printable(&fault.message)
    );
    for frame in &fault.backtrace {
        println!("    at {}", printable(frame));
    }
    for line in fault.stderr.lines() {
        println!("    stderr: {}", printable(line));
    }
}

const fn a_row(sum: u64, costs: &CallCosts) -> u64 {
    match sum.checked_div(costs.rows) {
        Some(each) => each,
        None => 0,
    }
}

fn print_costs(costs: &CallCosts) {
    println!(
        "{} over {}: {} fuel a row, {} ns a row; at most {} fuel and {} µs a call",
        counted(costs.calls, "call", "calls"),
        counted(costs.rows, "row", "rows"),
        grouped(a_row(costs.fuel, costs)),
        grouped(a_row(costs.time_ns, costs)),
        grouped(costs.fuel_call_max),
        grouped(costs.time_call_max_ns / 1_000)
    );
}

fn print_outcome(compared: &Compared<'_>) {
    let path = compared.expected.display();
    let differing = counted(compared.differences.len() as u64, "event", "events");
    if compared.as_expected {
        println!("as expected: {path}");
    } else if compared.blessed {
        println!("written: {path}; different from before: {differing}");
    } else {
        println!("not as expected: {differing} not as in {path}; if this is right: --bless");
    }
}
