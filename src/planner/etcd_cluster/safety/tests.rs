use super::*;
use crate::etcd_cluster::fixture::{
    desired, etcd_mut, host_mut, id, key, lose, observed, relist, silence, stop, unlist,
};

/// Whether node 1 may be disrupted, in a word, after a change of facts.
fn check(members: usize, change: impl Fn(&mut Observed)) -> &'static str {
    let desired = desired(members);
    let mut observed = observed(&desired);
    change(&mut observed);
    match may_disrupt(&desired, &observed, &key("1")) {
        Ok(()) => "yes",
        Err(Unsafe::NoQuorum { .. }) => "no quorum",
        Err(Unsafe::Pair { .. }) => "pair",
        Err(Unsafe::Split) => "split",
        Err(Unsafe::Unanswered { .. }) => "unanswered",
        Err(Unsafe::Corrupt) => "corrupt",
    }
}

#[test]
fn the_others_must_be_a_quorum() {
    for (members, away, verdict) in [
        (1, &[][..], "yes"),
        (1, &["1"], "yes"),
        (2, &[], "pair"),
        (2, &["2"], "no quorum"),
        (3, &[], "yes"),
        (3, &["1"], "yes"),
        (3, &["2"], "no quorum"),
        (3, &["1", "2"], "no quorum"),
        (4, &[], "yes"),
        (4, &["2"], "no quorum"),
        (5, &[], "yes"),
        (5, &["2"], "yes"),
        (5, &["1", "2"], "yes"),
        (5, &["2", "3"], "no quorum"),
    ] {
        for take in [lose, stop, silence] {
            let take_all = |seen: &mut Observed| {
                for node in away {
                    take(seen, node);
                }
            };
            let verdicts = check(members, take_all);
            assert_eq!(verdicts, verdict, "{members} members without {away:?}");
        }
    }
}

#[test]
fn who_was_not_looked_at_is_not_healthy() {
    let unlook = |seen: &mut Observed| drop(seen.hosts.remove(&key("3")));
    assert_eq!(check(3, unlook), "no quorum");
    let unasked = |seen: &mut Observed| host_mut(seen, "3").etcd = None;
    assert_eq!(check(3, unasked), "no quorum");
}

#[test]
fn a_member_that_answers_for_two_nodes_counts_once() {
    let twins = |seen: &mut Observed| etcd_mut(seen, "3").member_id = id(&key("2"));
    assert_eq!(check(3, twins), "no quorum");
    let own = |seen: &mut Observed| etcd_mut(seen, "3").member_id = id(&key("1"));
    assert_eq!(check(3, own), "no quorum");
}

#[test]
fn learners_have_no_vote() {
    let learner = |seen: &mut Observed| {
        etcd_mut(seen, "3").is_learner = true;
        relist(seen, |members| members[2].is_learner = true);
    };
    // Two voters: the other one is no quorum of two.
    assert_eq!(check(3, learner), "no quorum");
    let learners = |seen: &mut Observed| {
        learner(seen);
        etcd_mut(seen, "2").is_learner = true;
        relist(seen, |members| members[1].is_learner = true);
    };
    assert_eq!(check(3, learners), "yes");
}

#[test]
fn voters_that_are_no_nodes_count() {
    let stranger = |seen: &mut Observed| {
        relist(seen, |members| {
            for index in [7, 8] {
                let mut stranger = members[0].clone();
                stranger.id = index;
                stranger.peer_urls = vec![format!("https://10.0.9.{index}:2380")];
                members.push(stranger);
            }
        });
    };
    // Five voters want three, and two others are known.
    assert_eq!(check(3, stranger), "no quorum");
    assert_eq!(check(3, |seen| unlist(seen, "1")), "yes");
}

#[test]
fn all_must_see_one_cluster_and_one_leader() {
    assert_eq!(check(3, |seen| etcd_mut(seen, "3").cluster_id = 8), "split");
    assert_eq!(check(3, |seen| etcd_mut(seen, "3").leader_id = 8), "split");
    assert_eq!(check(3, |seen| etcd_mut(seen, "1").cluster_id = 8), "split");
}

#[test]
fn a_list_that_nobody_told_is_unknown() {
    let mute = |seen: &mut Observed| {
        relist(seen, Vec::clear);
        for node in ["1", "2", "3"] {
            "member list: permission denied".clone_into(&mut etcd_mut(seen, node).error);
        }
    };
    assert_eq!(check(3, mute), "unanswered");
    let alarms = |seen: &mut Observed| {
        for node in ["1", "2", "3"] {
            "alarms: timed out".clone_into(&mut etcd_mut(seen, node).error);
        }
    };
    assert_eq!(check(3, alarms), "unanswered");
    let one = |seen: &mut Observed| {
        alarms(seen);
        etcd_mut(seen, "2").error.clear();
    };
    assert_eq!(check(3, one), "yes");
}

#[test]
fn corrupt_data_stops_everything() {
    let alarm = |kind: &'static str| {
        move |seen: &mut Observed| {
            let alarms = &mut etcd_mut(seen, "2").alarms;
            alarms.push((id(&key("3")), kind.to_owned()));
        }
    };
    assert_eq!(check(3, alarm("CORRUPT")), "corrupt");
    assert_eq!(check(3, alarm("NOSPACE")), "yes");
}

#[test]
fn what_will_be_mended_counts_for_announcing_alone() {
    let desired = desired(3);
    let mut observed = observed(&desired);
    stop(&mut observed, "3");
    let later = |observed: &Observed, mended: &[&str]| {
        let mended = mended.iter().map(|node| key(node)).collect();
        may_disrupt_later(&desired, observed, &key("1"), &mended)
    };
    assert!(!later(&observed, &[]));
    assert!(later(&observed, &["3"]));
    assert!(may_disrupt(&desired, &observed, &key("1")).is_err());
    stop(&mut observed, "2");
    assert!(!later(&observed, &["3"]));
    assert!(later(&observed, &["2", "3"]));
    // Nothing is done before it that could change the verdict.
    assert!(!later(
        &crate::etcd_cluster::fixture::observed(&desired),
        &[]
    ));
    // It cannot stand in for itself.
    assert!(!later(&observed, &["1", "3"]));
}

#[test]
fn says_who_is_not_healthy_and_why() {
    let desired = desired(3);
    let mut observed = observed(&desired);
    lose(&mut observed, "3");
    let reason = may_disrupt(&desired, &observed, &key("1")).expect_err("no quorum");
    assert_eq!(
        reason.to_string(),
        "1 of the other 2 members are known to be healthy, and 2 must be, or the cluster stops while 1 \
         (10.0.1.11) is away (3 (10.0.1.13) is unreachable: connection timed out)"
    );
}
