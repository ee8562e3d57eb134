//! Numbers as Terraform compares them: by their shortest decimal text.

use std::{cmp::Ordering, fmt};

/// Longest text of a number. Terraform's own have 512 bits, about 155 digits; an exponent must not
/// make this process write gigabytes of zeros.
const LENGTH_LIMIT: usize = 4096;

/// A decimal number of any size as its shortest text without exponent, so that nothing is rounded
/// on the way and equal numbers are equal texts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Number(String);

impl Number {
    /// From text that is a decimal number, with or without exponent; `None` if it is not one or
    /// has more than 4096 digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        if !are_digits(whole)
            || !are_digits(fraction)
            || !are_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
        {
            return None;
        }
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_start_matches('0');
        if significant.is_empty() {
            return Some(Self("0".to_owned()));
        }
        // Where the point stands, counted from the first significant digit.
        let leading = i64::try_from(digits.len() - significant.len()).ok()?;
        let point = i64::try_from(whole.len())
            .ok()?
            .checked_sub(leading)?
            .checked_add(exponent.parse().ok()?)?;
        let significant = significant.trim_end_matches('0');
        let mut number = String::new();
        if is_negative {
            number.push('-');
        }
        let places = usize::try_from(point.unsigned_abs()).ok()?;
        if places.saturating_add(significant.len()) > LENGTH_LIMIT {
            return None;
        }
        if point <= 0 {
            number.push_str("0.");
            number.extend(std::iter::repeat_n('0', places));
            number.push_str(significant);
        } else if let Some((whole, fraction)) = significant.split_at_checked(places) {
            number.push_str(whole);
            if !fraction.is_empty() {
                number.push('.');
                number.push_str(fraction);
            }
        } else {
            number.push_str(significant);
            number.extend(std::iter::repeat_n('0', places - significant.len()));
        }
        Some(Self(number))
    }

    /// As go-cty takes a float: integers by their exact value, all else by the shortest text.
    pub(crate) fn from_f64(number: f64) -> Option<Self> {
        if number.is_finite() && number.fract() == 0.0 {
            Self::parse(&format!("{number:.0}"))
        } else {
            Self::parse(&format!("{number}"))
        }
    }

    /// As a float, if it has a fraction and one float is exactly this number.
    pub(crate) fn as_exact_fraction(&self) -> Option<f64> {
        const PLACES: usize = LENGTH_LIMIT / 2;
        let (_, fraction) = self.0.split_once('.')?;
        let float: f64 = self.0.parse().ok()?;
        // Formatting a float with a given number of places rounds only what is beyond them.
        let is_exact = Self::parse(&format!("{float:.PLACES$}")).as_ref() == Some(self);
        (fraction.len() <= PLACES && is_exact).then_some(float)
    }

    /// As an integer; `None` if it is none or does not fit.
    pub fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    /// The decimal text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Sign, length of the whole part, and all digits: compared in this order, larger is larger.
    fn magnitude(&self) -> (bool, usize, &str) {
        let digits = self.0.strip_prefix('-').unwrap_or(&self.0);
        let whole = digits.split_once('.').map_or(digits, |(whole, _)| whole);
        (digits.len() == self.0.len(), whole.len(), digits)
    }
}

fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl From<i64> for Number {
    fn from(number: i64) -> Self {
        Self(number.to_string())
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let (ours, theirs) = (self.magnitude(), other.magnitude());
        match (ours.0, theirs.0) {
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (true, true) => ours.cmp(&theirs),
            (false, false) => theirs.cmp(&ours),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).expect("a number")
    }

    #[test]
    fn equal_numbers_are_equal_however_they_are_written() {
        for (written, shortest) in [
            ("1.0", "1"),
            ("1e2", "100"),
            ("1E+2", "100"),
            ("007", "7"),
            ("-0", "0"),
            ("0.0e9", "0"),
            ("12.50", "12.5"),
            ("125e-1", "12.5"),
            ("125e-3", "0.125"),
            ("0.00125e2", "0.125"),
            ("-1e-3", "-0.001"),
            ("100200.0300", "100200.03"),
        ] {
            assert_eq!(number(written).as_str(), shortest, "{written}");
        }
        assert_eq!(number("1e2").as_i64(), Some(100));
        assert_eq!(number("9223372036854775808").as_i64(), None);
    }

    #[test]
    fn what_is_no_number_or_too_long_is_refused() {
        for text in [
            "",
            "-",
            "+1",
            "1.",
            ".5",
            "1e",
            "1e+-2",
            "0x10",
            "inf",
            "1_000",
            "1 ",
            "1e5000",
            "1e-5000",
            "1e99999999999999999999",
        ] {
            assert_eq!(Number::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_ordered_by_size() {
        let sorted = [
            "-10", "-9.5", "-9", "0", "0.1", "0.15", "0.2", "9", "10", "1e30",
        ];
        for pair in sorted.windows(2) {
            assert!(number(pair[0]) < number(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn floats_are_taken_as_go_cty_takes_them() {
        let taken = |float| Number::from_f64(float).map(|number| number.0);
        assert_eq!(taken(0.1).as_deref(), Some("0.1"));
        assert_eq!(taken(-0.0).as_deref(), Some("0"));
        assert_eq!(taken(1e22).as_deref(), Some("10000000000000000000000"));
        // The shortest text would be 9223372036854776000, another integer.
        assert_eq!(
            taken(9_223_372_036_854_775_808.0).as_deref(),
            Some("9223372036854775808")
        );
        assert_eq!(taken(f64::INFINITY), None);
        assert_eq!(taken(f64::NAN), None);
        assert!(taken(f64::MAX).is_some() && taken(5e-324).is_some());
    }

    #[test]
    fn only_exact_fractions_are_floats() {
        assert_eq!(number("0.5").as_exact_fraction(), Some(0.5));
        assert_eq!(number("-1.25").as_exact_fraction(), Some(-1.25));
        for text in ["0.1", "3", "9223372036854775807.5", "1e-400"] {
            assert_eq!(number(text).as_exact_fraction(), None, "{text}");
        }
    }
}
