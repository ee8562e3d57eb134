//! Which changes of an existing cluster are refused at plan, and the way to them.

use super::desired::Desired;
use crate::problem::Problems;

/// Compares what is with what is wished; collects what this release does not do.
pub fn refuse(prior: &Desired, wanted: &Desired, problems: &mut Problems) {
    if prior.name != wanted.name {
        problems.error(
            &["name"],
            "The name cannot change",
            format!(
                "The name stands in every unit, path and certificate of {}. Make a new cluster \
                 beside it and move the data, or set name = \"{}\" again.",
                prior.name, prior.name
            ),
        );
    }
    let gone: Vec<&str> = prior
        .nodes
        .keys()
        .filter(|key| !wanted.nodes.contains_key(*key))
        .map(crate::name::NodeKey::as_str)
        .collect();
    let new: Vec<&str> = wanted
        .nodes
        .keys()
        .filter(|key| !prior.nodes.contains_key(*key))
        .map(crate::name::NodeKey::as_str)
        .collect();
    if !gone.is_empty() || !new.is_empty() {
        problems.error(
            &["nodes"],
            "Members cannot be added or removed yet",
            format!(
                "The cluster has the nodes {}; this change would remove [{}] and add [{}]. This \
                 release does not change membership. Nothing was changed.",
                prior
                    .nodes
                    .keys()
                    .map(crate::name::NodeKey::as_str)
                    .collect::<Vec<_>>()
                    .join(", "),
                gone.join(", "),
                new.join(", ")
            ),
        );
    }
    for (key, node) in &prior.nodes {
        let Some(other) = wanted.nodes.get(key) else {
            continue;
        };
        if (node.address, &node.advertise) != (other.address, &other.advertise) {
            problems.error(
                &["nodes", key.as_str()],
                "A member cannot move yet",
                format!(
                    "Node {key} is at {} (advertised as {}) and would be at {} ({}). This release \
                     does not move members. Nothing was changed.",
                    node.address, node.advertise, other.address, other.advertise
                ),
            );
        }
    }
    for (attribute, is, should) in [
        ("client_port", prior.client_port, wanted.client_port),
        ("peer_port", prior.peer_port, wanted.peer_port),
    ] {
        if is != should {
            problems.error(
                &[attribute],
                "Ports cannot change yet",
                format!("{attribute} is {is} and would be {should}. Nothing was changed."),
            );
        }
    }
    if prior.version != wanted.version {
        problems.error(
            &["version"],
            "The version cannot change yet",
            format!(
                "The cluster runs etcd {} and would run {}. This release does not upgrade. Set \
                 version = \"{}\". Nothing was changed.",
                prior.version, wanted.version, prior.version
            ),
        );
    }
    if prior.issuer.name != wanted.issuer.name {
        problems.error(
            &["issuer"],
            "The CA cannot change yet",
            format!(
                "The certificates come from {} and would come from {}. Nothing was changed.",
                prior.issuer.name, wanted.issuer.name
            ),
        );
    } else if let (Some(is), Some(should)) = (&prior.issuer.fingerprint, &wanted.issuer.fingerprint)
        && is != should
    {
        problems.error(
            &["issuer"],
            "The CA has another root",
            format!(
                "The members trust the root {is} of {}, and its root is {should} now. A certificate \
                 under it would be refused by every member. Put the former CA back from a backup. \
                 Nothing was changed.",
                prior.issuer.name
            ),
        );
    }
}

#[cfg(test)]
mod tests;
