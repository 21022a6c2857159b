//! Trust in modules: who signed one, and whether that is enough to run it. Alone knows ed25519.
//!
//! Knows no folder that modules come from and runs nothing: it is given a module's digest and the text of
//! its signature, and says who signed it, or why it is refused. A signature says who answers for these
//! bytes. It doesn't say which slot they are for, and not that they are the newest: that is what a pin is for.
//!
//! Invariant: whoever is named as signer is a key of the config that has signed this very digest.

mod error;
mod files;
mod key;
mod signature;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use error::TrustError;
pub use files::{
    KeyFileError, SIGNATURE_ENDING, read_secret_key, signature_beside, write_secret_key,
    write_signature,
};
pub use key::{KeyError, PublicKey, SecretKey, SecretKeyError};
pub use signature::{SIGNATURE_BYTES_MAX, Signature, SignatureError};

use crate::config::TrustSettings;
use crate::digest::Digest;

/// Whom a daemon trusts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trust {
    /// Whether every module that isn't built in must be signed.
    pub required: bool,
    /// The keys by name.
    pub keys: BTreeMap<String, PublicKey>,
}

impl From<&TrustSettings> for Trust {
    fn from(settings: &TrustSettings) -> Self {
        let keys = settings.keys.iter();
        Self {
            required: settings.required,
            keys: keys
                .map(|(name, key)| (name.clone(), key.ed25519))
                .collect(),
        }
    }
}

/// A module whose signature is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// As the config names it.
    pub module: &'a str,
    /// Of the bytes that will be run.
    pub digest: &'a Digest,
    /// Where its signature is, or would be.
    pub file: &'a str,
    /// What stands there, if anything does.
    pub signature: Option<&'a [u8]>,
}

impl Trust {
    /// Whether signatures matter at all to a slot that wants a signature by one of `signed_by` (by
    /// anybody, where that is empty). Where they don't, a file that is called like one is somebody
    /// else's business.
    #[must_use]
    pub fn asks(&self, signed_by: &BTreeSet<String>) -> bool {
        self.required || !self.keys.is_empty() || !signed_by.is_empty()
    }

    /// Who of the keys has signed a module; none where nobody has, and nobody needs to.
    ///
    /// # Errors
    /// If a signature is missing that must be there, is by somebody else, or is wrong: also where
    /// none is required, as then somebody has changed the module or its signature.
    pub fn judge(
        &self,
        claim: &Claim<'_>,
        signed_by: &BTreeSet<String>,
    ) -> Result<Option<String>, TrustError> {
        let module = || claim.module.to_owned();
        let Some(text) = claim.signature else {
            return match self.demand(signed_by) {
                None => Ok(None),
                Some(demand) => Err(TrustError::Unsigned {
                    module: module(),
                    demand,
                    file: claim.file.to_owned(),
                }),
            };
        };
        let signature = Signature::parse(text).map_err(|source| TrustError::Malformed {
            file: claim.file.to_owned(),
            source,
        })?;
        let signer = signature.signer().to_owned();
        let Some(&known) = self.keys.get(&signer) else {
            return match self.demand(signed_by) {
                None => Ok(None),
                Some(demand) => Err(TrustError::UnknownSigner {
                    module: module(),
                    signer,
                    found: signature.key(),
                    demand,
                }),
            };
        };
        if signature.key() != known {
            return Err(TrustError::OtherKey {
                module: module(),
                signer,
                found: signature.key(),
                known,
            });
        }
        if !signature.is_of(claim.digest) {
            return Err(TrustError::OtherModule {
                module: module(),
                signer,
                digest: *claim.digest,
                file: claim.file.to_owned(),
            });
        }
        if !signed_by.is_empty() && !signed_by.contains(&signer) {
            return Err(TrustError::NotAsked {
                module: module(),
                signer,
                wanted: names(signed_by.iter()),
            });
        }
        Ok(Some(signer))
    }

    /// Why there must be a signature, and by whom; none where there needn't be one.
    fn demand(&self, signed_by: &BTreeSet<String>) -> Option<String> {
        if !signed_by.is_empty() {
            let wanted = names(signed_by.iter());
            return Some(format!("the slot's signed_by wants one by {wanted}"));
        }
        let known = if self.keys.is_empty() {
            "there are none yet".to_owned()
        } else {
            names(self.keys.keys())
        };
        self.required
            .then(|| format!("trust.required wants one by a key of trust.keys ({known})"))
    }
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    names.join(", ")
}
