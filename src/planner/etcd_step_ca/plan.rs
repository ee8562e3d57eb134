//! From findings to the next steps, in order.

use super::{desired::Desired, findings::findings, observed::Observed, step::Step};
use crate::{facts::Fact, version};

/// Steps from `observed` to `desired`, in order, and what is waited on.
pub fn plan(desired: &Desired, observed: &Observed) -> (Vec<Step>, Vec<String>) {
    let (mut steps, mut blocked) = (Vec::new(), Vec::new());
    for key in desired.nodes.keys() {
        let called = desired.called(key);
        match observed.hosts.get(key) {
            Some(Fact::Known(_)) => {
                for finding in findings(desired, observed, key) {
                    match finding.step {
                        Some(step) if !steps.contains(&step) => steps.push(step),
                        Some(_) => {}
                        None => blocked.push(format!(
                            "on {called} {}: put it back from a backup, because certificates of a \
                             new one would be trusted by nobody (another name makes another CA)",
                            finding.sentence
                        )),
                    }
                }
            }
            Some(Fact::Unknown(why)) => blocked.push(format!("{called} is unreachable: {why}")),
            None => blocked.push(format!("{called} was not looked at")),
        }
    }
    (steps, blocked)
}

/// What a creation is announced as, before any fact is known.
pub fn announce_creation(desired: &Desired) -> Vec<String> {
    let active = desired.called(&desired.active);
    vec![
        format!(
            "install step-ca {} and step {} on {active}",
            version::STEP_CA,
            version::STEP
        ),
        format!(
            "make root, intermediate and provisioner {} there",
            desired.provisioner
        ),
        format!("start it on port {}", desired.port),
    ]
}

#[cfg(test)]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
mod tests;
