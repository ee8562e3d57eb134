//! `talos_artifact` and `talos_artifact_copy`: images of Talos Linux, made once and brought to where
//! they are booted and installed from.

mod build;
mod claim;
mod copy;
pub(crate) mod factory;
mod fault;
mod function;
mod handle;
mod images;
mod life;
mod look;
mod places;
mod progress;
mod publish;
mod schema;
mod shared;
mod state;
mod wish;
mod work;

use std::sync::Arc;

use async_trait::async_trait;
use tf_plugin::{
    Diagnostics, Schema, Value,
    provider::{Change, Current, Outcome, Plan, Resource},
};

use crate::{provider::Shared, timeouts};
use life::Kind;

pub(crate) use function::SchematicId;
pub(crate) use places::Places;

/// Either resource.
pub(crate) struct TalosArtifact {
    shared: Arc<Shared>,
    kind: Kind,
}

impl TalosArtifact {
    /// `talos_artifact`.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            kind: Kind::Artifact,
        }
    }

    /// `talos_artifact_copy`.
    pub(crate) fn copy(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            kind: Kind::Copy,
        }
    }
}

#[async_trait]
impl Resource for TalosArtifact {
    fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Artifact => "talos_artifact",
            Kind::Copy => "talos_artifact_copy",
        }
    }

    fn schema(&self) -> Schema {
        match self.kind {
            Kind::Artifact => schema::schema(),
            Kind::Copy => copy::schema(),
        }
    }

    async fn validate(&self, config: &Value) -> Diagnostics {
        let mut diagnostics = Diagnostics::new();
        self.kind.wish(config, None, None, &mut diagnostics);
        timeouts::validate(config, &mut diagnostics);
        diagnostics
    }

    async fn read(&self, current: Current) -> Outcome {
        life::read(self.kind, &self.shared.get(), current).await
    }

    async fn plan(&self, change: Change) -> Plan {
        life::plan(self.kind, &self.shared.get(), change).await
    }

    async fn plan_delete(&self, current: Current) -> (Vec<u8>, Diagnostics) {
        life::plan_delete(&self.shared.get(), current)
    }

    async fn create(&self, change: Change) -> Outcome {
        life::create(self.kind, &self.shared.get(), change).await
    }

    async fn update(&self, change: Change) -> Outcome {
        life::update(self.kind, &self.shared.get(), change).await
    }

    async fn delete(&self, current: Current) -> Outcome {
        life::delete(self.kind, &self.shared.get(), current).await
    }
}
