//! `weir config`: the config in force, with the origin of each value; `--init` writes a commented one, `--keys` the
//! tables of all keys.

use std::process::ExitCode;

use clap::Args;

use super::{Failure, Global};
use crate::config::{init_text, keys_page, render};

#[derive(Args)]
pub(super) struct ConfigArguments {
    /// Prints a commented config with every key, its range and its default.
    #[arg(long)]
    init: bool,
    /// Prints every key with its default and range, as tables in Markdown.
    #[arg(long, conflicts_with = "init")]
    keys: bool,
    /// Prints JSON.
    #[arg(long, conflicts_with_all = ["init", "keys"])]
    json: bool,
}

pub(super) fn config(global: &Global, arguments: &ConfigArguments) -> Result<ExitCode, Failure> {
    if arguments.init {
        print!("{}", init_text());
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.keys {
        print!("{}", keys_page());
        return Ok(ExitCode::SUCCESS);
    }
    let loaded = global.load()?;
    if arguments.json {
        println!("{}", loaded.provenance.to_json());
    } else {
        print!("{}", render(&loaded.provenance));
    }
    Ok(ExitCode::SUCCESS)
}
