//! One arm for each step: what the planner says is done, and nothing else.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use planner::talos_artifact::{
    self as planner_artifact, Begun, Bytes, ContentKind, Desired, Done, FilePlace, ImagerOutput,
    Observed, Origin, Recorded, Source, Step, Tagged,
};
use proxmox::{Distribution, Target, Transfer, Watch};
use registry::{Artifact, Image, Outcome, Pushed};
use tf_plugin::{Diagnostic, Diagnostics};
use tokio::{sync::Mutex as AsyncMutex, time::Instant};

use super::{
    build::Builder,
    claim::{self, Claims},
    factory::{Factory, Fetched, Keep},
    fault::Fault,
    images::{self, Slot},
    look::{self, Depth, reference},
    places::Place,
    progress::Progress,
    publish,
};
use crate::{
    context::Context,
    executor::{Ensure, Next, Retry, Work},
    report::sentence,
};

/// Restarts of a transfer that broke off.
const RESTARTS: u32 = 2;

/// Whether a build is ours to make.
enum Turn {
    /// It is.
    Ours,
    /// Somebody else made it meanwhile; with the image, where it is one.
    Settled(Option<Fetched>),
}

/// Work on one artifact or copy.
pub(super) struct ArtifactWork<'a> {
    pub(super) context: &'a Arc<Context>,
    /// Id of the object.
    id: String,
    pub(super) desired: &'a Desired,
    pub(super) builder: Option<Builder>,
    /// When the operation gives up.
    pub(super) deadline: Instant,
    last: Mutex<Observed>,
    /// What should be said though nothing failed.
    warnings: Mutex<Diagnostics>,
    /// The image on this machine, while it is needed.
    slot: AsyncMutex<Option<Slot>>,
    /// The installer that the imager made, while it is needed.
    installer: AsyncMutex<Option<Slot>>,
    /// What others wait for us with.
    claims: Claims,
    /// Work that is given instead of what the planner says: a removal.
    removal: Option<Vec<Step>>,
    /// The steps that the plan said; `None` where nothing was agreed to, as in a creation.
    announced: Option<Vec<Step>>,
}

impl<'a> ArtifactWork<'a> {
    pub(super) fn new(
        context: &'a Arc<Context>,
        (id, desired): (&str, &'a Desired),
        builder: Option<Builder>,
        before: Observed,
        limit: Duration,
    ) -> Self {
        Self {
            context,
            id: id.to_owned(),
            desired,
            builder,
            deadline: Instant::now() + limit,
            last: Mutex::new(Observed {
                recorded: Recorded {
                    done: Some(Vec::new()),
                    ..before.recorded
                },
                ..before
            }),
            warnings: Mutex::default(),
            slot: AsyncMutex::new(None),
            installer: AsyncMutex::new(None),
            claims: Claims::default(),
            removal: None,
            announced: None,
        }
    }

    /// Takes no steps but these.
    pub(super) fn announced(mut self, steps: Option<Vec<Step>>) -> Self {
        self.announced = steps;
        self
    }

    /// Does these steps only.
    pub(super) fn removing(mut self, steps: Vec<Step>) -> Self {
        self.removal = Some(steps);
        self
    }

    fn last(&self) -> MutexGuard<'_, Observed> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn warn(&self, diagnostic: Diagnostic) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if !warnings.iter().any(|known| *known == diagnostic) {
            warnings.push(diagnostic);
        }
    }

    /// What was seen last and what was done, and what is to be said. The image on this machine goes
    /// if everything has arrived, and so do builds on the build host.
    pub(super) async fn end(self, is_complete: bool) -> (Observed, Diagnostics) {
        self.claims.release().await;
        if is_complete {
            let recorded = self.last().recorded.clone();
            let spare = match self.removal {
                Some(_) => recorded.builds.into_iter().collect(),
                None => recorded.spare_builds(self.desired),
            };
            self.let_go(&spare).await;
            for slot in [self.slot, self.installer] {
                if let Some(slot) = slot.into_inner() {
                    slot.clear();
                }
            }
        }
        let mut observed = self
            .last
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        observed.at_hand = None;
        observed.installer_at_hand = None;
        if is_complete {
            observed.begun.clear();
        }
        observed.recorded.settle(self.desired, &observed.clone());
        let warnings = self.warnings.into_inner();
        (observed, warnings.unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives builds on the build host free. One that stays there is told: nothing else is missing.
    async fn let_go(&self, builds: &[String]) {
        let Some(builder) = &self.builder else { return };
        for id in builds {
            match builder.let_go(id).await {
                Ok(()) => {
                    self.last().recorded.builds.remove(id);
                }
                Err(fault) => {
                    self.warn(Diagnostic::warning(
                        format!("A build stays on {}", builder.host()),
                        format!(
                            "{} It lies in /var/lib/etcd-node/builds/{id}, and goes when newer builds \
                             push it out.",
                            sentence(&fault.line())
                        ),
                    ));
                }
            }
        }
    }

    fn proxmox(&self) -> Result<&proxmox::Client, Fault> {
        let client = self.context.services.proxmox().ok_or(Fault::NoProxmox)?;
        Ok(client.map_err(Clone::clone)?)
    }

    fn factory(&self) -> Result<Factory, Fault> {
        let url = match &self.desired.source {
            Source::Factory { url, .. } => Some(url),
            _ => None,
        };
        Ok(Factory::new(&self.context.services.factory_at(url))?)
    }

    async fn ensure_schematic(&self) -> Result<Done, Fault> {
        let Source::Factory { schematic, id, .. } = &self.desired.source else {
            return Ok(Done::default());
        };
        let answered = self
            .factory()?
            .ensure_schematic(&schematic.canonical())
            .await?;
        if answered != id.as_str() {
            return Err(Fault::Refused {
                why: format!("the factory calls the schematic {answered}, and here it is {id}"),
                hint: "a factory that knows who asks gives ids of its own: put its login into the \
                       factory block of the provider, and plan again. Without a login this is a defect; \
                       please report it with the schematic."
                    .to_owned(),
                place: Some("talos_version"),
            });
        }
        Ok(Done::default())
    }

    /// Fetches the image into its slot, unless a former run got it there. Where only its hash is wanted,
    /// a factory's image is not kept at all.
    async fn fetch(&self, origin: &Origin, keeps_bytes: bool) -> Result<Done, Fault> {
        let content = self.desired.content();
        if let (Origin::Factory(url), false) = (origin, keeps_bytes) {
            let fetched = self.hash_url(url).await?;
            return Ok(Done {
                is_changed: true,
                bytes: Some(bytes(&fetched)),
                ..Done::default()
            });
        }
        let slot = self.slot(&content).await?;
        let fetched = match slot.found().await {
            // What a former run got may be what its source had by mistake: that is asked again.
            Some(found) if self.is_wanted(&found) => found,
            _ => self.fetch_into(origin, &slot).await?,
        };
        self.check_build(&fetched, &self.source_of(origin))?;
        *self.slot.lock().await = Some(slot);
        self.last().at_hand = Some(content);
        Ok(Done {
            is_changed: true,
            bytes: Some(bytes(&fetched)),
            ..Done::default()
        })
    }

    async fn fetch_into(&self, origin: &Origin, slot: &Slot) -> Result<Fetched, Fault> {
        let to = slot.unfinished();
        let progress = Progress::new(format!("fetching {}", self.desired.file_name));
        let (fetched, is_packed) = match origin {
            Origin::Factory(url) => (self.fetch_url(url, &to, &progress).await?, packed(url)),
            Origin::Artifact(text) => (self.fetch_artifact(text, &to, progress).await?, false),
            Origin::Path(path) => (Self::take_file(path, &to).await?, false),
            Origin::Handle => return self.fetch_source(slot, progress).await,
        };
        Ok(slot.finish(fetched, is_packed).await?)
    }

    /// What the handle of a copy names: the first place where it is.
    async fn fetch_source(&self, slot: &Slot, progress: Progress) -> Result<Fetched, Fault> {
        let Source::Copy(handle) = &self.desired.source else {
            return Err(Fault::Wait("a copy has a source".to_owned()));
        };
        let to = slot.unfinished();
        if let Some(path) = handle
            .path
            .as_ref()
            .filter(|path| PathBuf::from(path).is_file())
        {
            let fetched = Self::take_file(path, &to).await?;
            return Ok(slot.finish(fetched, false).await?);
        }
        if let Some(oci) = &handle.oci {
            let fetched = self.fetch_artifact(oci, &to, progress).await?;
            return Ok(slot.finish(fetched, false).await?);
        }
        if let Some(url) = &handle.url {
            let fetched = self.fetch_url(url, &to, &progress).await?;
            return Ok(slot.finish(fetched, packed(url)).await?);
        }
        let on_another = handle.path.as_ref().map_or_else(String::new, |path| {
            format!(" ({path} is not on this machine)")
        });
        Err(Fault::Refused {
            why: format!(
                "the image of the source lies nowhere that is reached from here{on_another}"
            ),
            hint: "give the source artifact_repository, so that its image lies in a registry too."
                .to_owned(),
            place: Some("source"),
        })
    }

    /// Where bytes come from, for people.
    fn source_of(&self, origin: &Origin) -> String {
        let Source::Copy(handle) = &self.desired.source else {
            return origin.to_string();
        };
        let path = handle.path.as_ref();
        let path = path.filter(|path| PathBuf::from(path).is_file());
        let known = path.or(handle.oci.as_ref()).or(handle.url.as_ref());
        known.map_or_else(|| origin.to_string(), Clone::clone)
    }

    /// Whether these are the bytes that all places have, or are to have.
    fn is_wanted(&self, fetched: &Fetched) -> bool {
        let wanted = self.last().bytes(self.desired);
        wanted.is_none_or(|wanted| wanted.sha256 == fetched.sha256)
    }

    /// Stops where the bytes are not those that all places have: no two places get different ones. What
    /// an artifact has from its own source is what the next plan wants everywhere; a copy waits until
    /// its source says so.
    fn check_build(&self, fetched: &Fetched, from: &str) -> Result<(), Fault> {
        let mut last = self.last();
        let Some(wanted) = last.bytes(self.desired) else {
            return Ok(());
        };
        if wanted.sha256 == fetched.sha256 {
            return Ok(());
        }
        let what = match &self.desired.source {
            Source::Copy(_) => {
                return Err(images::Error::Checksum {
                    place: from.to_owned(),
                    found: fetched.sha256.clone(),
                    wanted: wanted.sha256,
                }
                .into());
            }
            Source::Factory { id, .. } => format!("the image of schematic {id}"),
            Source::Imager(_) => "the image".to_owned(),
        };
        last.recorded.note_bytes(self.desired, bytes(fetched));
        Err(Fault::Refused {
            why: format!(
                "{what} has other bytes by now: {from} gives SHA-256 {}, and {} is what was made before; \
                 nothing was written",
                fetched.sha256, wanted.sha256
            ),
            hint: "run plan again: the next plan replaces the image at every place, so that all of them \
                   have the same one."
                .to_owned(),
            place: None,
        })
    }

    async fn fetch_url(
        &self,
        url: &str,
        to: &std::path::Path,
        progress: &Progress,
    ) -> Result<Fetched, Fault> {
        self.fetch_or_hash(url, Keep::File(to), progress).await
    }

    async fn hash_url(&self, url: &str) -> Result<Fetched, Fault> {
        let progress = Progress::new(format!("hashing {}", self.desired.file_name));
        let is_packed = packed(url);
        self.fetch_or_hash(url, Keep::Nothing { is_packed }, &progress)
            .await
    }

    async fn fetch_or_hash(
        &self,
        url: &str,
        to: Keep<'_>,
        progress: &Progress,
    ) -> Result<Fetched, Fault> {
        let settings = self.context.services.factory_of(url);
        let factory = Factory::new(&settings)?;
        let path = url.strip_prefix(settings.url.as_str()).unwrap_or(url);
        Ok(factory.fetch(path, to, progress).await?)
    }

    /// The digest of the factory's installer. Everything is in its place without it, so a factory that
    /// does not tell it is no reason to fail.
    async fn ask_installer(&self, from: &str) -> Result<Done, Fault> {
        let digest = look::digest(self.context.services.registries(), from).await;
        let why = match digest {
            Ok(Some(digest)) => {
                return Ok(Done {
                    is_changed: true,
                    digest: Some(digest),
                    ..Done::default()
                });
            }
            Ok(None) => format!("there is no {from}"),
            Err(fault) => fault.line(),
        };
        self.warn(Diagnostic::warning(
            "The digest of the installer is not known",
            format!(
                "{} installer_image leads to it by tag; installer_image_digest is null until the \
                 artifact changes or is replaced.",
                sentence(&why)
            ),
        ));
        Ok(Done::default())
    }

    async fn fetch_artifact(
        &self,
        text: &str,
        to: &std::path::Path,
        progress: Progress,
    ) -> Result<Fetched, Fault> {
        let registries = self.context.services.registries()?;
        let at = reference(text)?;
        let found = registries.find_artifact(&at).await?;
        let Some(found) = found else {
            return Err(Fault::Refused {
                why: format!("there is no {text}"),
                hint: "somebody deleted the image in the registry: apply its artifact again."
                    .to_owned(),
                place: None,
            });
        };
        let failed = |source| images::Error::File {
            path: to.to_owned(),
            source,
        };
        let mut file = tokio::fs::File::create(to).await.map_err(failed)?;
        let repository = at.repository();
        let listener = listener(progress);
        registries
            .pull_blob(repository, &found.file, &mut file, &listener)
            .await?;
        tokio::io::AsyncWriteExt::flush(&mut file)
            .await
            .map_err(failed)?;
        Ok(Fetched {
            size_bytes: found.file.size,
            sha256: found.file.digest.hex(),
        })
    }

    async fn take_file(path: &str, to: &std::path::Path) -> Result<Fetched, Fault> {
        images::copy(PathBuf::from(path), to.to_owned()).await?;
        let found = images::look(to.to_owned()).await?;
        found.ok_or_else(|| Fault::Wait(format!("{path} is not there")))
    }

    /// Runs the imager, or finds what it made for somebody else.
    async fn build(&self, output: ImagerOutput, platform: &str) -> Result<Done, Fault> {
        let Source::Imager(inputs) = &self.desired.source else {
            return Err(Fault::Wait("only the imager builds".to_owned()));
        };
        let builder = self.builder.as_ref().ok_or_else(|| Fault::Refused {
            why: "there is no host to build on".to_owned(),
            hint: "give the resource a builder block.".to_owned(),
            place: Some("builder"),
        })?;
        let is_installer = output == ImagerOutput::Installer;
        let content = if is_installer {
            self.desired.installer_content().unwrap_or_default()
        } else {
            self.desired.content()
        };
        let slot = self.slot(&content).await?;
        let build = Some(inputs.build_id(output, platform));
        let (fetched, build) = if let Some(found) = slot.found().await {
            (found, build)
        } else {
            match self.turn(is_installer, &content, &slot).await? {
                // Somebody else has it where we would have put it.
                Turn::Settled(Some(fetched)) => (fetched, None),
                Turn::Settled(None) => return Ok(Done::default()),
                Turn::Ours => {
                    let to = slot.unfinished();
                    let limit = self.deadline.saturating_duration_since(Instant::now());
                    let made = builder.build(inputs, output, platform, limit, &to);
                    let (fetched, is_packed) = made.await?;
                    (slot.finish(fetched, is_packed).await?, build)
                }
            }
        };
        let done = Done {
            is_changed: true,
            build,
            ..Done::default()
        };
        if is_installer {
            *self.installer.lock().await = Some(slot);
            self.last().installer_at_hand = Some(content);
            return Ok(done);
        }
        self.last().recorded.builds.extend(done.build.clone());
        self.check_build(&fetched, &format!("the imager {}", inputs.imager))?;
        *self.slot.lock().await = Some(slot);
        self.last().at_hand = Some(content);
        Ok(Done {
            bytes: Some(bytes(&fetched)),
            ..done
        })
    }

    /// The place of this content on this machine; says whom it waits for.
    async fn slot(&self, content: &str) -> Result<Slot, Fault> {
        let slot = Slot::lock(content, &self.context.operator).await;
        if let Err(images::Error::Busy { by }) = &slot {
            self.claims.tell(content, by);
        }
        Ok(slot?)
    }

    /// The tag under which others find what is built.
    fn place_of(&self, is_installer: bool) -> Option<&Tagged> {
        if is_installer {
            self.desired.installer.as_ref().map(|wanted| &wanted.place)
        } else {
            self.desired.artifact.as_ref()
        }
    }

    /// Waits until nobody else builds the same. What was built meanwhile is not built again: an image
    /// is fetched into `slot`, an installer that stands under our tag is all that we want.
    async fn turn(&self, is_installer: bool, content: &str, slot: &Slot) -> Result<Turn, Fault> {
        let place = self.place_of(is_installer).or_else(|| self.place_of(true));
        let Some(Tagged { repository, .. }) = place else {
            // The lock on the build host has to do.
            return Ok(Turn::Ours);
        };
        let settled = self.settled(is_installer, content, slot).await?;
        if !matches!(settled, Turn::Ours) {
            return Ok(settled);
        }
        let registries = self.context.services.registries()?;
        let tag = claim::place(repository, content);
        let operator = &self.context.operator;
        if let Some(holder) = self.claims.take(registries, &tag, operator).await {
            return Err(Fault::Wait(format!(
                "{} builds it since {}",
                holder.name, holder.since
            )));
        }
        // Between the look and the claim somebody may have come to his end.
        self.settled(is_installer, content, slot).await
    }

    /// Whether somebody else has put it where we would put it.
    async fn settled(&self, is_installer: bool, content: &str, slot: &Slot) -> Result<Turn, Fault> {
        let Some(place) = self.place_of(is_installer) else {
            return Ok(Turn::Ours);
        };
        let seen = look::tag(&self.context.services, place).await?;
        let Some(seen) = seen.filter(|seen| seen.content.as_deref() == Some(content)) else {
            return Ok(Turn::Ours);
        };
        if is_installer {
            return Ok(Turn::Settled(None));
        }
        let origin = Origin::Artifact(format!("{}@{}", place.repository, seen.digest));
        let fetched = self.fetch_into(&origin, slot).await?;
        Ok(Turn::Settled(Some(fetched)))
    }

    fn bytes(&self) -> Result<Bytes, Fault> {
        let last = self.last();
        last.bytes(self.desired)
            .ok_or_else(|| Fault::Wait("the checksum of the image is not known".to_owned()))
    }

    /// Takes over a file of somebody else, if it can be ours.
    fn adopt(&self, place: &FilePlace) -> Result<Done, Fault> {
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
        let is_begun = self.last().begun.contains(&begun(place));
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

    async fn upload(&self, place: &FilePlace, replaces: bool) -> Result<Done, Fault> {
        let wanted = self.bytes()?;
        let path = self.image().await?;
        if let Some(slot) = self.slot.lock().await.as_ref() {
            slot.note(&begun(place)).await?;
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

    async fn download(&self, place: &FilePlace, replaces: bool) -> Result<Done, Fault> {
        let wanted = self.bytes()?;
        let url = self.desired.image_url().unwrap_or_default();
        if packed(&url) {
            return Err(Fault::Refused {
                why: "nodes cannot unpack a raw image that they fetch".to_owned(),
                hint: "set transfer = \"upload\", or image_format = \"qcow2\".".to_owned(),
                place: Some("proxmox"),
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

    /// Where the image lies on this machine.
    async fn image(&self) -> Result<PathBuf, Fault> {
        let slot = self.slot.lock().await;
        let slot = slot.as_ref();
        slot.map(Slot::image)
            .ok_or_else(|| Fault::Wait("the image is not on this machine".to_owned()))
    }

    async fn push_installer(&self, place: &Tagged, replaces: bool) -> Result<Done, Fault> {
        let path = {
            let slot = self.installer.lock().await;
            let slot = slot.as_ref().map(Slot::image);
            slot.ok_or_else(|| Fault::Wait("the installer is not on this machine".to_owned()))?
        };
        let registries = self.context.services.registries()?;
        let content = self.desired.installer_content().unwrap_or_default();
        let notes = publish::annotations(&content);
        let image = Image::open(&path).await?.noted(notes);
        let progress = listener(Progress::new(format!("pushing {place}")));
        let overwrite = replaces || self.overwrites_tag();
        let pushed = registries
            .push(
                &image,
                &reference(&place.to_string())?,
                overwrite,
                &progress,
            )
            .await?;
        Ok(done(&pushed))
    }

    fn overwrites_tag(&self) -> bool {
        let installer = self.desired.installer.as_ref();
        let recorded = installer.is_some_and(|wanted| {
            let last = self.last();
            let tag = last.recorded.tag(&wanted.place);
            tag.is_some_and(|tag| Some(&tag.content) == self.desired.installer_content().as_ref())
        });
        // A tag of ours that somebody moved is moved back.
        recorded || installer.is_some_and(|wanted| wanted.overwrite_tag)
    }

    async fn copy_installer(&self, from: &str, place: &Tagged) -> Result<Done, Fault> {
        let registries = self.context.services.registries()?;
        let progress = listener(Progress::new(format!("copying {from} to {place}")));
        let (from, to) = (reference(from)?, reference(&place.to_string())?);
        let overwrite = self.overwrites_tag();
        let pushed = registries.copy(&from, &to, overwrite, &progress).await?;
        Ok(done(&pushed))
    }

    async fn publish(&self, place: &Tagged, replaces: bool) -> Result<Done, Fault> {
        let registries = self.context.services.registries()?;
        let wanted = self.bytes()?;
        let content = self.desired.content();
        let digest = format!("sha256:{}", wanted.sha256);
        let artifact = Artifact {
            path: self.image().await?,
            known: digest
                .parse()
                .ok()
                .map(|digest| (digest, wanted.size_bytes)),
            artifact_type: publish::TYPE.to_owned(),
            media_type: publish::FILE.to_owned(),
            // Not the user's name for it: the same image is the same artifact.
            file_name: self.desired.variant.fetched_name(self.desired.format),
            annotations: publish::annotations(&content),
        };
        let progress = listener(Progress::new(format!("putting the image in {place}")));
        let to = reference(&place.to_string())?;
        let pushed = registries
            .push_artifact(&artifact, &to, replaces, &progress)
            .await?;
        Ok(Done {
            bytes: Some(wanted),
            ..done(&pushed)
        })
    }

    async fn restore_tag(&self, place: &Tagged, digest: &str) -> Result<Done, Fault> {
        let registries = self.context.services.registries()?;
        let from = reference(&format!("{}@{digest}", place.repository))?;
        let to = reference(&place.to_string())?;
        let progress = registry::Progress::silent();
        let pushed = registries.copy(&from, &to, true, &progress).await?;
        Ok(done(&pushed))
    }

    async fn write_local(&self, path: &str) -> Result<Done, Fault> {
        images::copy(self.image().await?, PathBuf::from(path)).await?;
        Ok(Done {
            is_changed: true,
            bytes: Some(self.bytes()?),
            ..Done::default()
        })
    }

    /// A file that may not be removed stays, with a warning: nothing depends on its being gone.
    async fn remove_old(&self, storage: &str, node: &str, volume: &str) -> Result<Done, Fault> {
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
            if !matches!(error.kind(), proxmox::Kind::Forbidden { .. }) {
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

    /// Says that a file of ours is left to another object of this run.
    fn stays(&self, what: &str) {
        self.warn(Diagnostic::warning(
            format!("{what} stays"),
            "Another resource of this configuration uses it. If that one has taken it over as a file that \
             was there, it will not remove it either: delete the file by hand when nobody needs it.",
        ));
    }

    async fn remove_local(&self, path: &str) -> Result<Done, Fault> {
        let _nobody_finds_it = self.context.places.removing().await;
        if self
            .context
            .places
            .leave(&self.id, &Place::Local(path.to_owned()))
        {
            self.stays(path);
            return Ok(Done::default());
        }
        let wrote = self.last().recorded.local(path).map(|it| it.bytes.clone());
        let found = images::look(PathBuf::from(path)).await?;
        if let (Some(found), Some(wrote)) = (found, wrote)
            && (found.sha256 != wrote.sha256 || found.size_bytes != wrote.size_bytes)
        {
            self.warn(Diagnostic::warning(
                planner_artifact::EXCHANGED,
                format!("{path} is another file than this resource wrote there."),
            ));
            return Ok(Done::default());
        }
        match std::fs::remove_file(path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(images::Error::File {
                    path: PathBuf::from(path),
                    source,
                }
                .into())
            }
            removed => Ok(Done {
                is_changed: removed.is_ok(),
                ..Done::default()
            }),
        }
    }
}

/// Whether a factory packs what is at this URL.
fn packed(url: &str) -> bool {
    url.rsplit('.').next() == Some("zst")
}

/// The file as it is noted.
fn begun(place: &FilePlace) -> Begun {
    let node = place.nodes.first().filter(|_| !place.is_shared);
    Begun {
        storage: place.storage.clone(),
        node: node.cloned().unwrap_or_default(),
        volume: place.volume.clone(),
    }
}

fn bytes(fetched: &Fetched) -> Bytes {
    Bytes {
        sha256: fetched.sha256.clone(),
        size_bytes: fetched.size_bytes,
    }
}

/// As Proxmox calls it.
fn content(kind: ContentKind) -> proxmox::ContentKind {
    kind.as_str().parse().expect("both have Proxmox' words")
}

fn done(pushed: &Pushed) -> Done {
    Done {
        is_changed: pushed.outcome != Outcome::Adopted,
        digest: Some(pushed.digest.to_string()),
        ..Done::default()
    }
}

fn listener(progress: Progress) -> registry::Progress {
    registry::Progress::to(move |seen| progress.at(seen.done, Some(seen.total)))
}

/// Tells how far uploads are, each node by itself.
fn watch() -> Watch {
    let told: Mutex<std::collections::BTreeMap<String, Progress>> = Mutex::default();
    Arc::new(move |seen| {
        let what = format!("sending to {} on {}", seen.storage, seen.node);
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        told.entry(what.clone())
            .or_insert_with(|| Progress::new(what))
            .at(seen.done_bytes, Some(seen.total_bytes));
    })
}

#[async_trait]
impl Work for ArtifactWork<'_> {
    type Step = Step;
    type Error = Fault;

    async fn next(&self) -> Result<Next<Step>, Fault> {
        let before = self.last().clone();
        if let Some(steps) = &self.removal {
            let recorded = &before.recorded;
            let is_left = |step: &Step| match step {
                Step::RemoveOld {
                    storage,
                    node,
                    volume,
                    ..
                } => recorded.file(storage, node, volume).is_some(),
                Step::RemoveLocal { path } => {
                    recorded.local.iter().any(|local| local.path == *path)
                }
                _ => false,
            };
            let left: Vec<Step> = steps.iter().filter(|step| is_left(step)).cloned().collect();
            return Ok(Next {
                wave: left.clone(),
                left,
                blocked: Vec::new(),
            });
        }
        let mut seen = look::observe(self.context, self.desired, &before, Depth::Apply).await;
        // What another object of this run wrote is taken over as what a killed run wrote.
        let content = self.desired.content();
        seen.begun
            .extend(self.context.places.written(&self.id, &content));
        let plan = planner_artifact::plan(self.desired, &seen);
        if let Some(announced) = &self.announced
            && let Some(step) =
                planner_artifact::unannounced(self.desired, &seen, announced, &plan.steps)
        {
            return Err(Fault::Refused {
                why: format!("the facts changed since the plan: it did not say \"{step}\""),
                hint: "run plan again, read what it says now, and apply that.".to_owned(),
                place: None,
            });
        }
        *self.last() = seen;
        for problem in &plan.warnings {
            self.warn(Diagnostic::warning(&*problem.summary, &*problem.detail));
        }
        Ok(Next {
            wave: planner_artifact::wave(&plan.steps),
            blocked: plan.blocked(),
            left: plan.steps,
        })
    }

    async fn apply(&self, step: &Step) -> Result<Ensure, Fault> {
        let done = match step {
            Step::EnsureSchematic { .. } => self.ensure_schematic().await?,
            Step::FetchImage {
                origin,
                keeps_bytes,
            } => self.fetch(origin, *keeps_bytes).await?,
            Step::Build { output, platform } => self.build(*output, platform).await?,
            Step::AdoptFile(place) => self.adopt(place)?,
            Step::Upload { place, replaces } => self.upload(place, *replaces).await?,
            Step::DownloadByNode { place, replaces } => self.download(place, *replaces).await?,
            Step::PushInstaller { place, replaces } => {
                self.push_installer(place, *replaces).await?
            }
            Step::CopyInstaller { from, place, .. } => self.copy_installer(from, place).await?,
            Step::PublishArtifact { place, replaces } => self.publish(place, *replaces).await?,
            Step::AskInstaller { from } => self.ask_installer(from).await?,
            Step::AdoptTag { place, .. } => Done {
                bytes: (self.desired.artifact.as_ref() == Some(place))
                    .then(|| self.last().bytes(self.desired))
                    .flatten(),
                ..Done::default()
            },
            Step::AdoptLocal { .. } => Done {
                bytes: Some(self.bytes()?),
                ..Done::default()
            },
            Step::RestoreTag { place, digest } => self.restore_tag(place, digest).await?,
            Step::WriteLocal { path } => self.write_local(path).await?,
            Step::RemoveOld {
                storage,
                node,
                volume,
                ..
            } => self.remove_old(storage, node, volume).await?,
            Step::RemoveLocal { path } => self.remove_local(path).await?,
        };
        let mut last = self.last();
        last.recorded.note(self.desired, step, &done);
        let account = last.recorded.done.get_or_insert_default();
        account.push(step.to_string());
        // What was left to another object is noted as that one's.
        if !matches!(step, Step::RemoveOld { .. } | Step::RemoveLocal { .. }) {
            self.context.places.note(&self.id, &mut last.recorded);
        }
        drop(last);
        Ok(if done.is_changed {
            Ensure::Updated
        } else {
            Ensure::NotNeeded
        })
    }

    fn lane(&self, step: &Step) -> String {
        step.lane()
    }

    fn retry(&self, error: &Fault) -> Retry {
        match (error, &self.builder) {
            (Fault::Builder(trouble), Some(builder)) => builder.retry(trouble),
            _ => error.retry(),
        }
    }

    fn may_be_cut(&self, _: &Step) -> bool {
        // What is cut off is found again, or was never in its place.
        true
    }
}
