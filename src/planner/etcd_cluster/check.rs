//! The plan linter: what no plan may ever say, whatever made it.

use super::{
    desired::Desired,
    membership::{Standing, standing},
    observed::Observed,
    plan::Plan,
    safety::may_disrupt,
    step::Step,
};
use crate::name::NodeKey;

/// A rule that a plan breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

/// Checks the next wave of a plan.
pub fn check(desired: &Desired, observed: &Observed, plan: &Plan) -> Vec<Violation> {
    let mut violations = Vec::new();
    let wave = plan.wave();
    let disruptive = wave.iter().filter(|step| step.disrupts()).count();
    if disruptive > 0 && wave.len() > 1 {
        violations.push(Violation(
            "a disruptive step is not alone in its wave".to_owned(),
        ));
    }
    for step in &wave {
        if !observed.bootstrapped() && step.disrupts() {
            violations.push(Violation(format!(
                "{step}: the cluster has had no quorum yet"
            )));
        }
        if let Some(why) = broken(desired, observed, step) {
            violations.push(Violation(format!("{step}: {why}")));
        }
    }
    violations
}

fn broken(desired: &Desired, observed: &Observed, step: &Step) -> Option<String> {
    let votes = |node: &NodeKey| matches!(standing(desired, observed, node), Standing::Voter(_));
    let learns = |node: &NodeKey| matches!(standing(desired, observed, node), Standing::Learner(_));
    let absent = |node: &NodeKey| standing(desired, observed, node) == Standing::Absent;
    let listed = |id: u64| {
        let mut members = observed.members().into_iter().flatten();
        members.any(|member| member.id == id)
    };
    match step {
        Step::RestartMember { node, .. } if learns(node) => None,
        Step::RestartMember { node, .. } => may_disrupt(desired, observed, node)
            .err()
            .map(|reason| reason.to_string()),
        Step::RemoveMember { node, member_id } => match may_disrupt(desired, observed, node) {
            Err(reason) => Some(reason.to_string()),
            Ok(()) => (!listed(*member_id)).then(|| "its member is not in the list".to_owned()),
        },
        Step::MoveLeader { to, .. } => {
            (!observed.is_healthy(to)).then(|| format!("{to} is not known to be healthy"))
        }
        // Nobody may vote whose data goes, or of whom nothing is known.
        Step::StopMember { node } | Step::SetDataAside { node } => {
            (!absent(node)).then(|| "its member may be in the list".to_owned())
        }
        Step::AddLearner { node } => {
            let mut members = observed.members().into_iter().flatten();
            if !absent(node) {
                Some("its member may be in the list".to_owned())
            } else if members.any(|member| member.is_learner) {
                Some("there is a learner already".to_owned())
            } else {
                None
            }
        }
        Step::PromoteLearner { node, member_id } => {
            (!listed(*member_id)).then(|| format!("{node} is not in the list"))
        }
        Step::StartMembers { nodes } => nodes
            .iter()
            .find(|node| {
                observed.bootstrapped() && votes(node) && has_no_data(desired, observed, node)
            })
            .map(|node| format!("{node} votes and has no data")),
        _ => None,
    }
}

fn has_no_data(desired: &Desired, observed: &Observed, node: &NodeKey) -> bool {
    let wal = super::names::wal(&desired.name, node);
    observed
        .host(node)
        .is_some_and(|host| !host.files.contains_key(&wal))
}

#[cfg(test)]
mod tests;
