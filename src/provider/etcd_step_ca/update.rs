//! Changes of a CA that stands in a state.

use std::sync::Mutex;

use planner::{
    etcd_step_ca::{self as planner_ca, Observed},
    problem::Problems,
};
use tf_plugin::{
    Diagnostics, Value,
    provider::{Change, Outcome},
};

use super::{
    case::{self, Case},
    look, state,
    work::CaWork,
};
use crate::{
    context::Setup,
    executor,
    life::{limits, look as look_at, made, ready, settled, updated},
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
    let Case {
        hosts,
        desired,
        nodes,
    } = case::read(&context, &change.planned)?;
    let owner = planner_ca::owner(&desired.name);
    let what = format!("Change of CA {}", desired.name);
    let limit = timeouts::limit(&change.planned, "read");
    let facts = look_at(&hosts, &owner, limit, |_| look::request(&desired)).await?;
    let observed = Observed { hosts: facts };
    if let Some(other) = case::replaced(&desired, &change.prior, &observed) {
        return Err(other.into());
    }
    let before = Observed::load(&change.private).ok().flatten();
    let mut problems = Problems::default();
    planner_ca::misplaced(
        &desired,
        &observed,
        &before.unwrap_or_default(),
        &mut problems,
    );
    if problems.has_errors() {
        return Err(report::problems(problems));
    }
    let locked = session::lock(&hosts, &owner, &observed.hosts)
        .await
        .map_err(|trouble| trouble.diagnostic(format!("{what} did not begin")))?;
    let work = CaWork {
        hosts: &hosts,
        locked: &locked,
        desired: &desired,
        claims: true,
        last: Mutex::new(observed),
        waiting: Mutex::new(None),
    };
    let result = executor::run(&work, limits(&context, &change.planned, "update")).await;
    let observed = work.last.into_inner().unwrap_or_default();
    locked.release().await;
    if let Err(error) = result {
        let next = "What was done stays; the next apply goes on from there.";
        return Err(report::run(&what, &error, next).into());
    }
    let mut values = change.planned.clone();
    state::set_seen(&mut values, &desired, &nodes, &observed);
    values.set("drift", Value::List(Vec::new()));
    Ok(made(values, observed.store(), Diagnostics::new()))
}
