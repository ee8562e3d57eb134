use expect_test::{Expect, expect};

use super::*;
use crate::etcd_cluster::fixture::{
    bare, desired, edit, etcd_mut, host_mut, id, key, lose, lose_data, observed, planned, relist,
    stop, unit_mut, unlist,
};

fn check(members: usize, change: impl Fn(&Desired, &mut Observed), expected: &Expect) {
    let desired = desired(members);
    let mut observed = observed(&desired);
    change(&desired, &mut observed);
    let text = planned(&desired, &observed);
    assert_eq!(text, planned(&desired, &observed));
    expected.assert_eq(&text);
}

fn learner(observed: &mut Observed, node: &str, started: bool) {
    let id = id(&key(node));
    relist(observed, |members| {
        let member = members.iter_mut().find(|member| member.id == id);
        let member = member.expect("a member");
        member.is_learner = true;
        if !started {
            member.name.clear();
        }
    });
}

#[test]
fn a_member_without_its_data_comes_back_as_another_one() {
    check(
        3,
        |desired, seen| lose_data(desired, seen, "2"),
        &expect![[r#"
            remove member 8e9e0032 of 2, whose data is lost
            add 2 as a learner
            start 2
            promote 2 when it has caught up
        "#]],
    );
    // Its process still runs on files that were deleted, and leads.
    let running = |desired: &Desired, seen: &mut Observed| {
        let wal = names::wal(&desired.name, &key("1"));
        host_mut(seen, "1").files.remove(&wal);
    };
    check(
        3,
        running,
        &expect![[r#"
        move leadership from 1 to 2
        remove member 8e9e0031 of 1, whose data is lost
        stop 1, which is not in the member list
        move the data directory of 1 aside
        add 1 as a learner
        start 1
        promote 1 when it has caught up
    "#]],
    );
}

#[test]
fn a_member_is_not_replaced_without_the_others() {
    let two = |desired: &Desired, seen: &mut Observed| {
        lose_data(desired, seen, "2");
        lose(seen, "3");
        etcd_mut(seen, "1").linearizable = false;
    };
    check(
        3,
        two,
        &expect![[r#"
            blocked: 2 (10.0.1.12) has no data, and no member that sees a quorum can say whether it may join anew; if most of the others are lost for good, see "A majority is lost" in docs/operations.md
        "#]],
    );
    check(
        1,
        |desired, seen| lose_data(desired, seen, "1"),
        &expect![[r#"
            blocked: 1 (10.0.1.11) has no data, and no member that sees a quorum can say whether it may join anew; if most of the others are lost for good, see "A majority is lost" in docs/operations.md
        "#]],
    );
    let running = |desired: &Desired, seen: &mut Observed| {
        let wal = names::wal(&desired.name, &key("1"));
        host_mut(seen, "1").files.remove(&wal);
    };
    check(
        1,
        running,
        &expect![[r#"
        blocked: the files of 1 (10.0.1.11) are gone, and no other member has its data: take a snapshot while it still runs, and restore it
    "#]],
    );
}

#[test]
fn nothing_is_installed_where_a_removal_was_cut_off() {
    let half = |desired: &Desired, seen: &mut Observed| {
        for node in ["1", "2"] {
            *host_mut(seen, node) = bare(desired, &key(node));
        }
        etcd_mut(seen, "3").linearizable = false;
    };
    check(
        3,
        half,
        &expect![[r#"
            blocked: 3 (10.0.1.13) cannot answer yet: 1 of 3 members were seen with their data, and a quorum is 2
            blocked: 1 (10.0.1.11) has no data, and no member that sees a quorum can say whether it may join anew; if a removal was cut off, see "A removal was cut off" in docs/operations.md
            blocked: 2 (10.0.1.12) has no data, and no member that sees a quorum can say whether it may join anew; if a removal was cut off, see "A removal was cut off" in docs/operations.md
        "#]],
    );
}

#[test]
fn who_is_in_no_list_starts_anew_with_nothing() {
    let removed = |_: &Desired, seen: &mut Observed| unlist(seen, "2");
    check(
        3,
        removed,
        &expect![[r#"
        stop 2, which is not in the member list
        move the data directory of 2 aside
        add 2 as a learner
        start 2
        promote 2 when it has caught up
    "#]],
    );
    let stopped = |desired: &Desired, seen: &mut Observed| {
        unlist(seen, "2");
        lose_data(desired, seen, "2");
    };
    check(
        3,
        stopped,
        &expect![[r#"
        add 2 as a learner
        start 2
        promote 2 when it has caught up
    "#]],
    );
}

#[test]
fn a_learner_is_started_and_promoted() {
    let fresh = |desired: &Desired, seen: &mut Observed| {
        learner(seen, "2", false);
        lose_data(desired, seen, "2");
    };
    check(
        3,
        fresh,
        &expect![[r#"
        start 2
        promote 2 when it has caught up
    "#]],
    );
    let running = |_: &Desired, seen: &mut Observed| learner(seen, "2", true);
    check(
        3,
        running,
        &expect![[r#"
        promote 2 when it has caught up
    "#]],
    );
}

#[test]
fn a_learner_that_runs_with_other_options_is_restarted_first() {
    let edited = |_: &Desired, seen: &mut Observed| {
        learner(seen, "2", true);
        let path = "/etc/etcd/etcd-k8s-2-conf.yaml";
        edit(seen, "2", path, "10000", "10001");
        unit_mut(seen, "2").active_since_ms += 7_200_000;
        // One voter is away: a learner is nobody's vote.
        lose(seen, "3");
    };
    check(
        5,
        edited,
        &expect![[r#"
        write configuration and units on 2
        restart 2; 1 further failure tolerated meanwhile
        promote 2 when it has caught up
    "#]],
    );
}

#[test]
fn a_learner_that_waits_for_other_members_is_told_anew() {
    let misled = |desired: &Desired, seen: &mut Observed| {
        learner(seen, "2", false);
        lose_data(desired, seen, "2");
        "activating".clone_into(&mut unit_mut(seen, "2").active_state);
    };
    check(
        3,
        misled,
        &expect![[r#"
        promote 2 when it has caught up
    "#]],
    );
    let removed = |desired: &Desired, seen: &mut Observed| {
        misled(desired, seen);
        unlist(seen, "3");
        lose(seen, "3");
    };
    check(
        3,
        removed,
        &expect![[r#"
        start 2
        promote 2 when it has caught up
    "#]],
    );
}

#[test]
fn a_learner_that_lost_its_data_is_replaced_too() {
    let wiped = |desired: &Desired, seen: &mut Observed| {
        learner(seen, "2", true);
        lose_data(desired, seen, "2");
    };
    check(
        3,
        wiped,
        &expect![[r#"
        remove member 8e9e0032 of 2, whose data is lost
        add 2 as a learner
        start 2
        promote 2 when it has caught up
    "#]],
    );
}

#[test]
fn who_has_no_data_in_one_look_is_named_for_another() {
    let desired = desired(3);
    let mut seen = observed(&desired);
    assert!(without_data(&desired, &seen).is_empty());
    // Listed by its name, and in none of its files: it may have begun between the two looks.
    lose_data(&desired, &mut seen, "2");
    learner(&mut seen, "2", true);
    assert_eq!(without_data(&desired, &seen), [&key("2")]);
    learner(&mut seen, "2", false);
    assert!(without_data(&desired, &seen).is_empty());
    lose(&mut seen, "2");
    assert!(without_data(&desired, &seen).is_empty());
}

#[test]
fn a_lost_learner_is_out_before_another_joins() {
    let both = |desired: &Desired, seen: &mut Observed| {
        lose_data(desired, seen, "1");
        lose_data(desired, seen, "4");
        learner(seen, "4", true);
    };
    check(
        7,
        both,
        &expect![[r#"
        remove member 8e9e0034 of 4, whose data is lost
        add 4 as a learner
        start 4
        promote 4 when it has caught up
        remove member 8e9e0031 of 1, whose data is lost
        add 1 as a learner
        start 1
        promote 1 when it has caught up
    "#]],
    );
}

#[test]
fn what_was_begun_is_finished_before_another_is_begun() {
    let mixed = |desired: &Desired, seen: &mut Observed| {
        lose_data(desired, seen, "2");
        unlist(seen, "3");
        stop(seen, "3");
        learner(seen, "5", true);
        etcd_mut(seen, "5").is_learner = true;
    };
    check(
        7,
        mixed,
        &expect![[r#"
        promote 5 when it has caught up
        move the data directory of 3 aside
        add 3 as a learner
        start 3
        promote 3 when it has caught up
        remove member 8e9e0032 of 2, whose data is lost
        add 2 as a learner
        start 2
        promote 2 when it has caught up
    "#]],
    );
}

#[test]
fn one_learner_at_a_time_even_if_its_host_is_away() {
    let away = |_: &Desired, seen: &mut Observed| {
        learner(seen, "5", true);
        lose(seen, "5");
        unlist(seen, "3");
        stop(seen, "3");
    };
    check(
        5,
        away,
        &expect![[r#"
        blocked: 3 (10.0.1.13) cannot join: 5 (10.0.1.15) is a learner on a host that was not seen, and etcd takes one learner at a time
    "#]],
    );
}

#[test]
fn a_stranger_in_the_list_is_named_and_nobody_joins() {
    let moved = |desired: &Desired, seen: &mut Observed| {
        lose_data(desired, seen, "2");
        relist(seen, |members| {
            members[1].peer_urls = vec!["https://10.0.1.99:2380".to_owned()];
        });
    };
    check(
        3,
        moved,
        &expect![[r#"
        blocked: 2 (10.0.1.12) cannot join: the member list has member 8e9e0032 (https://10.0.1.99:2380), which is no node of this cluster; if nobody needs it, remove it with `etcdctl member remove 8e9e0032`
    "#]],
    );
}

#[test]
fn a_member_under_another_url_is_left_alone() {
    let moved = |_: &Desired, seen: &mut Observed| {
        relist(seen, |members| {
            members[1].peer_urls = vec!["https://10.0.1.99:2380".to_owned()];
        });
    };
    check(3, moved, &expect![[""]]);
}

#[test]
fn what_let_a_learner_in_is_taken_away() {
    let left = |_: &Desired, seen: &mut Observed| {
        let host = host_mut(seen, "2");
        let file = host.files["/etc/etcd/etcd-k8s-2-conf.yaml"].clone();
        let path = "/etc/etcd/etcd-k8s-2-joins".to_owned();
        host.files.insert(path, file);
    };
    check(
        3,
        left,
        &expect![[r#"
        promote 2 when it has caught up
    "#]],
    );
}

#[test]
fn a_wiped_host_is_prepared_first() {
    let wiped = |desired: &Desired, seen: &mut Observed| {
        let bare = bare(desired, &key("3"));
        *host_mut(seen, "3") = bare;
    };
    check(
        3,
        wiped,
        &expect![[r#"
            prepare the host of 3
            install etcd 3.5.35 on 3
            issue the peer certificate of 3
            issue the server certificate of 3
            issue the client certificate of 3
            write configuration and units on 3
            enable unit and timers on 3
            record on 3 that the cluster exists
            remove member 8e9e0033 of 3, whose data is lost
            add 3 as a learner
            start 3
            promote 3 when it has caught up
        "#]],
    );
}
