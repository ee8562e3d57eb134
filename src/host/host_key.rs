//! Host keys: what a user pins, and how keys are shown to people.

use std::{fmt, str::FromStr};

use russh::keys::{Algorithm, HashAlg, PublicKey};

/// The one key that a host must show.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostKey {
    /// The key itself.
    Key(Box<PublicKey>),
    /// Its fingerprint, `SHA256:…` as `ssh-keygen -l` prints it.
    Fingerprint(String),
}

/// A text that is neither a public key line nor a fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a host key: give a public key such as \"ssh-ed25519 AAAA…\" or a fingerprint such as \"SHA256:…\""
)]
pub struct ParseHostKeyError;

impl FromStr for HostKey {
    type Err = ParseHostKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Some(hash) = text.strip_prefix("SHA256:") {
            let hash = hash.trim_end_matches('=');
            let is_hash = hash.len() == 43
                && hash
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/');
            return if is_hash {
                Ok(Self::Fingerprint(format!("SHA256:{hash}")))
            } else {
                Err(ParseHostKeyError)
            };
        }
        let mut key = PublicKey::from_openssh(text).map_err(|_| ParseHostKeyError)?;
        key.set_comment("");
        Ok(Self::Key(Box::new(key)))
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => f.write_str(&line(key)),
            Self::Fingerprint(text) => f.write_str(text),
        }
    }
}

impl HostKey {
    pub(crate) fn matches(&self, key: &PublicKey) -> bool {
        match self {
            Self::Key(pinned) => pinned.key_data() == key.key_data(),
            Self::Fingerprint(pinned) => *pinned == fingerprint(key),
        }
    }

    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        match self {
            Self::Key(key) => Some(key.algorithm()),
            Self::Fingerprint(_) => None,
        }
    }
}

/// `SHA256:…`, as `ssh-keygen -l` prints it.
pub(crate) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Type and key, as in a known hosts file, without comment.
pub(crate) fn line(key: &PublicKey) -> String {
    let mut key = key.clone();
    key.set_comment("");
    key.to_openssh().map_or_else(
        |_| key.algorithm().to_string(),
        |line| line.trim_end().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn a_key_and_its_fingerprint_pin_the_same_key() {
        let pinned: HostKey = format!("{KEY} a comment").parse().expect("a key");
        assert_eq!(pinned.to_string(), KEY);
        let HostKey::Key(key) = &pinned else {
            panic!("{pinned} is a key")
        };
        let by_hash: HostKey = fingerprint(key).parse().expect("a fingerprint");
        assert!(by_hash.matches(key) && pinned.matches(key));
    }

    #[test]
    fn other_texts_are_no_host_keys() {
        for text in [
            "",
            "SHA256:",
            "MD5:aa:bb",
            "ssh-ed25519",
            "SHA256:short",
            "hello world",
        ] {
            assert_eq!(text.parse::<HostKey>(), Err(ParseHostKeyError), "{text}");
        }
    }
}
