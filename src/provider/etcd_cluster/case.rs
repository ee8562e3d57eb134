//! A cluster that can be worked on, and what keeps anybody from working on it.

use std::sync::Arc;

use planner::{
    etcd_cluster::{self as cluster, Desired, names},
    facts::{Fact, HostFacts},
    name::NodeKey,
};
use tf_plugin::{Diagnostic, Diagnostics, Value};

use super::wish;
use crate::{
    context::Context,
    facts::Facts,
    hosts::Hosts,
    life::{self, errors},
};

/// A cluster that can be worked on.
pub(super) struct Case {
    pub(super) hosts: Hosts,
    pub(super) ca: Hosts,
    pub(super) desired: Desired,
}

pub(super) fn read(context: &Arc<Context>, values: &Value) -> Result<Case, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    let read = wish::read(values, &mut diagnostics);
    let (Some(desired), Some(handle)) = (read.desired, read.handle) else {
        return Err(errors(&diagnostics));
    };
    let hosts = Hosts::new(context, &read.nodes.wishes)?;
    let ca = Hosts::new(context, &handle.nodes)?;
    Ok(Case { hosts, ca, desired })
}

pub(super) fn without_ledger(hosts: &Hosts, desired: &Desired, key: &NodeKey) -> Diagnostic {
    let anew = format!(
        " If there is none, and the other members are healthy, take this one off its host, by hand and as \
         root, and apply: it joins anew.\n  {}",
        cluster::clearing(desired, key)
    );
    let what = format!("Cluster {}", desired.name);
    life::forgotten(&what, &hosts.target(key).host, &anew)
}

/// A host that holds data of a member and nothing else of the cluster.
pub(super) fn with_data(hosts: &Hosts, desired: &Desired, key: &NodeKey) -> Diagnostic {
    let (host, data) = (&hosts.target(key).host, names::data(&desired.name, key));
    Diagnostic::error(
        format!(
            "Cluster {}: {data} on {host} is there without its member",
            desired.name
        ),
        format!(
            "Nothing else of the cluster is on {host}, as after an installation that kept the data disk. \
             Data is never taken over unseen. Nothing was changed.\nHint: If the other members are \
             healthy, move it aside as root and apply; the member joins anew and gets its data from \
             them:\n  mv {data} {data}.before"
        ),
    )
}

/// A host where somebody else's cluster has our name.
pub(super) fn another(hosts: &Hosts, desired: &Desired, facts: &Facts) -> Option<Diagnostic> {
    let owner = |(key, fact): (_, &Fact<HostFacts>)| Some((key, fact.known()?.owner.clone()?));
    let owners = || facts.iter().filter_map(owner);
    let (key, owner) = owners().find(|(_, owner)| owner.id != desired.id)?;
    let host = &hosts.target(key).host;
    let hint = if owners().any(|(_, owner)| owner.id == desired.id) {
        format!(
            "The other hosts have the one in this state. If that on {host} is what is left of an earlier \
             one, take it off there, and apply; the member then joins anew:\n  sudo {} leave {} {}",
            names::TIMER_HELPER,
            names::owner(&desired.name),
            owner.id
        )
    } else {
        "Remove this resource from the state and import what is there.".to_owned()
    };
    Some(Diagnostic::error(
        format!("Another cluster {} is on {host}", desired.name),
        format!(
            "It was made under the id {}, the one in this state under {}. Nothing was changed.\nHint: {hint}",
            owner.id, desired.id
        ),
    ))
}
