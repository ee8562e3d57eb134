//! The creation of a CA: from nothing, or from where an earlier one was cut off.

use std::sync::Mutex;

use planner::etcd_step_ca::{self as planner_ca, Desired, Observed};
use tf_plugin::{
    Diagnostics, Value,
    provider::{Change, Outcome},
};

use super::{
    WHAT,
    admission::admission,
    case::{self, Case},
    look, state,
    work::CaWork,
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
    let owner = planner_ca::owner(&case.desired.name);
    let observed = admitted(&case, change).await?;
    creation::begin(&context, &owner, &observed.hosts)?;
    let locked = session::lock(&case.hosts, &owner, &observed.hosts)
        .await
        .map_err(|trouble| creation::not_begun(WHAT, &case.desired.name, &trouble))?;
    let outcome = create_locked(&context, &case, &locked, change).await;
    locked.release().await;
    outcome
}

/// The host as it is now, if nothing stands against the creation.
async fn admitted(case: &Case, change: &Change) -> Result<Observed, Diagnostics> {
    let owner = planner_ca::owner(&case.desired.name);
    let limit = timeouts::limit(&change.planned, "read");
    let request = |_: &_| look::request(&case.desired);
    let mut hosts = look_at(&case.hosts, &owner, limit, request).await?;
    creation::leave_made(&case.hosts, &mut hosts, &case.desired.wish());
    let observed = Observed { hosts };
    let problems = admission(&case.desired, &observed, None);
    if problems.has_errors() {
        return Err(errors(&report::problems(problems)));
    }
    Ok(observed)
}

async fn create_locked(
    context: &Context,
    case: &Case,
    locked: &Locked<'_>,
    change: &Change,
) -> Result<Outcome, Diagnostics> {
    // Whoever had the lock before may have made it meanwhile.
    let observed = admitted(case, change).await?;
    let Case { hosts, nodes, .. } = case;
    let failed = |trouble: &report::Trouble| creation::not_begun(WHAT, &case.desired.name, trouble);
    let owner = planner_ca::owner(&case.desired.name);
    let wish = case.desired.wish();
    let id = session::settle_id(hosts, &observed.hosts, &owner, &wish)
        .await
        .map_err(|trouble| failed(&trouble))?;
    let desired = Desired {
        id,
        ..case.desired.clone()
    };
    session::begin(hosts, &owner, &desired.id, &wish)
        .await
        .map_err(|trouble| failed(&trouble))?;
    let work = CaWork {
        hosts,
        locked,
        desired: &desired,
        claims: false,
        last: Mutex::new(observed),
        waiting: Mutex::new(None),
    };
    let result = executor::run(&work, limits(context, &change.planned, "create")).await;
    let observed = work.last.into_inner().unwrap_or_default();
    if let Err(error) = result {
        let what = format!("Creation of CA {}", desired.name);
        let next = "What was made stays on the host; the next apply goes on from there.";
        return Err(report::run(&what, &error, next).into());
    }
    let observed = Observed {
        hosts: session::without_journal(observed.hosts, &desired.id),
    };
    let mut values = change.planned.clone();
    values.set("id", Value::string(&desired.id));
    state::set_seen(&mut values, &desired, nodes, &observed);
    values.set("drift", Value::List(Vec::new()));
    session::hand_back(hosts, &owner, &desired.id, &wish).await;
    Ok(made(values, observed.store(), Diagnostics::new()))
}
