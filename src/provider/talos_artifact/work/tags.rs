//! Tags in registries: of installers, and of the image as an artifact.

use planner::talos_artifact::{Done, Tagged};
use registry::{Artifact, Image, Outcome, Pushed};
use tf_plugin::Diagnostic;

use super::{ArtifactWork, listener};
use crate::{
    report::sentence,
    talos_artifact::{
        fault::Fault,
        images::Slot,
        look::{self, reference},
        progress::Progress,
        publish,
    },
};

impl ArtifactWork<'_> {
    /// The digest of the factory's installer. Everything is in its place without it, so a factory that
    /// does not tell it is no reason to fail.
    pub(super) async fn ask_installer(&self, from: &str) -> Result<Done, Fault> {
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

    pub(super) async fn push_installer(
        &self,
        place: &Tagged,
        replaces: bool,
    ) -> Result<Done, Fault> {
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

    pub(super) async fn copy_installer(&self, from: &str, place: &Tagged) -> Result<Done, Fault> {
        let registries = self.context.services.registries()?;
        let progress = listener(Progress::new(format!("copying {from} to {place}")));
        let (from, to) = (reference(from)?, reference(&place.to_string())?);
        let overwrite = self.overwrites_tag();
        let pushed = registries.copy(&from, &to, overwrite, &progress).await?;
        Ok(done(&pushed))
    }

    pub(super) async fn publish(&self, place: &Tagged, replaces: bool) -> Result<Done, Fault> {
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

    pub(super) async fn restore_tag(&self, place: &Tagged, digest: &str) -> Result<Done, Fault> {
        let registries = self.context.services.registries()?;
        let from = reference(&format!("{}@{digest}", place.repository))?;
        let to = reference(&place.to_string())?;
        let progress = registry::Progress::silent();
        let pushed = registries.copy(&from, &to, true, &progress).await?;
        Ok(done(&pushed))
    }
}

fn done(pushed: &Pushed) -> Done {
    Done {
        is_changed: pushed.outcome != Outcome::Adopted,
        digest: Some(pushed.digest.to_string()),
        ..Done::default()
    }
}
