//! Files on storages of the Proxmox cluster.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use planner::talos_artifact::{Bytes, ContentKind, Done, FilePlace, Source};
use proxmox::{Distribution, Target, Transfer, Watch};
use tf_plugin::Diagnostic;

use super::{ArtifactWork, fetch::packed};
use crate::talos_artifact::{
    fault::Fault,
    images::{self, Note},
    places::Place,
    progress::Progress,
};

/// Restarts of a transfer that broke off.
const RESTARTS: u32 = 2;

impl ArtifactWork<'_> {
    fn proxmox(&self) -> Result<&proxmox::Client, Fault> {
        let client = self.context.services.proxmox().ok_or(Fault::NoProxmox)?;
        Ok(client.map_err(Clone::clone)?)
    }

    /// Takes over a file of somebody else, if it can be ours.
    pub(super) fn adopt(&self, place: &FilePlace) -> Result<Done, Fault> {
        let wanted = self.bytes()?;
        for node in &place.nodes {
            let seen = self.last().storage(&place.storage, node).cloned();
            let size = seen
                .as_ref()
                .and_then(|fact| fact.known()?.files.get(&place.volume).copied());
            if let Some(size) = size.filter(|size| *size != wanted.size_bytes) {
                return Err(Fault::Refused {
                    why: format!(
                        "{} on {node} has {size} bytes, the image has {}",
                        place.volid(),
                        wanted.size_bytes
                    ),
                    hint: "somebody else put another file there: give another file_name, or set \
                           overwrite = true."
                        .to_owned(),
                    place: Some("file_name"),
                });
            }
        }
        let is_begun = self.last().begun.contains(&place.begun());
        Ok(Done {
            is_changed: is_begun,
            bytes: Some(wanted),
            ..Done::default()
        })
    }

    async fn place(
        &self,
        place: &FilePlace,
        transfer: Transfer,
        is_replacing: bool,
    ) -> Result<(), Fault> {
        let client = self.proxmox()?;
        let targets = place.nodes.iter().map(|node| Target {
            node: node.clone(),
            storage: place.storage.clone(),
        });
        let distribution = Distribution {
            targets: targets.collect(),
            content: content(self.desired.content_kind()),
            file_name: self.desired.file_name.clone(),
            transfer,
            is_replacing,
            restarts: RESTARTS,
            deadline: self.deadline,
        };
        let outcomes = proxmox::distribute(client, &distribution, Some(watch())).await;
        // A shared storage has the file as soon as one transfer succeeded.
        let is_through = place.is_shared && outcomes.iter().any(|outcome| outcome.result.is_ok());
        for outcome in outcomes {
            if let (Err(error), false) = (outcome.result, is_through) {
                return Err(error.into());
            }
        }
        Ok(())
    }

    pub(super) async fn upload(&self, place: &FilePlace, replaces: bool) -> Result<Done, Fault> {
        let wanted = self.bytes()?;
        let path = self.image().await?;
        if let Some(slot) = self.slot.lock().await.as_ref() {
            let cluster = self.last().cluster.clone();
            let file = place.begun();
            slot.note(&Note { cluster, file }).await?;
        }
        let source = proxmox::Source::file(&path, &wanted.sha256)
            .await
            .map_err(|source| images::Error::File { path, source })?;
        let is_changed = match self.place(place, Transfer::Upload(source), replaces).await {
            Ok(()) => true,
            // Another apply that wants the same was there first.
            Err(fault) if fault.is_there_with(wanted.size_bytes) => false,
            Err(fault) => return Err(fault),
        };
        Ok(Done {
            is_changed,
            bytes: Some(wanted),
            ..Done::default()
        })
    }

    pub(super) async fn download(&self, place: &FilePlace, replaces: bool) -> Result<Done, Fault> {
        let wanted = self.bytes()?;
        let url = self.desired.image_url().unwrap_or_default();
        if packed(&url) {
            return Err(Fault::Refused {
                why: "nodes cannot unpack a raw image that they fetch".to_owned(),
                hint: "set transfer = \"upload\", or image_format = \"qcow2\".".to_owned(),
                place: None,
            });
        }
        let was_there = place.nodes.iter().all(|node| {
            let last = self.last();
            let fact = last
                .storage(&place.storage, node)
                .and_then(|fact| fact.known().cloned());
            fact.is_some_and(|seen| seen.files.contains_key(&place.volume))
        });
        let transfer = Transfer::Download {
            url: url.clone(),
            sha256: Some(wanted.sha256.clone()),
            compression: None,
            is_certificate_verified: true,
            size_bytes: Some(wanted.size_bytes),
        };
        if let Err(fault) = self.place(place, transfer, replaces).await {
            return Err(self.other_download(fault, &url, &wanted).await);
        }
        Ok(Done {
            is_changed: replaces || !was_there,
            bytes: Some(wanted),
            ..Done::default()
        })
    }

    /// What it means that a node got other bytes than it was told: the source has them, or they were
    /// changed on their way to the node.
    async fn other_download(&self, fault: Fault, url: &str, wanted: &Bytes) -> Fault {
        let Some(got) = fault.arrived() else {
            return fault;
        };
        if let Source::Copy(_) = &self.desired.source {
            return images::Error::Checksum {
                place: url.to_owned(),
                found: got.to_owned(),
                wanted: wanted.sha256.clone(),
            }
            .into();
        }
        match self.hash_url(url).await {
            Ok(fetched) => self.check_build(&fetched, url).err().unwrap_or(fault),
            Err(_) => fault,
        }
    }

    /// A file that may not be removed stays, with a warning: nothing depends on its being gone.
    pub(super) async fn remove_old(
        &self,
        storage: &str,
        node: &str,
        volume: &str,
    ) -> Result<Done, Fault> {
        let place = self
            .last()
            .recorded
            .file(storage, node, volume)
            .map(|file| Place::Volume(file.begun()));
        let _nobody_finds_it = self.context.places.removing().await;
        if place.is_some_and(|place| self.context.places.leave(&self.id, &place)) {
            self.stays(&format!("{storage}:{volume} on {node}"));
            return Ok(Done::default());
        }
        let name = volume.split_once('/').map_or(volume, |(_, name)| name);
        let kind = content(ContentKind::of(name));
        let client = self.proxmox()?;
        let removed = client
            .delete(node, storage, kind, name, self.deadline)
            .await;
        if let Err(error) = removed {
            if !matches!(error.kind(), proxmox::Kind::Forbidden(_)) {
                return Err(error.into());
            }
            self.warn(Diagnostic::warning(
                format!("{storage}:{volume} stays on {node}"),
                format!(
                    "The login may not delete it: {}. Delete it by hand when nothing boots from it, or \
                     give the login that privilege.",
                    crate::report::chain(&error)
                ),
            ));
            return Ok(Done::default());
        }
        Ok(Done {
            is_changed: true,
            ..Done::default()
        })
    }
}

/// As Proxmox calls it.
fn content(kind: ContentKind) -> proxmox::ContentKind {
    kind.as_str().parse().expect("both have Proxmox' words")
}

/// Tells how far uploads are, each node by itself.
fn watch() -> Watch {
    let told: Mutex<BTreeMap<String, Progress>> = Mutex::default();
    Arc::new(move |seen| {
        let what = format!("sending to {} on {}", seen.storage, seen.node);
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        told.entry(what.clone())
            .or_insert_with(|| Progress::new(what))
            .at(seen.done_bytes, Some(seen.total_bytes));
    })
}
