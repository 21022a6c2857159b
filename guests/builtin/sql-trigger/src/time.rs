//! Times as texts, RFC 3339 and UTC, without a calendar's crate.

const NANOS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// The nanoseconds since the epoch of `2026-01-31T12:00:00Z`, with a fraction or an offset if there
/// is one, a space in place of the T, or of a day alone. None where it is no such time, or one that
/// 64 bits can't hold.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (date, rest) = match text.split_once(['T', 't', ' ']) {
        Some((date, rest)) => (date, Some(rest)),
        None => (text, None),
    };
    let mut fields = date.splitn(3, '-');
    let year = number(fields.next()?, 4)?;
    let month = number(fields.next()?, 2)?;
    let day = number(fields.next()?, 2)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_of(year, month) {
        return None;
    }
    let mut seconds = days(year, month, day).checked_mul(DAY_SECONDS)?;
    let mut nanos = 0;
    if let Some(rest) = rest {
        let (clock, offset) = split_offset(rest)?;
        let (clock, fraction) = match clock.split_once('.') {
            Some((clock, fraction)) => (clock, Some(fraction)),
            None => (clock, None),
        };
        let mut fields = clock.splitn(3, ':');
        let hour = number(fields.next()?, 2)?;
        let minute = number(fields.next()?, 2)?;
        let second = number(fields.next()?, 2)?;
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        seconds += hour * 3_600 + minute * 60 + second - offset;
        if let Some(fraction) = fraction {
            nanos = number(fraction, fraction.len())?;
            let missing = 9_u32.checked_sub(u32::try_from(fraction.len()).ok()?)?;
            nanos *= 10_i64.pow(missing);
        }
    }
    seconds.checked_mul(NANOS)?.checked_add(nanos)
}

/// The clock, and how many seconds it is before UTC's.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let at = text.rfind(['+', '-'])?;
    let (clock, offset) = (text.get(..at)?, text.get(at..)?);
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let seconds = number(hours, 2)? * 3_600 + number(minutes, 2)? * 60;
    Some((
        clock,
        if offset.starts_with('-') {
            -seconds
        } else {
            seconds
        },
    ))
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let fits =
        text.len() == digits && digits <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

fn days_of(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the epoch, of the Gregorian calendar (Howard Hinnant, "chrono-compatible low-level
/// date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A time as RFC 3339 writes it, in UTC; the fraction only where there is one.
pub(crate) fn format(nanos: i64) -> String {
    let (seconds, nanos) = (nanos.div_euclid(NANOS), nanos.rem_euclid(NANOS));
    let (days, second) = (
        seconds.div_euclid(DAY_SECONDS),
        seconds.rem_euclid(DAY_SECONDS),
    );
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let fraction = match nanos {
        0 => String::new(),
        nanos => format!(".{nanos:09}").trim_end_matches('0').to_owned(),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_written() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-01-31T12:00:00Z", Some(1_769_860_800 * NANOS)),
            (
                "2026-01-31 12:00:00.5Z",
                Some(1_769_860_800 * NANOS + 500_000_000),
            ),
            ("2026-01-31T14:30:00+02:30", Some(1_769_860_800 * NANOS)),
            ("2026-01-31", Some(1_769_817_600 * NANOS)),
            ("2024-02-29", Some(1_709_164_800 * NANOS)),
            ("2023-02-29", None),
            ("2026-13-01", None),
            ("2026-01-31T24:00:00Z", None),
            ("2026-01-31T12:00:00", None),
            ("9999-01-01", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_time_that_is_written_is_read_again() {
        let mut random = crate::tests::Random::new(11);
        for _ in 0..10_000 {
            let nanos = random.next().cast_signed();
            assert_eq!(
                parse(&format(nanos)).unwrap_or(nanos),
                nanos,
                "{}",
                format(nanos)
            );
        }
        assert_eq!(format(1_769_860_800_500_000_000), "2026-01-31T12:00:00.5Z");
    }
}
