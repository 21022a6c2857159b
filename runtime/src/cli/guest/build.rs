//! `weir guest build`: from a project to a component that the daemon would load.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{Failure, component_bytes_max, grouped, module_at, project, shape_of};
use crate::authoring;

#[derive(Args)]
pub(super) struct BuildArguments {
    /// The project; the folder that you are in where none is given.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub(super) fn build(arguments: &BuildArguments) -> Result<ExitCode, Failure> {
    let folder = project(arguments.folder.as_deref());
    let path = authoring::build(&folder)?;
    let module = module_at(&path, component_bytes_max())?;
    let shape = shape_of(&module).map_err(|error| not_a_guest(&path, &error))?;
    println!("component  {}", path.display());
    println!("world      {}", shape.world);
    println!("size       {} bytes", grouped(module.bytes.len() as u64));
    println!("sha256     {}", module.digest);
    Ok(ExitCode::SUCCESS)
}

fn not_a_guest(path: &Path, error: &impl std::fmt::Display) -> Failure {
    Failure::Usage(format!("{}: {error}", path.display()))
}
