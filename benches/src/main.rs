//! Every figure that the texts quote, measured beside its peers in one run.
//!
//! A suite is a file: [`crossing`] (into the sandbox and back), [`bus`] (publish to receive),
//! [`end_to_end`] (source to sink), [`swap`] (guests change places), [`isolation`] (a guest beside those that
//! burn), [`sql`] (conditions over columns), [`socket`] (publish to receive over the socket), [`sources`] (what reads
//! the machine). It promises nothing and decides nothing; who reads the lines does. The invariant: a case is only
//! reported after it has shown that ours and its peer came to the same result, a peer that is missing is an error,
//! never a missing line, and what the host refuses is a line that says why.

mod bus;
mod cost;
mod crossing;
mod end_to_end;
mod guests;
mod isolation;
mod live;
mod measure;
mod pace;
mod replaced;
mod report;
mod rows;
mod socket;
mod sources;
mod sql;
mod swap;

use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::{Parser, ValueEnum};

use measure::Effort;
use report::{Case, Layout};

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// A call into the sandbox, beside a native loop and a list of records.
    Crossing,
    /// The bus, beside a crossbeam channel, and beside the bus that it replaces.
    Bus,
    /// From a source's rows to a sink, ten rules on the way.
    EndToEnd,
    /// Guests that change places under load.
    Swap,
    /// A guest beside others that burn what they get.
    Isolation,
    /// Conditions in the sandbox, beside native closures and SQLite.
    Sql,
    /// The bus over its socket, beside nats-server and redis.
    Socket,
    /// What reads the machine, beside sysinfo, procfs, ps and ss; and the daemon on a full host.
    Sources,
    /// All of them.
    All,
}

/// Measures Weir beside its peers, in interleaved pairs, and quotes the medians.
#[derive(Parser)]
#[command(name = "weir-bench", max_term_width = 100)]
struct Arguments {
    /// What to measure.
    #[arg(value_enum)]
    suite: Suite,
    /// A line of JSON a case, instead of a table.
    #[arg(long)]
    json: bool,
    /// How often ours and its peer take turns.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=999))]
    pairs: u16,
    /// A tenth of the work in each turn: to see that it works, not to quote.
    #[arg(long)]
    quick: bool,
    /// Only cases with this in their name.
    #[arg(long, value_name = "SUBSTRING")]
    case: Option<String>,
}

type Measure = fn(Effort) -> anyhow::Result<Vec<Case>>;

/// End to end comes first: resident memory is of the whole process, and the peer of `crossing`
/// compiles in it.
const SUITES: [(Suite, &str, Measure); 8] = [
    (Suite::EndToEnd, "end-to-end", end_to_end::run),
    (Suite::Swap, "swap", swap::run),
    (Suite::Isolation, "isolation", isolation::run),
    (Suite::Bus, "bus", bus::run),
    (Suite::Crossing, "crossing", crossing::run),
    (Suite::Sql, "sql", sql::run),
    (Suite::Socket, "socket", socket::run),
    (Suite::Sources, "sources", sources::run),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let verb = arguments.next().unwrap_or_default();
    // The broker that the suite `socket` measures is built with it, and never an older one.
    if name == socket::DAEMON_NAME {
        return weir::cli::main();
    }
    // This program is its own sandbox's compiler, as the daemon is.
    if verb == "compile-guest" {
        return weir::sandbox::compile_child_main();
    }
    let argument = arguments.next().unwrap_or_default();
    let hidden = socket::hidden_verb(&verb, &argument)
        .or_else(|| replaced::hidden_verb(&verb, &argument))
        .or_else(|| sources::hidden_verb(&verb, &argument));
    match hidden.unwrap_or_else(|| run(Arguments::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let effort = Effort {
        pairs: usize::from(arguments.pairs),
        is_quick: arguments.quick,
        // Asked for everywhere, until the end.
        only: arguments.case.map(|case| &*case.leak()),
    };
    let layout = if arguments.json {
        Layout::Json
    } else {
        Layout::Table
    };
    let mut is_nothing = true;
    for (suite, name, measure) in SUITES {
        if arguments.suite != suite && arguments.suite != Suite::All {
            continue;
        }
        let mut cases = measure(effort).with_context(|| format!("suite {name}"))?;
        cases.retain(|case| effort.wants(case.name()));
        if !cases.is_empty() {
            report::print(layout, name, &cases)?;
            is_nothing = false;
        }
    }
    if let Some(only) = effort.only {
        ensure!(!is_nothing, "no case has {only:?} in its name");
    }
    Ok(())
}
