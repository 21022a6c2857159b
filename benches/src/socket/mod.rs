//! The bus over its socket, beside nats-server, redis and a socket without any broker.
//!
//! Every broker, publisher and subscriber is a process of its own. The clients are this program
//! again ([`client`]), the same for every system and as lean as they can be, so that the brokers are
//! what is compared; [`side`] says what a system is to its clients, and each system has a file. A
//! message is 200 bytes ([`load`]), one row to ours. Publishers have them prebuilt and write 64 KiB
//! at a time; subscribers count. What is in flight is bounded past the systems' backs, for all alike
//! ([`credits`]), so that none has a reason to drop anything.
//!
//! [`process_rows`] is the other load: rows that are built at one end and decoded at the other.
//!
//! [`stalled`] is one subscriber that reads beside some that never do.
//!
//! A case begins with a run that looks at every payload and its order; a run that is timed counts
//! every row, and one too few or too many is an error.

mod broker;
mod carry;
mod cases;
mod client;
mod credits;
mod errand;
mod line;
mod load;
mod nats;
pub(crate) mod process;
mod process_rows;
mod raw;
mod redis;
mod run;
mod side;
mod stalled;
mod weir;

use std::ffi::OsStr;

use crate::measure::Effort;
use crate::report::Case;

pub(crate) use carry::carry;

/// The hidden verb of clients; their errand follows.
const CLIENT_VERB: &str = "socket-client";
/// The hidden verb of the launcher; what it is to become follows.
const LAUNCH_VERB: &str = "socket-launch";
/// Called by this name, this program is the daemon.
pub(crate) const DAEMON_NAME: &str = "weir";

/// Measures the suite.
pub(crate) fn run(effort: Effort) -> anyhow::Result<Vec<Case>> {
    cases::print_versions()?;
    cases::all(effort)
}

/// Does what the bench started this process for; none if a person started it.
pub(crate) fn hidden_verb(verb: &OsStr, argument: &OsStr) -> Option<anyhow::Result<()>> {
    match verb.to_str()? {
        CLIENT_VERB => Some(client::run(argument)),
        LAUNCH_VERB => Some(process::launch(argument)),
        _ => None,
    }
}
