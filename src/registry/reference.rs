//! Names of repositories and of images in them.
//!
//! Stricter than docker: the host is always written, because a name without one means another registry to another tool.

use std::{fmt, str::FromStr};

use crate::digest::{Digest, NoDigest};

/// Longest name of a repository that registries agree on, host included (`distribution/reference`).
const LONGEST_NAME: usize = 255;
/// Longest tag (distribution-spec, "Pulling manifests").
const LONGEST_TAG: usize = 128;

/// A repository: a registry's host and a name there, as `ghcr.io/siderolabs/installer`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    host: String,
    name: String,
}

/// An image or artifact: a repository and a tag, a digest, or both.
///
/// With both, reading goes by the digest and writing to the tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    repository: Repository,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReference {
    /// It begins with a URL's scheme.
    #[error("{text:?} begins with a scheme; write it without, as host/name:tag")]
    Scheme {
        /// The text.
        text: String,
    },
    /// The first part is no host.
    #[error(
        "{text:?} names no registry: begin with its host, as ghcr.io/{text} or docker.io/library/{text}"
    )]
    NoHost {
        /// The text.
        text: String,
    },
    /// A character where it must not be.
    #[error(
        "{character:?}, character {position} of the {part} {text:?}, is not allowed there: {rule}"
    )]
    Character {
        /// What is being read: "host", "name" or "tag".
        part: &'static str,
        /// The part as written.
        text: String,
        /// The character.
        character: char,
        /// Where it stands in the part, from 1.
        position: usize,
        /// What is allowed.
        rule: &'static str,
    },
    /// A part without characters.
    #[error("the {part} of {text:?} is empty")]
    Empty {
        /// "name", "part of the name" or "tag".
        part: &'static str,
        /// The whole text.
        text: String,
    },
    /// A part with too many characters.
    #[error("the {part} {text:?} has {length} characters; at most {limit} are allowed")]
    TooLong {
        /// "name" or "tag".
        part: &'static str,
        /// The part as written.
        text: String,
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// What follows the `@`.
    #[error(transparent)]
    Digest(#[from] NoDigest),
    /// A repository was expected and more was written.
    #[error("{text:?} has a tag or digest, where only host/name is expected")]
    NotBare {
        /// The text.
        text: String,
    },
}

impl Repository {
    /// The registry, with its port if one is written: `127.0.0.1:5000`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The name below the host: `siderolabs/installer`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The reference to a tag here.
    pub fn tagged(&self, tag: &str) -> Result<Reference, NoReference> {
        check_tag(tag)?;
        Ok(Reference {
            repository: self.clone(),
            tag: Some(tag.to_owned()),
            digest: None,
        })
    }

    /// The reference to content here.
    pub fn at(&self, digest: Digest) -> Reference {
        Reference {
            repository: self.clone(),
            tag: None,
            digest: Some(digest),
        }
    }
}

impl Reference {
    /// Where it lies.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The tag, if one is written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one is written.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// What a manifest is asked for by: the digest, else the tag, else `latest`.
    pub(crate) fn reading(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }
}

impl FromStr for Repository {
    type Err = NoReference;

    fn from_str(text: &str) -> Result<Self, NoReference> {
        let reference: Reference = text.parse()?;
        if reference.tag.is_some() || reference.digest.is_some() {
            return Err(NoReference::NotBare {
                text: text.to_owned(),
            });
        }
        Ok(reference.repository)
    }
}

impl FromStr for Reference {
    type Err = NoReference;

    fn from_str(text: &str) -> Result<Self, NoReference> {
        if text.contains("://") {
            return Err(NoReference::Scheme {
                text: text.to_owned(),
            });
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        let (host, rest) = rest
            .split_once('/')
            .filter(|(host, _)| is_host(host))
            .ok_or_else(|| NoReference::NoHost {
                text: text.to_owned(),
            })?;
        check_host(host)?;
        let (name, tag) = match rest.split_once(':') {
            Some((name, tag)) => (name, Some(tag)),
            None => (rest, None),
        };
        check_name(name, text, host.len() + 1)?;
        if let Some(tag) = tag {
            if tag.is_empty() {
                return Err(NoReference::Empty {
                    part: "tag",
                    text: text.to_owned(),
                });
            }
            check_tag(tag)?;
        }
        Ok(Self {
            repository: Repository {
                host: host.to_owned(),
                name: name.to_owned(),
            },
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.host, self.name)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(formatter, "@{digest}")?;
        }
        Ok(())
    }
}

/// Docker's rule for telling a host from the first part of a name.
fn is_host(text: &str) -> bool {
    text == "localhost" || text.contains(['.', ':'])
}

fn check_host(host: &str) -> Result<(), NoReference> {
    let allowed =
        |character: char| character.is_ascii_alphanumeric() || ".-:[]".contains(character);
    characters(
        "host",
        host,
        allowed,
        "letters, digits, \".\", \"-\", and a port after \":\"",
    )
}

/// Segments of `[a-z0-9]+` joined by one `.`, one or two `_`, or any number of `-` (distribution-spec, "Pulling manifests").
fn check_name(name: &str, whole: &str, host_length: usize) -> Result<(), NoReference> {
    const RULE: &str =
        "lower-case letters and digits, and between them \".\", \"_\", \"__\", \"-\" or \"/\"";
    if name.is_empty() {
        return Err(NoReference::Empty {
            part: "name",
            text: whole.to_owned(),
        });
    }
    if name.split('/').any(str::is_empty) {
        return Err(NoReference::Empty {
            part: "part of the name between slashes",
            text: whole.to_owned(),
        });
    }
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    characters(
        "name",
        name,
        |character| {
            character.is_ascii_lowercase()
                || character.is_ascii_digit()
                || "._-/".contains(character)
        },
        RULE,
    )?;
    let bytes = name.as_bytes();
    for (index, &byte) in bytes.iter().enumerate() {
        if is_plain(byte) || byte == b'/' {
            continue;
        }
        let before = index.checked_sub(1).map(|index| bytes[index]);
        let after = bytes.get(index + 1).copied();
        let follows = match (before, byte) {
            (Some(before), _) if is_plain(before) => true,
            (Some(b'-'), b'-') => true,
            (Some(b'_'), b'_') => index >= 2 && is_plain(bytes[index - 2]),
            _ => false,
        };
        let is_followed = after.is_some_and(|after| {
            is_plain(after) || (after == byte && (byte == b'-' || byte == b'_'))
        });
        if !(follows && is_followed) {
            return Err(NoReference::Character {
                part: "name",
                text: name.to_owned(),
                character: char::from(byte),
                position: index + 1,
                rule: RULE,
            });
        }
    }
    let length = host_length + name.len();
    if length > LONGEST_NAME {
        return Err(NoReference::TooLong {
            part: "name",
            text: name.to_owned(),
            length,
            limit: LONGEST_NAME,
        });
    }
    Ok(())
}

fn check_tag(tag: &str) -> Result<(), NoReference> {
    const RULE: &str = "letters, digits and \"_\", then also \".\" and \"-\"";
    if tag.is_empty() {
        return Err(NoReference::Empty {
            part: "tag",
            text: tag.to_owned(),
        });
    }
    characters(
        "tag",
        tag,
        |character| character.is_ascii_alphanumeric() || "_.-".contains(character),
        RULE,
    )?;
    if tag.starts_with(['.', '-']) {
        return Err(NoReference::Character {
            part: "tag",
            text: tag.to_owned(),
            character: char::from(tag.as_bytes()[0]),
            position: 1,
            rule: RULE,
        });
    }
    if tag.len() > LONGEST_TAG {
        return Err(NoReference::TooLong {
            part: "tag",
            text: tag.to_owned(),
            length: tag.len(),
            limit: LONGEST_TAG,
        });
    }
    Ok(())
}

fn characters(
    part: &'static str,
    text: &str,
    is_allowed: impl Fn(char) -> bool,
    rule: &'static str,
) -> Result<(), NoReference> {
    match text
        .chars()
        .enumerate()
        .find(|(_, character)| !is_allowed(*character))
    {
        None => Ok(()),
        Some((index, character)) => Err(NoReference::Character {
            part,
            text: text.to_owned(),
            character,
            position: index + 1,
            rule,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, String, Option<String>, Option<Digest>) {
        let reference: Reference = text.parse().expect(text);
        assert_eq!(reference.to_string(), text);
        let Reference {
            repository,
            tag,
            digest,
        } = reference;
        (repository.host, repository.name, tag, digest)
    }

    fn refusal(text: &str) -> String {
        text.parse::<Reference>().expect_err(text).to_string()
    }

    #[test]
    fn takes_references_apart() {
        let (host, name, tag, digest) = parsed("ghcr.io/x/talos-frr-installer:v1.11.5");
        assert_eq!(host, "ghcr.io");
        assert_eq!(name, "x/talos-frr-installer");
        assert_eq!(tag.as_deref(), Some("v1.11.5"));
        assert_eq!(digest, None);
        let (host, name, tag, _) = parsed("127.0.0.1:5000/a__b/c--d:_.-");
        assert_eq!(host, "127.0.0.1:5000");
        assert_eq!(name, "a__b/c--d");
        assert_eq!(tag.as_deref(), Some("_.-"));
        let digest = Digest::of(b"");
        assert_eq!(parsed(&format!("[::1]:5000/a@{digest}")).3, Some(digest));
        assert_eq!(parsed(&format!("localhost/a:t@{digest}")).3, Some(digest));
    }

    #[test]
    fn names_the_character_that_is_wrong() {
        let text = refusal("ghcr.io/x/y:v1.12.0+frr");
        assert!(
            text.starts_with("'+', character 8 of the tag \"v1.12.0+frr\""),
            "{text}"
        );
        let text = refusal("ghcr.io/x/Talos:v1");
        assert!(
            text.starts_with("'T', character 3 of the name \"x/Talos\""),
            "{text}"
        );
        let text = refusal("ghcr.io/x/a..b:v1");
        assert!(text.starts_with("'.', character 4 of the name"), "{text}");
        let text = refusal("ghcr.io/x/a___b:v1");
        assert!(text.starts_with("'_', character 6 of the name"), "{text}");
        assert!(refusal("ghcr.io/-x").starts_with("'-', character 1 of the name"));
        assert!(refusal("ghcr.io/x-").starts_with("'-', character 2 of the name"));
        assert!(refusal("ghcr.io/x:-v").starts_with("'-', character 1 of the tag"));
        assert!(refusal("gh cr.io/x").starts_with("' ', character 3 of the host"));
    }

    #[test]
    fn says_what_is_missing() {
        assert!(refusal("siderolabs/installer:v1").contains("names no registry"));
        assert!(refusal("https://ghcr.io/x").contains("scheme"));
        assert!(refusal("ghcr.io/x//y").contains("is empty"));
        assert!(refusal("ghcr.io/").contains("is empty"));
        assert!(refusal("ghcr.io/x:").contains("the tag of"));
        assert!(refusal("ghcr.io/x@sha256:1").contains("not a digest"));
        let long = "a".repeat(129);
        assert!(refusal(&format!("ghcr.io/x:{long}")).contains("129"));
    }

    #[test]
    fn wants_a_bare_repository_bare() {
        assert!("ghcr.io/x".parse::<Repository>().is_ok());
        assert!(matches!(
            "ghcr.io/x:v1".parse::<Repository>(),
            Err(NoReference::NotBare { .. })
        ));
    }
}
