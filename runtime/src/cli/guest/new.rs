//! `weir guest new`: a project that stands alone.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::Failure;
use crate::authoring::{ProjectName, create};
use crate::sandbox::World;

#[derive(Clone, Copy, ValueEnum)]
enum WorldArgument {
    /// Says which rows go on.
    Filter,
    /// Says which rows fire.
    Trigger,
    /// Says what a firing means.
    Stage,
}

impl From<WorldArgument> for World {
    fn from(world: WorldArgument) -> Self {
        match world {
            WorldArgument::Filter => Self::Filter,
            WorldArgument::Trigger => Self::Trigger,
            WorldArgument::Stage => Self::Stage,
        }
    }
}

#[derive(Args)]
pub(super) struct NewArguments {
    /// What the guest is called: a to z, 0 to 9, - and _.
    name: ProjectName,
    /// What it is for.
    #[arg(long, value_enum)]
    world: WorldArgument,
    /// The folder to make; one of the guest's name where none is given.
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
}

pub(super) fn new(arguments: &NewArguments) -> Result<ExitCode, Failure> {
    let named = || PathBuf::from(arguments.name.as_str());
    let path = arguments.path.clone().unwrap_or_else(named);
    let world = World::from(arguments.world);
    create(&arguments.name, world, &path)?;
    let shown = path.display();
    println!("{} is a new {world}, in {shown}:", arguments.name);
    println!("  weir guest build {shown}");
    println!("  weir guest test {shown}");
    Ok(ExitCode::SUCCESS)
}
