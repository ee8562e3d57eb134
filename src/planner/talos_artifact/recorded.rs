//! What our applies wrote: the measure of drift, and the list of what may be removed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    desired::{Desired, Source, Tagged},
    imager::ImagerOutput,
    observed::{Begun, Bytes, Observed},
    step::{Done, Step},
};
use crate::facts::Fact;

/// What our applies wrote.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Id of the schematic that a factory was given.
    pub schematic: Option<String>,
    /// URL of that factory; `None` where only the id was noted.
    #[serde(default)]
    pub schematic_factory: Option<String>,
    /// The image.
    pub image: Option<RecordedImage>,
    /// Which Proxmox cluster has the files, as [`Observed::cluster`].
    #[serde(default)]
    pub cluster: Option<String>,
    /// Files on storages.
    pub files: Vec<RecordedFile>,
    /// Tags in registries.
    pub tags: Vec<RecordedTag>,
    /// Files on this machine, or on that of the last apply.
    pub local: Vec<RecordedLocal>,
    /// The factory's own installer, where it is used as it is.
    #[serde(default)]
    pub factory_installer: Option<RecordedInstaller>,
    /// Steps that the last apply took, in words; `None` before the first one.
    #[serde(default)]
    pub done: Option<Vec<String>>,
    /// Ids of builds that may lie on the build host.
    #[serde(default)]
    pub builds: BTreeSet<String>,
}

/// The factory's own installer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedInstaller {
    /// By tag.
    pub reference: String,
    /// Digest of its manifest; `None` if the factory did not tell it.
    pub digest: Option<String>,
}

/// An image that was fetched or built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedImage {
    /// What it is.
    pub content: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// A file on a storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFile {
    /// Id of the storage.
    pub storage: String,
    /// The node through which it got there.
    pub node: String,
    /// All nodes see it.
    pub is_shared: bool,
    /// `iso/NAME`.
    pub volume: String,
    /// What it is.
    pub content: String,
    /// Its bytes.
    pub bytes: Bytes,
    /// Whether we wrote it; what was there before is never removed.
    pub is_ours: bool,
    /// Nodes that saw it on a storage that they share.
    #[serde(default)]
    pub seen_from: BTreeSet<String>,
}

/// A tag in a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedTag {
    /// Where.
    pub place: Tagged,
    /// What it is.
    pub content: String,
    /// Digest of the manifest.
    pub digest: String,
    /// Whether we wrote it.
    pub is_ours: bool,
}

/// A file on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedLocal {
    /// Where.
    pub path: String,
    /// What it is.
    pub content: String,
    /// Its bytes.
    pub bytes: Bytes,
    /// Whether we wrote it; what was there before is never removed.
    #[serde(default = "yes")]
    pub is_ours: bool,
}

/// Before it was told apart, everything was ours.
fn yes() -> bool {
    true
}

impl RecordedFile {
    /// Where it lies.
    pub fn begun(&self) -> Begun {
        let node = if self.is_shared { "" } else { &*self.node };
        Begun {
            storage: self.storage.clone(),
            node: node.to_owned(),
            volume: self.volume.clone(),
        }
    }

    /// Whether it is what a node sees as this volume of this storage.
    pub(super) fn is_at(&self, storage: &str, node: &str, volume: &str) -> bool {
        self.storage == storage && self.volume == volume && (self.is_shared || self.node == node)
    }
}

impl Recorded {
    /// The file that a node sees as this volume.
    pub fn file(&self, storage: &str, node: &str, volume: &str) -> Option<&RecordedFile> {
        self.files
            .iter()
            .find(|file| file.is_at(storage, node, volume))
    }

    /// The tag at this place.
    pub fn tag(&self, place: &Tagged) -> Option<&RecordedTag> {
        self.tags.iter().find(|tag| tag.place == *place)
    }

    /// The file that we wrote to this path.
    pub fn local(&self, path: &str) -> Option<&RecordedLocal> {
        self.local.iter().find(|local| local.path == path)
    }

    /// The bytes of this content as they were fetched last, or as they still lie somewhere: also when
    /// the content is changed back.
    pub(super) fn bytes(&self, content: &str) -> Option<Bytes> {
        let image = self
            .image
            .iter()
            .map(|image| (&image.content, &image.bytes));
        let files = self.files.iter().map(|file| (&file.content, &file.bytes));
        let local = self
            .local
            .iter()
            .map(|local| (&local.content, &local.bytes));
        let mut known = image.chain(files).chain(local);
        let (_, bytes) = known.find(|(known, _)| *known == content)?;
        Some(bytes.clone())
    }

    /// Writes down what the bytes of the image are by now. Files that have others are replaced by the
    /// next apply.
    pub fn note_bytes(&mut self, desired: &Desired, bytes: Bytes) {
        self.image = Some(RecordedImage {
            content: desired.content(),
            bytes,
        });
    }

    /// The wanted installer as `REPOSITORY@DIGEST`, once it is in its place.
    pub fn installer_digest(&self, desired: &Desired) -> Option<String> {
        if let Some(installer) = &desired.installer {
            let tag = self.tag(&installer.place)?;
            let is_wanted = Some(&tag.content) == desired.installer_content().as_ref();
            return is_wanted.then(|| format!("{}@{}", installer.place.repository, tag.digest));
        }
        let reference = desired.factory_installer()?;
        let known = self.factory_installer.as_ref();
        let known = known.filter(|known| known.reference == reference)?;
        let (repository, _) = reference.rsplit_once(':')?;
        Some(format!("{repository}@{}", known.digest.as_ref()?))
    }

    /// Writes down what a step did.
    pub fn note(&mut self, desired: &Desired, step: &Step, done: &Done) {
        self.builds.extend(done.build.clone());
        match step {
            Step::EnsureSchematic { .. } => {
                if let Source::Factory { url, id, .. } = &desired.source {
                    self.schematic = Some(id.to_string());
                    self.schematic_factory = Some(url.as_str().to_owned());
                }
            }
            Step::FetchImage { .. }
            | Step::Build {
                output: ImagerOutput::Iso | ImagerOutput::Disk,
                ..
            } => {
                if let Some(bytes) = &done.bytes {
                    self.note_bytes(desired, bytes.clone());
                }
            }
            Step::Build { .. } => {}
            // One that a killed run had written is ours.
            Step::AdoptFile(place) => self.placed(desired, place, done.is_changed, done),
            Step::Upload { place, .. } => self.placed(desired, place, true, done),
            // A file that was there with our checksum was not written.
            Step::DownloadByNode { place, .. } => {
                self.placed(desired, place, done.is_changed, done);
            }
            Step::PushInstaller { place, .. } | Step::CopyInstaller { place, .. } => {
                let content = desired.installer_content().unwrap_or_default();
                self.tagged(place, content, done);
            }
            Step::AskInstaller { from } => {
                self.factory_installer = Some(RecordedInstaller {
                    reference: from.clone(),
                    digest: done.digest.clone(),
                });
            }
            Step::PublishArtifact { place, .. } => {
                let content = desired.content();
                self.tagged(place, content, done);
            }
            Step::AdoptTag { place, digest } | Step::RestoreTag { place, digest } => {
                let is_installer = desired
                    .installer
                    .as_ref()
                    .is_some_and(|installer| installer.place == *place);
                let content = if is_installer {
                    desired.installer_content().unwrap_or_default()
                } else {
                    desired.content()
                };
                // Of an artifact that is only taken over, the registry told the bytes.
                if let (false, Some(bytes)) = (is_installer, &done.bytes) {
                    self.note_bytes(desired, bytes.clone());
                }
                let done = Done {
                    digest: Some(digest.clone()),
                    is_changed: matches!(step, Step::RestoreTag { .. }),
                    ..done.clone()
                };
                self.tagged(place, content, &done);
            }
            Step::WriteLocal { path } | Step::AdoptLocal { path } => {
                if let Some(bytes) = self.bytes_of(desired, done) {
                    self.local.retain(|local| local.path != *path);
                    self.local.push(RecordedLocal {
                        path: path.clone(),
                        content: desired.content(),
                        bytes,
                        is_ours: matches!(step, Step::WriteLocal { .. }),
                    });
                }
            }
            Step::RemoveOld {
                storage,
                node,
                volume,
                ..
            } => self.files.retain(|file| !file.is_at(storage, node, volume)),
            Step::RemoveLocal { path } => self.local.retain(|local| local.path != *path),
        }
    }

    /// Builds that may lie on the build host and are not needed there once everything is in its place.
    pub fn spare_builds(&self, desired: &Desired) -> Vec<String> {
        let kept = desired.kept_build();
        let spare = self.builds.iter().filter(|id| Some(*id) != kept.as_ref());
        spare.cloned().collect()
    }

    /// Forgets files that are not wanted any more and are gone, or others by now; remembers which
    /// nodes see one that they share, and whose they are.
    pub fn settle(&mut self, desired: &Desired, seen: &Observed) {
        self.files.retain(|file| {
            let fact = seen.storage(&file.storage, &file.node);
            let is_gone = matches!(fact, Some(Fact::Known(storage))
                if storage.files.get(&file.volume) != Some(&file.bytes.size_bytes));
            desired.wants(file) || !is_gone
        });
        if self.files.is_empty() {
            self.cluster = None;
        } else if self.cluster.is_none() {
            self.cluster.clone_from(&seen.cluster);
        }
        for file in self.files.iter_mut().filter(|file| file.is_shared) {
            let nodes = seen.storages.get(&file.storage).into_iter().flatten();
            let viewers = nodes.filter(|(_, fact)| {
                let seen = fact.known().filter(|seen| seen.is_shared);
                seen.is_some_and(|seen| seen.files.contains_key(&file.volume))
            });
            file.seen_from.extend(viewers.map(|(node, _)| node.clone()));
        }
        self.local
            .retain(|local| local.is_ours || desired.local_file.as_ref() == Some(&local.path));
    }

    fn bytes_of(&self, desired: &Desired, done: &Done) -> Option<Bytes> {
        let recorded = self.image.as_ref();
        let recorded = recorded.filter(|image| image.content == desired.content());
        done.bytes
            .clone()
            .or_else(|| recorded.map(|image| image.bytes.clone()))
    }

    fn placed(
        &mut self,
        desired: &Desired,
        place: &super::step::FilePlace,
        is_ours: bool,
        done: &Done,
    ) {
        let known = place.bytes.clone();
        let Some(bytes) = known.or_else(|| self.bytes_of(desired, done)) else {
            return;
        };
        let nodes = if place.is_shared {
            &place.nodes[..place.nodes.len().min(1)]
        } else {
            &place.nodes[..]
        };
        if place.is_shared {
            let is_here =
                |file: &RecordedFile| file.storage == place.storage && file.volume == place.volume;
            self.files.retain(|file| !is_here(file));
        } else {
            self.split(place);
        }
        for node in nodes {
            self.files
                .retain(|file| !file.is_at(&place.storage, node, &place.volume));
            self.files.push(RecordedFile {
                storage: place.storage.clone(),
                node: node.clone(),
                is_shared: place.is_shared,
                volume: place.volume.clone(),
                content: desired.content(),
                bytes: bytes.clone(),
                is_ours,
                seen_from: BTreeSet::new(),
            });
        }
        self.files.sort_by(|left, right| {
            (&left.storage, &left.node, &left.volume).cmp(&(
                &right.storage,
                &right.node,
                &right.volume,
            ))
        });
    }

    /// A storage that was shared is each node's own now: who saw the file may have it still.
    fn split(&mut self, place: &super::step::FilePlace) {
        let (shared, mut files): (Vec<_>, Vec<_>) = self.files.drain(..).partition(|file| {
            file.is_shared && file.storage == place.storage && file.volume == place.volume
        });
        for file in shared {
            let nodes: BTreeSet<&String> = file.seen_from.iter().chain([&file.node]).collect();
            files.extend(nodes.into_iter().map(|node| RecordedFile {
                node: node.clone(),
                is_shared: false,
                seen_from: BTreeSet::new(),
                ..file.clone()
            }));
        }
        self.files = files;
    }

    fn tagged(&mut self, place: &Tagged, content: String, done: &Done) {
        let Some(digest) = &done.digest else { return };
        self.tags.retain(|tag| tag.place != *place);
        self.tags.push(RecordedTag {
            place: place.clone(),
            content,
            digest: digest.clone(),
            is_ours: done.is_changed,
        });
        self.tags
            .sort_by(|left, right| left.place.cmp(&right.place));
    }
}
