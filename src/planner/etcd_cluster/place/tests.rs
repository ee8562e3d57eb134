use super::*;
use crate::etcd_cluster::{
    drift,
    fixture::{desired, host, host_mut, key, lose, observed, planned, unit_mut},
    plan,
};

/// What is said of three members after a change of facts, compared with how they were before.
fn said(change: impl Fn(&Desired, &mut Observed)) -> Vec<String> {
    let desired = desired(3);
    let before = observed(&desired);
    let mut now = before.clone();
    change(&desired, &mut now);
    let mut problems = Problems::default();
    misplaced(&desired, &now, &before, &mut problems);
    let line = |problem: crate::problem::Problem| {
        assert!(problem.is_error && problem.detail.ends_with("Nothing was changed."));
        format!("{}: {}", problem.place.join("."), problem.detail)
    };
    problems.0.into_iter().map(line).collect()
}

#[test]
fn members_on_their_machines_are_in_place() {
    assert_eq!(said(|_, _| {}), [""; 0]);
    // Of what cannot be told nothing is said.
    let silent = said(|_, seen| {
        lose(seen, "1");
        host_mut(seen, "2").machine_id.clear();
        host_mut(seen, "2").addresses.clear();
    });
    assert_eq!(silent, [""; 0]);
}

/// Somebody exchanged the hosts of two nodes and left their addresses.
fn swap(desired: &Desired, seen: &mut Observed) {
    *host_mut(seen, "2") = host(desired, &key("3"));
    *host_mut(seen, "3") = host(desired, &key("2"));
}

#[test]
fn swapped_hosts_are_told_and_nothing_is_done() {
    let lines = said(swap);
    assert_eq!(lines.len(), 2);
    let line = "nodes.2.host: It has the member of node \"3\". ";
    assert!(lines[0].starts_with(line), "{lines:?}");
    let desired = desired(3);
    let mut seen = observed(&desired);
    swap(&desired, &mut seen);
    assert_eq!(plan(&desired, &seen).steps, []);
    expect_test::expect![[r#"
        blocked: 2 (10.0.1.12): not the machine of this node: it has the member of node "3"
        blocked: 3 (10.0.1.13): not the machine of this node: it has the member of node "2"
    "#]]
    .assert_eq(&planned(&desired, &seen));
    // Drift says this alone: what is missing there was never there.
    expect_test::expect![[r#"
        2 (10.0.1.12): not the machine of this node: it has the member of node "3"
        3 (10.0.1.13): not the machine of this node: it has the member of node "2""#]]
    .assert_eq(&drift(&desired, &seen).join("\n"));
}

#[test]
fn two_nodes_on_one_machine_are_told_and_nothing_is_done() {
    let twins = |desired: &Desired, seen: &mut Observed| {
        *host_mut(seen, "3") = host(desired, &key("2"));
        // A machine on which nothing says whose it is.
        host_mut(seen, "3").owner = None;
        host_mut(seen, "3").addresses.push("10.0.1.13".to_owned());
    };
    let lines = said(twins);
    assert_eq!(lines.len(), 1);
    let line = "nodes.3.host: It is the machine of node \"2\" too (machine id machine-2)";
    assert!(lines[0].starts_with(line), "{lines:?}");
    let desired = desired(3);
    let mut seen = observed(&desired);
    twins(&desired, &mut seen);
    assert_eq!(plan(&desired, &seen).steps, []);
}

#[test]
fn another_machine_than_before_is_told() {
    let lines = said(|_, seen| {
        host_mut(seen, "2").machine_id = "machine-9".to_owned();
        host_mut(seen, "2").owner = None;
    });
    let line =
        "nodes.2.host: Its machine id is machine-9, that of the node's machine was machine-2,";
    assert!(lines.len() == 1 && lines[0].starts_with(line), "{lines:?}");
    // What the node wrote down there counts for more.
    let renewed = said(|_, seen| host_mut(seen, "2").machine_id = "machine-9".to_owned());
    assert_eq!(renewed, [""; 0]);
}

#[test]
fn a_machine_is_remembered_while_its_host_is_not_seen() {
    let desired = desired(3);
    let known = observed(&desired);
    let mut away = known.clone();
    lose(&mut away, "2");
    let away = away.remembering(&known).remembering(&Observed::default());
    assert_eq!(away.machine(&key("2")), Some("machine-2"));
    let stored = Observed::load(&away.store()).expect("ours").expect("facts");
    let mut other = known.clone();
    host_mut(&mut other, "2").machine_id = "machine-9".to_owned();
    host_mut(&mut other, "2").owner = None;
    let mut problems = Problems::default();
    misplaced(&desired, &other, &stored, &mut problems);
    assert_eq!(problems.0.len(), 1, "{problems:?}");
    // A refresh that sees the host takes its machine for that of the node.
    let seen = other.clone().remembering(&stored);
    assert_eq!(seen.machine(&key("2")), Some("machine-9"));
}

#[test]
fn a_host_without_the_address_of_its_member_is_told() {
    let lines = said(|_, seen| {
        host_mut(seen, "2").owner = None;
        host_mut(seen, "2").addresses = vec!["10.0.1.14".to_owned()];
    });
    let line = "nodes.2.host: It has no address 10.0.1.12 (it has 10.0.1.14).";
    assert!(lines.len() == 1 && lines[0].starts_with(line), "{lines:?}");
}

#[test]
fn a_lost_address_and_a_copied_machine_id_keep_nobody_from_being_mended() {
    let change = |_: &Desired, seen: &mut Observed| {
        host_mut(seen, "3").addresses = vec!["10.0.1.14".to_owned()];
        host_mut(seen, "3").etcd = None;
        host_mut(seen, "1").machine_id = "machine-2".to_owned();
        unit_mut(seen, "2").active_state = "inactive".to_owned();
    };
    let desired = desired(3);
    let mut seen = observed(&desired);
    change(&desired, &mut seen);
    let mut problems = Problems::default();
    misplaced(&desired, &seen, &seen.clone(), &mut problems);
    assert!(problems.0.is_empty(), "{problems:?}");
    let steps = plan(&desired, &seen).sentences();
    assert!(steps.contains(&"start 2".to_owned()), "{steps:?}");
}
