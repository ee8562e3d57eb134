//! An artifact as it was seen. What was not looked at is absent here, what did not answer is
//! [`Fact::Unknown`]: neither is ever taken for a file or tag that is gone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    desired::{Desired, Source},
    recorded::Recorded,
    reference::FactoryUrl,
    schematic::SchematicId,
};
use crate::{
    facts::Fact,
    stored::{self, TooNew},
};

/// Facts, and what our applies wrote.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Whether a factory knows a schematic, by [`schematic_at`].
    pub schematics: BTreeMap<String, Fact<bool>>,
    /// Which Proxmox cluster answered: fingerprint of the CA that it made for itself. `None` if it did
    /// not tell.
    #[serde(default)]
    pub cluster: Option<String>,
    /// Storages by id, as seen from nodes by name.
    pub storages: BTreeMap<String, BTreeMap<String, Fact<StorageSeen>>>,
    /// Where tags lead, by `REPOSITORY:TAG`; `None` if there is no such tag.
    pub tags: BTreeMap<String, Fact<Option<TagSeen>>>,
    /// Recorded images that their registry still has, by `REPOSITORY@DIGEST`.
    pub kept: BTreeSet<String>,
    /// Digest of the factory's own installer, if it was asked for.
    pub source_installer: Option<Fact<String>>,
    /// Files on this machine by path; `None` if there is no such file.
    pub local: BTreeMap<String, Fact<Option<LocalSeen>>>,
    /// The image that lies ready on this machine in this run; by its content.
    #[serde(skip)]
    pub at_hand: Option<String>,
    /// The installer that lies ready on this machine in this run; by its content.
    #[serde(skip)]
    pub installer_at_hand: Option<String>,
    /// Files that a run on this machine began to write and of which it could not keep a record, because
    /// it was killed.
    #[serde(default)]
    pub begun: BTreeSet<Begun>,
    /// Why nothing can be seen of the Proxmox cluster in this look, though it answers.
    #[serde(skip)]
    pub refused: Option<Refused>,
    /// What the login lacks to put the image on storages where it is not, as a fragment, by storage and
    /// node.
    #[serde(skip)]
    pub lacking: BTreeMap<String, BTreeMap<String, String>>,
    /// What our applies wrote.
    pub recorded: Recorded,
}

/// Why nothing can be seen of a Proxmox cluster that answers: no silence, and it does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It does not let the login in, with the reason.
    Login(String),
    /// Its certificate is not trusted, with the reason.
    Certificate(String),
}

/// A file on a storage that was begun.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Begun {
    /// Id of the storage.
    pub storage: String,
    /// Name of the node; empty on a storage that all share.
    pub node: String,
    /// `iso/NAME`.
    pub volume: String,
}

/// What a Proxmox cluster is known not to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Absent {
    /// The storage.
    Storage,
    /// The node.
    Node,
    /// The storage on this node: it is disabled, or limited to others.
    Here,
}

/// A storage from one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageSeen {
    /// The cluster answered that there is no such thing: surely, other than silence.
    #[serde(default)]
    pub absent: Option<Absent>,
    /// All nodes see the same files.
    pub is_shared: bool,
    /// Its type: `dir`, `nfs`, `rbd`, …; empty if an older build looked.
    #[serde(default)]
    pub kind: String,
    /// Kinds of content that it takes, such as `iso`.
    pub content: Vec<String>,
    /// Bytes that are free.
    pub available_bytes: Option<u64>,
    /// Bytes of the files that were asked for and are there, by `iso/NAME`.
    pub files: BTreeMap<String, u64>,
}

/// A tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagSeen {
    /// Digest of the manifest.
    pub digest: String,
    /// What our annotation in the manifest says it is.
    pub content: Option<String>,
    /// SHA-256 of the image, if it is one of our artifacts.
    pub sha256: Option<String>,
    /// Bytes of the image, if it is one of our artifacts.
    pub size_bytes: Option<u64>,
}

impl TagSeen {
    /// The bytes of the image, if it is one of our artifacts.
    fn bytes(&self) -> Option<Bytes> {
        Some(Bytes {
            sha256: self.sha256.clone()?,
            size_bytes: self.size_bytes?,
        })
    }
}

/// A file on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalSeen {
    /// It is a directory.
    #[serde(default)]
    pub is_directory: bool,
    /// Bytes.
    pub size_bytes: u64,
    /// SHA-256, if it was computed.
    pub sha256: Option<String>,
}

/// An image by its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// SHA-256 of the file.
    pub sha256: String,
    /// Length of the file.
    pub size_bytes: u64,
}

/// What a schematic at a factory is called.
pub fn schematic_at(url: &FactoryUrl, id: &SchematicId) -> String {
    format!("{id} at {}", url.as_str())
}

impl Observed {
    /// Whether a factory knows a schematic; `None` if it was not asked.
    pub(super) fn schematic(&self, url: &FactoryUrl, id: &SchematicId) -> Option<&Fact<bool>> {
        self.schematics.get(&schematic_at(url, id))
    }

    /// As private bytes.
    pub fn store(&self) -> Vec<u8> {
        stored::store(self)
    }

    /// From private bytes; `None` if there are none or they cannot be read.
    ///
    /// # Errors
    /// [`TooNew`] if a newer provider wrote them.
    pub fn load(bytes: &[u8]) -> Result<Option<Self>, TooNew> {
        stored::load(bytes)
    }

    /// Whether another Proxmox cluster answers than the one that has our files: names of nodes and
    /// storages may well be the same there.
    pub fn is_elsewhere(&self) -> bool {
        let is_other = |recorded| self.cluster.as_ref().is_some_and(|seen| seen != recorded);
        self.recorded.cluster.as_ref().is_some_and(is_other)
    }

    /// What is known of a storage from a node; `None` if it was not looked at.
    pub fn storage(&self, storage: &str, node: &str) -> Option<&Fact<StorageSeen>> {
        self.storages.get(storage)?.get(node)
    }

    /// What the login lacks to write to a storage through a node, as far as it was asked.
    pub(super) fn lacking(&self, storage: &str, node: &str) -> Option<&str> {
        Some(self.lacking.get(storage)?.get(node)?)
    }

    /// The bytes that the wanted image has in all its places, as far as they are known: from the
    /// artifact that is copied, from the registry, or from our record.
    pub fn bytes(&self, desired: &Desired) -> Option<Bytes> {
        if let Source::Copy(handle) = &desired.source
            && let (Some(sha256), Some(size_bytes)) = (&handle.sha256, handle.size_bytes)
        {
            return Some(Bytes {
                sha256: sha256.clone(),
                size_bytes,
            });
        }
        self.registered(desired)
            .or_else(|| self.recorded.bytes(&desired.content()))
            .or_else(|| self.artifact(desired)?.bytes())
    }

    /// The bytes in the registry, where ours are there, or were lost there and made anew by somebody
    /// else: all who share the registry have them from there.
    fn registered(&self, desired: &Desired) -> Option<Bytes> {
        let place = desired.artifact.as_ref()?;
        let recorded = self.recorded.tag(place)?;
        let seen = self.artifact(desired)?;
        let is_kept = || {
            let reference = format!("{}@{}", place.repository, recorded.digest);
            self.kept.contains(&reference)
        };
        let is_it = seen.digest == recorded.digest || !is_kept();
        (recorded.content == desired.content() && is_it)
            .then(|| seen.bytes())
            .flatten()
    }

    /// The wanted image in the registry, if it is there.
    pub(super) fn artifact(&self, desired: &Desired) -> Option<&TagSeen> {
        let tag = self.tags.get(&desired.artifact.as_ref()?.to_string())?;
        let seen = tag.known()?.as_ref()?;
        (seen.content.as_deref() == Some(&desired.content())).then_some(seen)
    }
}
