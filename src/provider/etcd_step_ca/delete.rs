//! The removal of a CA from its host.

use planner::etcd_step_ca as planner_ca;
use tf_plugin::{
    Diagnostic, Diagnostics,
    provider::{Current, Outcome},
};

use super::{
    WHAT,
    case::{self, Case},
    look,
};
use crate::{
    common,
    context::Setup,
    life::{deleted, ready},
    report::Told,
    session, timeouts,
};

pub(super) async fn delete(setup: &Setup, current: Current) -> Outcome {
    let result = try_delete(setup, &current).await;
    deleted(current, result)
}

async fn try_delete(setup: &Setup, current: &Current) -> Result<Diagnostics, Diagnostics> {
    let state = &current.state;
    let protected = common::protected(state, WHAT);
    if protected.has_errors() {
        return Err(protected);
    }
    let context = ready(setup)?;
    let Case { hosts, desired, .. } = case::read(&context, state)?;
    let owner = planner_ca::owner(&desired.name);
    let limit = timeouts::limit(state, "read");
    let (facts, _) = hosts
        .observe_all(&owner, limit, |_| look::request(&desired))
        .await;
    let consumers: Vec<String> = facts
        .values()
        .filter_map(|fact| fact.known()?.ca.as_ref())
        .flat_map(|ca| ca.consumers.clone())
        .collect();
    if !consumers.is_empty() {
        return Err(Diagnostic::error(
            format!("CA {} still serves {}", desired.name, consumers.join(", ")),
            format!(
                "Without it their certificates cannot be renewed, and they stop when the last one \
                 ends. Nothing was changed.\nHint: Destroy them first. If they are long gone, take \
                 their names out of {}/consumers.json on the CA host.",
                planner_ca::directory(desired.instance.as_ref())
            ),
        )
        .into());
    }
    if let Some(left) = case::forgotten(&hosts, &desired, state, &facts) {
        return Err(left.into());
    }
    let (locked, _) = session::lock_reached(&hosts, &owner, &facts)
        .await
        .map_err(|trouble| {
            trouble.diagnostic(format!("Removal of CA {} did not begin", desired.name))
        })?;
    let removed = common::remove(&hosts, state, &owner, timeouts::limit(state, "delete")).await;
    locked.release().await;
    if removed.has_errors() {
        Err(removed)
    } else {
        Ok(removed)
    }
}
