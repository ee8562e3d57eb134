//! Versions of etcd and the CA: what is known, what is the default, what has known faults.
//!
//! The table is dated; a newer provider brings a newer one. A version that stands in a state stays
//! until the configuration names another.

use semver::Version;

/// Day of the table below.
pub const TABLE_DATE: &str = "2026-11-01";

/// Version of step-ca that is installed.
pub const STEP_CA: Version = Version::new(0, 30, 2);
/// Version of the step CLI that is installed.
pub const STEP: Version = Version::new(0, 30, 2);

/// One minor line of etcd.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Second number of the version.
    pub minor: u64,
    /// Newest patch known on [`TABLE_DATE`].
    pub newest: u64,
    /// Patches below it have known security faults.
    pub floor: u64,
    /// What is wrong below the floor.
    pub advisories: &'static str,
}

/// Lines that this provider can render a configuration for, oldest first. Sources of the floors:
/// the CHANGELOGs of each line.
pub const LINES: [Line; 3] = [
    Line {
        minor: 5,
        newest: 35,
        floor: 33,
        advisories: "CVE-2026-33413 and CVE-2026-33343 (authentication bypass, fixed in 3.5.28), \
                     GHSA-xg4h-6gfc-h4m8 and GHSA-6vch-q96h-7gc3 (fixed in 3.5.33)",
    },
    Line {
        minor: 6,
        newest: 16,
        floor: 14,
        advisories: "CVE-2026-33413 and CVE-2026-33343 (authentication bypass, fixed in 3.6.9), \
                     GHSA-xg4h-6gfc-h4m8 and GHSA-6vch-q96h-7gc3 (fixed in 3.6.14)",
    },
    Line {
        minor: 7,
        newest: 3,
        floor: 1,
        advisories: "GHSA-xg4h-6gfc-h4m8 and GHSA-6vch-q96h-7gc3 (fixed in 3.7.1)",
    },
];

/// What a cluster gets whose configuration names no version: the newest patch of the 3.5 line.
pub fn default_version() -> Version {
    Version::new(3, LINES[0].minor, LINES[0].newest)
}

/// The line of a version; `None` if no configuration can be rendered for it.
pub fn line(version: &Version) -> Option<&'static Line> {
    (version.major == 3)
        .then(|| LINES.iter().find(|line| line.minor == version.minor))
        .flatten()
}

/// The lines in words: `3.5, 3.6 and 3.7`.
pub fn lines_in_words() -> String {
    "3.5, 3.6 and 3.7".to_owned()
}
