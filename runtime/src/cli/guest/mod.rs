//! `weir guest`
use super::*;
#[derive(clap::Args)]
pub(super) struct GuestArguments {}
pub(super) fn guest(_: &Global, _: &GuestArguments) -> Result<ExitCode, Failure> {
    Ok(ExitCode::SUCCESS)
}
