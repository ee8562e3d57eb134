//! What a refresh sees.

use planner::{
    etcd_cluster::{self as cluster, Observed, names},
    problem::Problems,
};
use tf_plugin::{
    Value,
    provider::{Current, Outcome},
};

use super::{
    case::{self, Case},
    certify, look, state,
};
use crate::{
    context::Setup,
    creation,
    life::{gone, is_gone, made, not_read, ready, warn_unseen},
    report, session, timeouts,
};

pub(super) async fn read(setup: &Setup, current: Current) -> Outcome {
    let Ok(context) = ready(setup) else {
        return not_read(setup, current);
    };
    creation::note(setup, &current.state, names::owner);
    let Case { hosts, ca, desired } = match case::read(&context, &current.state) {
        Ok(case) => case,
        Err(diagnostics) => return Outcome::unchanged(current, diagnostics),
    };
    let owner = names::owner(&desired.name);
    let limit = timeouts::limit(&current.state, "read");
    let (mut facts, troubles) = look::all(&hosts, &desired, limit).await;
    session::claim(&hosts, &mut facts, &owner, &desired.id).await;
    let mut diagnostics = warn_unseen(
        &hosts,
        &facts,
        &troubles,
        &format!("Cluster {}", desired.name),
    );
    let is_gone = is_gone(&facts);
    let before = Observed::load(&current.private).ok().flatten();
    let before = before.unwrap_or_default();
    let observed = Observed::of(facts).remembering(&before);
    let forgotten = cluster::forgotten(&desired, &observed);
    if !forgotten.is_empty() {
        for key in forgotten {
            diagnostics.push(case::without_ledger(&hosts, &desired, key));
        }
        return Outcome::unchanged(current, diagnostics);
    }
    if is_gone {
        // A removal that was cut off on its way to the CA would never be gone on with: there is no object
        // any more to remove, and the CA would refuse another one of its name.
        diagnostics.extend(certify::forget(&ca, &desired).await);
        return gone(diagnostics);
    }
    let orphaned = cluster::orphaned(&desired, &observed);
    if !orphaned.is_empty() {
        for key in orphaned {
            diagnostics.push(case::with_data(&hosts, &desired, key));
        }
        return Outcome::unchanged(current, diagnostics);
    }
    if let Some(other) = case::another(&hosts, &desired, &observed.hosts) {
        diagnostics.push(other);
        return Outcome::unchanged(current, diagnostics);
    }
    let mut problems = Problems::default();
    cluster::warnings(&desired, &observed, &mut problems);
    diagnostics.extend(report::problems(problems));
    let mut values = current.state;
    // After an import only what the user gives is there.
    state::set_wished(&mut values, &desired);
    state::set_seen(&mut values, &desired, &observed);
    if values.get("change_plan").is_null() {
        values.set("change_plan", Value::List(Vec::new()));
    }
    let private = if observed.is_same(&before, &desired) {
        current.private
    } else {
        observed.store()
    };
    made(values, private, diagnostics)
}
