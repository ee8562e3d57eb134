use super::*;
use crate::etcd_cluster::{
    fixture::{desired, lose, lose_data, observed, relist, unlist, without_quorum},
    fixture::{id, key},
};

/// What is wrong with a plan of these steps for three healthy members after a change.
fn violations(change: impl Fn(&mut Observed), steps: Vec<Step>) -> Vec<String> {
    let desired = desired(3);
    let mut observed = observed(&desired);
    change(&mut observed);
    let plan = Plan {
        steps,
        ..Plan::default()
    };
    let found = check(&desired, &observed, &plan);
    found.into_iter().map(|violation| violation.0).collect()
}

fn restart() -> Step {
    Step::RestartMember {
        node: key("1"),
        tolerance: Some(0),
    }
}

fn promote(member_id: u64) -> Step {
    Step::PromoteLearner {
        node: key("2"),
        member_id,
    }
}

fn remove(member_id: u64) -> Step {
    Step::RemoveMember {
        node: key("2"),
        member_id,
    }
}

#[test]
fn a_healthy_cluster_may_be_restarted() {
    assert_eq!(violations(|_| {}, vec![restart()]), [""; 0]);
}

#[test]
fn nobody_is_disrupted_without_a_quorum() {
    for step in [restart(), remove(id(&key("2")))] {
        let unsafe_now = violations(
            |seen| {
                lose(seen, "3");
                lose(seen, "2");
            },
            vec![step],
        );
        assert_eq!(unsafe_now.len(), 1, "{unsafe_now:?}");
    }
    let to = Step::MoveLeader {
        node: key("1"),
        to: key("3"),
    };
    let lost = violations(|seen| lose(seen, "3"), vec![to]);
    assert_eq!(
        lost,
        ["move leadership from 1 to 3: 3 is not known to be healthy"]
    );
}

#[test]
fn no_data_goes_of_whom_is_or_may_be_in_the_list() {
    for step in [
        Step::StopMember { node: key("2") },
        Step::SetDataAside { node: key("2") },
        Step::AddLearner { node: key("2") },
    ] {
        let listed = violations(|_| {}, vec![step.clone()]);
        assert_eq!(listed, [format!("{step}: its member may be in the list")]);
        assert_eq!(violations(without_quorum, vec![step.clone()]), listed);
        assert_eq!(violations(|seen| unlist(seen, "2"), vec![step]), [""; 0]);
    }
}

#[test]
fn one_learner_at_a_time() {
    let second = |seen: &mut Observed| {
        unlist(seen, "2");
        relist(seen, |members| members[1].is_learner = true);
    };
    let add = Step::AddLearner { node: key("2") };
    assert_eq!(
        violations(second, vec![add]),
        ["add 2 as a learner: there is a learner already"]
    );
}

#[test]
fn members_are_named_by_an_id_of_the_list() {
    assert_eq!(
        violations(|_| {}, vec![promote(0)]),
        ["promote 2 when it has caught up: 2 is not in the list"]
    );
    assert_eq!(violations(|_| {}, vec![promote(id(&key("2")))]), [""; 0]);
    assert_eq!(
        violations(|_| {}, vec![remove(7)]),
        ["remove member 7 of 2, whose data is lost: its member is not in the list"]
    );
}

#[test]
fn a_voter_without_data_is_not_started() {
    let start = Step::StartMembers {
        nodes: vec![key("1"), key("2")],
    };
    let lost = |seen: &mut Observed| lose_data(&desired(3), seen, "2");
    assert_eq!(
        violations(lost, vec![start]),
        ["start 1, 2: 2 votes and has no data"]
    );
}

#[test]
fn a_cluster_that_is_being_made_is_not_disrupted() {
    let new = |seen: &mut Observed| {
        for node in ["1", "2", "3"] {
            crate::etcd_cluster::fixture::host_mut(seen, node).owner = None;
        }
    };
    let found = violations(new, vec![restart()]);
    assert_eq!(
        found,
        ["restart 1; 0 further failures tolerated meanwhile: the cluster has had no quorum yet"]
    );
}
