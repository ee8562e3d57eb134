//! What the imager makes: once, whoever asks.

use planner::talos_artifact::{Done, ImagerOutput, Origin, Source, Tagged};
use tokio::time::Instant;

use super::{ArtifactWork, bytes};
use crate::talos_artifact::{claim, factory::Fetched, fault::Fault, images::Slot, look};

/// Whether a build is ours to make.
enum Turn {
    /// It is.
    Ours,
    /// Somebody else made it meanwhile; with the image, where it is one.
    Settled(Option<Fetched>),
}

impl ArtifactWork<'_> {
    /// Runs the imager, or finds what it made for somebody else.
    pub(super) async fn build(&self, output: ImagerOutput, platform: &str) -> Result<Done, Fault> {
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
}
