//! Is each host the machine that its node's member runs on? Before anything is done there, because a
//! swapped or mistyped host gets another member's files, and the right member seems to have lost its data.

use std::{collections::BTreeMap, net::IpAddr};

use super::{desired::Desired, observed::Observed};
use crate::{facts::HostFacts, name::NodeKey, node::Node, problem::Problems};

/// Collects, at each node, why its host is not where its member belongs. `before` is what was last known
/// of the machines; a node of which nothing was known may be on any.
pub fn misplaced(
    desired: &Desired,
    observed: &Observed,
    before: &Observed,
    problems: &mut Problems,
) {
    for (key, why) in reasons(desired, observed, before) {
        problems.error(
            &["nodes", key.as_str(), "host"],
            format!(
                "Host {} is not the machine of node \"{key}\"",
                desired.nodes[key].host
            ),
            format!(
                "{}. A member stays on its machine for life: let each node name the host that \
                 it had. Nothing was changed.",
                why.replacen("it", "It", 1)
            ),
        );
    }
}

/// The same in sentences that begin with node and host.
pub fn astray(desired: &Desired, observed: &Observed, before: &Observed) -> Vec<String> {
    let sentence = |(key, why): (&NodeKey, String)| {
        let called = desired.called(key);
        format!("{called}: not the machine of this node: {why}")
    };
    let found = reasons(desired, observed, before);
    found.into_iter().map(sentence).collect()
}

fn reasons<'a>(
    desired: &'a Desired,
    observed: &Observed,
    before: &Observed,
) -> Vec<(&'a NodeKey, String)> {
    let mut machines: BTreeMap<&str, &NodeKey> = desired
        .nodes
        .keys()
        .filter(|key| is_its_own(observed, key))
        .filter_map(|key| Some((observed.host(key)?.machine_id.as_str(), key)))
        .filter(|(id, _)| !id.is_empty())
        .collect();
    let mut found = Vec::new();
    for (key, node) in &desired.nodes {
        let Some(host) = observed.host(key) else {
            continue;
        };
        // A host on which this node wrote itself down is its machine: an address that is gone is a fault of
        // this member alone, and a machine id is a file that is copied or made anew.
        let stranger = || {
            twin(key, host, &mut machines)
                .or_else(|| other_machine(key, host, before))
                .or_else(|| elsewhere(node, host))
        };
        let why = if is_its_own(observed, key) {
            None
        } else {
            other_node(key, observed).or_else(stranger)
        };
        found.extend(why.map(|why| (key, why)));
    }
    found
}

/// This node wrote itself down there.
fn is_its_own(observed: &Observed, key: &NodeKey) -> bool {
    let manifest = observed.manifest(key);
    manifest.is_some_and(|manifest| manifest.node == *key)
}

/// Another node wrote itself down there.
fn other_node(key: &NodeKey, observed: &Observed) -> Option<String> {
    let other = observed.manifest(key)?.node;
    (other != *key).then(|| format!("it has the member of node \"{other}\""))
}

/// Another node reaches the same machine.
fn twin<'a>(
    key: &'a NodeKey,
    host: &'a HostFacts,
    machines: &mut BTreeMap<&'a str, &'a NodeKey>,
) -> Option<String> {
    if host.machine_id.is_empty() {
        return None;
    }
    let other = machines.insert(&host.machine_id, key)?;
    Some(format!(
        "it is the machine of node \"{other}\" too (machine id {})",
        host.machine_id
    ))
}

fn other_machine(key: &NodeKey, host: &HostFacts, before: &Observed) -> Option<String> {
    let known = before.machine(key)?;
    let is_other = !host.machine_id.is_empty() && known != host.machine_id;
    is_other.then(|| {
        format!(
            "its machine id is {}, that of the node's machine was {known}, and nothing there says that it \
             is the same (a machine that was installed anew is taken over once a plan that refreshes has \
             seen it under the host name that the node had)",
            host.machine_id
        )
    })
}

/// The member could not listen there.
fn elsewhere(node: &Node, host: &HostFacts) -> Option<String> {
    no_address(node, host).map(|why| format!("it has {why}"))
}

/// That the host lacks the address of its node.
pub(super) fn no_address(node: &Node, host: &HostFacts) -> Option<String> {
    let own = |address: &String| {
        let parsed = address.parse::<IpAddr>();
        parsed.is_ok_and(|own| own == node.address)
    };
    let is_missing = !host.addresses.is_empty() && !host.addresses.iter().any(own);
    is_missing.then(|| {
        format!(
            "no address {} (it has {})",
            node.address,
            host.addresses.join(", ")
        )
    })
}

#[cfg(test)]
mod tests;
