//! Keys: the public ones that configs name, and the secret ones that sign.
//!
//! Invariant: a secret key shows itself only in the text for its own file.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::signature::{Signature, message};
use crate::config::name_is_good;
use crate::digest::Digest;
use crate::hex::{self, Hex};

/// How the text of a secret key begins: what it is, and of which algorithm.
const SECRET_KEY_BEGINS: [&str; 2] = ["weir-secret-key-v1", "ed25519"];

/// A public key of ed25519: 32 bytes that have been read as a key once. As a point of the curve it has six times as
/// many, in every error that names it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(pub(super) [u8; ed25519_dalek::PUBLIC_KEY_LENGTH]);

/// A text that is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not its digits.
    #[error("not 64 hexadecimal digits")]
    Digits,
    /// A number that is no key.
    #[error("no public key of ed25519 has these digits")]
    NoKey,
    /// A key of which anybody could make signatures.
    #[error("a weak key, which no honest tool makes")]
    Weak,
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = hex::decode(text).ok_or(KeyError::Digits)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::NoKey)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        Ok(Self(bytes))
    }
}

impl PublicKey {
    /// Whether it has signed that message, strictly: see [`Signature::is_of`].
    pub(super) fn has_signed(&self, message: &[u8], signature: &ed25519_dalek::Signature) -> bool {
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(message, signature).is_ok())
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A secret key, and the name that it signs in.
pub struct SecretKey {
    name: String,
    key: SigningKey,
}

/// Why there is no secret key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretKeyError {
    /// The name can't stand in a config.
    #[error(
        "{0:?} is no name of a key: write 1 to 64 bytes of A-Z, a-z, 0-9, `_` and `-`, with --name"
    )]
    Name(String),
    /// The system has no randomness.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// A text that is something else.
    #[error("it is no secret key; make one with `weir guest keygen`")]
    Malformed,
}

impl SecretKey {
    /// A new one, of the system's randomness.
    ///
    /// # Errors
    /// If the name can't be one, or the system gives no randomness.
    pub fn generate(name: &str) -> Result<Self, SecretKeyError> {
        let mut seed = [0; ed25519_dalek::SECRET_KEY_LENGTH];
        getrandom::fill(&mut seed).map_err(|error| SecretKeyError::Random(error.to_string()))?;
        Self::of_seed(&seed, name)
    }

    fn of_seed(
        seed: &[u8; ed25519_dalek::SECRET_KEY_LENGTH],
        name: &str,
    ) -> Result<Self, SecretKeyError> {
        if !name_is_good(name) {
            return Err(SecretKeyError::Name(name.to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
            key: SigningKey::from_bytes(seed),
        })
    }

    /// Reads the text of its file. The text isn't shown in errors.
    ///
    /// # Errors
    /// If it is the text of anything else.
    pub fn parse(text: &str) -> Result<Self, SecretKeyError> {
        let words: Vec<&str> = text.trim_end().split(' ').collect();
        let [what, algorithm, name, seed] = words[..] else {
            return Err(SecretKeyError::Malformed);
        };
        if [what, algorithm] != SECRET_KEY_BEGINS {
            return Err(SecretKeyError::Malformed);
        }
        let seed = hex::decode(seed).ok_or(SecretKeyError::Malformed)?;
        Self::of_seed(&seed, name)
    }

    /// The same key, to sign in another name.
    ///
    /// # Errors
    /// If the name can't be one.
    pub fn named(self, name: &str) -> Result<Self, SecretKeyError> {
        Self::of_seed(self.key.as_bytes(), name)
    }

    /// The name that it signs in.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What others know it by.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.key.verifying_key().to_bytes())
    }

    /// The text of its file, secret and all.
    #[must_use]
    pub fn to_secret_text(&self) -> String {
        let [what, algorithm] = SECRET_KEY_BEGINS;
        let seed = Hex(self.key.as_bytes());
        format!("{what} {algorithm} {} {seed}\n", self.name)
    }

    /// Signs a module, known by its digest.
    #[must_use]
    pub fn sign(&self, digest: &Digest) -> Signature {
        Signature::new(
            self.name.clone(),
            self.public(),
            self.key.sign(&message(digest)),
        )
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey")
            .field("name", &self.name)
            .field("public", &self.public())
            .finish_non_exhaustive()
    }
}
