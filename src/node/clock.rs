//! The host's clock, and times as systemd and file names have them.

use std::time::{SystemTime, UNIX_EPOCH};

use time::{OffsetDateTime, PrimitiveDateTime, macros::format_description};

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| {
            i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
        })
}

/// Microseconds on the clock that systemd's timers count on.
pub(crate) fn monotonic_us() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

/// `20261121T035959Z`, from milliseconds since 1970.
pub(crate) fn stamp(now_ms: i64) -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    OffsetDateTime::from_unix_timestamp(now_ms.div_euclid(1000))
        .ok()
        .and_then(|at| at.format(&format).ok())
        .unwrap_or_else(|| now_ms.to_string())
}

/// `2026-11-21 03:59:59 UTC`, for people.
pub(crate) fn text(at_ms: i64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    OffsetDateTime::from_unix_timestamp(at_ms.div_euclid(1000))
        .ok()
        .and_then(|at| at.format(&format).ok())
        .unwrap_or_else(|| at_ms.to_string())
}

/// A time as `systemctl show` prints it with TZ=UTC ("Sat 2026-11-21 03:59:59 UTC"), in milliseconds
/// since 1970; 0 for none.
pub(crate) fn from_systemd(text: &str) -> i64 {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, day, hour, "UTC"] = words.as_slice() else {
        return 0;
    };
    // Fractions are printed by some versions only.
    let hour = hour.split('.').next().unwrap_or_default();
    PrimitiveDateTime::parse(&format!("{day} {hour}"), &format)
        .map_or(0, |at| at.assume_utc().unix_timestamp() * 1000)
}

/// A time span as `systemctl show` prints it ("1h 2min 3.5s", `format_timespan` in
/// `src/basic/time-util.c`), in microseconds; `None` for "infinity" and what is not one.
pub(crate) fn span_us(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    let mut any = false;
    for word in text.split_whitespace() {
        let unit_at = word.find(|character: char| character.is_ascii_alphabetic())?;
        let (number, unit) = word.split_at(unit_at);
        let scale: i64 = match unit {
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "min" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            "w" => 7 * 86_400_000_000,
            "month" => 2_629_800_000_000,
            "y" => 31_557_600_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let mut value = whole.parse::<i64>().ok()?.checked_mul(scale)?;
        let mut part = scale;
        for digit in fraction.chars() {
            part /= 10;
            value += i64::from(digit.to_digit(10)?) * part;
        }
        total = total.checked_add(value)?;
        any = true;
    }
    any.then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_utc() {
        assert_eq!(stamp(0), "19700101T000000Z");
        assert_eq!(stamp(1_795_233_599_999), "20261121T035959Z");
        assert_eq!(stamp(951_782_400_000), "20000229T000000Z");
        assert_eq!(text(1_795_233_599_000), "2026-11-21 03:59:59 UTC");
    }

    #[test]
    fn reads_times_of_systemd() {
        assert_eq!(
            from_systemd("Sat 2026-11-21 03:59:59 UTC"),
            1_795_233_599_000
        );
        assert_eq!(
            from_systemd("Sat 2026-11-21 03:59:59.123456 UTC"),
            1_795_233_599_000
        );
        assert_eq!(from_systemd(""), 0);
        assert_eq!(from_systemd("n/a"), 0);
        assert_eq!(from_systemd("Sat 2026-11-21 03:59:59 CET"), 0);
    }

    #[test]
    fn reads_time_spans_of_systemd() {
        assert_eq!(span_us("1h 2min 3.5s"), Some(3_723_500_000));
        assert_eq!(span_us("15min"), Some(900_000_000));
        assert_eq!(span_us("1w 2d 12.345ms"), Some(777_600_012_345));
        assert_eq!(span_us("0"), None);
        assert_eq!(span_us("infinity"), None);
        assert_eq!(span_us(""), None);
    }
}
