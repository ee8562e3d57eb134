//! The imager in a container on a build host: has it run, and fetches what it made.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use host::proto::{
    BuildImageEvent, BuildImageRequest, BuiltImage, Failure, OciLayout, ProbeEngineRequest,
    ReadBuildRequest, RemoveBuildRequest,
    build_image_event::{Event, Phase},
    build_image_request::Pull,
    failure::Kind,
    read_build_response::Part,
};
use planner::{
    name::NodeKey,
    talos_artifact::{ImagerInputs, ImagerOutput},
};
use sha2::{Digest, Sha256};
use tf_plugin::{Diagnostics, Path as Place};
use tokio::{fs::File, io::AsyncWriteExt};
use tonic::{Response, Status};

use super::{factory::Fetched, fault::Fault, images, progress::Progress, wish::BuildHost};
use crate::{context::Context, executor::Retry, hosts::Hosts, report::Trouble};

/// A host with a container engine.
pub(super) struct Builder {
    hosts: Hosts,
    key: NodeKey,
    engine: String,
}

impl Builder {
    /// # Errors
    /// The block names what is not there; at its host.
    pub(super) fn new(context: &Arc<Context>, host: BuildHost) -> Result<Self, Diagnostics> {
        let name = "builder";
        let wishes = BTreeMap::from([(name.to_owned(), host.node)]);
        let hosts = Hosts::new(context, &wishes).map_err(|found| {
            let mut diagnostics = Diagnostics::new();
            for diagnostic in found.iter() {
                let host = Place::attribute("builder").member("host");
                diagnostics.push(diagnostic.clone().at(host));
            }
            diagnostics
        })?;
        Ok(Self {
            hosts,
            key: NodeKey::parse(name).expect("it is a node key"),
            engine: host.engine.unwrap_or_default(),
        })
    }

    /// Has the imager make `output`, or finds what it made for somebody else, and brings it to `to`.
    /// The second is whether it is packed with zstd. The build stays on the host until [`Self::let_go`].
    pub(super) async fn build(
        &self,
        inputs: &ImagerInputs,
        output: ImagerOutput,
        platform: &str,
        limit: Duration,
        to: &Path,
    ) -> Result<(Fetched, bool), Fault> {
        let run = inputs.run(output, platform);
        let layouts = run.layouts.into_iter().map(|layout| OciLayout {
            name: layout.name,
            path: layout.path,
        });
        let request = BuildImageRequest {
            build_id: inputs.build_id(output, platform),
            engine: self.engine.clone(),
            image: inputs.imager.clone(),
            arguments: run.arguments,
            standard_input: run.input.into_bytes(),
            output: inputs.output_name(output, platform),
            layouts: layouts.collect(),
            pull: Pull::Missing.into(),
            // Until 1.11 the imager mounted disk images by loop devices.
            privileged: output == ImagerOutput::Disk && !inputs.version.at_least(1, 12),
            timeout_ms: u32::try_from(limit.as_millis()).unwrap_or(u32::MAX).max(1),
            ..BuildImageRequest::default()
        };
        let is_packed = Path::new(&request.output)
            .extension()
            .is_some_and(|extension| extension == "zst");
        let build_id = request.build_id.clone();
        let built = match self.run(request).await {
            Ok(built) => built,
            Err(fault) => {
                // The host has said that nothing was made: then nothing of ours is needed there.
                if said(&fault).is_some_and(|kind| kind != Kind::Locked) {
                    let _ = self.let_go(&build_id).await;
                }
                return Err(fault);
            }
        };
        let fetched = self.fetch(&built, to).await?;
        Ok((fetched, is_packed))
    }

    /// Looks whether the host could build now, and changes nothing there.
    pub(super) async fn probe(&self) -> Result<(), Fault> {
        let request = ProbeEngineRequest {
            engine: self.engine.clone(),
        };
        let probe = self
            .hosts
            .call(&self.key, "ProbeEngine", |mut client| async move {
                client.probe_engine(request).await
            });
        probe.await?;
        Ok(())
    }

    /// Gives a build free for removal; one that somebody else reads stays.
    pub(super) async fn let_go(&self, build_id: &str) -> Result<(), Fault> {
        let request = RemoveBuildRequest {
            build_id: build_id.to_owned(),
        };
        let removed = self
            .hosts
            .call(&self.key, "RemoveBuild", |mut client| async move {
                client.remove_build(request).await
            });
        match removed.await.map_err(Fault::from) {
            // Somebody makes it anew just now, and removes it himself.
            Err(fault) if said(&fault) == Some(Kind::Locked) => Ok(()),
            removed => removed.map(|_| ()),
        }
    }

    /// Whether the same can succeed soon. A host that is away is waited for, but not forever: a build
    /// goes on without us, and is found again.
    pub(super) fn retry(&self, trouble: &Trouble) -> Retry {
        self.hosts.retry(trouble)
    }

    /// The host, as it was named.
    pub(super) fn host(&self) -> &str {
        &self.hosts.target(&self.key).host
    }

    async fn run(&self, request: BuildImageRequest) -> Result<BuiltImage, Fault> {
        let what = request.output.clone();
        let built = self
            .hosts
            .call(&self.key, "BuildImage", |mut client| async move {
                let mut events = client.build_image(request).await?.into_inner();
                while let Some(BuildImageEvent { event: Some(event) }) = events.message().await? {
                    match event {
                        Event::Finished(built) => return Ok(Response::new(built)),
                        Event::WaitingFor(whom) => {
                            tracing::info!(what, whom, "somebody else makes it: waiting");
                        }
                        Event::Phase(phase) => {
                            let phase = match Phase::try_from(phase).unwrap_or_default() {
                                Phase::Checking => "checking",
                                Phase::Pulling => "pulling the imager",
                                Phase::Building => "building",
                                Phase::Hashing => "hashing",
                            };
                            tracing::info!(what, phase, "build goes on");
                        }
                        Event::Percent(percent) => tracing::info!(what, percent, "build goes on"),
                        Event::Line(line) => tracing::debug!(what, line, "the imager says"),
                    }
                }
                Err(Status::internal("the build ended without a result"))
            });
        Ok(built.await?)
    }

    async fn fetch(&self, built: &BuiltImage, to: &Path) -> Result<Fetched, Fault> {
        let failed = |source| images::Error::File {
            path: to.to_owned(),
            source,
        };
        let mut file = File::create(to).await.map_err(failed)?;
        let mut digest = Sha256::new();
        let mut size_bytes = 0_u64;
        let progress = Progress::new(format!("fetching {} from the build host", built.output));
        let request = ReadBuildRequest {
            build_id: built.build_id.clone(),
            offset: 0,
        };
        let mut parts = self
            .hosts
            .call(&self.key, "ReadBuild", |mut client| async move {
                client.read_build(request).await
            })
            .await?;
        loop {
            let part = parts.message().await.map_err(|status| {
                Fault::Wait(format!(
                    "reading {} broke off: {}",
                    built.output,
                    status.message()
                ))
            })?;
            let Some(part) = part else { break };
            if let Some(Part::Chunk(chunk)) = part.part {
                digest.update(&chunk);
                size_bytes += chunk.len() as u64;
                file.write_all(&chunk).await.map_err(failed)?;
                progress.at(size_bytes, Some(built.size_bytes));
            }
        }
        file.flush().await.map_err(failed)?;
        let sha256 = hex::encode(digest.finalize());
        if sha256 != built.sha256 {
            return Err(images::Error::Checksum {
                place: built.path.clone(),
                found: sha256,
                wanted: built.sha256.clone(),
            }
            .into());
        }
        Ok(Fetched { size_bytes, sha256 })
    }
}

/// What kind of failure the host told, if it told one.
fn said(fault: &Fault) -> Option<Kind> {
    match fault {
        Fault::Builder(Trouble::Call { source, .. }) => source.failure().map(Failure::kind),
        _ => None,
    }
}
