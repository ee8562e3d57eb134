//! One arm for each step: what the planner says is done, and nothing else.

mod fetch;
mod files;
mod local;
mod tags;
mod turn;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use planner::talos_artifact::{
    self as planner_artifact, Begun, Bytes, Desired, Done, Observed, Recorded, RecordedFile, Step,
};
use tf_plugin::{Diagnostic, Diagnostics};
use tokio::{sync::Mutex as AsyncMutex, time::Instant};

use super::{
    build::Builder,
    claim::Claims,
    factory::Fetched,
    fault::Fault,
    images::{self, Note, Slot},
    look::{self, Depth},
    progress::Progress,
};
use crate::{
    context::Context,
    executor::{Ensure, Next, Retry, Work},
    report::sentence,
};

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
    /// Files that were written before this run.
    before: BTreeSet<Begun>,
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
            before: before
                .recorded
                .files
                .iter()
                .map(RecordedFile::begun)
                .collect(),
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
            let settled = self.settled_notes();
            let content = self.desired.content();
            let mut slot = self.slot.into_inner();
            // A run that only took over what another one had sent has not had its image in hand.
            if slot.is_none() && images::has(&content) {
                let taken = Slot::lock(&content, &self.context.operator).await;
                slot = taken.ok();
            }
            for slot in [slot, self.installer.into_inner()].into_iter().flatten() {
                slot.clear(&settled);
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

    /// Notes of files that this run, or one before it, brought to their end.
    fn settled_notes(&self) -> BTreeSet<Note> {
        let last = self.last();
        let written = last.recorded.files.iter().map(RecordedFile::begun);
        let files = written.chain(self.before.iter().cloned());
        let note = |file| Note {
            cluster: last.cluster.clone(),
            file,
        };
        files.map(note).collect()
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

    /// The place of this content on this machine; says whom it waits for.
    async fn slot(&self, content: &str) -> Result<Slot, Fault> {
        let slot = Slot::lock(content, &self.context.operator).await;
        if let Err(images::Error::Busy { by }) = &slot {
            self.claims.tell(content, by);
        }
        Ok(slot?)
    }

    fn bytes(&self) -> Result<Bytes, Fault> {
        let last = self.last();
        last.bytes(self.desired)
            .ok_or_else(|| Fault::Wait("the checksum of the image is not known".to_owned()))
    }

    /// Where the image lies on this machine.
    async fn image(&self) -> Result<PathBuf, Fault> {
        let slot = self.slot.lock().await;
        let slot = slot.as_ref();
        slot.map(Slot::image)
            .ok_or_else(|| Fault::Wait("the image is not on this machine".to_owned()))
    }

    /// Says that a file of ours is left to another object of this run.
    fn stays(&self, what: &str) {
        self.warn(Diagnostic::warning(
            format!("{what} stays"),
            "Another resource of this configuration uses it. If that one has taken it over as a file that \
             was there, it will not remove it either: delete the file by hand when nobody needs it.",
        ));
    }
}

fn bytes(fetched: &Fetched) -> Bytes {
    Bytes {
        sha256: fetched.sha256.clone(),
        size_bytes: fetched.size_bytes,
    }
}

fn listener(progress: Progress) -> registry::Progress {
    registry::Progress::to(move |seen| progress.at(seen.done, Some(seen.total)))
}

/// Steps of a removal that are not done yet.
fn left_of(steps: &[Step], recorded: &Recorded) -> Next<Step> {
    let is_left = |step: &&Step| match step {
        Step::RemoveOld {
            storage,
            node,
            volume,
            ..
        } => recorded.file(storage, node, volume).is_some(),
        Step::RemoveLocal { path } => recorded.local(path).is_some(),
        _ => false,
    };
    let left: Vec<Step> = steps.iter().filter(is_left).cloned().collect();
    Next {
        wave: left.clone(),
        left,
        blocked: Vec::new(),
    }
}

#[async_trait]
impl Work for ArtifactWork<'_> {
    type Step = Step;
    type Error = Fault;

    async fn next(&self) -> Result<Next<Step>, Fault> {
        let before = self.last().clone();
        if let Some(steps) = &self.removal {
            return Ok(left_of(steps, &before.recorded));
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
