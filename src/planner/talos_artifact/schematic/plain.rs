//! What a plain scalar means to go-yaml (v4, `resolve.go`), and so which texts need quotes.

/// A scalar by its meaning.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Int(i64),
    /// Above the largest signed number.
    Uint(u64),
    Float(f64),
    /// In the form in which it is written.
    Timestamp(String),
    Text,
}

/// What `text` means without quotes.
pub(super) fn meaning(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "true" | "True" | "TRUE" => return Plain::Bool(true),
        "false" | "False" | "FALSE" => return Plain::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Plain::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Plain::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Plain::Float(f64::NEG_INFINITY),
        "-0" | "-0.0" => return Plain::Float(-0.0),
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' if is_decimal(text.as_bytes()) => float(text),
        b'+' | b'-' | b'0'..=b'9' => number(text),
        _ => Plain::Text,
    }
}

/// Whether YAML 1.1 reads a boolean or a number where YAML 1.2 reads text; quoted for its sake.
pub(super) fn is_old(text: &str) -> bool {
    matches!(
        text,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "<<"
    ) || matches!(text, "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF")
        || is_sexagesimal(text)
}

/// `12:30:45` and the like, with an optional fraction.
fn is_sexagesimal(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (text, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    first.starts_with(|char: char| char.is_ascii_digit())
        && digits(&first.replace('_', ""))
        && !rest.is_empty()
        && rest.iter().all(|part| match part.len() {
            1 => digits(part),
            2 => digits(part) && part.as_bytes()[0] <= b'5',
            _ => false,
        })
        && digits(&fraction.replace('_', ""))
}

fn number(text: &str) -> Plain {
    if let Some(timestamp) = timestamp(text) {
        return Plain::Timestamp(timestamp);
    }
    let plain = text.replace('_', "");
    if let Some(number) = integer(&plain) {
        return number;
    }
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    if is_decimal(unsigned.as_bytes()) {
        return float(&plain);
    }
    Plain::Text
}

/// A number as Go reads it with base 0: `0x`, `0o`, `0b` and a leading 0 for octal.
fn integer(text: &str) -> Option<Plain> {
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let radix = |prefix: [&str; 2], radix| {
        prefix
            .iter()
            .find_map(|prefix| digits.strip_prefix(prefix))
            .map(|digits| (digits, radix))
    };
    let (digits, radix) = radix(["0x", "0X"], 16)
        .or_else(|| radix(["0o", "0O"], 8))
        .or_else(|| radix(["0b", "0B"], 2))
        .or_else(|| {
            digits
                .strip_prefix('0')
                .filter(|rest| !rest.is_empty())
                .map(|rest| (rest, 8))
        })
        .unwrap_or((digits, 10));
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if is_negative {
        return 0_i64.checked_sub_unsigned(magnitude).map(Plain::Int);
    }
    match i64::try_from(magnitude) {
        Ok(number) => Some(Plain::Int(number)),
        Err(_) if text.starts_with('+') => None,
        Err(_) => Some(Plain::Uint(magnitude)),
    }
}

/// `1`, `1.`, `1.5`, `.5`, each with an optional exponent; no sign.
fn is_decimal(text: &[u8]) -> bool {
    let count = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = count(text);
    let mut rest = &text[whole..];
    let mut digits = whole;
    if let Some(after) = rest.strip_prefix(b".") {
        let fraction = count(after);
        digits += fraction;
        rest = &after[fraction..];
    }
    if digits == 0 {
        return false;
    }
    let Some(exponent) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) else {
        return rest.is_empty();
    };
    let exponent = exponent
        .strip_prefix(b"+")
        .or_else(|| exponent.strip_prefix(b"-"))
        .unwrap_or(exponent);
    !exponent.is_empty() && count(exponent) == exponent.len()
}

fn float(text: &str) -> Plain {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Plain::Float(number),
        _ => Plain::Text,
    }
}

/// As Go writes it: shortest digits, with an exponent below 1e-04 and from 1e+06 on (`%g`).
pub(super) fn write_float(number: f64) -> String {
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    // Rust's shortest digits are Go's; only the layout differs.
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// Reads what go-yaml takes for a timestamp and gives it as Go writes it (RFC 3339, no zeros at the
/// end of the fraction).
fn timestamp(text: &str) -> Option<String> {
    let mut reader = Reader(text);
    let year = reader.digits(4, 4)?;
    reader.literal("-")?;
    let month = reader
        .digits(1, 2)
        .filter(|month| (1..=12).contains(month))?;
    reader.literal("-")?;
    let day = reader.digits(1, 2)?;
    if day == 0 || day > days(year, month) {
        return None;
    }
    if reader.0.is_empty() {
        return Some(format!("{year:04}-{month:02}-{day:02}T00:00:00Z"));
    }
    let is_zoned = match reader.0.as_bytes()[0] {
        b'T' | b't' => true,
        b' ' => false,
        _ => return None,
    };
    reader.0 = &reader.0[1..];
    if !is_zoned {
        reader.0 = reader.0.trim_start_matches(' ');
    }
    let hour = reader.digits(1, 2).filter(|hour| *hour < 24)?;
    reader.literal(":")?;
    let minute = reader.digits(1, 2).filter(|minute| *minute < 60)?;
    reader.literal(":")?;
    let second = reader.digits(1, 2).filter(|second| *second < 60)?;
    let fraction = reader.fraction();
    let zone = if is_zoned {
        reader.zone()?
    } else {
        "Z".to_owned()
    };
    reader.0.is_empty().then(|| {
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}")
    })
}

fn days(year: u32, month: u32) -> u32 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn literal(&mut self, wanted: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(wanted)?;
        Some(())
    }

    fn digits(&mut self, least: usize, most: usize) -> Option<u32> {
        let found = self.0.bytes().take(most);
        let found = found.take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at(found);
        self.0 = rest;
        (found >= least).then(|| digits.parse().ok()).flatten()
    }

    /// `.5` for `.500` and `,500`; to the nanosecond, the rest is cut.
    fn fraction(&mut self) -> String {
        let Some(after) = self.0.strip_prefix(['.', ',']) else {
            return String::new();
        };
        let found = after.bytes().take_while(u8::is_ascii_digit).count();
        if found == 0 {
            return String::new();
        }
        let (digits, rest) = after.split_at(found);
        self.0 = rest;
        let digits = digits[..found.min(9)].trim_end_matches('0');
        if digits.is_empty() {
            String::new()
        } else {
            format!(".{digits}")
        }
    }

    fn zone(&mut self) -> Option<String> {
        if self.literal("Z").is_some() {
            return Some("Z".to_owned());
        }
        let sign = self.0.chars().next().filter(|sign| "+-".contains(*sign))?;
        self.0 = &self.0[1..];
        let hour = self.digits(2, 2).filter(|hour| *hour <= 24)?;
        self.literal(":")?;
        let minute = self.digits(2, 2).filter(|minute| *minute <= 60)?;
        let (hour, minute) = (hour + minute / 60, minute % 60);
        if hour == 0 && minute == 0 {
            return Some("Z".to_owned());
        }
        Some(format!("{sign}{hour:02}:{minute:02}"))
    }
}
