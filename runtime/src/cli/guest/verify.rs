//! `weir guest verify`: who signed a component, and whether it is what they signed. Exit code 1 where it isn't,
//! or nobody did who is known.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::signed::{Signed, State};
use super::{COMPONENT_BYTES_CEILING, Failure, Global};
use crate::sandbox::Module;
use crate::trust::{PublicKey, Trust};

#[derive(Args)]
pub(super) struct VerifyArguments {
    /// The component; its signature is beside it.
    file: PathBuf,
    /// The public key that must have signed it, whatever name the signature says. Without one it is the keys of
    /// the config.
    #[arg(long, value_name = "PUBLIC")]
    key: Option<String>,
}

pub(super) fn verify(global: &Global, arguments: &VerifyArguments) -> Result<ExitCode, Failure> {
    let module = Module::from_own_file(&arguments.file, COMPONENT_BYTES_CEILING)?;
    let signed = match &arguments.key {
        Some(key) => with_key(arguments, &module, key)?,
        None => Signed::beside(&arguments.file, &module, &of_config(global)?)?,
    };
    let name = &module.name;
    let why = match signed.state {
        State::Verified => {
            println!("{name} is signed by {}", signed.claimed());
            println!("sha256 {}", module.digest);
            return Ok(ExitCode::SUCCESS);
        }
        State::None => format!("{name} isn't signed: there is no {}", signed.file),
        State::Unknown => format!(
            "{name} is signed by {}, which trust.keys doesn't have",
            signed.claimed()
        ),
        State::Wrong => signed.problem.unwrap_or_default(),
    };
    Err(Failure::Failed(anyhow::Error::msg(why)))
}

/// The signature as that key has it, by whatever name it says it is.
fn with_key(arguments: &VerifyArguments, module: &Module, key: &str) -> Result<Signed, Failure> {
    let key: PublicKey = key
        .parse()
        .map_err(|error| Failure::Usage(format!("--key {key}: {error}")))?;
    let mut trust = Trust::default();
    let claimed = Signed::beside(&arguments.file, module, &trust)?;
    let Some(signer) = claimed.signed_by.clone() else {
        return Ok(claimed);
    };
    if claimed.key != Some(key) {
        let text = format!(
            "{} is signed by {}, and not with the key {key}",
            module.name,
            claimed.claimed()
        );
        return Err(Failure::Failed(anyhow::Error::msg(text)));
    }
    trust.keys.insert(signer, key);
    Signed::beside(&arguments.file, module, &trust)
}

/// Trust in the keys of the config.
fn of_config(global: &Global) -> Result<Trust, Failure> {
    let trust = Trust::from(&global.load()?.config.trust);
    if trust.keys.is_empty() {
        return Err(Failure::Usage(
            "there is no key to verify with: give --key PUBLIC, or a config with [trust.keys.NAME]"
                .to_owned(),
        ));
    }
    Ok(trust)
}
