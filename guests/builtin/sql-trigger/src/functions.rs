//! The functions of conditions: their names, and how many arguments they take.

/// All functions.
pub(crate) const NAMES: [&str; 11] = [
    "lower",
    "upper",
    "length",
    "starts_with",
    "ends_with",
    "contains",
    "regexp_like",
    "coalesce",
    "basename",
    "cidr_contains",
    "any",
];

/// Another name of `any`, SQL's own.
pub(crate) const SOME: &str = "some";

/// Whether there is a function of that name, in lower case.
pub(crate) fn is_one(name: &str) -> bool {
    NAMES.contains(&name) || name == SOME
}

/// How many arguments a function takes, and how it is written.
pub(crate) fn usage(name: &str) -> (std::ops::RangeInclusive<usize>, &'static str) {
    match name {
        "lower" => (1..=1, "lower(text)"),
        "upper" => (1..=1, "upper(text)"),
        "length" => (1..=1, "length(text), or length(list)"),
        "starts_with" => (2..=2, "starts_with(text, prefix)"),
        "ends_with" => (2..=2, "ends_with(text, suffix)"),
        "contains" => (2..=2, "contains(text, part)"),
        "regexp_like" => (
            2..=3,
            "regexp_like(text, 'pattern') or regexp_like(text, 'pattern', 'i')",
        ),
        "coalesce" => (2..=usize::MAX, "coalesce(first, second, …)"),
        "basename" => (1..=1, "basename(path)"),
        "cidr_contains" => (2..=2, "cidr_contains('network', address)"),
        _ => (1..=1, "any(list)"),
    }
}
