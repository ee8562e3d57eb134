//! May a voting member be disrupted now? Unknown health is never healthy.

use super::{desired::Desired, observed::Observed};
use crate::name::NodeKey;

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
    /// The others do not agree on one cluster and one leader.
    #[error("the members do not agree on one cluster and one leader")]
    Split,
    /// A member raised an alarm about its data.
    #[error("a member reports corrupt data: no other may be touched before that is settled")]
    Corrupt,
}

/// Whether `node` may be disrupted while all others stay as they are.
///
/// # Errors
/// [`Unsafe`] with the reason. At most one voter may be down, because two facts that are each old
/// would otherwise add up to a lost quorum.
pub fn may_disrupt(desired: &Desired, observed: &Observed, node: &NodeKey) -> Result<(), Unsafe> {
    let voters = observed
        .members()
        .map_or(desired.nodes.len(), |members| {
            members.iter().filter(|m| !m.is_learner).count()
        })
        .max(1);
    let others: Vec<_> = desired.nodes.keys().filter(|key| *key != node).collect();
    let (healthy, rest): (Vec<_>, Vec<_>) = others
        .iter()
        .copied()
        .partition(|key| observed.is_healthy(key));
    // A single member has nobody to stand in for it: it is disrupted or never changed.
    if voters > 1 && healthy.len() < quorum(voters) {
        let reasons: Vec<String> = rest
            .iter()
            .map(|key| super::status::why_not_healthy(desired, observed, key))
            .collect();
        return Err(Unsafe::NoQuorum {
            node: desired.called(node),
            healthy: healthy.len(),
            others: others.len(),
            needed: quorum(voters),
            reasons: reasons.join("; "),
        });
    }
    let mut seen = healthy.iter().filter_map(|key| observed.member(key));
    if let Some(first) = seen.next()
        && seen
            .any(|other| (other.cluster_id, other.leader_id) != (first.cluster_id, first.leader_id))
    {
        return Err(Unsafe::Split);
    }
    let corrupt = desired
        .nodes
        .keys()
        .filter_map(|key| observed.member(key))
        .any(|etcd| etcd.alarms.iter().any(|(_, kind)| kind == "CORRUPT"));
    if corrupt {
        Err(Unsafe::Corrupt)
    } else {
        Ok(())
    }
}
