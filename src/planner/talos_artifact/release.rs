//! Versions of Talos and Kubernetes, and which of them fit each other.

use std::fmt;

use semver::{BuildMetadata, Version};
use serde::{Deserialize, Serialize};

use crate::near::nearest;

/// A version of Talos; written with a `v`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TalosVersion(Version);

/// A version of Kubernetes; written without a `v`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KubernetesVersion(Version);

/// A text is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a version such as {1}")]
pub struct InvalidVersion(pub String, pub &'static str);

fn read(text: &str, example: &'static str) -> Result<Version, InvalidVersion> {
    let plain = text.strip_prefix('v').unwrap_or(text);
    Version::parse(plain)
        .ok()
        // A plus sign can stand in no tag of a registry.
        .filter(|version| version.build == BuildMetadata::EMPTY)
        .ok_or_else(|| InvalidVersion(text.to_owned(), example))
}

impl TalosVersion {
    /// Reads a version with or without `v`, with or without a pre-release.
    ///
    /// # Errors
    /// [`InvalidVersion`].
    pub fn parse(text: &str) -> Result<Self, InvalidVersion> {
        read(text, "v1.11.5").map(Self)
    }

    /// Whether it is of this minor line or a later one; pre-releases count to their line.
    pub fn at_least(&self, major: u64, minor: u64) -> bool {
        (self.0.major, self.0.minor) >= (major, minor)
    }
}

impl KubernetesVersion {
    /// Reads a version with or without `v`.
    ///
    /// # Errors
    /// [`InvalidVersion`].
    pub fn parse(text: &str) -> Result<Self, InvalidVersion> {
        read(text, "1.34.1").map(Self)
    }
}

impl TryFrom<String> for TalosVersion {
    type Error = InvalidVersion;
    fn try_from(text: String) -> Result<Self, InvalidVersion> {
        Self::parse(&text)
    }
}

impl From<TalosVersion> for String {
    fn from(version: TalosVersion) -> Self {
        version.to_string()
    }
}

impl fmt::Display for TalosVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "v{}", self.0)
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Minor of Talos 1, and the first and last minor of Kubernetes 1 that it runs (Talos
/// `pkg/machinery/compatibility` at v1.13.0).
const KUBERNETES: [(u64, u64, u64); 12] = [
    (2, 23, 25),
    (3, 24, 26),
    (4, 25, 27),
    (5, 26, 28),
    (6, 24, 29),
    (7, 25, 30),
    (8, 26, 31),
    (9, 27, 32),
    (10, 28, 33),
    (11, 29, 34),
    (12, 30, 35),
    (13, 31, 36),
];

/// What is wrong with a pair of versions, as a sentence; `None` if it fits or the line is not known
/// here.
pub fn mismatch(talos: &TalosVersion, kubernetes: &KubernetesVersion) -> Option<String> {
    let (_, first, last) = KUBERNETES
        .iter()
        .find(|(minor, ..)| talos.0.major == 1 && talos.0.minor == *minor)?;
    let fits = kubernetes.0.major == 1 && (*first..=*last).contains(&kubernetes.0.minor);
    (!fits).then(|| {
        format!(
            "Talos {talos} runs Kubernetes 1.{first} to 1.{last}, not {kubernetes}. The image does \
             not contain Kubernetes: the machine configuration decides."
        )
    })
}

/// What a version that is not in a factory's list is answered with: the nearest one, or the newest
/// of the same line; `None` if the version is in the list.
pub fn missing_version(wanted: &TalosVersion, offered: &[String]) -> Option<String> {
    let wanted_text = wanted.to_string();
    if offered.contains(&wanted_text) {
        return None;
    }
    let newest = offered
        .iter()
        .filter_map(|text| TalosVersion::parse(text).ok())
        .filter(|version| version.0.major == wanted.0.major && version.0.minor == wanted.0.minor)
        .max()
        .map(|version| format!("the newest of its line there is {version}"));
    let near = nearest(&wanted_text, offered.iter().map(String::as_str))
        .map(|near| format!("the nearest there is {near}"));
    Some(
        newest
            .or(near)
            .or_else(|| {
                offered
                    .last()
                    .map(|last| format!("the newest there is {last}"))
            })
            .unwrap_or_else(|| "it offers none at all".to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_with_and_without_v() {
        for (text, version) in [
            ("v1.11.5", "v1.11.5"),
            ("1.11.5", "v1.11.5"),
            ("v1.13.0-alpha.1", "v1.13.0-alpha.1"),
            ("v1.13.0-alpha.1-12-gabcdef0", "v1.13.0-alpha.1-12-gabcdef0"),
        ] {
            let parsed = TalosVersion::parse(text).map(|version| version.to_string());
            assert_eq!(parsed.as_deref(), Ok(version));
        }
        for text in [
            "",
            "v",
            "1.11",
            "vv1.11.5",
            "1.11.5.1",
            "latest",
            "v1.11.5+frr",
            "v01.1.1",
        ] {
            assert!(TalosVersion::parse(text).is_err(), "{text}");
        }
        let kubernetes = KubernetesVersion::parse("v1.31.4").map(|version| version.to_string());
        assert_eq!(kubernetes.as_deref(), Ok("1.31.4"));
    }

    #[test]
    fn a_pre_release_counts_to_its_line() {
        let at = |text| TalosVersion::parse(text).is_ok_and(|version| version.at_least(1, 10));
        assert!(at("v1.10.0-alpha.0") && at("v2.0.0") && at("v1.11.0") && !at("v1.9.9"));
    }

    #[test]
    fn says_which_kubernetes_fits() {
        let check = |talos: &str, kubernetes: &str| {
            let talos = TalosVersion::parse(talos).expect("a version");
            let kubernetes = KubernetesVersion::parse(kubernetes).expect("a version");
            mismatch(&talos, &kubernetes).is_none()
        };
        for (talos, kubernetes, fits) in [
            ("v1.11.5", "1.31.4", true),
            ("v1.12.0", "1.32.0", true),
            ("v1.11.5", "1.28.9", false),
            ("v1.11.5", "1.35.0", false),
            ("v1.9.2", "1.32.1", true),
            ("v1.9.2", "1.33.0", false),
            // Of lines that this table does not know, nothing is said.
            ("v1.40.0", "1.2.3", true),
        ] {
            assert_eq!(check(talos, kubernetes), fits, "{talos} {kubernetes}");
        }
    }

    #[test]
    fn names_what_is_offered_instead() {
        let offered = ["v1.10.7", "v1.11.4", "v1.11.5", "v1.12.0"].map(str::to_owned);
        let ask = |text: &str| missing_version(&TalosVersion::parse(text).expect("one"), &offered);
        assert_eq!(ask("v1.11.5"), None);
        assert_eq!(
            ask("v1.11.9").as_deref(),
            Some("the newest of its line there is v1.11.5")
        );
        assert_eq!(
            ask("v1.21.5").as_deref(),
            Some("the nearest there is v1.11.5")
        );
        let wanted = TalosVersion::parse("v1.11.5").expect("one");
        assert_eq!(
            missing_version(&wanted, &[]).as_deref(),
            Some("it offers none at all")
        );
    }
}
