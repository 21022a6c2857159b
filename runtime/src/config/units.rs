//! Durations and byte sizes, as people write them.
//!
//! Only texts and numbers; which key takes which is in `keys/`. Invariant: what is written here is read
//! here as the same value.

use std::time::Duration;

/// The units of a size and what they are in bytes; the larger of two that fit comes first.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// What stands for no duration, where none is one.
pub(crate) const OFF: &str = "off";

/// Why a text isn't a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SizeError {
    /// It isn't a whole number with a unit.
    NotASize,
    /// It is one, but of more bytes than 64 bits count.
    TooLarge,
}

/// Reads `16MiB`, `16 MiB`, `1000kB` or `4096`; units in any case.
///
/// # Errors
///
/// When it is no such text, or is too large to be counted.
pub(crate) fn parse_size(text: &str) -> Result<u64, SizeError> {
    let text = text.trim();
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    let number = number.replace('_', "");
    if number.is_empty() {
        return Err(SizeError::NotASize);
    }
    let unit = unit.trim_start();
    let bytes_each = if unit.is_empty() {
        1
    } else {
        SIZE_UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .map(|(_, bytes)| *bytes)
            .ok_or(SizeError::NotASize)?
    };
    // Only digits are left: what doesn't parse is too long.
    let number: u64 = number.parse().map_err(|_| SizeError::TooLarge)?;
    number.checked_mul(bytes_each).ok_or(SizeError::TooLarge)
}

/// Writes a size with the largest unit of 1,024 that divides it.
pub(crate) fn size_text(bytes: u64) -> String {
    SIZE_UNITS
        .iter()
        .filter(|(name, _)| name.ends_with("iB"))
        .find(|(_, each)| bytes >= *each && bytes.is_multiple_of(*each))
        .map_or_else(
            || format!("{bytes}B"),
            |(name, each)| format!("{}{name}", bytes / each),
        )
}

/// Writes a duration so that [`humantime::parse_duration`] reads it back.
pub(crate) fn duration_text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// Durations in structs as texts, for serde.
pub(crate) mod duration_as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::time::Duration;

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::duration_text(*duration))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_duration(&text).map_err(D::Error::custom)
    }

    /// The same for durations that may be `off`.
    pub(crate) mod or_off {
        use serde::{Deserialize, Deserializer, Serializer, de::Error};
        use std::time::Duration;

        use super::super::OFF;

        pub(crate) fn serialize<S: Serializer>(
            duration: &Option<Duration>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match duration {
                Some(duration) => super::serialize(duration, to),
                None => to.serialize_str(OFF),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<Duration>, D::Error> {
            let text = String::deserialize(from)?;
            if text == OFF {
                return Ok(None);
            }
            humantime::parse_duration(&text)
                .map(Some)
                .map_err(D::Error::custom)
        }
    }

    /// The same for durations that may be unset.
    pub(crate) mod optional {
        use serde::{Deserialize, Deserializer, Serializer, de::Error};
        use std::time::Duration;

        pub(crate) fn serialize<S: Serializer>(
            duration: &Option<Duration>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match duration {
                Some(duration) => super::serialize(duration, to),
                None => to.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<Duration>, D::Error> {
            Option::<String>::deserialize(from)?
                .map(|text| humantime::parse_duration(&text).map_err(D::Error::custom))
                .transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<u64, SizeError>) {
        assert_eq!(parse_size(text), expected, "{text:?}");
    }

    #[test]
    fn sizes_are_read_with_and_without_units() {
        check("0", Ok(0));
        check("4096", Ok(4096));
        check("1_000", Ok(1000));
        check("16MiB", Ok(16 << 20));
        check(" 16 mib ", Ok(16 << 20));
        check("3kB", Ok(3000));
        check("7B", Ok(7));
        check("1.5MiB", Err(SizeError::NotASize));
        check("16M", Err(SizeError::NotASize));
        check("MiB", Err(SizeError::NotASize));
        check("-1", Err(SizeError::NotASize));
        check("", Err(SizeError::NotASize));
        check("_", Err(SizeError::NotASize));
        check("99999999999999999999", Err(SizeError::TooLarge));
        check("99999999999TiB", Err(SizeError::TooLarge));
    }

    #[test]
    fn a_size_that_is_written_is_read_as_the_same() {
        for bytes in [
            0,
            1,
            1000,
            1023,
            1024,
            1 << 20,
            (1 << 20) + 1,
            5 << 30,
            u64::MAX,
        ] {
            check(&size_text(bytes), Ok(bytes));
        }
        assert_eq!(size_text(64 << 20), "64MiB");
        assert_eq!(size_text(1000), "1000B");
    }
}
