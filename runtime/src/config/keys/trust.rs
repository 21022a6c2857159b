//! The keys of `[trust]` and `[trust.keys.<name>]`: whose signature a guest's module must have.

use super::{Fallback, Key, Takes, TextRule};

/// `[trust]`.
pub(super) const TRUST: &[Key] = &[Key::new(
    "trust.required",
    Takes::Switch,
    Fallback::Value("false"),
    "Whether every module that isn't built in must be signed by one of trust.keys.",
)];

/// `[trust.keys.<name>]`.
pub(super) const KEYS: &[Key] = &[Key::new(
    "trust.keys.<name>.ed25519",
    Takes::Text(TextRule::PublicKey),
    Fallback::Required {
        // Digits of which nobody has the secret key: whoever leaves the example in place trusts nobody.
        example: "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"",
    },
    "The public key, as `weir guest keygen` prints it.",
)];
