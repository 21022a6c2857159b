//! A signature of a module, and its text: one line in a file beside the module.
//!
//! ```text
//! weir-signature-v1 ed25519 NAME PUBLIC-KEY SIGNATURE
//! ```
//!
//! NAME is that of the key in configs; PUBLIC-KEY (64 hexadecimal digits) tells a wrong key from a changed
//! module, and is believed by nobody; SIGNATURE (128 digits) is over [`message`].
//!
//! Invariant: a signature has exactly one text, so that no byte of it can be changed unnoticed.

use std::fmt;

use super::key::PublicKey;
use crate::config::name_is_good;
use crate::digest::Digest;
use crate::hex::{self, Hex};

/// How the text begins: what it is, and of which algorithm.
const BEGINS: [&str; 2] = ["weir-signature-v1", "ed25519"];

/// No signature's text has more bytes: the longest has 294.
pub const SIGNATURE_BYTES_MAX: usize = 512;

/// What is signed begins so. Without it, a key that signs digests for something else as well — an archive,
/// an image, a later kind of file of our own — would with each of them sign a "module" of that digest, which
/// an attacker could then make a slot run, or the other way round. A prefix of our own keeps what was
/// signed for one purpose from being taken for another.
const DOMAIN: &[u8] = b"weir guest module v1\n";

/// What is signed for a module: the domain, then the 32 bytes of its SHA-256. The digest stands for
/// the module because it is what pins, caches and logs know it by: one hash decides what is run.
pub(super) fn message(digest: &Digest) -> Vec<u8> {
    [DOMAIN, &digest.0].concat()
}

/// A signature of a module. Who it says it is by is a claim, until [`Signature::is_of`] holds with a key that
/// is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    signer: String,
    key: PublicKey,
    signature: ed25519_dalek::Signature,
}

/// A text that is no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Too long for one.
    #[error("it has more than {SIGNATURE_BYTES_MAX} bytes")]
    TooLarge,
    /// Something else, or one that was changed.
    #[error(
        "it isn't the one line `{} {} NAME PUBLIC-KEY SIGNATURE`",
        BEGINS[0],
        BEGINS[1]
    )]
    Malformed,
    /// A folder, a pipe, a link.
    #[error("it is no regular file")]
    NotAFile,
    /// The public key is none.
    #[error("the public key in it is {0}")]
    Key(super::KeyError),
}

impl Signature {
    pub(super) fn new(signer: String, key: PublicKey, signature: ed25519_dalek::Signature) -> Self {
        Self {
            signer,
            key,
            signature,
        }
    }

    /// Reads the text of its file.
    ///
    /// # Errors
    /// If it isn't exactly what a signature is written as.
    pub fn parse(text: &[u8]) -> Result<Self, SignatureError> {
        if text.len() > SIGNATURE_BYTES_MAX {
            return Err(SignatureError::TooLarge);
        }
        let text = std::str::from_utf8(text).map_err(|_| SignatureError::Malformed)?;
        let words: Vec<&str> = text.trim_end().split(' ').collect();
        let [what, algorithm, signer, key, signature] = words[..] else {
            return Err(SignatureError::Malformed);
        };
        if [what, algorithm] != BEGINS || !name_is_good(signer) {
            return Err(SignatureError::Malformed);
        }
        let signature = hex::decode(signature).ok_or(SignatureError::Malformed)?;
        let parsed = Self {
            signer: signer.to_owned(),
            key: key.parse().map_err(SignatureError::Key)?,
            signature: ed25519_dalek::Signature::from_bytes(&signature),
        };
        // Digits have two cases, and lines many ends: only one of each is the signature's.
        if parsed.to_string() == text {
            Ok(parsed)
        } else {
            Err(SignatureError::Malformed)
        }
    }

    /// Who it says it is by.
    #[must_use]
    pub fn signer(&self) -> &str {
        &self.signer
    }

    /// The key that it says it is by.
    #[must_use]
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// Whether its key has signed the module of that digest. Says nothing of whether the key is known.
    ///
    /// Strictly, as by RFC 8032 and against its loopholes: a signature can't be turned into another one of
    /// the same module, and no weak key makes one that fits several.
    #[must_use]
    pub fn is_of(&self, digest: &Digest) -> bool {
        self.key.has_signed(&message(digest), &self.signature)
    }
}

impl fmt::Display for Signature {
    /// The text of its file, with the end of the line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [what, algorithm] = BEGINS;
        let signature = self.signature.to_bytes();
        writeln!(
            f,
            "{what} {algorithm} {} {} {}",
            self.signer,
            self.key,
            Hex(&signature)
        )
    }
}
