//! May a voting member be disrupted now? Unknown health is never healthy.

use std::collections::BTreeSet;

use super::{
    desired::Desired,
    membership::{called, strangers},
    observed::Observed,
};
use crate::{facts::EtcdFact, name::NodeKey};

/// Votes needed to commit an entry: more than half of `voters`. Learners do not count.
pub(super) fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

/// Why a member must be left alone now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsafe {
    /// Without it there would be no quorum.
    #[error(
        "{healthy} of the other {others} members are known to be healthy, and {needed} must be, or \
         the cluster stops while {node} is away ({reasons})"
    )]
    NoQuorum {
        /// The member that would be disrupted.
        node: String,
        /// How many others are healthy.
        healthy: usize,
        /// How many others there are.
        others: usize,
        /// How many must be.
        needed: usize,
        /// What is wrong with the rest, in words.
        reasons: String,
    },
    /// Two members need each other.
    #[error("two members cannot spare one: the cluster stops while {node} is away")]
    Pair {
        /// The member that would be disrupted.
        node: String,
    },
    /// The others do not agree on one cluster and one leader.
    #[error("the members do not agree on one cluster and one leader")]
    Split,
    /// Members that see a quorum did not tell their list or the alarms.
    #[error("no member that sees a quorum told the member list and the alarms ({why})")]
    Unanswered {
        /// What they said instead.
        why: String,
    },
    /// A member raised an alarm about its data.
    #[error("a member reports corrupt data: no other may be touched before that is settled")]
    Corrupt,
}

/// Members that vote: of the list if it is known, else those that should be in it.
pub(super) fn voters(desired: &Desired, observed: &Observed) -> usize {
    let listed = observed
        .members()
        .map(|members| members.iter().filter(|member| !member.is_learner).count());
    listed.unwrap_or(desired.nodes.len()).max(1)
}

/// Whether `node` may be disrupted while all others stay as they are.
///
/// # Errors
/// [`Unsafe`] with the reason. At most one voter may be down, because two facts that are each old
/// would otherwise add up to a lost quorum.
pub fn may_disrupt(desired: &Desired, observed: &Observed, node: &NodeKey) -> Result<(), Unsafe> {
    enough(desired, observed, node, &BTreeSet::new())?;
    if voters(desired, observed) > 1 {
        told(desired, observed)?;
    }
    agreed(desired, observed)
}

/// Whether `node` may be disrupted once `mended` are healthy: for announcing, never for doing. With
/// nobody to mend there is no step before it, so then it is no.
pub(super) fn may_disrupt_later(
    desired: &Desired,
    observed: &Observed,
    node: &NodeKey,
    mended: &BTreeSet<NodeKey>,
) -> bool {
    !mended.is_empty()
        && enough(desired, observed, node, mended).is_ok()
        && agreed(desired, observed).is_ok()
}

fn enough(
    desired: &Desired,
    observed: &Observed,
    node: &NodeKey,
    mended: &BTreeSet<NodeKey>,
) -> Result<(), Unsafe> {
    let voters = voters(desired, observed);
    let others = desired.nodes.keys().filter(|key| *key != node);
    let (healthy, rest): (Vec<&NodeKey>, Vec<&NodeKey>) =
        others.partition(|key| observed.is_healthy(key) || mended.contains(key));
    // A member that answers for two nodes is one, and one that answers for this node too goes with it.
    let known = |key: &NodeKey| observed.member(key).map(|etcd| etcd.member_id);
    let own = known(node);
    let (told, untold): (Vec<_>, Vec<_>) = healthy
        .iter()
        .map(|key| known(key))
        .partition(Option::is_some);
    let told: BTreeSet<_> = told.into_iter().filter(|id| *id != own).collect();
    // A single member has nobody to stand in for it: it is disrupted or never changed.
    if voters == 1 || told.len() + untold.len() >= quorum(voters) {
        return Ok(());
    }
    if voters == 2 && rest.is_empty() {
        return Err(Unsafe::Pair {
            node: desired.called(node),
        });
    }
    let mut reasons: Vec<String> = rest
        .iter()
        .map(|key| super::status::why_not_healthy(desired, observed, key))
        .collect();
    let strangers = strangers(desired, observed);
    let voting = strangers.iter().filter(|member| !member.is_learner);
    reasons.extend(voting.map(|member| format!("{} is no node of this cluster", called(member))));
    Err(Unsafe::NoQuorum {
        node: desired.called(node),
        healthy: told.len() + untold.len(),
        others: voters - 1,
        needed: quorum(voters),
        reasons: reasons.join("; "),
    })
}

fn healthy<'a>(desired: &'a Desired, observed: &'a Observed) -> impl Iterator<Item = &'a EtcdFact> {
    let keys = desired.nodes.keys().filter(|key| observed.is_healthy(key));
    keys.filter_map(|key| observed.member(key))
}

/// The list and the alarms are the cluster's, so one whole answer is enough.
fn told(desired: &Desired, observed: &Observed) -> Result<(), Unsafe> {
    let is_whole = |etcd: &EtcdFact| etcd.error.is_empty() && !etcd.members.is_empty();
    if healthy(desired, observed).any(is_whole) {
        return Ok(());
    }
    let why = healthy(desired, observed).next();
    Err(Unsafe::Unanswered {
        why: why.map(|etcd| etcd.error.clone()).unwrap_or_default(),
    })
}

/// One cluster, one leader, and nobody who doubts the data.
fn agreed(desired: &Desired, observed: &Observed) -> Result<(), Unsafe> {
    let views: BTreeSet<(u64, u64)> = healthy(desired, observed)
        .map(|etcd| (etcd.cluster_id, etcd.leader_id))
        .collect();
    if views.len() > 1 {
        return Err(Unsafe::Split);
    }
    let mut answers = desired.nodes.keys().filter_map(|key| observed.member(key));
    if answers.any(|etcd| etcd.alarms.iter().any(|(_, kind)| kind == "CORRUPT")) {
        return Err(Unsafe::Corrupt);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
