//! The plan linter: what no plan may ever say, whatever made it.

use super::{desired::Desired, observed::Observed, plan::Plan, safety::may_disrupt, step::Step};

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
        if let Step::RestartMember { node, .. } | Step::RemoveMember { node, .. } = step
            && let Err(reason) = may_disrupt(desired, observed, node)
        {
            violations.push(Violation(format!("{step}: {reason}")));
        }
        if let Step::SetDataAside { node } = step
            && observed.is_healthy(node)
        {
            violations.push(Violation(format!("{step}: its member is healthy")));
        }
        if !observed.bootstrapped() && step.disrupts() {
            violations.push(Violation(format!(
                "{step}: the cluster has had no quorum yet"
            )));
        }
    }
    violations
}
