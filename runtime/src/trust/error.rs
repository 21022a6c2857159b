//! Why a module isn't trusted. Each is one line: which module, whose key, what is wrong, what to do.

use super::key::PublicKey;
use super::signature::SignatureError;
use crate::digest::Digest;

/// Why a module isn't trusted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrustError {
    /// It has no signature, and must have one.
    #[error(
        "{module} has no signature, and {demand}: make one with `weir guest sign`, and put it there as {file}"
    )]
    Unsigned {
        /// The module.
        module: String,
        /// Why it must have one.
        demand: String,
        /// Where the signature would be.
        file: String,
    },
    /// What should be its signature is something else.
    #[error("{file} is no signature of a module: {source}; make it with `weir guest sign`")]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong.
        source: SignatureError,
    },
    /// It must be signed, and is by somebody who isn't known.
    #[error(
        "{module} is signed by {signer}, whose key {found} isn't known here, and {demand}: have it signed by one of these, or add the key to trust.keys"
    )]
    UnknownSigner {
        /// The module.
        module: String,
        /// Who the signature says it is by.
        signer: String,
        /// With which key.
        found: PublicKey,
        /// Why it must be by somebody who is known.
        demand: String,
    },
    /// The name is known, and the key is another.
    #[error(
        "{module} is signed by {signer} with the key {found}, and trust.keys.{signer}.ed25519 is {known}: have it signed anew, or correct the key"
    )]
    OtherKey {
        /// The module.
        module: String,
        /// Who the signature says it is by.
        signer: String,
        /// With which key.
        found: PublicKey,
        /// The key of that name.
        known: PublicKey,
    },
    /// The key is right, and what it signed is something else.
    #[error(
        "{module} isn't what {signer} signed: its SHA-256 is {digest}, and the signature in {file} is of something else; fetch both anew, or have it signed anew"
    )]
    OtherModule {
        /// The module.
        module: String,
        /// Who signed something else.
        signer: String,
        /// Of the module.
        digest: Digest,
        /// The signature's file.
        file: String,
    },
    /// It is signed by somebody who is known, and the slot wants somebody else.
    #[error(
        "{module} is signed by {signer}, and the slot's signed_by wants {wanted}: have it signed by one of these, or change signed_by"
    )]
    NotAsked {
        /// The module.
        module: String,
        /// Who signed it.
        signer: String,
        /// Who should have.
        wanted: String,
    },
}
