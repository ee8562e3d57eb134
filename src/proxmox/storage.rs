//! What a storage is, as one node sees it.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::{Client, ContentKind, Error, Kind, call::Call, refusal::About};

/// A storage as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StorageStatus {
    /// `dir`, `nfs`, `cephfs`, `rbd`, `lvmthin`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// What it may hold, in the words of the API: `iso`, `import`, `images`, …
    #[serde(default, rename = "content", deserialize_with = "words")]
    pub contents: BTreeSet<String>,
    /// The node reaches it now.
    #[serde(default, rename = "active", deserialize_with = "flag")]
    pub is_active: bool,
    /// It is not switched off, and meant for this node.
    #[serde(default, rename = "enabled", deserialize_with = "flag")]
    pub is_enabled: bool,
    /// All nodes see the same files.
    #[serde(default, rename = "shared", deserialize_with = "flag")]
    pub is_shared: bool,
    /// Free bytes; 0 while it is not active.
    #[serde(default, rename = "avail", deserialize_with = "size")]
    pub available_bytes: u64,
    /// All bytes; 0 while it is not active.
    #[serde(default, rename = "total", deserialize_with = "size")]
    pub total_bytes: u64,
}

impl StorageStatus {
    /// Whether the storage takes files of this kind.
    pub fn holds(&self, content: ContentKind) -> bool {
        self.contents.contains(content.word())
    }

    /// Whether a file of this kind and size can be put here; `replaced_bytes` are given back first.
    ///
    /// # Errors
    /// [`Kind::StorageOff`], [`Kind::ContentType`] or [`Kind::NoSpace`].
    pub fn check(
        &self,
        node: &str,
        storage: &str,
        content: ContentKind,
        size_bytes: u64,
        replaced_bytes: u64,
    ) -> Result<(), Kind> {
        let off = |said: &str| Kind::StorageOff {
            storage: storage.to_owned(),
            node: node.to_owned(),
            said: said.to_owned(),
        };
        if !self.is_enabled {
            return Err(off("it is disabled, or not meant for this node"));
        }
        if !self.holds(content) {
            let contents: Vec<_> = self.contents.iter().map(String::as_str).collect();
            return Err(Kind::ContentType {
                storage: storage.to_owned(),
                content,
                said: format!("it is of type {} for {}", self.kind, contents.join(", ")),
            });
        }
        if !self.is_active {
            return Err(off("it is not active"));
        }
        if self.total_bytes > 0 && self.available_bytes + replaced_bytes < size_bytes {
            return Err(Kind::NoSpace {
                said: format!(
                    "{size_bytes} bytes are needed on storage {storage} of node {node}, {} are free",
                    self.available_bytes
                ),
            });
        }
        Ok(())
    }
}

impl Client {
    /// The storage as this node sees it.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown storage or node, others if it cannot be told.
    pub async fn storage_status(&self, node: &str, storage: &str) -> Result<StorageStatus, Error> {
        let call = Call::get(
            format!("look at storage {storage} of node {node}"),
            &["nodes", node, "storage", storage, "status"],
        )
        .about(About {
            node,
            storage,
            content: None,
        });
        let answer = self.read(&call).await?;
        answer
            .read()
            .map_err(|kind| self.error(call.doing, Some(node), kind))
    }

    /// Names of the cluster's nodes.
    ///
    /// # Errors
    /// It cannot be told.
    pub async fn nodes(&self) -> Result<BTreeSet<String>, Error> {
        #[derive(Deserialize)]
        struct Node {
            node: String,
        }
        let call = Call::get("list the nodes", &["nodes"]);
        let nodes: Vec<Node> = self
            .read(&call)
            .await?
            .read()
            .map_err(|kind| self.error(call.doing, None, kind))?;
        Ok(nodes.into_iter().map(|node| node.node).collect())
    }
}

/// Perl writes a truth as 1, "1" or true.
pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(truth) => truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty() && text != "0",
        _ => false,
    })
}

/// Perl writes a number as 1 or "1", and sizes computed from blocks with a fraction.
pub(crate) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => 0,
        Value::Number(number) => number
            .as_u64()
            .unwrap_or_else(|| whole(number.as_f64().unwrap_or(0.0))),
        Value::String(text) => text.parse().map_err(de::Error::custom)?,
        other => return Err(de::Error::custom(format!("{other} is not a size"))),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a size is positive, and no disk has 2^53 bytes"
)]
fn whole(number: f64) -> u64 {
    number.max(0.0) as u64
}

fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    Ok(text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> StorageStatus {
        serde_json::from_str(text).expect("a status")
    }

    #[test]
    fn reads_truths_and_numbers_as_perl_writes_them() {
        let status = status(
            r#"{"type":"cephfs","content":"iso,vztmpl","active":1,"enabled":"1","shared":1,
                "avail":"1000","total":2000.5,"used":1}"#,
        );
        assert!(status.is_active && status.is_enabled && status.is_shared);
        assert_eq!((status.available_bytes, status.total_bytes), (1000, 2000));
        assert!(status.holds(ContentKind::Iso) && !status.holds(ContentKind::Import));
    }

    #[test]
    fn says_why_a_file_cannot_be_put_there() {
        let check = |text: &str, replaced| match status(text).check(
            "n",
            "s",
            ContentKind::Iso,
            100,
            replaced,
        ) {
            Ok(()) => "fits".to_owned(),
            Err(kind) => kind.to_string(),
        };
        let full =
            r#"{"type":"dir","content":"iso","active":1,"enabled":1,"avail":60,"total":900}"#;
        assert!(check(full, 0).contains("100 bytes are needed"));
        assert_eq!(check(full, 40), "fits");
        let rbd = r#"{"type":"rbd","content":"images","active":1,"enabled":1}"#;
        assert!(check(rbd, 0).contains("type rbd for images"));
        let off = r#"{"type":"dir","content":"iso","active":0,"enabled":1}"#;
        assert!(check(off, 0).contains("not active"));
        let disabled = r#"{"type":"dir","content":"iso","active":0,"enabled":0}"#;
        assert!(check(disabled, 0).contains("disabled"));
    }
}
