//! The imager in a container on a build host: has it run, and fetches what it made.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use host::proto::{
    BuildImageEvent, BuildImageRequest, BuiltImage, ReadBuildRequest, RemoveBuildRequest,
    build_image_event::{Event, Phase},
    build_image_request::Pull,
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
use crate::{context::Context, hosts::Hosts};

/// A host with a container engine.
pub(super) struct Builder {
    hosts: Hosts,
    key: NodeKey,
    engine: String,
}

impl Builder {
    /// # Errors
    /// The block names what is not there; at the block.
    pub(super) fn new(context: &Arc<Context>, host: BuildHost) -> Result<Self, Diagnostics> {
        let name = "builder";
        let wishes = BTreeMap::from([(name.to_owned(), host.node)]);
        let hosts = Hosts::new(context, &wishes).map_err(|found| {
            let mut diagnostics = Diagnostics::new();
            for diagnostic in found.iter() {
                diagnostics.push(diagnostic.clone().at(Place::attribute("builder")));
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
    /// The second is whether it is packed with zstd.
    pub(super) async fn build(
        &self,
        inputs: &ImagerInputs,
        output: ImagerOutput,
        platform: &str,
        to: &Path,
    ) -> Result<(Fetched, bool), Fault> {
        let request = BuildImageRequest {
            build_id: build_id(inputs, output, platform),
            engine: self.engine.clone(),
            image: inputs.imager.clone(),
            arguments: inputs.arguments(output, platform, false),
            output: inputs.output_name(output, platform),
            pull: Pull::Missing.into(),
            // Until 1.11 the imager mounted disk images by loop devices.
            privileged: output == ImagerOutput::Disk && !inputs.version.at_least(1, 12),
            ..BuildImageRequest::default()
        };
        let build_id = request.build_id.clone();
        let is_packed = Path::new(&request.output)
            .extension()
            .is_some_and(|extension| extension == "zst");
        let built = self.run(request).await?;
        let fetched = self.fetch(&built, to).await?;
        let removed = self
            .hosts
            .call(&self.key, "RemoveBuild", |mut client| async move {
                client.remove_build(RemoveBuildRequest { build_id }).await
            });
        if let Err(trouble) = removed.await {
            tracing::warn!(error = %trouble, "a build stays on the build host");
        }
        Ok((fetched, is_packed))
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
                            tracing::info!(what, whom, "another build of it goes on");
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

/// Id of one run: what is made is decided by the inputs, by what is asked for, and for whom.
fn build_id(inputs: &ImagerInputs, output: ImagerOutput, platform: &str) -> String {
    let text = format!("{}/{output:?}/{platform}", inputs.id());
    hex::encode(Sha256::digest(text.as_bytes()))
}
