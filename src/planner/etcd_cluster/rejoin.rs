//! Nodes that are out of the member list, do not vote yet, or have lost their data.
//!
//! One at a time, and what was begun is finished first: etcd takes one learner, and lets it start only
//! if the list and its configuration name the same members (`ValidateClusterAndAssignIDs`).

use super::{
    desired::Desired,
    membership::{Standing, called, standing, strangers},
    names,
    observed::Observed,
    plan::{Plan, hand_over, mended},
    render::{files_to_join, parse},
    safety::{may_disrupt, may_disrupt_later},
    step::Step,
};
use crate::{
    facts::{HostFacts, UnitFact},
    name::NodeKey,
};

/// What a node needs, in the order in which nodes are worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// It votes; what let it in is still there.
    Close(u64),
    /// It is a learner.
    Promote(u64),
    /// It is a learner and its data is gone; until it is out, nobody else can join.
    Relearn(u64),
    /// It is in no list.
    Add,
    /// It votes and its data is gone.
    Replace(u64),
    /// Nobody can say.
    Unknown,
}

fn need(desired: &Desired, observed: &Observed, key: &NodeKey, host: &HostFacts) -> Need {
    let has_wal = host.files.contains_key(&names::wal(&desired.name, key));
    match standing(desired, observed, key) {
        Standing::Unknown => Need::Unknown,
        Standing::Absent => Need::Add,
        Standing::Voter(member) if has_wal => Need::Close(member.id),
        Standing::Voter(member) => Need::Replace(member.id),
        // etcd names a member when it has started once. Started again without its data it would
        // break the promise of what it has confirmed.
        Standing::Learner(member) if !has_wal && !member.name.is_empty() => {
            Need::Relearn(member.id)
        }
        Standing::Learner(member) => Need::Promote(member.id),
    }
}

/// Nodes whose data seems lost. Hosts are not looked at in one moment: who was starting when its host was
/// looked at may have a name in the list by the time that another member told it. Looked at once more, such
/// a node has data, or has none for good.
pub fn without_data<'a>(desired: &'a Desired, observed: &Observed) -> Vec<&'a NodeKey> {
    let is_lost = |key: &&NodeKey| {
        let needs = observed
            .host(key)
            .map(|host| need(desired, observed, key, host));
        matches!(needs, Some(Need::Relearn(_) | Need::Replace(_)))
    };
    desired.nodes.keys().filter(is_lost).collect()
}

/// Whether a host has nothing of its node, and nobody can say whether that may join: a removal that was
/// cut off leaves such hosts, and installing there would help nobody.
pub(super) fn is_idle(desired: &Desired, observed: &Observed, key: &NodeKey) -> bool {
    let host = observed.host(key).filter(|host| host.owner.is_none());
    host.is_some_and(|host| need(desired, observed, key, host) == Need::Unknown)
}

/// Whether the member of a node would run if it was started now.
pub(super) fn can_run(desired: &Desired, observed: &Observed, key: &NodeKey) -> bool {
    let has_wal = observed
        .host(key)
        .is_some_and(|host| host.files.contains_key(&names::wal(&desired.name, key)));
    has_wal && standing(desired, observed, key) != Standing::Absent
}

/// Brings nodes back that are astray.
pub(super) fn rejoin(desired: &Desired, observed: &Observed, nodes: &[&NodeKey], plan: &mut Plan) {
    let mut needs: Vec<(Need, &NodeKey, &HostFacts)> = nodes
        .iter()
        .filter_map(|key| {
            let host = observed.host(key)?;
            Some((need(desired, observed, key, host), *key, host))
        })
        .collect();
    needs.sort_by_key(|(need, key, _)| (*need, *key));
    let obstacle = obstacle(desired, observed);
    for (need, key, host) in needs {
        match (need, &obstacle) {
            (Need::Unknown, _) => {
                let (case, section) = if host.owner.is_none() {
                    ("a removal was cut off", "A removal was cut off")
                } else {
                    ("most of the others are lost for good", "A majority is lost")
                };
                plan.blocked.push(format!(
                    "{} has no data, and no member that sees a quorum can say whether it may join anew; if \
                     {case}, see \"{section}\" in docs/operations.md",
                    desired.called(key)
                ));
            }
            (Need::Close(member_id), _) => plan.steps.push(Step::PromoteLearner {
                node: key.clone(),
                member_id,
            }),
            (Need::Promote(member_id), _) => {
                if !is_up(desired, key, host) || is_misled(desired, observed, key, host) {
                    plan.steps.push(Step::StartMembers {
                        nodes: vec![key.clone()],
                    });
                }
                plan.steps.push(Step::PromoteLearner {
                    node: key.clone(),
                    member_id,
                });
            }
            (Need::Relearn(_) | Need::Add | Need::Replace(_), Some(obstacle)) => plan
                .blocked
                .push(format!("{} cannot join: {obstacle}", desired.called(key))),
            (Need::Add, None) => add(desired, key, host, plan),
            (Need::Relearn(member_id) | Need::Replace(member_id), None) => {
                replace(desired, observed, key, host, member_id, plan);
            }
        }
    }
}

fn is_up(desired: &Desired, key: &NodeKey, host: &HostFacts) -> bool {
    host.units
        .get(&names::unit(&desired.name, key))
        .is_some_and(UnitFact::is_up)
}

/// Whether a learner that has not begun waits with other members in its configuration than are listed:
/// the list changed after it was written.
fn is_misled(desired: &Desired, observed: &Observed, key: &NodeKey, host: &HostFacts) -> bool {
    let path = names::configuration(&desired.name, key);
    let content = host.files.get(&path).and_then(|file| file.content.clone());
    let initial = |text: &str| parse(text).get("initial-cluster").cloned();
    let wanted = files_to_join(desired, observed, key, &desired.nodes[key]);
    let wanted = wanted.iter().find(|file| file.path == path);
    !host.files.contains_key(&names::wal(&desired.name, key))
        && wanted.and_then(|file| initial(&file.content)) != content.and_then(|text| initial(&text))
}

/// What stands in the way of anybody who would join.
fn obstacle(desired: &Desired, observed: &Observed) -> Option<String> {
    if let Some(stranger) = strangers(desired, observed).first() {
        return Some(format!(
            "the member list has {}, which is no node of this cluster; if nobody needs it, remove it \
             with `etcdctl member remove {:x}`",
            called(stranger),
            stranger.id
        ));
    }
    let is_joining = |key: &&NodeKey| {
        observed.host(key).is_none()
            && matches!(standing(desired, observed, key), Standing::Learner(_))
    };
    let other = desired.nodes.keys().find(is_joining)?;
    Some(format!(
        "{} is a learner on a host that was not seen, and etcd takes one learner at a time",
        desired.called(other)
    ))
}

/// A learner with an empty data directory, and what is in the way of that.
fn add(desired: &Desired, key: &NodeKey, host: &HostFacts, plan: &mut Plan) {
    let node = || key.clone();
    if is_up(desired, key, host) {
        plan.steps.push(Step::StopMember { node: node() });
    }
    let data = host.files.get(&names::data(&desired.name, key));
    if data.is_some_and(|data| data.populated) {
        plan.steps.push(Step::SetDataAside { node: node() });
    }
    plan.steps.extend([
        Step::AddLearner { node: node() },
        Step::StartMembers {
            nodes: vec![node()],
        },
        Step::PromoteLearner {
            node: node(),
            member_id: 0,
        },
    ]);
}

/// A member whose data is lost comes back as another one: its id has promised what it cannot keep.
fn replace(
    desired: &Desired,
    observed: &Observed,
    key: &NodeKey,
    host: &HostFacts,
    member_id: u64,
    plan: &mut Plan,
) {
    let called = desired.called(key);
    if let Err(reason) = may_disrupt(desired, observed, key)
        && !may_disrupt_later(desired, observed, key, &mended(&plan.steps))
    {
        plan.blocked
            .push(format!("the data of {called} is lost, but {reason}"));
        return;
    }
    let mut others = desired.nodes.keys().filter(|other| *other != key);
    if !others.any(|other| observed.is_healthy(other)) {
        plan.blocked.push(format!(
            "the files of {called} are gone, and no other member has its data: take a snapshot while it \
             still runs, and restore it"
        ));
        return;
    }
    plan.steps.extend(hand_over(desired, observed, key));
    plan.steps.push(Step::RemoveMember {
        node: key.clone(),
        member_id,
    });
    add(desired, key, host, plan);
}

#[cfg(test)]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
mod tests;
