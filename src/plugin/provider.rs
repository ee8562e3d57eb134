//! What a provider, its resources, data sources and functions are to this layer.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    schema::Schema,
    types::Type,
    value::Value,
};

/// A provider.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Its short name, for log filters: `etcd`.
    fn name(&self) -> &'static str;
    /// Schema of its configuration block.
    fn schema(&self) -> Schema;
    /// Its resources.
    fn resources(&self) -> Vec<Arc<dyn Resource>>;
    /// Its data sources.
    fn data_sources(&self) -> Vec<Arc<dyn DataSource>> {
        Vec::new()
    }
    /// Its functions.
    fn functions(&self) -> Vec<Arc<dyn Function>> {
        Vec::new()
    }
    /// Checks the configuration block; offline, with unknown values.
    async fn validate(&self, _config: &Value) -> Diagnostics {
        Diagnostics::new()
    }
    /// Takes the configuration, which may hold unknown values during a plan.
    async fn configure(&self, config: Value) -> Diagnostics;
    /// The person asks to stop: reach the next safe point. Returns at once.
    fn stop(&self);
}

/// A resource type. State, plan and configuration are values of its schema's type.
#[async_trait]
pub trait Resource: Send + Sync + 'static {
    /// Its full name: `etcd_cluster`.
    fn type_name(&self) -> &'static str;
    /// Its schema.
    fn schema(&self) -> Schema;
    /// What identifies it across states, if it has an identity. It is settled when the object is
    /// made or imported, and kept from then on.
    fn identity(&self) -> Option<Identity> {
        None
    }
    /// Checks a configuration; offline, with unknown values.
    async fn validate(&self, _config: &Value) -> Diagnostics {
        Diagnostics::new()
    }
    /// Brings a state of an older schema version to the current one.
    async fn upgrade(&self, version: i64, _raw: serde_json::Value) -> Result<Value, Diagnostics> {
        Err(Diagnostic::error(
            format!("State of {} cannot be read", self.type_name()),
            format!("The state has version {version}, which this provider does not know."),
        )
        .into())
    }
    /// Looks at the real thing.
    async fn read(&self, current: Current) -> Outcome;
    /// Says what a change would give. Pure: Core asks again within apply and compares.
    async fn plan(&self, change: Change) -> Plan;
    /// Checks a deletion before it starts; gives what is handed to it.
    async fn plan_delete(&self, current: Current) -> (Vec<u8>, Diagnostics) {
        (current.private, Diagnostics::new())
    }
    /// Makes the thing.
    async fn create(&self, change: Change) -> Outcome;
    /// Changes the thing.
    async fn update(&self, change: Change) -> Outcome;
    /// Removes the thing.
    async fn delete(&self, current: Current) -> Outcome;
    /// Finds a thing that exists, by id or identity. Core reads it right after.
    async fn import(&self, _wanted: Import) -> Outcome {
        Outcome::failed(Diagnostic::error(
            format!("{} cannot be imported", self.type_name()),
            "This resource has no import.",
        ))
    }
}

/// Attributes that identify an object, all text.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Version of the identity schema.
    pub version: i64,
    /// Name and description of each attribute; all are required for import.
    pub attributes: Vec<(&'static str, &'static str)>,
}

impl Identity {
    /// The type of an identity's value.
    pub fn ty(&self) -> Type {
        Type::Object(crate::types::Object {
            members: self
                .attributes
                .iter()
                .map(|(name, _)| ((*name).to_owned(), Type::String))
                .collect(),
            optional: Vec::new(),
        })
    }
}

/// An object as the state has it.
#[derive(Clone, Debug)]
pub struct Current {
    /// The state; all known.
    pub state: Value,
    /// What was kept beside it.
    pub private: Vec<u8>,
    /// Its identity, null if it has none.
    pub identity: Value,
}

/// A wished change.
#[derive(Clone, Debug)]
pub struct Change {
    /// The state before; null on create.
    pub prior: Value,
    /// In a plan, what Core proposes; in an apply, what was planned.
    pub planned: Value,
    /// The configuration; write-only values stand only here.
    pub config: Value,
    /// What was kept beside the prior state, or what the plan gave.
    pub private: Vec<u8>,
    /// Its identity, null if it has none yet.
    pub identity: Value,
}

/// What a change would give.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The state after; unknown where only apply can tell.
    pub planned: Value,
    /// Handed to apply.
    pub private: Vec<u8>,
    /// Its identity after.
    pub identity: Value,
    /// Errors stop the plan.
    pub diagnostics: Diagnostics,
}

/// What became of an object.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The state; null if there is no such object (any more).
    pub state: Value,
    /// Kept beside it.
    pub private: Vec<u8>,
    /// Its identity, null if it has none.
    pub identity: Value,
    /// What is to be said. With an error, state and private are kept as they stand here.
    pub diagnostics: Diagnostics,
}

impl Outcome {
    /// No object, and an error.
    pub fn failed(diagnostics: impl Into<Diagnostics>) -> Self {
        Self {
            state: Value::Null,
            private: Vec::new(),
            identity: Value::Null,
            diagnostics: diagnostics.into(),
        }
    }

    /// The object as it was, and what is to be said.
    pub fn unchanged(current: Current, diagnostics: Diagnostics) -> Self {
        Self {
            state: current.state,
            private: current.private,
            identity: current.identity,
            diagnostics,
        }
    }
}

/// How an object to import is named.
#[derive(Clone, Debug)]
pub enum Import {
    /// By text, as on the command line.
    Id(String),
    /// By identity.
    Identity(Value),
}

/// A data source type.
#[async_trait]
pub trait DataSource: Send + Sync + 'static {
    /// Its full name.
    fn type_name(&self) -> &'static str;
    /// Its schema.
    fn schema(&self) -> Schema;
    /// Checks a configuration; offline, with unknown values.
    async fn validate(&self, _config: &Value) -> Diagnostics {
        Diagnostics::new()
    }
    /// Reads it.
    async fn read(&self, config: Value) -> (Value, Diagnostics);
}

/// A function, called as `provider::NAME::FUNCTION(...)`.
#[async_trait]
pub trait Function: Send + Sync + 'static {
    /// Name, parameters, result and docs.
    fn signature(&self) -> Signature;
    /// Calls it with values of the parameters' types. An error names the argument by position.
    async fn call(&self, arguments: Vec<Value>) -> Result<Value, (String, Option<i64>)>;
}

/// What a function takes and gives.
#[derive(Clone, Debug)]
pub struct Signature {
    /// Its name.
    pub name: &'static str,
    /// Name, type and description of each parameter.
    pub parameters: Vec<(&'static str, Type, &'static str)>,
    /// Type of the result.
    pub result: Type,
    /// One line.
    pub summary: &'static str,
    /// Markdown.
    pub description: &'static str,
}
