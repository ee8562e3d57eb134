//! What an earlier creation of the same name left that was begun with other nodes or ports.
//!
//! It is removed before the new one begins, so everything is asked that could say that it holds
//! something: what any host wrote down, and its members themselves, at the ports that it had.

use std::{collections::BTreeMap, net::IpAddr};

use super::{Role, desired::Desired, manifest::Manifest, names, observed::Observed};
use crate::{
    address,
    facts::{Fact, HostFacts},
    issuer::root_path,
    name::{Name, NodeKey},
    problem::Problems,
};

/// What is left of it on the host of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The node of the new creation whose host it is.
    pub key: NodeKey,
    /// Who began it.
    pub by: String,
    /// What it wrote down there, if it came so far.
    pub manifest: Option<Manifest>,
}

/// How a member that is left over is reached on its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// URL on loopback.
    pub endpoint: String,
    /// Path of the root that it trusts.
    pub ca_path: String,
    /// Path of the client certificate and its key, without the ending.
    pub client_stem: String,
    /// The log that it has from its first start on.
    pub wal: String,
}

/// What other creations of this name than that of `desired` left.
pub fn leftovers(desired: &Desired, observed: &Observed) -> Vec<Leftover> {
    let wish = desired.wish();
    let left = |key: &NodeKey| {
        let journal = observed.host(key)?.journal.as_ref()?;
        (journal.wish != wish).then(|| Leftover {
            key: key.clone(),
            by: journal.by.clone(),
            manifest: observed.manifest(key),
        })
    };
    desired.nodes.keys().filter_map(left).collect()
}

impl Leftover {
    /// How its member is reached; `None` if it never came to have one.
    pub fn reach(&self, cluster: &Name) -> Option<Reach> {
        let manifest = self.manifest.as_ref()?;
        let mut nodes = manifest.nodes.iter();
        let (_, _, address, _) = nodes.find(|(key, ..)| *key == manifest.node)?;
        let loopback = address::loopback(address.parse::<IpAddr>().ok()?).to_string();
        let issuer = Name::parse(&manifest.issuer).ok()?;
        let role = Role::Client.as_str();
        Some(Reach {
            endpoint: address::https(&loopback, manifest.client_port),
            ca_path: root_path(&issuer),
            client_stem: names::certificate_stem(cluster, &manifest.node, role),
            wal: names::wal(cluster, &manifest.node),
        })
    }
}

/// Says what will be removed, or refuses because it may hold something. `looks` are the answers of the
/// hosts when they were asked for what [`Leftover::reach`] says.
pub fn settle(
    desired: &Desired,
    left: &[Leftover],
    looks: &BTreeMap<NodeKey, Fact<HostFacts>>,
    problems: &mut Problems,
) {
    let Some(first) = left.first() else { return };
    let name = &desired.name;
    let hosts: Vec<String> = left.iter().map(|left| desired.called(&left.key)).collect();
    let begun = format!(
        "{} began it with other nodes or ports{} and did not finish it. It is on {}",
        first.by,
        was(left),
        hosts.join(", ")
    );
    if let Some(why) = left
        .iter()
        .find_map(|left| value(desired, left, looks.get(&left.key)))
    {
        problems.error(
            &["name"],
            format!("An earlier creation of cluster {name} may hold data"),
            format!(
                "{begun}; {why}. Set those nodes and ports again and apply: then it is completed, and can \
                 be destroyed like any other. Or choose another name. Nothing was changed."
            ),
        );
        return;
    }
    problems.warning(
        &["name"],
        format!("What an earlier creation of cluster {name} left is removed first"),
        format!(
            "{begun}. No member of it had a quorum. What it made there is stopped and removed; data \
             directories are moved aside."
        ),
    );
}

/// What it was, as far as it was written down.
fn was(left: &[Leftover]) -> String {
    let Some(manifest) = left.iter().find_map(|left| left.manifest.as_ref()) else {
        return String::new();
    };
    let nodes: Vec<String> = manifest
        .nodes
        .iter()
        .map(|(key, host, ..)| format!("{key} on {host}"))
        .collect();
    format!(
        " (nodes {}; client_port {}, peer_port {})",
        nodes.join(", "),
        manifest.client_port,
        manifest.peer_port
    )
}

/// Why there may be something in it.
fn value(desired: &Desired, left: &Leftover, look: Option<&Fact<HostFacts>>) -> Option<String> {
    let manifest = left.manifest.as_ref()?;
    let called = desired.called(&left.key);
    if manifest.bootstrapped {
        return Some(format!("{called} wrote down that it had its quorum"));
    }
    let reach = left.reach(&desired.name)?;
    let host = match look {
        Some(Fact::Known(host)) => host,
        Some(Fact::Unknown(why)) => {
            return Some(format!(
                "whether it had a quorum is not known: {called}: {why}"
            ));
        }
        None => return Some(format!("{called} was not asked whether it had a quorum")),
    };
    if host
        .etcd
        .as_ref()
        .is_some_and(|etcd| etcd.reachable && etcd.leader_id != 0)
    {
        return Some(format!("its member on {called} has a leader"));
    }
    // What nobody can be asked about may have had a quorum with this one.
    let is_asked = |host: &String| desired.nodes.values().any(|node| node.host == *host);
    let away = manifest.nodes.iter().find(|(_, host, ..)| !is_asked(host));
    match away {
        Some((key, host, ..)) if is_started(&reach, look) => Some(format!(
            "its member on {called} was started, and its node {key} on {host} is none of these nodes and \
             cannot be asked"
        )),
        _ => None,
    }
}

fn is_started(reach: &Reach, look: Option<&Fact<HostFacts>>) -> bool {
    look.and_then(Fact::known)
        .is_some_and(|host| host.files.contains_key(&reach.wal))
}

#[cfg(test)]
mod tests;
