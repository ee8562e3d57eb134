//! Changes of a cluster that stands in a state.

use planner::{
    etcd_cluster::{self as cluster, Observed, names},
    problem::Problems,
};
use tf_plugin::{
    Diagnostics,
    provider::{Change, Outcome},
};

use super::{
    case::{self, Case},
    create::after,
    look, wish,
    work::ClusterWork,
};
use crate::{
    common,
    context::Setup,
    executor,
    life::{limits, ready, settled, updated},
    report::{self, Told},
    session, timeouts,
};

pub(super) async fn update(setup: &Setup, change: Change) -> Outcome {
    let result = try_update(setup, &change).await;
    updated(change, result)
}

async fn try_update(setup: &Setup, change: &Change) -> Result<Outcome, Diagnostics> {
    if let Some(outcome) = settled(change) {
        return Ok(outcome);
    }
    let context = ready(setup)?;
    let case = case::read(&context, &change.planned)?;
    let Case { hosts, desired, .. } = &case;
    let owner = names::owner(&desired.name);
    let what = format!("Change of cluster {}", desired.name);
    let limit = timeouts::limit(&change.planned, "read");
    let (facts, _) = look::all(hosts, desired, limit).await;
    if let Some(other) = case::another(hosts, desired, &facts) {
        return Err(other.into());
    }
    let observed = Observed::of(facts);
    let mut machines = Observed::load(&change.private)
        .ok()
        .flatten()
        .unwrap_or_default();
    let before = wish::read(&change.prior, &mut Diagnostics::new()).desired;
    let mut problems = Problems::default();
    cluster::misplaced(desired, &observed, &machines, &mut problems);
    if let Some(before) = &before {
        // The database may have grown since the plan.
        cluster::check_quota(before, desired, &observed, &mut problems);
    }
    if problems.has_errors() {
        return Err(report::problems(problems));
    }
    let seen = observed.hosts.iter();
    let seen = seen.filter(|(_, fact)| fact.known().is_some());
    machines
        .hosts
        .extend(seen.map(|(key, fact)| (key.clone(), fact.clone())));
    let locked = session::lock(hosts, &owner, &observed.hosts)
        .await
        .map_err(|trouble| trouble.diagnostic(format!("{what} did not begin")))?;
    let announced = Some(common::announced(&change.planned).into_iter().collect());
    let wanted = wish::map(&change.planned, "release_sha256");
    let work = ClusterWork::new(
        &case, desired, &locked, machines, announced, wanted, observed,
    );
    let result = executor::run(&work, limits(&context, &change.planned, "update")).await;
    let ended = work.end();
    locked.release().await;
    let next = "What was done stays; the next apply goes on from there.";
    if let Err(error) = result {
        return Err(report::run(&what, &error, next).into());
    }
    let left_out = before.map(|before| cluster::left_out(&before, desired, &ended.observed));
    match left_out.filter(|left_out| !left_out.is_empty()) {
        Some(reasons) => Err(report::blocked(&what, &reasons, next).into()),
        None => Ok(after(change, desired, ended, Diagnostics::new())),
    }
}
