//! `etcd_cluster`: a cluster on one or more hosts.

mod admission;
mod case;
mod certify;
mod create;
mod delete;
mod look;
mod plan;
mod read;
mod schema;
mod state;
mod update;
mod wish;
mod work;

use std::sync::Arc;

use async_trait::async_trait;
use tf_plugin::{
    Diagnostics, Schema, Value,
    provider::{Change, Current, Identity, Import, Outcome, Plan, Resource},
};

use crate::{common, import, provider::Shared, timeouts};

/// What it is called in sentences.
const WHAT: &str = "cluster";

/// The resource.
pub(crate) struct EtcdCluster {
    shared: Arc<Shared>,
}

impl EtcdCluster {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[async_trait]
impl Resource for EtcdCluster {
    fn type_name(&self) -> &'static str {
        "etcd_cluster"
    }

    fn schema(&self) -> Schema {
        schema::schema()
    }

    fn identity(&self) -> Option<Identity> {
        Some(import::identity())
    }

    async fn validate(&self, config: &Value) -> Diagnostics {
        let mut diagnostics = Diagnostics::new();
        wish::read(config, &mut diagnostics);
        diagnostics.extend(wish::check_pins(config, &Value::Null));
        timeouts::validate(config, &mut diagnostics);
        diagnostics
    }

    async fn read(&self, current: Current) -> Outcome {
        read::read(&self.shared.get(), current).await
    }

    async fn plan(&self, change: Change) -> Plan {
        plan::plan(&self.shared.get(), change).await
    }

    async fn plan_delete(&self, current: Current) -> (Vec<u8>, Diagnostics) {
        let diagnostics = common::protected(&current.state, WHAT);
        (current.private, diagnostics)
    }

    async fn create(&self, change: Change) -> Outcome {
        create::create(&self.shared.get(), change).await
    }

    async fn update(&self, change: Change) -> Outcome {
        update::update(&self.shared.get(), change).await
    }

    async fn delete(&self, current: Current) -> Outcome {
        delete::delete(&self.shared.get(), current).await
    }

    async fn import(&self, wanted: Import) -> Outcome {
        import::import(
            &self.shared.get(),
            self.type_name(),
            &schema::schema(),
            &wanted,
        )
        .await
    }
}
