//! Dates and timestamps as text: the proleptic Gregorian calendar, years 0001 to 9999, always UTC.
//!
//! Day arithmetic after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".

/// The first instant with a written form: 0001-01-01T00:00:00Z, in microseconds.
pub const MIN_TIMESTAMP: i64 = -62_135_596_800_000_000;
/// The last instant with a written form: 9999-12-31T23:59:59.999999Z, in microseconds.
pub const MAX_TIMESTAMP: i64 = 253_402_300_799_999_999;
/// The first day with a written form: 0001-01-01.
pub const MIN_DATE: i32 = -719_162;
/// The last day with a written form: 9999-12-31.
pub const MAX_DATE: i32 = 2_932_896;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

fn number(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// Days since 1970-01-01 as `YYYY-MM-DD`.
pub fn format_date(days: i32) -> String {
    let (year, month, day) = civil_from_days(i64::from(days));
    format!("{year:04}-{month:02}-{day:02}")
}

/// Parses `YYYY-MM-DD` with a year from 0001 to 9999; `None` for a day that does not exist.
pub fn parse_date(text: &str) -> Option<i32> {
    if !text.is_ascii() || text.len() != 10 || &text[4..5] != "-" || &text[7..8] != "-" {
        return None;
    }
    let (year, month, day) = (number(&text[..4])?, number(&text[5..7])?, number(&text[8..])?);
    if year == 0 || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    (civil_from_days(days) == (year, month, day)).then_some(days as i32)
}

/// Microseconds since the epoch as RFC 3339 in UTC, with as few fraction digits (0, 3 or 6) as are exact.
pub fn format_timestamp(micros: i64) -> String {
    let seconds = micros.div_euclid(MICROS_PER_SECOND);
    let fraction = micros.rem_euclid(MICROS_PER_SECOND);
    let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
    let rest = seconds.rem_euclid(SECONDS_PER_DAY);
    let tail = match (fraction, fraction % 1_000) {
        (0, _) => String::new(),
        (_, 0) => format!(".{:03}", fraction / 1_000),
        _ => format!(".{fraction:06}"),
    };
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}{tail}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// Parses RFC 3339 with any offset and up to six fraction digits; `None` when it is not one or names no instant.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    if !text.is_ascii() || text.len() < 20 {
        return None;
    }
    let days = i64::from(parse_date(&text[..10])?);
    let bytes = text.as_bytes();
    if !matches!(bytes[10], b'T' | b't' | b' ') || bytes[13] != b':' || bytes[16] != b':' {
        return None;
    }
    let (hour, minute, second) = (number(&text[11..13])?, number(&text[14..16])?, number(&text[17..19])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut rest = &text[19..];
    let mut micros = 0;
    if let Some(tail) = rest.strip_prefix('.') {
        let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 || digits > 6 {
            return None;
        }
        micros = number(&tail[..digits])? * 10i64.pow(6 - digits as u32);
        rest = &tail[digits..];
    }
    let offset = parse_offset(rest)?;
    let seconds = days * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second - offset;
    // An offset can lead out of the years that have a written form.
    Some(seconds * MICROS_PER_SECOND + micros).filter(|t| (MIN_TIMESTAMP..=MAX_TIMESTAMP).contains(t))
}

fn parse_offset(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    if text.len() != 6 || &text[3..4] != ":" {
        return None;
    }
    let (hours, minutes) = (number(&text[1..3])?, number(&text[4..])?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60))
}
