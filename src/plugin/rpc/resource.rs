//! The calls that are about one resource.

use tonic::Response;

use super::{Answer, Rpc, catalog::Entry, decode, encode, unknown_type};
use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    json,
    provider::{Change, Current, Import, Outcome, Plan, Resource},
    tfplugin5::{self as wire, DynamicValue, ResourceIdentityData},
    value::Value,
};

type ResourceEntry = Entry<dyn Resource>;

fn find(rpc: &Rpc, name: &str) -> Result<ResourceEntry, Diagnostics> {
    rpc.catalog
        .resources
        .get(name)
        .cloned()
        .ok_or_else(|| unknown_type(name))
}

fn identity(
    entry: &ResourceEntry,
    data: Option<&ResourceIdentityData>,
) -> Result<Value, Diagnostics> {
    match (entry.object.identity(), data) {
        (Some(identity), Some(data)) => decode(data.identity_data.as_ref(), &identity.ty()),
        _ => Ok(Value::Null),
    }
}

fn identity_on_wire(entry: &ResourceEntry, value: &Value) -> Option<ResourceIdentityData> {
    let identity = entry.object.identity()?;
    (!value.is_null()).then(|| ResourceIdentityData {
        identity_data: Some(encode(value, &identity.ty())),
    })
}

fn state_on_wire(entry: &ResourceEntry, mut state: Value) -> DynamicValue {
    entry.schema.block.forget_write_only(&mut state);
    encode(&state, &entry.ty)
}

pub(super) async fn validate(
    rpc: &Rpc,
    request: wire::validate_resource_type_config::Request,
) -> Answer<wire::validate_resource_type_config::Response> {
    let prepared = find(rpc, &request.type_name)
        .and_then(|entry| Ok((decode(request.config.as_ref(), &entry.ty)?, entry)));
    let diagnostics = match prepared {
        Err(diagnostics) => diagnostics,
        Ok((config, entry)) => {
            let capable = request
                .client_capabilities
                .is_some_and(|capabilities| capabilities.write_only_attributes_allowed);
            let mut all = Diagnostics::new();
            for attribute in &entry.schema.block.attributes {
                if attribute.write_only && !capable && !config.get(attribute.name).is_null() {
                    all.error(
                        format!("{} needs a newer CLI", attribute.name),
                        "Write-only attributes need Terraform 1.11 or OpenTofu 1.11.",
                    );
                }
            }
            let work = async move { entry.object.validate(&config).await };
            all.extend(
                rpc.guarded(
                    "ValidateResourceTypeConfig",
                    &request.type_name,
                    work,
                    |f| f,
                )
                .await,
            );
            all
        }
    };
    Ok(Response::new(
        wire::validate_resource_type_config::Response {
            diagnostics: diagnostics.into_wire(),
        },
    ))
}

pub(super) async fn upgrade(
    rpc: &Rpc,
    request: wire::upgrade_resource_state::Request,
) -> Answer<wire::upgrade_resource_state::Response> {
    let result = upgraded(rpc, &request).await;
    Ok(Response::new(match result {
        Ok((state, entry)) => wire::upgrade_resource_state::Response {
            upgraded_state: Some(state_on_wire(&entry, state)),
            diagnostics: Vec::new(),
        },
        Err(diagnostics) => wire::upgrade_resource_state::Response {
            upgraded_state: None,
            diagnostics: diagnostics.into_wire(),
        },
    }))
}

async fn upgraded(
    rpc: &Rpc,
    request: &wire::upgrade_resource_state::Request,
) -> Result<(Value, ResourceEntry), Diagnostics> {
    let entry = find(rpc, &request.type_name)?;
    let unreadable = |why: String| -> Diagnostics {
        Diagnostic::error(
            format!("State of {} cannot be read", request.type_name),
            why,
        )
        .into()
    };
    let raw = request
        .raw_state
        .as_ref()
        .map(|raw| raw.json.as_slice())
        .unwrap_or_default();
    if raw.is_empty() {
        return Err(unreadable(
            "It has a form from before Terraform 0.12.".to_owned(),
        ));
    }
    let state = if request.version == entry.schema.version {
        json::from_slice(raw, &entry.ty).map_err(unreadable)?
    } else {
        let raw = serde_json::from_slice(raw).map_err(|error| unreadable(error.to_string()))?;
        let (object, version) = (std::sync::Arc::clone(&entry.object), request.version);
        let work = async move { object.upgrade(version, raw).await };
        rpc.guarded("UpgradeResourceState", &request.type_name, work, Err)
            .await?
    };
    Ok((state, entry))
}

pub(super) fn upgrade_identity(
    rpc: &Rpc,
    request: &wire::upgrade_resource_identity::Request,
) -> wire::upgrade_resource_identity::Response {
    let upgraded = find(rpc, &request.type_name).and_then(|entry| {
        let raw = request
            .raw_identity
            .as_ref()
            .map(|raw| raw.json.as_slice())
            .unwrap_or_default();
        let unreadable = |why: String| -> Diagnostics {
            Diagnostic::error("The identity cannot be read", why).into()
        };
        let identity = entry
            .object
            .identity()
            .ok_or_else(|| unreadable("There is none.".to_owned()))?;
        let value = json::from_slice(raw, &identity.ty()).map_err(unreadable)?;
        Ok(identity_on_wire(&entry, &value))
    });
    match upgraded {
        Ok(upgraded_identity) => wire::upgrade_resource_identity::Response {
            upgraded_identity,
            diagnostics: Vec::new(),
        },
        Err(diagnostics) => wire::upgrade_resource_identity::Response {
            upgraded_identity: None,
            diagnostics: diagnostics.into_wire(),
        },
    }
}

pub(super) async fn read(
    rpc: &Rpc,
    request: wire::read_resource::Request,
) -> Answer<wire::read_resource::Response> {
    let prepared = find(rpc, &request.type_name).and_then(|entry| {
        let current = Current {
            state: decode(request.current_state.as_ref(), &entry.ty)?,
            private: request.private.clone(),
            identity: identity(&entry, request.current_identity.as_ref())?,
        };
        Ok((current, entry))
    });
    Ok(Response::new(match prepared {
        Err(diagnostics) => wire::read_resource::Response {
            new_state: request.current_state,
            private: request.private,
            new_identity: request.current_identity,
            diagnostics: diagnostics.into_wire(),
            deferred: None,
        },
        Ok((current, entry)) => {
            let before = current.clone();
            let object = std::sync::Arc::clone(&entry.object);
            let work = async move { object.read(current).await };
            let outcome = rpc
                .guarded("ReadResource", &request.type_name, work, |failed| {
                    Outcome::unchanged(before, failed)
                })
                .await;
            wire::read_resource::Response {
                new_state: Some(state_on_wire(&entry, outcome.state)),
                private: outcome.private,
                new_identity: identity_on_wire(&entry, &outcome.identity),
                diagnostics: outcome.diagnostics.into_wire(),
                deferred: None,
            }
        }
    }))
}

pub(super) async fn plan(
    rpc: &Rpc,
    request: wire::plan_resource_change::Request,
) -> Answer<wire::plan_resource_change::Response> {
    let prepared = find(rpc, &request.type_name).and_then(|entry| {
        let change = Change {
            prior: decode(request.prior_state.as_ref(), &entry.ty)?,
            planned: decode(request.proposed_new_state.as_ref(), &entry.ty)?,
            config: decode(request.config.as_ref(), &entry.ty)?,
            private: request.prior_private.clone(),
            identity: identity(&entry, request.prior_identity.as_ref())?,
        };
        Ok((change, entry))
    });
    let (change, entry) = match prepared {
        Ok(prepared) => prepared,
        Err(diagnostics) => {
            return Ok(Response::new(wire::plan_resource_change::Response {
                planned_state: request.prior_state,
                planned_private: request.prior_private,
                diagnostics: diagnostics.into_wire(),
                planned_identity: request.prior_identity,
                ..Default::default()
            }));
        }
    };
    let object = std::sync::Arc::clone(&entry.object);
    if change.planned.is_null() {
        let current = Current {
            state: change.prior,
            private: change.private,
            identity: change.identity,
        };
        let work = async move { object.plan_delete(current).await };
        let diagnostics = rpc
            .guarded("PlanResourceChange", &request.type_name, work, |f| f)
            .await;
        return Ok(Response::new(wire::plan_resource_change::Response {
            planned_state: Some(encode(&Value::Null, &entry.ty)),
            planned_private: request.prior_private,
            diagnostics: diagnostics.into_wire(),
            planned_identity: request.prior_identity,
            ..Default::default()
        }));
    }
    let before = change.clone();
    let work = async move { object.plan(change).await };
    let mut plan = rpc
        .guarded(
            "PlanResourceChange",
            &request.type_name,
            work,
            |diagnostics| Plan {
                planned: before.prior,
                private: before.private,
                identity: before.identity,
                diagnostics,
            },
        )
        .await;
    entry.schema.block.forget_write_only(&mut plan.planned);
    Ok(Response::new(wire::plan_resource_change::Response {
        planned_state: Some(encode(&plan.planned, &entry.ty)),
        planned_private: plan.private,
        diagnostics: plan.diagnostics.into_wire(),
        planned_identity: identity_on_wire(&entry, &plan.identity),
        ..Default::default()
    }))
}

pub(super) async fn apply(
    rpc: &Rpc,
    request: wire::apply_resource_change::Request,
) -> Answer<wire::apply_resource_change::Response> {
    let prepared = find(rpc, &request.type_name).and_then(|entry| {
        let change = Change {
            prior: decode(request.prior_state.as_ref(), &entry.ty)?,
            planned: decode(request.planned_state.as_ref(), &entry.ty)?,
            config: decode(request.config.as_ref(), &entry.ty)?,
            private: request.planned_private.clone(),
            identity: identity(&entry, request.planned_identity.as_ref())?,
        };
        Ok((change, entry))
    });
    let (change, entry) = match prepared {
        Ok(prepared) => prepared,
        Err(diagnostics) => {
            return Ok(Response::new(wire::apply_resource_change::Response {
                new_state: request.prior_state,
                private: request.planned_private,
                diagnostics: diagnostics.into_wire(),
                new_identity: request.planned_identity,
                ..Default::default()
            }));
        }
    };
    let before = Current {
        state: change.prior.clone(),
        private: change.private.clone(),
        identity: change.identity.clone(),
    };
    let object = std::sync::Arc::clone(&entry.object);
    let current = before.clone();
    let work = async move {
        if change.planned.is_null() {
            object.delete(current).await
        } else if change.prior.is_null() {
            object.create(change).await
        } else {
            object.update(change).await
        }
    };
    let outcome = rpc
        .guarded("ApplyResourceChange", &request.type_name, work, |failed| {
            Outcome::unchanged(before, failed)
        })
        .await;
    Ok(Response::new(wire::apply_resource_change::Response {
        new_state: Some(state_on_wire(&entry, outcome.state)),
        private: outcome.private,
        diagnostics: outcome.diagnostics.into_wire(),
        new_identity: identity_on_wire(&entry, &outcome.identity),
        ..Default::default()
    }))
}

pub(super) async fn import(
    rpc: &Rpc,
    request: wire::import_resource_state::Request,
) -> Answer<wire::import_resource_state::Response> {
    let prepared = find(rpc, &request.type_name).and_then(|entry| {
        let identity = identity(&entry, request.identity.as_ref())?;
        let wanted = if identity.is_null() {
            Import::Id(request.id.clone())
        } else {
            Import::Identity(identity)
        };
        Ok((wanted, entry))
    });
    let (wanted, entry) = match prepared {
        Ok(prepared) => prepared,
        Err(diagnostics) => {
            return Ok(Response::new(wire::import_resource_state::Response {
                diagnostics: diagnostics.into_wire(),
                ..Default::default()
            }));
        }
    };
    let object = std::sync::Arc::clone(&entry.object);
    let work = async move { object.import(wanted).await };
    let outcome = rpc
        .guarded(
            "ImportResourceState",
            &request.type_name,
            work,
            Outcome::failed,
        )
        .await;
    let imported =
        (!outcome.state.is_null()).then(|| wire::import_resource_state::ImportedResource {
            type_name: request.type_name.clone(),
            identity: identity_on_wire(&entry, &outcome.identity),
            state: Some(state_on_wire(&entry, outcome.state)),
            private: outcome.private,
        });
    Ok(Response::new(wire::import_resource_state::Response {
        imported_resources: imported.into_iter().collect(),
        diagnostics: outcome.diagnostics.into_wire(),
        deferred: None,
    }))
}
