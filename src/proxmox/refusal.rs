//! What an error answer of Proxmox means.
//!
//! The only place that matches on texts of Proxmox: it tells most things by a sentence in the
//! status line, and thrown exceptions all have the status 500.

use std::collections::BTreeMap;

use crate::{ContentKind, Kind, Missing};

/// What the call was about, for the error.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About<'a> {
    pub(crate) node: &'a str,
    pub(crate) storage: &'a str,
    pub(crate) content: Option<ContentKind>,
}

/// The meaning of an answer with an error status.
pub(crate) fn kind(
    status: u16,
    said: &str,
    errors: BTreeMap<String, String>,
    about: About<'_>,
) -> Kind {
    let said = said.trim().to_owned();
    match status {
        401 if said.contains("expired") => Kind::Expired { said },
        401 => Kind::Unauthorized { said },
        403 => forbidden(&said),
        400 if errors
            .get("storage")
            .is_some_and(|text| text.contains("No such storage")) =>
        {
            Kind::NotFound {
                said: format!("there is no storage {}", about.storage),
            }
        }
        400 => Kind::Parameter {
            fields: errors
                .into_iter()
                .map(|(name, text)| (name, text.trim().to_owned()))
                .collect(),
            said,
        },
        404 => Kind::NotFound { said },
        _ => thrown(&said, about).unwrap_or(Kind::Server { status, said }),
    }
}

/// The meaning of a thrown message, in a status line or at the end of a task.
pub(crate) fn thrown(said: &str, about: About<'_>) -> Option<Kind> {
    let said = said.trim();
    let owned = || said.to_owned();
    if is_no_space(said) {
        return Some(Kind::NoSpace { said: owned() });
    }
    if let Some((got, wanted)) = checksum(said) {
        return Some(Kind::Checksum { got, wanted });
    }
    if said.starts_with("hostname lookup") {
        return Some(Kind::NotFound {
            said: format!("there is no node {}", about.node),
        });
    }
    if said.starts_with("storage '") {
        if said.ends_with("does not exist") {
            return Some(Kind::NotFound { said: owned() });
        }
        let off = ["is disabled", "is not available on node", "is not online"];
        if off.iter().any(|words| said.contains(words)) {
            return Some(off_kind(said, about));
        }
    }
    if said.starts_with("can't activate storage") || said.starts_with("unable to activate storage")
    {
        return Some(off_kind(said, about));
    }
    let content = about.content?;
    let wrong = [
        "can't upload to storage type",
        "does not support",
        "is not configured for content-type",
    ];
    wrong
        .iter()
        .any(|words| said.contains(words))
        .then(|| Kind::ContentType {
            storage: about.storage.to_owned(),
            content,
            said: owned(),
        })
}

/// The meaning of a task's end: of its status, or of what its log says just before.
pub(crate) fn of_task(status: &str, log: &[String], about: About<'_>) -> Option<Kind> {
    std::iter::once(status)
        .chain(log.iter().rev().map(String::as_str))
        .find_map(|said| thrown(said, about))
}

/// Whether the size of a volume could not be read, which is what Proxmox says of a file that is not
/// there, and of one that it cannot read.
pub(crate) fn may_be_missing(said: &str) -> bool {
    said.contains("volume_size_info on") || said.contains("does not exist")
}

/// Whether a 400 says that a task is not known (yet).
pub(crate) fn is_unknown_task(fields: &BTreeMap<String, String>) -> bool {
    fields
        .get("upid")
        .is_some_and(|text| text.contains("no such task"))
}

/// The end of a task that found another file under the name.
pub(crate) fn is_refusal_to_override(status: &str) -> bool {
    status.contains("refusing to override existing file")
        || status.contains("checksum mismatch") && status.trim_end().ends_with("aborting")
}

fn is_no_space(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    [
        "no space left on device",
        "disk quota exceeded",
        "out of space",
    ]
    .iter()
    .any(|words| said.contains(words))
}

/// `checksum mismatch: got 'A' != expect 'B'`.
fn checksum(said: &str) -> Option<(String, String)> {
    let rest = said.split_once("checksum mismatch: got '")?.1;
    let (got, rest) = rest.split_once("' != expect '")?;
    let wanted = rest.split_once('\'')?.0;
    Some((got.to_owned(), wanted.to_owned()))
}

fn off_kind(said: &str, about: About<'_>) -> Kind {
    Kind::StorageOff {
        storage: about.storage.to_owned(),
        node: about.node.to_owned(),
        said: said.to_owned(),
    }
}

/// `Permission check failed (/storage/x, Datastore.Audit|Datastore.AllocateSpace)`.
fn forbidden(said: &str) -> Kind {
    let named = said
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .and_then(|inner| inner.split_once(", "));
    Kind::Forbidden(match named {
        Some((path, privileges)) => Missing {
            privileges: privileges
                .split(['|', ','])
                .map(|privilege| privilege.trim().to_owned())
                .collect(),
            path: path.to_owned(),
        },
        None => Missing {
            privileges: vec![format!("a privilege ({said})")],
            path: "the object".to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: About<'_> = About {
        node: "pve01",
        storage: "resources",
        content: Some(ContentKind::Iso),
    };

    fn meaning(status: u16, said: &str) -> String {
        format!("{:?}", kind(status, said, BTreeMap::new(), ABOUT))
    }

    #[test]
    fn a_refusal_names_privilege_and_path() {
        let Kind::Forbidden(Missing { privileges, path }) = forbidden(
            "Permission check failed (/storage/x, Datastore.Audit|Datastore.AllocateSpace)",
        ) else {
            panic!("a refusal");
        };
        assert_eq!(privileges, ["Datastore.Audit", "Datastore.AllocateSpace"]);
        assert_eq!(path, "/storage/x");
        assert!(meaning(403, "Permission check failed").contains("Permission check failed"));
    }

    #[test]
    fn thrown_messages_have_a_meaning() {
        for (said, wanted) in [
            ("storage 'x' does not exist", "NotFound"),
            ("storage 'x' is disabled", "StorageOff"),
            ("storage 'x' is not available on node 'pve01'", "StorageOff"),
            ("storage 'x' is not online", "StorageOff"),
            ("can't upload to storage type 'rbd'", "ContentType"),
            ("storage 'x' does not support 'iso' content", "ContentType"),
            (
                "storage 'x' is not configured for content-type 'iso'",
                "ContentType",
            ),
            (
                "write to temporary file failed - No space left on device",
                "NoSpace",
            ),
            (
                "hostname lookup 'pve01' failed - failed to get address info",
                "NotFound",
            ),
            ("checksum mismatch: got 'aa' != expect 'bb'", "Checksum"),
            ("something else", "Server"),
        ] {
            assert!(
                meaning(500, said).starts_with(wanted),
                "{said}: {}",
                meaning(500, said)
            );
        }
    }

    #[test]
    fn an_expired_token_is_not_a_wrong_one() {
        assert!(meaning(401, "token 'ci' access expired").starts_with("Expired"));
        assert!(meaning(401, "invalid token value!").starts_with("Unauthorized"));
    }
}
