//! What a refresh sees.

use planner::{
    etcd_step_ca::{self as planner_ca, Observed},
    problem::Problems,
};
use tf_plugin::provider::{Current, Outcome};

use super::{
    case::{self, Case},
    look, state,
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
    creation::note(setup, &current.state, planner_ca::owner);
    let Case {
        hosts,
        desired,
        nodes,
    } = match case::read(&context, &current.state) {
        Ok(case) => case,
        Err(diagnostics) => return Outcome::unchanged(current, diagnostics),
    };
    let owner = planner_ca::owner(&desired.name);
    let limit = timeouts::limit(&current.state, "read");
    let (mut facts, troubles) = hosts
        .observe_all(&owner, limit, |_| look::request(&desired))
        .await;
    session::claim(&hosts, &mut facts, &owner, &desired.id).await;
    let mut diagnostics = warn_unseen(&hosts, &facts, &troubles, &format!("CA {}", desired.name));
    let is_gone = is_gone(&facts);
    if let Some(left) = case::forgotten(&hosts, &desired, &current.state, &facts) {
        diagnostics.push(left);
        return Outcome::unchanged(current, diagnostics);
    }
    if is_gone && current.state.get("deletion_protection").as_bool() != Some(false) {
        diagnostics.push(case::gone(&hosts, &desired));
        return Outcome::unchanged(current, diagnostics);
    }
    if is_gone {
        return gone(diagnostics);
    }
    let observed = Observed { hosts: facts };
    if let Some(changed) = case::replaced(&desired, &current.state, &observed) {
        diagnostics.push(changed);
        return Outcome::unchanged(current, diagnostics);
    }
    let mut problems = Problems::default();
    planner_ca::warnings(&desired, &observed, &mut problems);
    diagnostics.extend(report::problems(problems));
    let mut values = current.state;
    state::set_seen(&mut values, &desired, &nodes, &observed);
    let before = Observed::load(&current.private).ok().flatten();
    let is_same = before.is_some_and(|before| observed.is_same(&before, &desired));
    let private = if is_same {
        current.private
    } else {
        observed.store()
    };
    made(values, private, diagnostics)
}
