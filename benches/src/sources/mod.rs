//! What reads the machine, beside what one would read it with: processes, sockets, and the daemon as a whole.
//!
//! Ours is the source itself, run as the daemon runs it ([`ours`]): there is no second path. What a look costs is
//! what the source's own schedule charges it for, from the look's beginning until its last row is a column. Peers
//! are asked for the same fields and build no rows. All figures of looks are CPU time, so that a busy machine
//! changes them little: of the thread, or of the whole process where a peer is a program.
//!
//! [`snapshot`] is all processes at once, [`sockets`] all sockets, [`short`] what lives too short for a look,
//! [`daemon`] the daemon at its defaults. The invariant: before anything is timed, ours and its peers have
//! shown the same processes, or sockets; and a way that this host refuses is a line that says why.

mod crowd;
mod daemon;
mod ours;
mod program;
mod rows;
mod short;
mod snapshot;
mod sockets;

use std::ffi::OsStr;
use std::time::Duration;

use crate::measure::Effort;
use crate::report::Case;

/// Longer than anything here takes on the busiest machine: reaching it is an error.
const PATIENCE: Duration = Duration::from_secs(60);

/// The hidden verb of processes that hold sockets; what they are to hold follows.
const HOLD_VERB: &str = "sources-hold";
/// The hidden verb of the launcher of a daemon; how it is to run follows.
const DAEMON_VERB: &str = "sources-daemon";

/// Measures the suite.
pub(crate) fn run(effort: Effort) -> anyhow::Result<Vec<Case>> {
    let mut cases = snapshot::run(effort)?;
    cases.extend(sockets::run(effort)?);
    cases.extend(short::run(effort)?);
    cases.extend(daemon::run(effort)?);
    Ok(cases)
}

/// Does what the bench started this process for; none if a person started it.
pub(crate) fn hidden_verb(verb: &OsStr, argument: &OsStr) -> Option<anyhow::Result<()>> {
    match verb.to_str()? {
        HOLD_VERB => Some(sockets::hold(argument)),
        DAEMON_VERB => Some(daemon::launch(argument)),
        _ => None,
    }
}
