//! Names that stand in units, paths and certificates for life.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Name of a cluster or CA: 1 to 40 lower-case letters, digits and inner hyphens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Key of an entry in `nodes`: 1 to 16 lower-case letters and digits. It has no hyphen, so the last
/// hyphen of `etcd-<cluster>-<key>` always separates the two.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeKey(String);

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not {wanted}")]
pub struct InvalidName {
    text: String,
    wanted: &'static str,
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// [`InvalidName`] with the rule.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let bytes = text.as_bytes();
        let inner = bytes.iter().all(|byte| plain(*byte) || *byte == b'-');
        let ends =
            bytes.first().copied().is_some_and(plain) && bytes.last().copied().is_some_and(plain);
        if inner && ends && bytes.len() <= 40 {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                text: text.to_owned(),
                wanted: "1 to 40 lower-case letters, digits and hyphens, with no hyphen at the ends",
            })
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl NodeKey {
    /// Reads a node key.
    ///
    /// # Errors
    /// [`InvalidName`] with the rule.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if (1..=16).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                text: text.to_owned(),
                wanted: "1 to 16 lower-case letters and digits",
            })
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

text!(Name);
text!(NodeKey);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_that_fit_units_and_certificates() {
        for good in ["k8s", "a", "team-a-events", "9"] {
            assert!(Name::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "a/b", &"a".repeat(41)] {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn takes_keys_without_hyphens() {
        assert!(NodeKey::parse("1").is_ok() && NodeKey::parse("euwest1a").is_ok());
        for bad in ["", "a-1", "A", "12345678901234567"] {
            assert!(NodeKey::parse(bad).is_err(), "{bad}");
        }
    }
}
