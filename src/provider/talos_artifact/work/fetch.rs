//! Bytes of the image: from where it is, to this machine, and whether they are the wanted ones.

use std::path::{Path, PathBuf};

use planner::talos_artifact::{Done, Origin, Source};

use super::{ArtifactWork, bytes, listener};
use crate::talos_artifact::{
    factory::{Factory, Fetched, Keep},
    fault::Fault,
    images::{self, Slot},
    look::reference,
    progress::Progress,
};

impl ArtifactWork<'_> {
    fn factory(&self) -> Result<Factory, Fault> {
        let url = match &self.desired.source {
            Source::Factory { url, .. } => Some(url),
            _ => None,
        };
        Ok(Factory::new(&self.context.services.factory_at(url))?)
    }

    pub(super) async fn ensure_schematic(&self) -> Result<Done, Fault> {
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
    pub(super) async fn fetch(&self, origin: &Origin, keeps_bytes: bool) -> Result<Done, Fault> {
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

    pub(super) async fn fetch_into(&self, origin: &Origin, slot: &Slot) -> Result<Fetched, Fault> {
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
    pub(super) fn check_build(&self, fetched: &Fetched, from: &str) -> Result<(), Fault> {
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
            place: Some("talos_version"),
        })
    }

    async fn fetch_url(&self, url: &str, to: &Path, progress: &Progress) -> Result<Fetched, Fault> {
        self.fetch_or_hash(url, Keep::File(to), progress).await
    }

    pub(super) async fn hash_url(&self, url: &str) -> Result<Fetched, Fault> {
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

    async fn fetch_artifact(
        &self,
        text: &str,
        to: &Path,
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

    async fn take_file(path: &str, to: &Path) -> Result<Fetched, Fault> {
        images::copy(PathBuf::from(path), to.to_owned()).await?;
        let found = images::look(to.to_owned()).await?;
        found.ok_or_else(|| Fault::Wait(format!("{path} is not there")))
    }
}

/// Whether a factory packs what is at this URL.
pub(super) fn packed(url: &str) -> bool {
    url.rsplit('.').next() == Some("zst")
}
