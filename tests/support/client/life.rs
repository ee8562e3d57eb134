//! The life of one resource, called as Core calls it, every answer checked.

use tf_plugin::{
    Type, Value, json,
    tfplugin5::{self as wire, ResourceIdentityData, schema::Block},
};

use super::{
    Calls, Failure, Plugin, block_type, configuration, conforms_to_plan, errors, identity_type,
    proposed, read, valid_plan, write,
};

/// What a state file keeps of a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The state; null if there is no object.
    pub state: Value,
    /// What the provider keeps beside it.
    pub private: Vec<u8>,
    /// Its identity.
    pub identity: Option<ResourceIdentityData>,
}

/// A plan that Core would take.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The answer.
    pub response: wire::plan_resource_change::Response,
    /// The state after.
    pub state: Value,
}

/// One resource in the hands of Core.
#[derive(Debug)]
pub struct Life {
    calls: Calls,
    /// Its type's name.
    pub type_name: String,
    /// Its schema.
    pub block: Block,
    /// The type of its state.
    pub ty: Type,
    version: i64,
    /// The type of its identity.
    pub identity: Option<Type>,
    /// What the state file has.
    pub stored: Stored,
}

impl Life {
    /// A resource of the type `type_name` that does not exist yet.
    pub async fn new(plugin: &Plugin, type_name: &str) -> Result<Self, Failure> {
        let mut calls = plugin.calls()?;
        let mut schemas = plugin.schemas().await?;
        let schema = schemas.resource_schemas.remove(type_name);
        let schema = schema.ok_or_else(|| format!("there is no {type_name}"))?;
        let block = schema.block.ok_or("a schema has a block")?;
        let request = wire::get_resource_identity_schemas::Request {};
        let identities = calls.get_resource_identity_schemas(request).await?;
        let identities = identities.into_inner().identity_schemas;
        Ok(Self {
            ty: block_type(&block)?,
            identity: identities.get(type_name).map(identity_type).transpose()?,
            calls,
            type_name: type_name.to_owned(),
            block,
            version: schema.version,
            stored: Stored {
                state: Value::Null,
                private: Vec::new(),
                identity: None,
            },
        })
    }

    /// The same resource in another process of the provider.
    pub fn in_process(&mut self, plugin: &Plugin) -> Result<(), Failure> {
        self.calls = plugin.calls()?;
        Ok(())
    }

    /// A configuration with these attributes and blocks, all others absent.
    pub fn config<const N: usize>(&self, members: [(&str, Value); N]) -> Value {
        configuration(&self.block, members)
    }

    /// What the provider says of a configuration.
    pub async fn validate(&mut self, config: &Value) -> Result<Vec<wire::Diagnostic>, Failure> {
        let request = wire::validate_resource_type_config::Request {
            type_name: self.type_name.clone(),
            config: Some(write(config, &self.ty)),
            client_capabilities: Some(capabilities()),
        };
        let answer = self.calls.validate_resource_type_config(request).await?;
        Ok(answer.into_inner().diagnostics)
    }

    /// The plan for a configuration, whatever it is; null destroys.
    pub async fn ask_plan(
        &mut self,
        config: &Value,
    ) -> Result<wire::plan_resource_change::Response, Failure> {
        let wish = if config.is_null() {
            Value::Null
        } else {
            proposed(&self.block, &self.stored.state, config)
        };
        let request = wire::plan_resource_change::Request {
            type_name: self.type_name.clone(),
            prior_state: Some(write(&self.stored.state, &self.ty)),
            proposed_new_state: Some(write(&wish, &self.ty)),
            config: Some(write(config, &self.ty)),
            prior_private: self.stored.private.clone(),
            provider_meta: None,
            client_capabilities: Some(capabilities()),
            prior_identity: self.stored.identity.clone(),
        };
        Ok(self.calls.plan_resource_change(request).await?.into_inner())
    }

    /// A plan without errors that Core would take.
    pub async fn plan(&mut self, config: &Value) -> Result<Planned, Failure> {
        let response = self.ask_plan(config).await?;
        fail_on(&response.diagnostics)?;
        let state = read(response.planned_state.as_ref(), &self.ty)?;
        if config.is_null() {
            if !state.is_null() {
                return Err(format!("a destroy plan leaves {state:?}").into());
            }
        } else {
            let problems = valid_plan(&self.block, &self.stored.state, config, &state);
            if !problems.is_empty() || response.legacy_type_system {
                return Err(format!("Provider produced invalid plan: {problems:#?}").into());
            }
        }
        Ok(Planned { response, state })
    }

    /// Whether a plan would change nothing.
    pub async fn is_settled(&mut self, config: &Value) -> Result<bool, Failure> {
        Ok(self.plan(config).await?.state == self.stored.state)
    }

    /// Carries out a plan, whatever comes of it.
    pub async fn ask_apply(
        &mut self,
        config: &Value,
        planned: &Planned,
    ) -> Result<wire::apply_resource_change::Response, Failure> {
        let request = wire::apply_resource_change::Request {
            type_name: self.type_name.clone(),
            prior_state: Some(write(&self.stored.state, &self.ty)),
            planned_state: planned.response.planned_state.clone(),
            config: Some(write(config, &self.ty)),
            planned_private: planned.response.planned_private.clone(),
            provider_meta: None,
            planned_identity: planned.response.planned_identity.clone(),
        };
        Ok(self
            .calls
            .apply_resource_change(request)
            .await?
            .into_inner())
    }

    /// Plans and applies; Core plans again within apply, so this does too.
    pub async fn apply(&mut self, config: &Value) -> Result<Vec<wire::Diagnostic>, Failure> {
        let first = self.plan(config).await?;
        let planned = self.plan(config).await?;
        if first.response != planned.response {
            return Err("Provider produced inconsistent final plan".into());
        }
        let response = self.ask_apply(config, &planned).await?;
        fail_on(&response.diagnostics)?;
        let state = read(response.new_state.as_ref(), &self.ty)?;
        let problems = if config.is_null() {
            let left = (!state.is_null()).then(|| format!("it is still there: {state:?}"));
            left.into_iter().collect()
        } else {
            conforms_to_plan(&planned.state, &state)
        };
        if !problems.is_empty() || response.legacy_type_system {
            return Err(format!("inconsistent result after apply: {problems:#?}").into());
        }
        self.stored = Stored {
            state,
            private: response.private,
            identity: response.new_identity,
        };
        Ok(response.diagnostics)
    }

    /// Reads the real thing.
    pub async fn ask_read(&mut self) -> Result<wire::read_resource::Response, Failure> {
        let request = wire::read_resource::Request {
            type_name: self.type_name.clone(),
            current_state: Some(write(&self.stored.state, &self.ty)),
            private: self.stored.private.clone(),
            provider_meta: None,
            client_capabilities: Some(capabilities()),
            current_identity: self.stored.identity.clone(),
        };
        Ok(self.calls.read_resource(request).await?.into_inner())
    }

    /// Reads the real thing and keeps what comes of it.
    pub async fn refresh(&mut self) -> Result<Vec<wire::Diagnostic>, Failure> {
        let response = self.ask_read().await?;
        fail_on(&response.diagnostics)?;
        let state = read(response.new_state.as_ref(), &self.ty)?;
        if !state.is_wholly_known() {
            return Err(format!("a read leaves something unknown: {state:?}").into());
        }
        self.stored = Stored {
            state,
            private: response.private,
            identity: response.new_identity,
        };
        Ok(response.diagnostics)
    }

    /// What the state file says of it.
    pub fn state_file(&self) -> serde_json::Value {
        json::to_json(&self.stored.state)
    }

    /// Reads the state file's text, as each run does first.
    pub async fn upgrade(&mut self) -> Result<Value, Failure> {
        self.upgrade_from(self.version, &self.state_file()).await
    }

    /// Reads a state file's text of this or a former version of the schema.
    pub async fn upgrade_from(
        &mut self,
        version: i64,
        state_file: &serde_json::Value,
    ) -> Result<Value, Failure> {
        let request = wire::upgrade_resource_state::Request {
            type_name: self.type_name.clone(),
            version,
            raw_state: Some(wire::RawState {
                json: state_file.to_string().into_bytes(),
                flatmap: [].into(),
            }),
        };
        let response = self
            .calls
            .upgrade_resource_state(request)
            .await?
            .into_inner();
        fail_on(&response.diagnostics)?;
        read(response.upgraded_state.as_ref(), &self.ty)
    }
}

fn capabilities() -> wire::ClientCapabilities {
    wire::ClientCapabilities {
        deferral_allowed: false,
        write_only_attributes_allowed: true,
    }
}

fn fail_on(diagnostics: &[wire::Diagnostic]) -> Result<(), Failure> {
    let errors = errors(diagnostics);
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors.join("\n").into())
    }
}
