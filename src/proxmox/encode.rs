//! Percent-encoding of path segments and forms.

/// Text in which only unreserved characters (RFC 3986, 2.3) stand for themselves: right for a path
/// segment, a query and a form alike. Volume ids hold `:` and `/`, task ids `@` and `!`.
pub(crate) fn percent(text: &str) -> String {
    use std::fmt::Write as _;

    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a String takes everything");
        }
    }
    encoded
}

/// `application/x-www-form-urlencoded`.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    fields
        .iter()
        .map(|(name, value)| format!("{}={}", percent(name), percent(value)))
        .collect::<Vec<_>>()
        .join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_volume_id_cuts_the_path() {
        assert_eq!(percent("s:iso/a b.iso"), "s%3Aiso%2Fa%20b.iso");
    }

    #[test]
    fn a_form_keeps_what_urls_hold() {
        assert_eq!(
            form(&[("url", "https://h/x?a=1&b=+"), ("content", "iso")]),
            "url=https%3A%2F%2Fh%2Fx%3Fa%3D1%26b%3D%2B&content=iso"
        );
    }
}
