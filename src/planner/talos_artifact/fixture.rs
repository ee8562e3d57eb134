//! Artifacts for tests: as a user wishes them, and a small world in which steps have effects.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Absent, Begun, BuilderWish, Bytes, CopyWish, Desired, Done, Handle, ImagerOutput,
    InstallerWish, LocalSeen, Observed, Origin, ProxmoxWish, Recorded, Source, Step, StorageSeen,
    TagSeen, Wish, drift, findings::findings, looks, plan, schematic_at, status, tags, unannounced,
    wave,
};
use crate::{
    facts::Fact,
    problem::{Problem, Problems},
    rendered::sha256,
};

pub(super) fn proxmox(storage: &str, nodes: &[&str]) -> ProxmoxWish {
    ProxmoxWish {
        storage: storage.to_owned(),
        nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
        transfer: None,
    }
}

/// An ISO of a factory on three nodes.
pub(super) fn wish() -> Wish {
    Wish {
        talos_version: "v1.11.5".to_owned(),
        extensions: vec!["siderolabs/qemu-guest-agent".to_owned()],
        proxmox: vec![proxmox("resources", &["pve01", "pve02", "pve03"])],
        ..Wish::default()
    }
}

/// An ISO and an installer of the imager, both in a registry, the ISO on one node too.
pub(super) fn imager_wish() -> Wish {
    Wish {
        talos_version: "v1.11.5".to_owned(),
        mode: Some("imager".to_owned()),
        extension_images: vec!["ghcr.io/sulibot/talos-frr-extension:v1.0.18".to_owned()],
        builder: Some(BuilderWish {
            host: "10.0.0.5".to_owned(),
            ..BuilderWish::default()
        }),
        proxmox: vec![proxmox("local", &["pve01"])],
        artifact_repository: Some("ghcr.io/sulibot/talos-images".to_owned()),
        installer: Some(InstallerWish {
            repository: "ghcr.io/sulibot/talos-frr-installer".to_owned(),
            ..InstallerWish::default()
        }),
        ..Wish::default()
    }
}

/// What is wrong with a wish, a line each: `E` or `W`, place, summary, detail.
pub(super) fn problems(wish: &Wish) -> String {
    let mut problems = Problems::default();
    let desired = Desired::read(wish, &mut problems);
    assert_eq!(desired.is_none(), problems.has_errors(), "{problems:?}");
    lines(&problems.0)
}

pub(super) fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| {
            format!(
                "{} {}: {}: {}",
                if problem.is_error { 'E' } else { 'W' },
                problem.place.join("."),
                problem.summary,
                problem.detail
            )
        })
        .collect();
    lines.join("\n")
}

pub(super) fn read(wish: &Wish) -> Desired {
    let mut problems = Problems::default();
    Desired::read(wish, &mut problems).unwrap_or_else(|| panic!("{}", lines(&problems.0)))
}

/// What the artifact of `world` gives out.
pub(super) fn handle(desired: &Desired, world: &World) -> Handle {
    let bytes = world.observe(desired).bytes(desired);
    Handle {
        artifact_id: desired.artifact_id(),
        talos_version: desired.variant.version.to_string(),
        kubernetes_version: None,
        platform: desired.variant.platform.clone(),
        architecture: desired.variant.architecture.to_string(),
        format: desired.format.to_string(),
        file_name: Some(desired.file_name.clone()),
        url: desired.image_url(),
        sha256: bytes.as_ref().map(|bytes| bytes.sha256.clone()),
        size_bytes: bytes.map(|bytes| bytes.size_bytes),
        installer_image: desired.installer_image(),
        ..Handle::default()
    }
}

pub(super) fn copy_wish(source: Handle) -> CopyWish {
    CopyWish {
        source,
        proxmox: vec![proxmox("local", &["pve04"])],
        ..CopyWish::default()
    }
}

/// A file of a storage in the world.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct File {
    pub(super) size: u64,
    pub(super) sha256: String,
}

/// Everything outside: factory, storages, registry, this machine.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    /// Schematics that the factory knows; nothing answers there if it is down.
    pub(super) schematics: BTreeSet<String>,
    pub(super) factory_is_down: bool,
    /// Storages that all nodes share.
    pub(super) shared: BTreeSet<String>,
    /// Nodes that do not answer.
    pub(super) down: BTreeSet<String>,
    /// Storages and nodes that the cluster does not have.
    pub(super) absent: BTreeSet<String>,
    /// What a killed run noted.
    pub(super) begun: BTreeSet<Begun>,
    /// Files by storage, node (empty for shared ones) and volume.
    pub(super) files: BTreeMap<(String, String, String), File>,
    pub(super) content: Vec<String>,
    pub(super) available: Option<u64>,
    /// Tags, and whether the registry answers.
    pub(super) tags: BTreeMap<String, TagSeen>,
    pub(super) registry_is_down: bool,
    /// Manifests by `REPOSITORY@DIGEST`.
    pub(super) manifests: BTreeMap<String, TagSeen>,
    pub(super) local: BTreeMap<String, File>,
    /// Times that the factory lost what it had built: it makes other bytes each time.
    pub(super) rebuilds: u64,
    /// Runs of the imager so far: no two make the same bytes.
    pub(super) builds: u64,
    pub(super) at_hand: Option<(String, Bytes)>,
    pub(super) installer_at_hand: Option<String>,
    pub(super) recorded: Recorded,
    /// What was done, in order.
    pub(super) log: Vec<String>,
}

pub(super) fn bytes(text: &str) -> Bytes {
    Bytes {
        sha256: sha256(text.as_bytes()),
        // Another size each: by its size alone, nobody takes one for the other.
        size_bytes: sha256(text.as_bytes())
            .bytes()
            .take(8)
            .fold(1000, |size, letter| size * 16 + u64::from(letter % 16)),
    }
}

/// Digest of the factory's installer under a reference.
fn installer_of(reference: &str) -> String {
    format!("sha256:{}", sha256(reference.as_bytes()))
}

const DOWN: &str = "connection refused";

impl World {
    pub(super) fn new(shared: &[&str]) -> Self {
        Self {
            shared: shared.iter().map(|storage| (*storage).to_owned()).collect(),
            content: vec!["iso".to_owned(), "import".to_owned()],
            ..Self::default()
        }
    }

    pub(super) fn key(&self, storage: &str, node: &str, volume: &str) -> (String, String, String) {
        let node = if self.shared.contains(storage) {
            ""
        } else {
            node
        };
        (storage.to_owned(), node.to_owned(), volume.to_owned())
    }

    fn storage(&self, storage: &str, node: &str) -> Fact<StorageSeen> {
        if self.down.contains(node) {
            return Fact::Unknown(DOWN.to_owned());
        }
        let absent = if self.absent.contains(node) {
            Some(Absent::Node)
        } else {
            self.absent.contains(storage).then_some(Absent::Storage)
        };
        if absent.is_some() {
            return Fact::Known(StorageSeen {
                absent,
                ..StorageSeen::default()
            });
        }
        let (_, node, _) = self.key(storage, node, "");
        let files = self.files.iter();
        let files = files.filter(|((at, on, _), _)| at == storage && *on == node);
        Fact::Known(StorageSeen {
            absent: None,
            is_shared: self.shared.contains(storage),
            kind: "dir".to_owned(),
            content: self.content.clone(),
            available_bytes: self.available,
            files: files
                .map(|((_, _, volume), file)| (volume.clone(), file.size))
                .collect(),
        })
    }

    /// Looks at everything that the planner asks for.
    pub(super) fn observe(&self, desired: &Desired) -> Observed {
        let mut observed = Observed {
            recorded: self.recorded.clone(),
            begun: self.begun.clone(),
            at_hand: self.at_hand.as_ref().map(|(content, _)| content.clone()),
            installer_at_hand: self.installer_at_hand.clone(),
            ..Observed::default()
        };
        if let Source::Factory { url, id, .. } = &desired.source {
            let fact = if self.factory_is_down {
                Fact::Unknown(DOWN.to_owned())
            } else {
                Fact::Known(self.schematics.contains(&schematic_at(url, id)))
            };
            observed.schematics.insert(schematic_at(url, id), fact);
        }
        for look in looks(desired, &observed) {
            let fact = self.storage(&look.storage, &look.node);
            let nodes = observed.storages.entry(look.storage).or_default();
            nodes.insert(look.node, fact);
        }
        for place in tags(desired) {
            let fact = if self.registry_is_down {
                Fact::Unknown(DOWN.to_owned())
            } else {
                Fact::Known(self.tags.get(&place.to_string()).cloned())
            };
            observed.tags.insert(place.to_string(), fact);
        }
        if !self.registry_is_down {
            observed.kept = self.manifests.keys().cloned().collect();
        }
        for path in desired
            .local_file
            .iter()
            .chain(self.recorded.local.iter().map(|local| &local.path))
        {
            let seen = self.local.get(path).map(|file| LocalSeen {
                is_directory: false,
                size_bytes: file.size,
                sha256: Some(file.sha256.clone()),
            });
            observed.local.insert(path.clone(), Fact::Known(seen));
        }
        observed
    }

    fn write(&mut self, key: (String, String, String), bytes: &Bytes) {
        let file = File {
            size: bytes.size_bytes,
            sha256: bytes.sha256.clone(),
        };
        self.files.insert(key, file);
    }

    fn image(&self) -> Bytes {
        let image = self.recorded.image.as_ref();
        image
            .map(|image| image.bytes.clone())
            .expect("an image was fetched")
    }

    /// Whether it is refused outside, after a look at content that a plan has not: another file of
    /// the name is there and the checksum tells, or another image under the tag.
    pub(super) fn fails(&self, step: &Step) -> bool {
        match step {
            Step::DownloadByNode {
                place,
                replaces: false,
            } => {
                let key = self.key(&place.storage, &place.nodes[0], &place.volume);
                let file = self.files.get(&key);
                file.zip(place.bytes.as_ref())
                    .is_some_and(|(file, bytes)| file.sha256 != bytes.sha256)
            }
            Step::CopyInstaller {
                from,
                place,
                replaces: false,
            } => {
                let tag = self.tags.get(&place.to_string());
                tag.is_some_and(|tag| tag.digest != installer_of(from))
            }
            _ => false,
        }
    }

    /// What is served at a URL of the factory.
    pub(super) fn served(&self, url: &str) -> Bytes {
        match self.rebuilds {
            0 => bytes(url),
            rebuilds => bytes(&format!("{url} {rebuilds}")),
        }
    }

    /// Whether the step brings other bytes than all places have. They go nowhere, and are the wanted
    /// ones from then on.
    fn is_other_build(&mut self, desired: &Desired, step: &Step) -> bool {
        let wanted = self.observe(desired).bytes(desired);
        let before = self.recorded.clone();
        if !matches!(step, Step::FetchImage { .. } | Step::Build { .. }) {
            return false;
        }
        self.apply(desired, step);
        let got = self.recorded.image.clone();
        let is_other = wanted
            .zip(got.filter(|got| got.content == desired.content()))
            .is_some_and(|(wanted, got)| wanted.sha256 != got.bytes.sha256);
        if is_other && matches!(desired.source, Source::Copy(_)) {
            self.recorded = before;
        }
        is_other
    }

    /// Does what a step says.
    pub(super) fn apply(&mut self, desired: &Desired, step: &Step) {
        self.log.push(step.to_string());
        let mut done = Done {
            is_changed: true,
            ..Done::default()
        };
        match step {
            Step::EnsureSchematic { factory, id } => {
                assert!(!self.factory_is_down);
                self.schematics.insert(format!("{id} at {factory}"));
            }
            Step::FetchImage {
                origin,
                keeps_bytes,
            } => {
                let found = match origin {
                    Origin::Factory(url) => self.served(url),
                    Origin::Handle => {
                        let Source::Copy(handle) = &desired.source else {
                            panic!("no copy")
                        };
                        self.served(handle.url.as_deref().expect("a URL"))
                    }
                    Origin::Artifact(reference) => {
                        let seen = &self.manifests[reference];
                        Bytes {
                            sha256: seen.sha256.clone().expect("an artifact"),
                            size_bytes: seen.size_bytes.expect("an artifact"),
                        }
                    }
                    Origin::Path(path) => Bytes {
                        sha256: self.local[path].sha256.clone(),
                        size_bytes: self.local[path].size,
                    },
                };
                if *keeps_bytes {
                    self.at_hand = Some((desired.content(), found.clone()));
                }
                done.bytes = Some(found);
            }
            Step::Build { output, .. } => {
                self.builds += 1;
                if *output == ImagerOutput::Installer {
                    self.installer_at_hand = desired.installer_content();
                } else {
                    let made = bytes(&format!("{} {}", desired.content(), self.builds));
                    self.at_hand = Some((desired.content(), made.clone()));
                    done.bytes = Some(made);
                }
            }
            Step::AdoptFile(place) => {
                let file = &self.files[&self.key(&place.storage, &place.nodes[0], &place.volume)];
                assert_eq!(
                    Some(file.size),
                    place.bytes.as_ref().map(|bytes| bytes.size_bytes)
                );
                done.is_changed = self
                    .begun
                    .iter()
                    .any(|begun| begun.storage == place.storage && begun.volume == place.volume);
            }
            Step::Upload { place, replaces } => {
                assert_eq!(
                    self.at_hand.as_ref().map(|it| &it.0),
                    Some(&desired.content())
                );
                assert!(place.is_shared || place.nodes.len() == 1);
                let key = self.key(&place.storage, &place.nodes[0], &place.volume);
                assert_eq!(self.files.contains_key(&key), *replaces, "{step}");
                let image = self.image();
                self.write(key, &image);
            }
            Step::DownloadByNode { place, replaces } => {
                let image = place.bytes.clone().expect("a checksum");
                let key = self.key(&place.storage, &place.nodes[0], &place.volume);
                match self.files.get(&key) {
                    Some(file) if !replaces => {
                        assert_eq!(file.sha256, image.sha256, "checksum mismatch");
                        done.is_changed = false;
                    }
                    _ => self.write(key, &image),
                }
            }
            Step::PushInstaller { place, .. } => {
                assert_eq!(self.installer_at_hand, desired.installer_content());
                let digest = format!(
                    "sha256:{}",
                    sha256(format!("installer {}", self.builds).as_bytes())
                );
                let content = desired.installer_content();
                done.digest =
                    Some(self.push(place.to_string(), &place.repository, digest, content, None));
            }
            Step::CopyInstaller { from, place, .. } => {
                assert!(!self.fails(step));
                let digest = installer_of(from);
                let known = self.tags.get(&place.to_string());
                done.is_changed = known.is_none_or(|tag| tag.digest != digest);
                let tag = place.to_string();
                done.digest = Some(self.push(tag, &place.repository, digest, None, None));
            }
            Step::AskInstaller { from } => {
                assert!(!self.factory_is_down);
                done.digest = Some(installer_of(from));
            }
            Step::PublishArtifact { place, .. } => {
                let image = self.image();
                let digest = format!("sha256:{}", sha256(image.sha256.as_bytes()));
                let content = Some(desired.content());
                let tag = place.to_string();
                done.digest = Some(self.push(tag, &place.repository, digest, content, Some(image)));
            }
            Step::AdoptTag { place, digest } => {
                let seen = &self.tags[&place.to_string()];
                assert_eq!(seen.digest, *digest);
                done.bytes = self.observe(desired).bytes(desired);
                if let (Some(sha256), Some(bytes)) = (&seen.sha256, &done.bytes) {
                    assert_eq!(*sha256, bytes.sha256, "never another build");
                }
                done.is_changed = false;
            }
            Step::RestoreTag { place, digest } => {
                let manifest = self.manifests[&format!("{}@{digest}", place.repository)].clone();
                self.tags.insert(place.to_string(), manifest);
            }
            Step::WriteLocal { path } => {
                assert_eq!(
                    self.at_hand.as_ref().map(|it| &it.0),
                    Some(&desired.content())
                );
                let image = self.image();
                let file = File {
                    size: image.size_bytes,
                    sha256: image.sha256,
                };
                self.local.insert(path.clone(), file);
            }
            Step::AdoptLocal { path } => {
                let image = self.observe(desired).bytes(desired).expect("known bytes");
                assert_eq!(self.local[path].sha256, image.sha256);
                done.is_changed = false;
                done.bytes = Some(image);
            }
            Step::RemoveOld {
                storage,
                node,
                volume,
                ..
            } => {
                assert!(
                    self.recorded
                        .file(storage, node, volume)
                        .is_some_and(|file| file.is_ours)
                );
                let key = self.key(storage, node, volume);
                assert!(self.files.remove(&key).is_some(), "{step}");
            }
            Step::RemoveLocal { path } => {
                self.local.remove(path);
            }
        }
        self.recorded.note(desired, step, &done);
    }

    fn push(
        &mut self,
        tag: String,
        repository: &str,
        digest: String,
        content: Option<String>,
        image: Option<Bytes>,
    ) -> String {
        let seen = TagSeen {
            digest: digest.clone(),
            content,
            sha256: image.as_ref().map(|image| image.sha256.clone()),
            size_bytes: image.map(|image| image.size_bytes),
        };
        self.manifests
            .insert(format!("{repository}@{digest}"), seen.clone());
        self.tags.insert(tag, seen);
        digest
    }

    /// Applies until nothing is left to do; gives what was done.
    pub(super) fn run(&mut self, desired: &Desired) -> String {
        self.log.clear();
        // Another run, perhaps on another machine.
        self.at_hand = None;
        self.installer_at_hand = None;
        let mut previous = Vec::new();
        let said = plan(desired, &self.observe(desired));
        for _ in 0..10 {
            let seen = self.observe(desired);
            let mut steps = plan(desired, &seen).steps;
            steps.retain(|step| !self.fails(step));
            if said.blocked().is_empty() {
                let surprise = unannounced(desired, &seen, &said.steps, &steps);
                assert_eq!(surprise, None, "of {:?}", said.steps);
            }
            let now = wave(&steps);
            assert!(now.is_empty() || now != previous, "stuck at {now:?}");
            if now.is_empty() {
                let seen = self.observe(desired);
                self.recorded.settle(desired, &seen);
                return self.log.join("\n");
            }
            for step in &now {
                if self.is_other_build(desired, step) {
                    self.log.push("other bytes".to_owned());
                    return self.log.join("\n");
                }
                if !matches!(step, Step::FetchImage { .. } | Step::Build { .. }) {
                    self.apply(desired, step);
                }
            }
            previous = now;
        }
        panic!("no end: {}", self.log.join("\n"));
    }

    /// Drift, steps and everything else that a plan says, a line each.
    pub(super) fn told(&self, desired: &Desired) -> String {
        // Another run has nothing at hand.
        let observed = Observed {
            at_hand: None,
            installer_at_hand: None,
            ..self.observe(desired)
        };
        assert_eq!(
            Observed::load(&observed.store()),
            Ok(Some(observed.clone()))
        );
        told(desired, &observed)
    }
}

/// What does not answer and is not needed now.
pub(super) fn unseen(desired: &Desired, observed: &Observed) -> impl Iterator<Item = String> {
    let found = findings(desired, observed).into_iter();
    found
        .map(|finding| finding.unseen)
        .filter(|sentence| !sentence.is_empty())
}

pub(super) fn told(desired: &Desired, observed: &Observed) -> String {
    let found = plan(desired, observed);
    assert_eq!(found, plan(desired, observed));
    let mut lines: Vec<String> = drift(desired, observed)
        .into_iter()
        .map(|sentence| format!("drift: {sentence}"))
        .collect();
    lines.extend(found.steps.iter().map(ToString::to_string));
    lines.extend(
        found
            .waits
            .iter()
            .map(|wait| format!("waits: {}", wait.why)),
    );
    lines.extend(unseen(desired, observed).map(|it| format!("unseen: {it}")));
    for problem in found.refusals.iter().chain(&found.warnings) {
        let kind = if problem.is_error {
            "refused"
        } else {
            "warned"
        };
        lines.push(format!(
            "{kind} at {}: {}",
            problem.place.join("."),
            problem.summary
        ));
    }
    lines.push(format!("status: {}", status(desired, observed)));
    lines.join("\n")
}
