//! What is not as it should be on each host, each with what mends it.
//!
//! Drift and plan are both made from this one list, so every sentence has a step and no step
//! comes out of nowhere.

mod certificates;
mod files;
mod host;
mod member;

use super::{certificate::Role, desired::Desired, observed::Observed};
use crate::{access::exposed, facts::HostFacts, name::NodeKey, node::Node};

/// Something on a host that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Without the node in front; empty for what is no drift but work that is wanted or owed.
    pub(super) sentence: String,
    /// What mends it.
    pub(super) remedy: Remedy,
}

/// What mends a finding, in the order in which it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Remedy {
    Prepare,
    Install,
    Issue(Role),
    Write,
    WriteAndRestart,
    Enable,
    Start,
    Restart,
    Rejoin,
    Await,
    Finish,
    Claim,
}

fn drift(sentence: String, remedy: Remedy) -> Finding {
    Finding { sentence, remedy }
}

fn wanted(remedy: Remedy) -> Finding {
    Finding {
        sentence: String::new(),
        remedy,
    }
}

/// Findings on all hosts that were seen, by node.
pub(super) fn all<'a>(
    desired: &'a Desired,
    observed: &Observed,
) -> Vec<(&'a NodeKey, Vec<Finding>)> {
    let bootstrapped = observed.bootstrapped();
    let of_node = |(key, node)| {
        let host = observed.host(key)?;
        Some((
            key,
            findings(desired, observed, bootstrapped, key, node, host),
        ))
    };
    desired.nodes.iter().filter_map(of_node).collect()
}

/// Findings on the host of one node.
fn findings(
    desired: &Desired,
    observed: &Observed,
    bootstrapped: bool,
    key: &NodeKey,
    node: &Node,
    host: &HostFacts,
) -> Vec<Finding> {
    let mut found = Vec::new();
    host::prepared(desired, key, host, &mut found);
    host::programs(desired, host, &mut found);
    certificates::certificates(desired, key, node, host, &mut found);
    files::written(desired, key, node, host, bootstrapped, &mut found);
    host::enabled(desired, key, host, &mut found);
    if bootstrapped {
        member::running(desired, observed, key, node, host, &mut found);
    } else {
        member::starting(desired, observed, key, host, &mut found);
    }
    // An entry of another creation is not ours to close.
    let ours = |id: &str| id == desired.id;
    if bootstrapped && host.journal.as_ref().is_some_and(|entry| ours(&entry.id)) {
        found.push(wanted(Remedy::Claim));
    }
    found
}

#[cfg(test)]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
mod tests;
