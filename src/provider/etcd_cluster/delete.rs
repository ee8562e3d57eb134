//! The removal of a cluster from its hosts, and from the register of its CA.

use planner::etcd_cluster::{self as cluster, Observed, names};
use tf_plugin::{
    Diagnostics,
    provider::{Current, Outcome},
};

use super::{
    WHAT,
    case::{self, Case},
    certify, look,
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
    let Case { hosts, ca, desired } = case::read(&context, state)?;
    let owner = names::owner(&desired.name);
    let limit = timeouts::limit(state, "read");
    let (facts, _) = look::all(&hosts, &desired, limit).await;
    let observed = Observed::of(facts);
    // Without its ledger a host would let go of what other resources need, and leave the member running.
    let mut diagnostics = Diagnostics::new();
    for key in cluster::forgotten(&desired, &observed) {
        diagnostics.push(case::without_ledger(&hosts, &desired, key));
    }
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let (locked, _) = session::lock_reached(&hosts, &owner, &observed.hosts)
        .await
        .map_err(|trouble| {
            trouble.diagnostic(format!("Removal of cluster {} did not begin", desired.name))
        })?;
    let limit = timeouts::limit(state, "delete");
    diagnostics.extend(common::remove(&hosts, state, &owner, limit).await);
    locked.release().await;
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    diagnostics.extend(certify::forget(&ca, &desired).await);
    Ok(diagnostics)
}
