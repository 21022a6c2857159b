//! `weir guest keygen`: a key to sign guests with. The secret half goes into a file for its owner alone, the
//! public half to stdout, as configs take it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use crate::trust::{SecretKey, write_secret_key};

#[derive(Args)]
pub(super) struct KeygenArguments {
    /// What configs call the key, and signatures say they are by.
    #[arg(long, default_value = "guests")]
    name: String,
    /// The file of the secret key; NAME.key where none is given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replaces the file. What a lost key signed can't be told from what a new one didn't.
    #[arg(long)]
    force: bool,
}

pub(super) fn keygen(arguments: &KeygenArguments) -> Result<ExitCode, Failure> {
    let key = SecretKey::generate(&arguments.name)?;
    let named = || PathBuf::from(format!("{}.key", key.name()));
    let path = arguments.out.clone().unwrap_or_else(named);
    write_secret_key(&path, &key, arguments.force)?;
    println!(
        "# The secret key is in {}. The config of every daemon that shall trust it:",
        path.display()
    );
    println!("[trust.keys.{}]", key.name());
    println!("ed25519 = \"{}\"", key.public());
    Ok(ExitCode::SUCCESS)
}
