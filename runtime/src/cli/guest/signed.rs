//! What there is to say of a component's signature, to whoever has the component and a config at hand.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use super::Failure;
use crate::sandbox::Module;
use crate::trust::{Claim, PublicKey, Signature, Trust, signature_beside};

/// How a signature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// There is none.
    None,
    /// A known key has signed the component.
    Verified,
    /// It says it is by a name that isn't in the config: whether it is right can't be said.
    Unknown,
    /// It isn't what it says.
    Wrong,
}

/// A component's signature.
#[derive(Debug, Serialize)]
pub(super) struct Signed {
    pub(super) state: State,
    /// The name that it says it is by.
    pub(super) signed_by: Option<String>,
    /// The key that it says it is by.
    pub(super) key: Option<PublicKey>,
    /// Where it is, or would be.
    pub(super) file: String,
    /// What is wrong, where something is.
    pub(super) problem: Option<String>,
}

impl Signed {
    /// Looks at the file beside a component's.
    pub(super) fn beside(path: &Path, module: &Module, trust: &Trust) -> Result<Self, Failure> {
        let (file, text) = signature_beside(path)?;
        let file = file.display().to_string();
        let claimed = text.as_deref().map(Signature::parse).and_then(Result::ok);
        let claim = Claim {
            module: &module.name,
            digest: &module.digest,
            file: &file,
            signature: text.as_deref(),
        };
        // What must be signed is the daemon's question; here it is what is so.
        let asked = Trust {
            required: false,
            keys: trust.keys.clone(),
        };
        let (state, problem) = match asked.judge(&claim, &BTreeSet::new()) {
            Err(error) => (State::Wrong, Some(error.to_string())),
            Ok(Some(_)) => (State::Verified, None),
            Ok(None) if text.is_some() => (State::Unknown, None),
            Ok(None) => (State::None, None),
        };
        Ok(Self {
            state,
            signed_by: claimed.as_ref().map(|one| one.signer().to_owned()),
            key: claimed.as_ref().map(Signature::key),
            file,
            problem,
        })
    }

    /// Of a component that is part of the program.
    pub(super) fn built_in() -> Self {
        Self {
            state: State::None,
            signed_by: None,
            key: None,
            file: String::new(),
            problem: None,
        }
    }

    /// Who it says it is by, with the key.
    pub(super) fn claimed(&self) -> String {
        match (&self.signed_by, &self.key) {
            (Some(signer), Some(key)) => format!("{signer} ({key})"),
            _ => "nobody".to_owned(),
        }
    }

    /// In a few words.
    pub(super) fn told(&self) -> String {
        match (self.state, &self.problem) {
            (State::None, _) => "none".to_owned(),
            (State::Verified, _) => format!("by {}, verified", self.claimed()),
            (State::Unknown, _) => format!("by {}, which trust.keys doesn't have", self.claimed()),
            (State::Wrong, problem) => {
                format!("wrong: {}", problem.as_deref().unwrap_or_default())
            }
        }
    }
}
