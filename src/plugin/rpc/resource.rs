//! The calls that are about one resource.

use std::sync::Arc;

use super::{Rpc, catalog::Entry, decode, encode, unknown_type};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Severity},
    json,
    provider::{Change, Current, Import, Outcome, Plan, Resource},
    tfplugin5::{self as wire, DynamicValue, ResourceIdentityData},
    types::Type,
    value::Value,
};

type ResourceEntry = Arc<Entry<dyn Resource>>;

fn find(rpc: &Rpc, name: &str) -> Result<ResourceEntry, Diagnostics> {
    let found = rpc.catalog.resources.get(name).cloned();
    found.ok_or_else(|| unknown_type(name))
}

impl Entry<dyn Resource> {
    fn identity_type(&self) -> Option<&Type> {
        self.identity.as_ref().map(|(_, ty)| ty)
    }

    fn read_identity(&self, data: Option<&ResourceIdentityData>) -> Result<Value, Diagnostics> {
        match (self.identity_type(), data) {
            (Some(ty), Some(data)) => decode(data.identity_data.as_ref(), ty),
            _ => Ok(Value::Null),
        }
    }

    /// An identity is for life: the one that is known stands, whatever the provider gives later.
    fn write_identity(
        &self,
        before: &Value,
        after: Value,
        diagnostics: &mut Diagnostics,
    ) -> Option<ResourceIdentityData> {
        let ty = self.identity_type()?;
        let is_settled = !before.is_null() && before.is_wholly_known();
        if is_settled && !after.is_null() && after != *before {
            let type_name = self.object.type_name();
            tracing::warn!(
                tf_resource_type = type_name,
                "an identity that differs is ignored"
            );
        }
        let after = if is_settled { before.clone() } else { after };
        // OpenTofu writes a planned identity as JSON, which has no unknown values; none at all is
        // fine until the object is there.
        if after.is_null() || !after.is_wholly_known() {
            return None;
        }
        let (identity_data, defect) = encode(after, ty);
        diagnostics.extend(defect);
        Some(ResourceIdentityData {
            identity_data: Some(identity_data),
        })
    }

    /// As plans and states have it, that is without write-only values.
    fn write_state(&self, mut state: Value) -> (DynamicValue, Diagnostics) {
        self.schema.block.forget_write_only(&mut state);
        encode(state, &self.ty)
    }
}

pub(super) async fn validate(
    rpc: &Rpc,
    request: wire::validate_resource_type_config::Request,
) -> wire::validate_resource_type_config::Response {
    let prepared = find(rpc, &request.type_name)
        .and_then(|entry| Ok((decode(request.config.as_ref(), &entry.ty)?, entry)));
    let diagnostics = match prepared {
        Err(diagnostics) => diagnostics,
        Ok((config, entry)) => {
            let capable = request
                .client_capabilities
                .is_some_and(|capabilities| capabilities.write_only_attributes_allowed);
            let mut all = Diagnostics::new();
            if !capable {
                for path in entry.schema.block.write_only_values(&config) {
                    all.push(
                        Diagnostic::error(
                            format!("{path} needs a newer CLI"),
                            "Write-only attributes need Terraform 1.11 or OpenTofu 1.11.",
                        )
                        .at(path),
                    );
                }
            }
            let work = async move { entry.object.validate(&config).await };
            let run = rpc.work.run(
                "ValidateResourceTypeConfig",
                &request.type_name,
                work,
                |f| f,
            );
            all.extend(run.await);
            all
        }
    };
    wire::validate_resource_type_config::Response {
        diagnostics: diagnostics.into_wire(),
    }
}

pub(super) async fn upgrade(
    rpc: &Rpc,
    request: wire::upgrade_resource_state::Request,
) -> wire::upgrade_resource_state::Response {
    match upgraded(rpc, &request).await {
        Ok((state, entry)) => {
            let (state, diagnostics) = entry.write_state(state);
            wire::upgrade_resource_state::Response {
                upgraded_state: Some(state),
                diagnostics: diagnostics.into_wire(),
            }
        }
        Err(diagnostics) => wire::upgrade_resource_state::Response {
            upgraded_state: None,
            diagnostics: diagnostics.into_wire(),
        },
    }
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
        let (object, version) = (Arc::clone(&entry.object), request.version);
        let work = async move { object.upgrade(version, raw).await };
        rpc.work
            .run("UpgradeResourceState", &request.type_name, work, Err)
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
        let ty = entry
            .identity_type()
            .ok_or_else(|| unreadable("There is none.".to_owned()))?;
        let value = json::from_slice(raw, ty).map_err(unreadable)?;
        let mut diagnostics = Diagnostics::new();
        Ok((
            entry.write_identity(&Value::Null, value, &mut diagnostics),
            diagnostics,
        ))
    });
    let (upgraded_identity, diagnostics) =
        upgraded.unwrap_or_else(|diagnostics| (None, diagnostics));
    wire::upgrade_resource_identity::Response {
        upgraded_identity,
        diagnostics: diagnostics.into_wire(),
    }
}

pub(super) async fn read(
    rpc: &Rpc,
    request: wire::read_resource::Request,
) -> wire::read_resource::Response {
    let prepared = find(rpc, &request.type_name).and_then(|entry| {
        let current = Current {
            state: decode(request.current_state.as_ref(), &entry.ty)?,
            private: request.private.clone(),
            identity: entry.read_identity(request.current_identity.as_ref())?,
        };
        Ok((current, entry))
    });
    let (current, entry) = match prepared {
        Ok(prepared) => prepared,
        Err(diagnostics) => {
            return wire::read_resource::Response {
                new_state: request.current_state,
                private: request.private,
                new_identity: request.current_identity,
                diagnostics: diagnostics.into_wire(),
                deferred: None,
            };
        }
    };
    let before = current.clone();
    let object = Arc::clone(&entry.object);
    let work = async move { object.read(current).await };
    let failed = |failed| Outcome::unchanged(before.clone(), failed);
    let outcome = rpc
        .work
        .run("ReadResource", &request.type_name, work, failed)
        .await;
    let mut diagnostics = outcome.diagnostics;
    let new_identity = if outcome.state.is_null() {
        None
    } else {
        entry.write_identity(&before.identity, outcome.identity, &mut diagnostics)
    };
    let (new_state, defect) = entry.write_state(outcome.state);
    diagnostics.extend(defect);
    wire::read_resource::Response {
        new_state: Some(new_state),
        private: outcome.private,
        new_identity,
        diagnostics: diagnostics.into_wire(),
        deferred: None,
    }
}

pub(super) async fn plan(
    rpc: &Rpc,
    request: wire::plan_resource_change::Request,
) -> wire::plan_resource_change::Response {
    let prepared = find(rpc, &request.type_name).and_then(|entry| {
        let change = Change {
            prior: decode(request.prior_state.as_ref(), &entry.ty)?,
            planned: decode(request.proposed_new_state.as_ref(), &entry.ty)?,
            config: decode(request.config.as_ref(), &entry.ty)?,
            private: request.prior_private.clone(),
            identity: entry.read_identity(request.prior_identity.as_ref())?,
        };
        Ok((change, entry))
    });
    let (change, entry) = match prepared {
        Ok(prepared) => prepared,
        Err(diagnostics) => {
            return wire::plan_resource_change::Response {
                planned_state: request.prior_state,
                planned_private: request.prior_private,
                diagnostics: diagnostics.into_wire(),
                planned_identity: request.prior_identity,
                ..Default::default()
            };
        }
    };
    let object = Arc::clone(&entry.object);
    if change.planned.is_null() {
        let current = Current {
            state: change.prior,
            private: change.private,
            identity: change.identity,
        };
        let work = async move { object.plan_delete(current).await };
        let kept = request.prior_private;
        let failed = |diagnostics| (kept, diagnostics);
        let (planned_private, diagnostics) = rpc
            .work
            .run("PlanResourceChange", &request.type_name, work, failed)
            .await;
        return wire::plan_resource_change::Response {
            planned_state: Some(encode(Value::Null, &entry.ty).0),
            planned_private,
            diagnostics: diagnostics.into_wire(),
            planned_identity: request.prior_identity,
            ..Default::default()
        };
    }
    let before = change.clone();
    let work = async move { object.plan(change).await };
    let failed = |diagnostics| Plan {
        planned: before.prior.clone(),
        private: before.private.clone(),
        identity: before.identity.clone(),
        diagnostics,
    };
    let plan = rpc
        .work
        .run("PlanResourceChange", &request.type_name, work, failed)
        .await;
    let mut diagnostics = plan.diagnostics;
    // A replacement is planned as a creation, and may have another identity.
    let known = if before.prior.is_null() {
        Value::Null
    } else {
        before.identity
    };
    let planned_identity = entry.write_identity(&known, plan.identity, &mut diagnostics);
    let (planned_state, defect) = entry.write_state(plan.planned);
    diagnostics.extend(defect);
    wire::plan_resource_change::Response {
        planned_state: Some(planned_state),
        planned_private: plan.private,
        diagnostics: diagnostics.into_wire(),
        planned_identity,
        ..Default::default()
    }
}

pub(super) async fn apply(
    rpc: &Rpc,
    request: wire::apply_resource_change::Request,
) -> wire::apply_resource_change::Response {
    let prepared = find(rpc, &request.type_name).and_then(|entry| {
        let change = Change {
            prior: decode(request.prior_state.as_ref(), &entry.ty)?,
            planned: decode(request.planned_state.as_ref(), &entry.ty)?,
            config: decode(request.config.as_ref(), &entry.ty)?,
            private: request.planned_private.clone(),
            identity: entry.read_identity(request.planned_identity.as_ref())?,
        };
        Ok((change, entry))
    });
    let (change, entry) = match prepared {
        Ok(prepared) => prepared,
        Err(diagnostics) => {
            return wire::apply_resource_change::Response {
                new_state: request.prior_state,
                private: request.planned_private,
                diagnostics: diagnostics.into_wire(),
                new_identity: request.planned_identity,
                ..Default::default()
            };
        }
    };
    let before = Current {
        state: change.prior.clone(),
        private: change.private.clone(),
        identity: change.identity.clone(),
    };
    let object = Arc::clone(&entry.object);
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
    let failed = |failed| Outcome::unchanged(before.clone(), failed);
    let outcome = rpc
        .work
        .run("ApplyResourceChange", &request.type_name, work, failed)
        .await;
    let mut defects = Diagnostics::new();
    let new_identity = if outcome.state.is_null() {
        None
    } else {
        entry.write_identity(&before.identity, outcome.identity, &mut defects)
    };
    let (new_state, misfits) = entry.write_state(outcome.state);
    defects.extend(misfits);
    if before.state.is_null() {
        // An error would taint what has just been made, and the next apply would destroy it.
        defects.soften(Severity::Warning);
    }
    let mut diagnostics = outcome.diagnostics;
    diagnostics.extend(defects);
    wire::apply_resource_change::Response {
        new_state: Some(new_state),
        private: outcome.private,
        diagnostics: diagnostics.into_wire(),
        new_identity,
        ..Default::default()
    }
}

pub(super) async fn import(
    rpc: &Rpc,
    request: wire::import_resource_state::Request,
) -> wire::import_resource_state::Response {
    let prepared = find(rpc, &request.type_name).and_then(|entry| {
        let identity = entry.read_identity(request.identity.as_ref())?;
        Ok((identity, entry))
    });
    let (identity, entry) = match prepared {
        Ok(prepared) => prepared,
        Err(diagnostics) => {
            return wire::import_resource_state::Response {
                diagnostics: diagnostics.into_wire(),
                ..Default::default()
            };
        }
    };
    let wanted = if identity.is_null() {
        Import::Id(request.id.clone())
    } else {
        Import::Identity(identity.clone())
    };
    let object = Arc::clone(&entry.object);
    let work = async move { object.import(wanted).await };
    let run = rpc.work.run(
        "ImportResourceState",
        &request.type_name,
        work,
        Outcome::failed,
    );
    let outcome = run.await;
    let mut diagnostics = outcome.diagnostics;
    let mut imported = Vec::new();
    if !outcome.state.is_null() {
        let identity = entry.write_identity(&identity, outcome.identity, &mut diagnostics);
        let (state, defect) = entry.write_state(outcome.state);
        diagnostics.extend(defect);
        imported.push(wire::import_resource_state::ImportedResource {
            type_name: request.type_name,
            identity,
            state: Some(state),
            private: outcome.private,
        });
    }
    wire::import_resource_state::Response {
        imported_resources: imported,
        diagnostics: diagnostics.into_wire(),
        deferred: None,
    }
}
