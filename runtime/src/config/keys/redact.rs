//! The keys of `[redact]`: what is replaced in command lines before anybody sees them.

use super::{Fallback, Item, Key, Takes, TextRule};
use weir_sources::redaction::PATTERNS_MAX;

/// `[redact]`.
pub(super) const REDACT: &[Key] = &[
    Key::new(
        "redact.builtin",
        Takes::Switch,
        Fallback::Value("true"),
        "Whether secrets of well-known forms are replaced: values of options and variables that are called a password, secret, token or key, headers, addresses with a password.",
    ),
    Key::new(
        "redact.patterns",
        Takes::List {
            of: Item::Text(TextRule::Expression),
            items_max: PATTERNS_MAX,
        },
        Fallback::Value("[]"),
        "What else is replaced, in the command lines of all sources. Of a pattern with groups the first that took part is, else all that it matched. It sees the arguments with one blank between them.",
    ),
];
