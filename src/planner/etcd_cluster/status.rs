//! The cluster's state in one line: `ready`, or what is missing.

use std::collections::BTreeSet;

use super::{desired::Desired, membership, names, observed::Observed};
use crate::{drop_in, facts::Fact, name::NodeKey};

/// `ready`, or how many members are healthy and what is wrong.
pub fn status(desired: &Desired, observed: &Observed) -> String {
    let (healthy, others): (Vec<&NodeKey>, Vec<&NodeKey>) = desired
        .nodes
        .keys()
        .partition(|key| observed.is_healthy(key));
    let reasons: Vec<String> = others
        .iter()
        .map(|key| why_not_healthy(desired, observed, key))
        .chain(alarms(desired, observed))
        .chain(
            membership::strangers(desired, observed)
                .into_iter()
                .map(|member| format!("{} is no node", membership::called(member))),
        )
        .collect();
    if reasons.is_empty() {
        return "ready".to_owned();
    }
    format!(
        "{} of {} members healthy; {}",
        healthy.len(),
        desired.nodes.len(),
        reasons.join("; ")
    )
}

/// Alarms in words.
fn alarms(desired: &Desired, observed: &Observed) -> Vec<String> {
    raised(desired, observed)
        .into_iter()
        .map(|(id, kind)| {
            let who = raiser(desired, observed, id);
            format!("{who} raises the alarm {kind}")
        })
        .collect()
}

/// Member ids with their alarms, each once: all members know all of them.
pub(super) fn raised(desired: &Desired, observed: &Observed) -> BTreeSet<(u64, String)> {
    let known = desired.nodes.keys().filter_map(|key| observed.member(key));
    known.flat_map(|etcd| etcd.alarms.clone()).collect()
}

/// Who raises an alarm, as sentences call it.
pub(super) fn raiser(desired: &Desired, observed: &Observed, id: u64) -> String {
    let is_it = |key: &&NodeKey| {
        observed
            .member(key)
            .is_some_and(|etcd| etcd.member_id == id)
    };
    let node = desired.nodes.keys().find(is_it);
    node.map_or_else(|| format!("member {id:x}"), |key| desired.called(key))
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
            Some(_) | None => {
                let unit = host.units.get(&names::unit(&desired.name, key));
                format!("{called} does not answer{}", drop_in::because(unit))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd_cluster::fixture::{
        desired, etcd_mut, id, key, lose, observed, relist, silence, unit_mut, without_quorum,
    };

    #[test]
    fn is_ready_only_when_every_member_is_healthy() {
        let desired = desired(3);
        let mut seen = observed(&desired);
        assert_eq!(status(&desired, &seen), "ready");
        lose(&mut seen, "1");
        silence(&mut seen, "2");
        etcd_mut(&mut seen, "3").linearizable = false;
        assert_eq!(
            status(&desired, &seen),
            "0 of 3 members healthy; 1 (10.0.1.11) is unreachable: connection timed out; \
             2 (10.0.1.12) does not answer; 3 (10.0.1.13) sees no quorum"
        );
        let mut seen = observed(&desired);
        without_quorum(&mut seen);
        etcd_mut(&mut seen, "2").is_learner = true;
        seen.hosts.remove(&key("3"));
        assert_eq!(
            status(&desired, &seen),
            "0 of 3 members healthy; 1 (10.0.1.11) has no leader; 2 (10.0.1.12) is a learner; \
             3 (10.0.1.13) was not looked at"
        );
    }

    #[test]
    fn a_drop_in_is_named_where_the_member_is_not_well() {
        let desired = desired(1);
        let mut seen = observed(&desired);
        let drop_in = "/etc/systemd/system/etcd-k8s-1.service.d/a.conf";
        unit_mut(&mut seen, "1").drop_ins = vec![drop_in.to_owned()];
        assert_eq!(status(&desired, &seen), "ready");
        silence(&mut seen, "1");
        assert_eq!(
            status(&desired, &seen),
            format!(
                "0 of 1 members healthy; 1 (10.0.1.11) does not answer ({drop_in} changes its unit)"
            )
        );
    }

    #[test]
    fn alarms_and_strangers_are_not_ready() {
        let desired = desired(3);
        let mut seen = observed(&desired);
        for node in ["1", "2", "3"] {
            let alarms = &mut etcd_mut(&mut seen, node).alarms;
            alarms.push((id(&key("2")), "NOSPACE".to_owned()));
        }
        assert_eq!(
            status(&desired, &seen),
            "3 of 3 members healthy; 2 (10.0.1.12) raises the alarm NOSPACE"
        );
        let mut seen = observed(&desired);
        relist(&mut seen, |members| {
            let mut stranger = members[0].clone();
            stranger.id = 0xabc;
            stranger.peer_urls = vec!["https://10.0.1.99:2380".to_owned()];
            members.push(stranger);
        });
        assert_eq!(
            status(&desired, &seen),
            "3 of 3 members healthy; member abc (https://10.0.1.99:2380) is no node"
        );
    }
}
