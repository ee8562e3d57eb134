//! The creation of a cluster: from nothing, or from where an earlier one was cut off.

use std::collections::BTreeMap;

use planner::etcd_cluster::{Desired, Observed, Registered, names};
use tf_plugin::{
    Diagnostics, Severity, Value,
    provider::{Change, Outcome},
};

use super::{
    WHAT,
    admission::admission,
    case::{self, Case},
    certify, look, state, wish,
    work::{ClusterWork, Ended},
};
use crate::{
    context::{Context, Setup},
    creation, executor,
    life::{created, errors, limits, look as look_at, made, ready},
    report,
    session::{self, Locked},
    timeouts,
};

pub(super) async fn create(setup: &Setup, change: Change) -> Outcome {
    created(try_create(setup, &change).await)
}

async fn try_create(setup: &Setup, change: &Change) -> Result<Outcome, Diagnostics> {
    let context = ready(setup)?;
    let case = case::read(&context, &change.planned)?;
    let owner = names::owner(&case.desired.name);
    // Before anything is locked: what a person must mend, and in which order machines are locked.
    let (observed, _) = admitted(&case, change).await?;
    creation::begin(&context, &owner, &observed.hosts)?;
    let locked = session::lock(&case.hosts, &owner, &observed.hosts)
        .await
        .map_err(|trouble| creation::not_begun(WHAT, &case.desired.name, &trouble))?;
    let outcome = create_locked(&context, &case, &locked, change).await;
    locked.release().await;
    outcome
}

async fn create_locked(
    context: &Context,
    case: &Case,
    locked: &Locked<'_>,
    change: &Change,
) -> Result<Outcome, Diagnostics> {
    // Whoever had the lock before may have made it meanwhile.
    let (observed, registered) = admitted(case, change).await?;
    let failed = |trouble: &report::Trouble| creation::not_begun(WHAT, &case.desired.name, trouble);
    let owner = names::owner(&case.desired.name);
    let wish = case.desired.wish();
    let id = session::settle_id(&case.hosts, &observed.hosts, &owner, &wish)
        .await
        .map_err(|trouble| failed(&trouble))?;
    let desired = Desired {
        id,
        ..case.desired.clone()
    };
    // The name stands for a creation that was removed just now: the CA would sign nothing for this one.
    if let Some(former) = registered.filter(|known| known.id != desired.id) {
        let former = Desired {
            id: former.id,
            ..desired.clone()
        };
        for kept in certify::forget(&case.ca, &former).await.iter() {
            tracing::warn!(
                error = kept.detail,
                "the CA keeps the name of a former creation"
            );
        }
    }
    session::begin(&case.hosts, &owner, &desired.id, &wish)
        .await
        .map_err(|trouble| failed(&trouble))?;
    let wanted = wish::map(&change.planned, "release_sha256");
    let machines = observed.clone();
    let work = ClusterWork::new(case, &desired, locked, machines, None, wanted, observed);
    let result = executor::run(&work, limits(context, &change.planned, "create")).await;
    let ended = work.end();
    let what = format!("Creation of cluster {}", desired.name);
    let outcome = match result {
        Ok(_) => after(change, &desired, ended, Diagnostics::new()),
        // Something of value may be in it by now: it must stand in the state, and not be tainted.
        Err(error) if ended.bootstrapped => {
            let next = "The cluster exists. The next apply completes it in place.";
            let mut diagnostic = report::run(&what, &error, next);
            diagnostic.severity = Severity::Warning;
            let reason = format!("incomplete: {}", report::chain(&error));
            let mut outcome = after(change, &desired, ended, diagnostic.into());
            outcome.state.set("status", Value::string(reason));
            outcome
        }
        Err(error) => {
            let next = "What was made stays on the hosts; the next apply goes on from there.";
            return Err(report::run(&what, &error, next).into());
        }
    };
    session::hand_back(&case.hosts, &owner, &desired.id, &wish).await;
    Ok(outcome)
}

/// The hosts as they are now, and who has the name at the CA, if nothing stands against the creation.
async fn admitted(
    case: &Case,
    change: &Change,
) -> Result<(Observed, Option<Registered>), Diagnostics> {
    let owner = names::owner(&case.desired.name);
    let limit = timeouts::limit(&change.planned, "read");
    let request = |key: &_| look::request(&case.desired, key);
    let mut hosts = look_at(&case.hosts, &owner, limit, request).await?;
    creation::leave_made(&case.hosts, &mut hosts, &case.desired.wish());
    let observed = Observed::of(hosts);
    let registered = certify::registered(&case.ca, &case.desired).await;
    let problems = admission(
        &case.hosts,
        &case.desired,
        &observed,
        None,
        registered.clone(),
    )
    .await;
    if problems.has_errors() {
        return Err(errors(&report::problems(problems)));
    }
    Ok((observed, registered))
}

/// The state after a run.
pub(super) fn after(
    change: &Change,
    desired: &Desired,
    ended: Ended,
    diagnostics: Diagnostics,
) -> Outcome {
    let before = Observed::load(&change.private).ok().flatten();
    let mut observed = ended.observed.remembering(&before.unwrap_or_default());
    observed.hosts = session::without_journal(observed.hosts, &desired.id);
    let mut values = change.planned.clone();
    values.set("id", Value::string(&desired.id));
    if values.get("release_sha256").is_unknown() {
        let archives: BTreeMap<String, Value> = ended
            .archives
            .into_iter()
            .map(|(name, sha256)| (name, Value::string(sha256)))
            .collect();
        values.set("release_sha256", Value::Map(archives));
    }
    state::set_seen(&mut values, desired, &observed);
    values.set("drift", Value::List(Vec::new()));
    made(values, observed.store(), diagnostics)
}
