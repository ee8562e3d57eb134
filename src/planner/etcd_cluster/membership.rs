//! How nodes stand in the member list. Matched by id or exact peer URL, never by name.

use super::{desired::Desired, observed::Observed};
use crate::{facts::MemberFact, name::NodeKey, node::Node};

/// How a node stands in the member list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Standing<'a> {
    /// No member that sees a quorum told its list.
    Unknown,
    /// It is not in the list.
    Absent,
    /// It is in the list and does not vote.
    Learner(&'a MemberFact),
    /// It votes.
    Voter(&'a MemberFact),
}

pub(super) fn standing<'a>(
    desired: &Desired,
    observed: &'a Observed,
    key: &NodeKey,
) -> Standing<'a> {
    let Some(members) = observed.members() else {
        return Standing::Unknown;
    };
    match members
        .iter()
        .find(|member| is_of(desired, observed, key, member))
    {
        None => Standing::Absent,
        Some(member) if member.is_learner => Standing::Learner(member),
        Some(member) => Standing::Voter(member),
    }
}

/// Members that belong to no node: somebody added them, or changed the peer URL of one of ours.
pub(super) fn strangers<'a>(desired: &Desired, observed: &'a Observed) -> Vec<&'a MemberFact> {
    observed
        .members()
        .into_iter()
        .flatten()
        .filter(|member| {
            !desired
                .nodes
                .keys()
                .any(|key| is_of(desired, observed, key, member))
        })
        .collect()
}

/// A stranger in words: `member 8e9e05c52164694d (https://10.0.1.10:2380)`.
pub(super) fn called(member: &MemberFact) -> String {
    format!("member {:x} ({})", member.id, member.peer_urls.join(", "))
}

fn is_of(desired: &Desired, observed: &Observed, key: &NodeKey, member: &MemberFact) -> bool {
    let names = |node: &Node| member.peer_urls.contains(&desired.peer_url(node));
    if desired.nodes.get(key).is_some_and(names) {
        return true;
    }
    // Who answers on a host that is not the node's own is another one's member.
    let is_anothers = desired.nodes.values().any(names);
    let answers = observed
        .member(key)
        .is_some_and(|etcd| etcd.member_id == member.id);
    answers && !is_anothers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd_cluster::fixture::{
        desired, etcd_mut, id, key, observed, relist, stands, stop, unlist, without_quorum,
    };

    #[test]
    fn knows_voters_learners_and_who_is_in_no_list() {
        let desired = desired(3);
        let mut seen = observed(&desired);
        assert_eq!(stands(&desired, &seen, "2"), "voter");
        relist(&mut seen, |members| members[1].is_learner = true);
        assert_eq!(stands(&desired, &seen, "2"), "learner");
        stop(&mut seen, "2");
        unlist(&mut seen, "2");
        assert_eq!(stands(&desired, &seen, "2"), "absent");
        without_quorum(&mut seen);
        assert_eq!(stands(&desired, &seen, "2"), "unknown");
    }

    #[test]
    fn a_member_under_another_url_is_known_by_its_id() {
        let desired = desired(3);
        let mut seen = observed(&desired);
        relist(&mut seen, |members| {
            members[0].peer_urls = vec!["https://10.9.9.9:2380".to_owned()];
        });
        assert_eq!(stands(&desired, &seen, "1"), "voter");
        stop(&mut seen, "1");
        assert_eq!(stands(&desired, &seen, "1"), "absent");
        let strangers = strangers(&desired, &seen);
        assert_eq!(strangers.len(), 1);
        assert_eq!(strangers[0].id, id(&key("1")));
    }

    #[test]
    fn who_answers_on_the_host_of_another_node_is_not_its_member() {
        let desired = desired(3);
        let mut seen = observed(&desired);
        etcd_mut(&mut seen, "2").member_id = id(&key("3"));
        let of = |node: &str| match standing(&desired, &seen, &key(node)) {
            Standing::Voter(member) => member.id,
            other => panic!("{node} is {other:?}"),
        };
        assert_eq!((of("2"), of("3")), (id(&key("2")), id(&key("3"))));
    }

    #[test]
    fn a_url_matches_whole_and_a_name_never() {
        let desired = desired(1);
        let mut seen = observed(&desired);
        relist(&mut seen, |members| {
            members[0].peer_urls = vec!["https://10.0.1.11:23800".to_owned()];
        });
        etcd_mut(&mut seen, "1").member_id = 1;
        assert_eq!(stands(&desired, &seen, "1"), "absent");
    }

    #[test]
    fn an_empty_list_says_nothing() {
        let desired = desired(3);
        let mut seen = observed(&desired);
        relist(&mut seen, Vec::clear);
        assert_eq!(stands(&desired, &seen, "1"), "unknown");
        etcd_mut(&mut seen, "3").members = observed(&desired).members().expect("a list").to_vec();
        assert_eq!(stands(&desired, &seen, "1"), "voter");
    }
}
