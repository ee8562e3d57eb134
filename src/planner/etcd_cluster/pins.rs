//! Checksums of release archives that a person gives.

use std::collections::BTreeMap;

use crate::problem::Problems;

/// Where they stand.
const PINS: &str = "release_sha256";

/// Names of architectures in releases of etcd.
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// Length of a SHA-256 in hexadecimal.
const DIGITS: usize = 64;

/// Refuses pins that would pin nothing: one that is not looked at is worse than none. `installed` are
/// those of the archives that the programs of this very version came from.
pub fn check_pins(
    pins: &BTreeMap<String, String>,
    installed: &BTreeMap<String, String>,
    problems: &mut Problems,
) {
    for (architecture, pin) in pins {
        let place = [PINS, architecture];
        if !ARCHITECTURES.contains(&architecture.as_str()) {
            problems.error(
                &place,
                "Unknown architecture",
                format!(
                    "\"{architecture}\" is not one of {}, as releases of etcd call them: nothing would be \
                     held against this checksum.",
                    ARCHITECTURES.join(", ")
                ),
            );
        } else if pin.len() != DIGITS || !pin.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            problems.error(
                &place,
                "Invalid SHA-256",
                format!("\"{pin}\" is not a SHA-256: {DIGITS} hexadecimal digits."),
            );
        } else if let Some(known) = installed.get(architecture)
            && !known.eq_ignore_ascii_case(pin)
        {
            problems.error(
                &place,
                "The programs that are installed are from another archive",
                format!(
                    "They came from one with the SHA-256 {known}, and this version stays. If that archive is \
                     not to be trusted, neither are the programs: choose another version."
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_that_pins_nothing_is_refused() {
        let good = "0123456789abcdef".repeat(4);
        let said = |architecture: &str, pin: &str, installed: Option<&str>| {
            let map = |pin: &str| BTreeMap::from([(architecture.to_owned(), pin.to_owned())]);
            let mut problems = Problems::default();
            let installed = installed.map(map).unwrap_or_default();
            check_pins(&map(pin), &installed, &mut problems);
            let summaries = problems.0.into_iter().map(|problem| problem.summary);
            summaries.collect::<Vec<_>>().join("; ")
        };
        assert_eq!(said("amd64", &good, None), "");
        assert_eq!(said("amd64", &good.to_uppercase(), Some(&good)), "");
        assert_eq!(said("x86_64", &good, None), "Unknown architecture");
        for bad in ["00", &"x".repeat(64)] {
            assert_eq!(said("arm64", bad, None), "Invalid SHA-256");
        }
        assert_eq!(
            said("amd64", &"0".repeat(64), Some(&good)),
            "The programs that are installed are from another archive"
        );
    }
}
