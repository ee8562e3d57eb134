use expect_test::{Expect, expect};

use super::*;
use crate::etcd_cluster::{
    announce_creation,
    fixture::{
        bare, begun, desired, edit, etcd_mut, file_mut, host_mut, id, key, lose, observed, planned,
        silence, stop, unit_mut, without_quorum,
    },
};

const CONFIGURATION: &str = "/etc/etcd/etcd-k8s-2-conf.yaml";

/// The plan for three members after a change of facts.
fn check(change: impl Fn(&mut Observed), expected: &Expect) {
    check_of(3, |_| {}, change, expected);
}

/// The plan for members after a change of the wish and of facts.
fn check_of(
    members: usize,
    wish: impl Fn(&mut Desired),
    change: impl Fn(&mut Observed),
    expected: &Expect,
) {
    let mut desired = desired(members);
    let mut observed = observed(&desired);
    wish(&mut desired);
    change(&mut observed);
    let text = planned(&desired, &observed);
    assert_eq!(text, planned(&desired, &observed));
    expected.assert_eq(&text);
}

fn tuned(desired: &mut Desired) {
    desired.tuning.snapshot_count = 20_000;
}

fn leads(observed: &mut Observed, leader: &str) {
    for node in observed.hosts.keys().cloned().collect::<Vec<_>>() {
        etcd_mut(observed, node.as_str()).leader_id = id(&key(leader));
    }
}

#[test]
fn plans_nothing_when_nothing_differs() {
    for members in [1, 2, 3, 5] {
        check_of(members, |_| {}, |_| {}, &expect![[""]]);
    }
}

#[test]
fn makes_a_cluster_side_by_side() {
    let desired = desired(3);
    let host = |key: &NodeKey| (key.clone(), Fact::Known(bare(&desired, key)));
    let seen = Observed::of(desired.nodes.keys().map(host).collect());
    expect![[r#"
        prepare the host of 1
        install etcd 3.5.35 on 1
        issue the peer certificate of 1
        issue the server certificate of 1
        issue the client certificate of 1
        write configuration and units on 1
        enable unit and timers on 1
        prepare the host of 2
        install etcd 3.5.35 on 2
        issue the peer certificate of 2
        issue the server certificate of 2
        issue the client certificate of 2
        write configuration and units on 2
        enable unit and timers on 2
        prepare the host of 3
        install etcd 3.5.35 on 3
        issue the peer certificate of 3
        issue the server certificate of 3
        issue the client certificate of 3
        write configuration and units on 3
        enable unit and timers on 3
        start 1, 2, 3
        wait until 1, 2, 3 are healthy
        record on 1 that the cluster exists
        record on 2 that the cluster exists
        record on 3 that the cluster exists
    "#]]
    .assert_eq(&planned(&desired, &seen));
    expect![[r#"
        install etcd 3.5.35 on 1 (10.0.1.11), 2 (10.0.1.12), 3 (10.0.1.13)
        issue peer, server and client certificates from main for each
        start 3 members side by side and wait until all vote"#]]
    .assert_eq(&announce_creation(&desired).join("\n"));
    let plan = plan(&desired, &seen);
    assert!(plan.wave().iter().all(|step| !step.ends_wave()));
    assert_eq!(plan.wave().len(), 3 * 7);
    assert_eq!(plan.sentences().len(), plan.steps.len());
}

#[test]
fn a_creation_waits_for_every_host() {
    let desired = desired(3);
    let mut seen = Observed::default();
    for node in ["1", "2"] {
        let key = key(node);
        seen.hosts
            .insert(key.clone(), Fact::Known(bare(&desired, &key)));
    }
    lose(&mut seen, "2");
    expect![[r#"
        blocked: 2 (10.0.1.12) is unreachable: connection timed out
        blocked: 3 (10.0.1.13) was not looked at
    "#]]
    .assert_eq(&planned(&desired, &seen));
}

#[test]
fn a_creation_that_was_cut_off_goes_on() {
    let unfinished = |seen: &mut Observed| {
        let desired = desired(3);
        for node in ["1", "2", "3"] {
            *host_mut(seen, node) = begun(&desired, &key(node));
        }
    };
    // All vote already: what is left is to write down that the cluster exists.
    check(
        unfinished,
        &expect![[r#"
            record on 1 that the cluster exists
            record on 2 that the cluster exists
            record on 3 that the cluster exists
        "#]],
    );
    let one_down = |seen: &mut Observed| {
        unfinished(seen);
        stop(seen, "3");
    };
    check(
        one_down,
        &expect![[r#"
            start 3
            wait until 3 is healthy
            record on 1 that the cluster exists
            record on 2 that the cluster exists
            record on 3 that the cluster exists
        "#]],
    );
    let one_knows = |seen: &mut Observed| {
        let finished = host_mut(seen, "1").clone();
        unfinished(seen);
        *host_mut(seen, "1") = finished;
    };
    check(
        one_knows,
        &expect![[r#"
            write configuration and units on 2
            write configuration and units on 3
            record on 2 that the cluster exists
            record on 3 that the cluster exists
        "#]],
    );
}

#[test]
fn settings_roll_one_at_a_time_and_the_leader_last() {
    check_of(
        3,
        tuned,
        |_| {},
        &expect![[r#"
            write configuration and units on 2
            restart 2; 0 further failures tolerated meanwhile
            wait until 2 is healthy
            write configuration and units on 3
            restart 3; 0 further failures tolerated meanwhile
            wait until 3 is healthy
            write configuration and units on 1
            move leadership from 1 to 2
            restart 1; 0 further failures tolerated meanwhile
            wait until 1 is healthy
        "#]],
    );
    check_of(
        5,
        tuned,
        |seen| leads(seen, "3"),
        &expect![[r#"
            write configuration and units on 1
            restart 1; 1 further failure tolerated meanwhile
            wait until 1 is healthy
            write configuration and units on 2
            restart 2; 1 further failure tolerated meanwhile
            wait until 2 is healthy
            write configuration and units on 4
            restart 4; 1 further failure tolerated meanwhile
            wait until 4 is healthy
            write configuration and units on 5
            restart 5; 1 further failure tolerated meanwhile
            wait until 5 is healthy
            write configuration and units on 3
            move leadership from 3 to 1
            restart 3; 1 further failure tolerated meanwhile
            wait until 3 is healthy
        "#]],
    );
    check_of(
        1,
        tuned,
        |_| {},
        &expect![[r#"
            write configuration and units on 1
            restart 1; the cluster stops meanwhile
            wait until 1 is healthy
        "#]],
    );
}

#[test]
fn two_members_cannot_spare_one() {
    check_of(
        2,
        tuned,
        |_| {},
        &expect![[r#"
            blocked: 2 (10.0.1.12) needs a restart, but two members cannot spare one: the cluster stops while 2 (10.0.1.12) is away
            blocked: 1 (10.0.1.11) needs a restart, but two members cannot spare one: the cluster stops while 1 (10.0.1.11) is away
        "#]],
    );
}

#[test]
fn a_restart_waits_for_a_quorum() {
    check_of(
        3,
        tuned,
        |seen| lose(seen, "3"),
        &expect![[r#"
            blocked: 2 (10.0.1.12) needs a restart, but 1 of the other 2 members are known to be healthy, and 2 must be, or the cluster stops while 2 (10.0.1.12) is away (3 (10.0.1.13) is unreachable: connection timed out)
            blocked: 1 (10.0.1.11) needs a restart, but 1 of the other 2 members are known to be healthy, and 2 must be, or the cluster stops while 1 (10.0.1.11) is away (3 (10.0.1.13) is unreachable: connection timed out)
        "#]],
    );
    check_of(
        3,
        tuned,
        |seen| silence(seen, "3"),
        &expect![[r#"
            write configuration and units on 3
            restart 3; 0 further failures tolerated meanwhile
            wait until 3 is healthy
            write configuration and units on 2
            restart 2; 0 further failures tolerated meanwhile
            wait until 2 is healthy
            write configuration and units on 1
            move leadership from 1 to 2
            restart 1; 0 further failures tolerated meanwhile
            wait until 1 is healthy
        "#]],
    );
    check_of(
        5,
        tuned,
        |seen| lose(seen, "3"),
        &expect![[r#"
            write configuration and units on 2
            restart 2; 1 further failure tolerated meanwhile
            wait until 2 is healthy
            write configuration and units on 4
            restart 4; 1 further failure tolerated meanwhile
            wait until 4 is healthy
            write configuration and units on 5
            restart 5; 1 further failure tolerated meanwhile
            wait until 5 is healthy
            write configuration and units on 1
            move leadership from 1 to 2
            restart 1; 1 further failure tolerated meanwhile
            wait until 1 is healthy
        "#]],
    );
}

#[test]
fn who_is_down_starts_with_the_new_settings_and_is_not_restarted() {
    check_of(
        3,
        tuned,
        |seen| stop(seen, "2"),
        &expect![[r#"
            write configuration and units on 2
            start 2
            wait until 2 is healthy
            write configuration and units on 3
            restart 3; 0 further failures tolerated meanwhile
            wait until 3 is healthy
            write configuration and units on 1
            move leadership from 1 to 3
            restart 1; 0 further failures tolerated meanwhile
            wait until 1 is healthy
        "#]],
    );
}

#[test]
fn a_sick_member_that_owes_a_restart_is_not_waited_for_before_it() {
    let edited = |seen: &mut Observed| {
        edit(
            seen,
            "2",
            CONFIGURATION,
            "https://10.0.1.12:2380\"\nh",
            "https://10.0.1.99:2380\"\nh",
        );
        unit_mut(seen, "2").active_since_ms = 0;
        "activating".clone_into(&mut unit_mut(seen, "2").active_state);
        silence(seen, "2");
    };
    let with_another_down = |seen: &mut Observed| {
        edited(seen);
        stop(seen, "3");
        without_quorum(seen);
    };
    check(
        with_another_down,
        &expect![[r#"
            write configuration and units on 2
            start 3
            wait until 1, 3 are healthy
            restart 2; 0 further failures tolerated meanwhile
            wait until 2 is healthy
        "#]],
    );
    check(
        edited,
        &expect![[r#"
        write configuration and units on 2
        restart 2; 0 further failures tolerated meanwhile
        wait until 2 is healthy
    "#]],
    );
}

#[test]
fn an_edit_is_written_over_and_restarted_for_only_if_it_was_read() {
    let edited = |seen: &mut Observed| edit(seen, "2", CONFIGURATION, "10000", "10001");
    check(
        edited,
        &expect![[r#"
        write configuration and units on 2
    "#]],
    );
    let read = |seen: &mut Observed| {
        edited(seen);
        unit_mut(seen, "2").active_since_ms += 7_200_000;
    };
    check(
        read,
        &expect![[r#"
        write configuration and units on 2
        restart 2; 0 further failures tolerated meanwhile
        wait until 2 is healthy
    "#]],
    );
    // Within the second that systemd tells.
    let at_once = |seen: &mut Observed| {
        edited(seen);
        let file = host_mut(seen, "2").files.get_mut(CONFIGURATION);
        file.expect("a file").modified_ms += 999;
        unit_mut(seen, "2").active_since_ms = crate::etcd_cluster::fixture::NOW_MS;
    };
    check(
        at_once,
        &expect![[r#"
        write configuration and units on 2
        restart 2; 0 further failures tolerated meanwhile
        wait until 2 is healthy
    "#]],
    );
    // One that is gone may have said anything when it was read.
    let gone = |seen: &mut Observed| {
        host_mut(seen, "2").files.remove(CONFIGURATION);
    };
    check(
        gone,
        &expect![[r#"
        write configuration and units on 2
        restart 2; 0 further failures tolerated meanwhile
        wait until 2 is healthy
    "#]],
    );
    // A wish that changes too is announced from the first.
    check_of(
        3,
        tuned,
        edited,
        &expect![[r#"
            write configuration and units on 2
            restart 2; 0 further failures tolerated meanwhile
            wait until 2 is healthy
            write configuration and units on 3
            restart 3; 0 further failures tolerated meanwhile
            wait until 3 is healthy
            write configuration and units on 1
            move leadership from 1 to 2
            restart 1; 0 further failures tolerated meanwhile
            wait until 1 is healthy
        "#]],
    );
}

#[test]
fn announces_what_is_safe_once_the_rest_is_mended() {
    let two = |seen: &mut Observed| {
        stop(seen, "1");
        stop(seen, "3");
        without_quorum(seen);
    };
    check_of(
        3,
        tuned,
        two,
        &expect![[r#"
            write configuration and units on 1
            write configuration and units on 3
            start 1, 3
            wait until 1, 3 are healthy
            write configuration and units on 2
            restart 2; 0 further failures tolerated meanwhile
            wait until 2 is healthy
        "#]],
    );
    let lost = |seen: &mut Observed| {
        crate::etcd_cluster::fixture::lose_data(&desired(3), seen, "2");
    };
    check_of(
        3,
        tuned,
        lost,
        &expect![[r#"
            write configuration and units on 2
            remove member 8e9e0032 of 2, whose data is lost
            add 2 as a learner
            start 2
            promote 2 when it has caught up
            write configuration and units on 3
            restart 3; 0 further failures tolerated meanwhile
            wait until 3 is healthy
            write configuration and units on 1
            move leadership from 1 to 3
            restart 1; 0 further failures tolerated meanwhile
            wait until 1 is healthy
        "#]],
    );
}

#[test]
fn starts_what_is_down_together_and_waits() {
    let two = |seen: &mut Observed| {
        stop(seen, "1");
        stop(seen, "3");
        without_quorum(seen);
    };
    check(
        two,
        &expect![[r#"
        start 1, 3
        wait until 1, 2, 3 are healthy
    "#]],
    );
}

#[test]
fn does_not_wait_for_a_quorum_that_cannot_be() {
    let one = |seen: &mut Observed| {
        stop(seen, "1");
        lose(seen, "2");
        lose(seen, "3");
    };
    check(
        one,
        &expect![[r#"
            start 1
            blocked: 1 (10.0.1.11) cannot answer yet: 1 of 3 members were seen with their data, and a quorum is 2
        "#]],
    );
}

#[test]
fn an_unreachable_host_alone_is_left_alone() {
    for members in [3, 5] {
        check_of(members, |_| {}, |seen| lose(seen, "1"), &expect![[""]]);
    }
    check_of(
        1,
        |_| {},
        |seen| lose(seen, "1"),
        &expect![[r#"
        blocked: 1 (10.0.1.11) is unreachable: connection timed out
    "#]],
    );
}

#[test]
fn a_list_that_nobody_told_disrupts_nobody() {
    let mute = |seen: &mut Observed| {
        for node in ["1", "2", "3"] {
            etcd_mut(seen, node).members.clear();
            "member list: permission denied".clone_into(&mut etcd_mut(seen, node).error);
        }
    };
    check(mute, &expect![[""]]);
    check_of(
        3,
        tuned,
        mute,
        &expect![[r#"
            blocked: 2 (10.0.1.12) needs a restart, but no member that sees a quorum told the member list and the alarms (member list: permission denied)
            blocked: 3 (10.0.1.13) needs a restart, but no member that sees a quorum told the member list and the alarms (member list: permission denied)
            blocked: 1 (10.0.1.11) needs a restart, but no member that sees a quorum told the member list and the alarms (member list: permission denied)
        "#]],
    );
}

#[test]
fn certificates_and_files_disturb_nobody() {
    let quiet = |seen: &mut Observed| {
        let host = host_mut(seen, "2");
        host.certificates.clear();
        host.users.clear();
        host.files.remove("/opt/etcd/3.5.35/etcdutl");
        host.files
            .remove("/etc/systemd/system/step-renew-k8s-peer.timer");
    };
    check(
        quiet,
        &expect![[r#"
        prepare the host of 2
        install etcd 3.5.35 on 2
        issue the peer certificate of 2
        issue the server certificate of 2
        issue the client certificate of 2
        write configuration and units on 2
    "#]],
    );
    let sans = |desired: &mut Desired| desired.server_sans.push("etcd.example".to_owned());
    check_of(
        3,
        sans,
        |_| {},
        &expect![[r#"
        issue the server certificate of 1
        issue the server certificate of 2
        issue the server certificate of 3
    "#]],
    );
    let shorter = |desired: &mut Desired| desired.certificate_lifetime_s = 3_600;
    check_of(
        1,
        shorter,
        |_| {},
        &expect![[r#"
        issue the peer certificate of 1
        issue the server certificate of 1
        issue the client certificate of 1
    "#]],
    );
    // A CA dates certificates back.
    let dated_back = |seen: &mut Observed| {
        for certificate in host_mut(seen, "1").certificates.values_mut() {
            certificate.not_before_ms -= 60_000;
        }
    };
    check_of(1, |_| {}, dated_back, &expect![[""]]);
}

#[test]
fn who_met_a_bad_option_is_the_only_one_that_is_mended() {
    // The first of a rolling change got an option that its etcd ends over; it was taken back since.
    let bad = |seen: &mut Observed| {
        let path = "/etc/etcd/etcd-k8s-2-conf.yaml";
        edit(
            seen,
            "2",
            path,
            "snapshot-count: 10000",
            "snapshot-count: 1",
        );
        let file = file_mut(seen, "2", path);
        file.recorded_sha256.clone_from(&file.sha256);
        let unit = unit_mut(seen, "2");
        "activating".clone_into(&mut unit.active_state);
        unit.active_since_ms = 0;
        unit.executable_sha256.clear();
        silence(seen, "2");
    };
    check_of(
        3,
        |_| {},
        bad,
        &expect![[r#"
        write configuration and units on 2
        restart 2; 0 further failures tolerated meanwhile
        wait until 2 is healthy
    "#]],
    );
}

#[test]
fn units_wait_with_the_files_of_a_restart() {
    let unwritten = |seen: &mut Observed| {
        let host = host_mut(seen, "2");
        host.files.remove("/etc/systemd/system/etcd-k8s-2.service");
        host.units.remove("step-renew-k8s-peer.timer");
    };
    check_of(
        3,
        tuned,
        unwritten,
        &expect![[r#"
        write configuration and units on 2
        enable unit and timers on 2
        restart 2; 0 further failures tolerated meanwhile
        wait until 2 is healthy
        write configuration and units on 3
        restart 3; 0 further failures tolerated meanwhile
        wait until 3 is healthy
        write configuration and units on 1
        move leadership from 1 to 2
        restart 1; 0 further failures tolerated meanwhile
        wait until 1 is healthy
    "#]],
    );
}

#[test]
fn a_wave_ends_before_what_needs_new_facts() {
    let mut desired = desired(3);
    let seen = observed(&desired);
    tuned(&mut desired);
    let mut plan = plan(&desired, &seen);
    let write = plan.wave();
    assert_eq!(write.len(), 1);
    assert!(!write.iter().any(Step::disrupts));
    plan.steps.remove(0);
    assert_eq!(
        plan.wave(),
        [Step::RestartMember {
            node: key("2"),
            tolerance: Some(0)
        }]
    );
    assert_eq!(Plan::default().wave(), []);
}
