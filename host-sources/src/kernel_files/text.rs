//! Lines, fields and numbers of the kernel's files.
//!
//! Bytes in, values out. The invariant: a number is what its digits say, or there is none: nothing wraps, and
//! nothing that isn't finite passes.

use std::borrow::Cow;

/// The lines that aren't empty.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
}

/// What stands between spaces and tabs.
pub(crate) fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|field| !field.is_empty())
}

/// Without white space at both ends.
pub(crate) const fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

/// A number of decimal digits and nothing else, as large as fits.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A number with a decimal point, at least 0.
pub(crate) fn decimal(digits: &[u8]) -> Option<f64> {
    let is_plain = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    if !digits.iter().all(is_plain) {
        return None;
    }
    let number: f64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    number.is_finite().then_some(number)
}

/// As many numbers as there is room for, from a line's next fields; none if one is none or there are fewer.
pub(crate) fn numbers<'a, const N: usize>(
    mut fields: impl Iterator<Item = &'a [u8]>,
) -> Option<[u64; N]> {
    let mut all = [0; N];
    for place in &mut all {
        *place = number(fields.next()?)?;
    }
    Some(all)
}

/// The number of the line that begins with that word, as in `processes 4711`.
pub(crate) fn number_of(bytes: &[u8], word: &[u8]) -> Option<u64> {
    let of = |line: &[u8]| {
        let mut fields = fields(line);
        (fields.next() == Some(word))
            .then(|| fields.next().and_then(number))
            .flatten()
    };
    lines(bytes).find_map(of)
}

/// The value behind `NAME=` among fields, as in `avg10=0.00 total=5`.
pub(crate) fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    fields(line).find_map(|field| field.strip_prefix(name)?.strip_prefix(b"="))
}

/// As text; what isn't UTF-8 shows as such.
pub(crate) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_its_digits_or_none() {
        let check = |text: &str, expected| assert_eq!(number(text.as_bytes()), expected, "{text}");
        check("0", Some(0));
        check("007", Some(7));
        check("18446744073709551615", Some(u64::MAX));
        for none in [
            "",
            "-1",
            "+1",
            "1.5",
            "1e3",
            " 1",
            "18446744073709551616",
            "99999999999999999999999",
            "٣",
        ] {
            check(none, None);
        }
    }

    #[test]
    fn a_decimal_is_finite_and_not_below_zero() {
        let check = |text: &str, expected| assert_eq!(decimal(text.as_bytes()), expected, "{text}");
        check("0.00", Some(0.0));
        check("98.70", Some(98.7));
        check("7", Some(7.0));
        let huge = "9".repeat(400);
        for none in ["", ".", "-0.5", "inf", "NaN", "1e9", "1.2.3", &huge] {
            check(none, None);
        }
    }

    #[test]
    fn words_and_names_are_found_whole() {
        let stat = b"processess 1\nprocesses\nprocesses x\nprocesses 42 7\n";
        assert_eq!(number_of(stat, b"processes"), Some(42));
        assert_eq!(number_of(stat, b"proc"), None);
        let line = b"some avg10=0.10 avg100=2 total=9";
        assert_eq!(value_of(line, b"avg10"), Some(b"0.10".as_slice()));
        assert_eq!(value_of(line, b"avg1"), None);
        assert_eq!(numbers::<2>(fields(b"1 \t 2 x")), Some([1, 2]));
        assert_eq!(numbers::<3>(fields(b"1 2 x")), None);
        assert_eq!(numbers::<3>(fields(b"1 2")), None);
    }
}
