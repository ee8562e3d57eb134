//! The file on this machine.

use std::path::PathBuf;

use planner::talos_artifact::{self as planner_artifact, Done};
use tf_plugin::Diagnostic;

use super::ArtifactWork;
use crate::talos_artifact::{fault::Fault, images, places::Place};

impl ArtifactWork<'_> {
    pub(super) async fn write_local(&self, path: &str) -> Result<Done, Fault> {
        images::copy(self.image().await?, PathBuf::from(path)).await?;
        Ok(Done {
            is_changed: true,
            bytes: Some(self.bytes()?),
            ..Done::default()
        })
    }

    pub(super) async fn remove_local(&self, path: &str) -> Result<Done, Fault> {
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
