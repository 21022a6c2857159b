//! `weir guest sign`: a signature of a component, in a file beside it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{COMPONENT_BYTES_CEILING, Failure};
use crate::sandbox::Module;
use crate::trust::{read_secret_key, write_signature};

#[derive(Args)]
pub(super) struct SignArguments {
    /// The component.
    file: PathBuf,
    /// The secret key's file, of `weir guest keygen`.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Another name for the key than its file says: what the configs call it.
    #[arg(long)]
    name: Option<String>,
}

pub(super) fn sign(arguments: &SignArguments) -> Result<ExitCode, Failure> {
    let mut key = read_secret_key(&arguments.key)?;
    if let Some(name) = &arguments.name {
        key = key.named(name)?;
    }
    // Only what is a component: nobody shall have signed something else by a slip.
    let module = Module::from_own_file(&arguments.file, COMPONENT_BYTES_CEILING)?;
    let path = write_signature(&arguments.file, &key.sign(&module.digest))?;
    println!("signed by  {} ({})", key.name(), key.public());
    println!("sha256     {}", module.digest);
    println!("signature  {}", path.display());
    Ok(ExitCode::SUCCESS)
}
