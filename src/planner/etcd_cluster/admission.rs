//! May this cluster be made on these hosts? Asked at plan and again before the first step.

use std::{collections::BTreeMap, net::IpAddr};

use super::{desired::Desired, names, observed::Observed, trust::check_root};
use crate::{
    facts::{Fact, FileFact, FileKind, HostFacts},
    name::NodeKey,
    node::Node,
    problem::Problems,
    space,
};

/// Oldest systemd whose units are rendered.
pub(crate) const OLDEST_SYSTEMD: u32 = 239;

/// Collects what stands against making the cluster; hosts that were not seen are warnings.
///
/// `id` is the uid that the creation has, if it was begun before: what is its own does not stand in
/// its way.
pub fn admit(desired: &Desired, observed: &Observed, id: Option<&str>, problems: &mut Problems) {
    let mut machines: BTreeMap<&str, &NodeKey> = BTreeMap::new();
    for (key, node) in &desired.nodes {
        let place = ["nodes", key.as_str(), "host"];
        let host = match observed.hosts.get(key) {
            Some(Fact::Known(host)) => host,
            Some(Fact::Unknown(why)) => {
                problems.warning(
                    &place,
                    format!("Host {} cannot be checked now", node.host),
                    format!("{why}. If it is made in the same apply, that is expected."),
                );
                continue;
            }
            None => continue,
        };
        if !host.machine_id.is_empty()
            && let Some(other) = machines.insert(&host.machine_id, key)
        {
            problems.error(
                &place,
                "Two nodes on one machine",
                format!(
                    "Nodes \"{other}\" and \"{key}\" reach the same machine (machine id {}).",
                    host.machine_id
                ),
            );
        }
        check_host(&node.host, host, &place, problems);
        space::check(
            &node.host,
            host,
            &[space::PROGRAMS, space::DATA],
            &place,
            problems,
        );
        check_address(node, host, key, problems);
        check_ports(desired, key, node, host, problems);
        check_foreign(desired, key, node, host, problems);
        check_root(desired, key, node, host, problems);
    }
    check_exists(desired, observed, id, problems);
}

/// An entry in the register of a CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Uid of the cluster that has the name.
    pub id: String,
    /// Host of the CA that says so.
    pub host: String,
}

/// Refuses a name that another cluster has at the same CA, before anything is laid down: the CA would
/// refuse it at the first certificate. One that is on these hosts is told by [`admit`].
pub fn check_name(
    desired: &Desired,
    observed: &Observed,
    id: Option<&str>,
    registered: &Registered,
    problems: &mut Problems,
) {
    let hosts = observed.hosts.values().filter_map(Fact::known);
    let mut owners = hosts.filter_map(|host| host.owner.as_ref());
    if id == Some(registered.id.as_str()) || owners.any(|owner| owner.id == registered.id) {
        return;
    }
    problems.error(
        &["name"],
        format!(
            "The CA {} serves another cluster named {}",
            desired.issuer.name, desired.name
        ),
        format!(
            "Two of one name under one CA would let each other's clients in. Choose another name or \
             another CA. If that cluster is gone for good, take {} out of {}/consumers.json on {}. Nothing \
             was changed.",
            desired.name, desired.issuer.directory, registered.host
        ),
    );
}

pub(crate) fn check_host(name: &str, host: &HostFacts, place: &[&str], problems: &mut Problems) {
    if host.init != "systemd" {
        problems.error(
            place,
            format!("Host {name} does not run systemd"),
            format!("Process 1 is \"{}\". Members are systemd units.", host.init),
        );
    } else if host.systemd_version != 0 && host.systemd_version < OLDEST_SYSTEMD {
        problems.error(
            place,
            format!("systemd on {name} is too old"),
            format!(
                "It is {}; {OLDEST_SYSTEMD} or newer is needed.",
                host.systemd_version
            ),
        );
    }
    if !matches!(host.architecture.as_str(), "x86_64" | "aarch64") {
        problems.error(
            place,
            format!("No programs for host {name}"),
            format!(
                "It is a {}; there are programs for x86_64 and aarch64.",
                host.architecture
            ),
        );
    }
}

fn check_address(node: &Node, host: &HostFacts, key: &NodeKey, problems: &mut Problems) {
    let own = |address: &String| {
        address
            .parse::<IpAddr>()
            .is_ok_and(|own| own == node.address)
    };
    if !host.addresses.is_empty() && !host.addresses.iter().any(own) {
        problems.error(
            &["nodes", key.as_str(), "address"],
            format!("Host {} has no address {}", node.host, node.address),
            format!(
                "etcd could not listen there. The host has {}. Set address = \"…\" in node \
                 \"{key}\"; what other hosts are told is advertise.",
                host.addresses.join(", ")
            ),
        );
    }
}

/// Ports of others. One that has our own name is no matter of ports: it is this cluster, or one that is
/// told as such.
fn check_ports(
    desired: &Desired,
    key: &NodeKey,
    node: &Node,
    host: &HostFacts,
    problems: &mut Problems,
) {
    let owner = names::owner(&desired.name);
    let unit = names::unit(&desired.name, key);
    for (attribute, port) in [
        ("client_port", Some(desired.client_port)),
        ("peer_port", Some(desired.peer_port)),
        ("metrics_port", desired.metrics_port),
    ] {
        let Some((port, fact)) = port.and_then(|port| Some((port, host.ports.get(&port)?))) else {
            continue;
        };
        if !fact.claimed_by.is_empty() && fact.claimed_by != owner {
            problems.error(
                &[attribute],
                format!(
                    "Port {port} on {} belongs to {}",
                    node.host, fact.claimed_by
                ),
                format!(
                    "Give this cluster another {attribute}.{} Nothing was changed.",
                    way_out(&fact.claimed_by, &node.host)
                ),
            );
        } else if fact.listening && fact.claimed_by != owner && fact.unit != unit {
            let who = if fact.process.is_empty() {
                "Another process"
            } else {
                &fact.process
            };
            problems.error(
                &[attribute],
                format!("Port {port} on {} is taken", node.host),
                format!(
                    "{who} listens there{}. Give this cluster another {attribute}, or stop it. \
                     Nothing was changed.",
                    if fact.unit.is_empty() {
                        String::new()
                    } else {
                        format!(" (unit {})", fact.unit)
                    }
                ),
            );
        }
    }
}

/// How to be rid of an owner that is in no state, such as what a creation left that was given up.
fn way_out(owner: &str, host: &str) -> String {
    let Some((kind, name)) = owner.split_once('/') else {
        return String::new();
    };
    format!(
        " If {owner} is in no state and nobody wants it, take it over with `tofu import \
         {kind}.ADDRESS {name}@{host}` and destroy it."
    )
}

/// A cluster of this name on its hosts that is not the one that is being made.
fn check_exists(desired: &Desired, observed: &Observed, id: Option<&str>, problems: &mut Problems) {
    let hosts = |only: &dyn Fn(&NodeKey) -> bool| -> Vec<&str> {
        let named = desired.nodes.iter().filter(|(key, _)| only(key));
        named.map(|(_, node)| node.host.as_str()).collect()
    };
    let exists = hosts(&|key| {
        let owner = observed.host(key).and_then(|host| host.owner.as_ref());
        owner.is_some_and(|owner| Some(owner.id.as_str()) != id)
    });
    if exists.is_empty() {
        return;
    }
    problems.error(
        &["name"],
        format!(
            "Cluster {} exists already on {}",
            desired.name,
            exists.join(", ")
        ),
        format!(
            "It was made by this provider and is not in this state. Take it over with `tofu import \
             ADDRESS {}@{}`, or choose another name. Nothing was changed.\nA replacement with \
             create_before_destroy ends here too: leave that out, and run `tofu state rm ADDRESS` before \
             the import.",
            desired.name,
            hosts(&|_| true).join(",")
        ),
    );
}

fn check_foreign(
    desired: &Desired,
    key: &NodeKey,
    node: &Node,
    host: &HostFacts,
    problems: &mut Problems,
) {
    if host.owner.is_some() {
        return;
    }
    for path in names::DIRECTORIES {
        if host
            .files
            .get(path)
            .is_some_and(|file| file.kind != FileKind::Directory)
        {
            problems.error(
                &["nodes", key.as_str(), "host"],
                format!("{path} on {} is no directory", node.host),
                "What is below it would lie where a link can lead elsewhere tomorrow. Mount the disk \
                 there, or bind-mount its directory (an entry in /etc/fstab with `bind`). Nothing was \
                 changed.",
            );
        }
    }
    // An empty directory may be a disk that was mounted for this cluster.
    let holds_something = |file: &FileFact| file.kind != FileKind::Directory || file.populated;
    let data = names::data(&desired.name, key);
    let configuration = names::configuration(&desired.name, key);
    for path in [data, configuration] {
        let found = host.files.get(&path);
        if found.is_some_and(|file| file.owner.is_empty() && holds_something(file)) {
            problems.error(
                &["name"],
                format!("{path} on {} is not ours", node.host),
                if host.units.contains_key(&names::unit(&desired.name, key)) {
                    format!(
                        "A member of this name is set up there, and no ledger knows it. If this provider \
                         made it, put /var/lib/etcd-node/ledger.json on {} back from a backup and import \
                         it; else choose another name. Nothing was changed.",
                        node.host
                    )
                } else {
                    "Another tool made it. Adopting clusters of other tools is not supported yet; \
                     choose another name, or move it away if it is a left-over. Nothing was changed."
                        .to_owned()
                },
            );
        }
    }
}

#[cfg(test)]
mod tests;
