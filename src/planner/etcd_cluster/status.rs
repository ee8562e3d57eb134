//! The cluster's state in one line: `ready`, or what is missing.

use super::{desired::Desired, observed::Observed};
use crate::{facts::Fact, name::NodeKey};

/// `ready`, or how many members are healthy and what is wrong with the others.
pub fn status(desired: &Desired, observed: &Observed) -> String {
    let healthy = desired
        .nodes
        .keys()
        .filter(|key| observed.is_healthy(key))
        .count();
    if healthy == desired.nodes.len() {
        return "ready".to_owned();
    }
    let reasons: Vec<String> = desired
        .nodes
        .keys()
        .filter(|key| !observed.is_healthy(key))
        .map(|key| why_not_healthy(desired, observed, key))
        .collect();
    format!(
        "{healthy} of {} members healthy; {}",
        desired.nodes.len(),
        reasons.join("; ")
    )
}

pub(super) fn why_not_healthy(desired: &Desired, observed: &Observed, key: &NodeKey) -> String {
    let called = desired.called(key);
    match observed.hosts.get(key) {
        None => format!("{called} was not looked at"),
        Some(Fact::Unknown(why)) => format!("{called} is unreachable: {why}"),
        Some(Fact::Known(host)) => match &host.etcd {
            Some(etcd) if etcd.is_learner => format!("{called} is a learner"),
            Some(etcd) if etcd.reachable && etcd.leader_id == 0 => {
                format!("{called} has no leader")
            }
            Some(etcd) if etcd.reachable => format!("{called} sees no quorum"),
            Some(_) | None => format!("{called} does not answer"),
        },
    }
}
