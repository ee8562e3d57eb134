use super::*;
use crate::{
    etcd_cluster::fixture::{desired, key},
    node::Node,
    problem::Problem,
};

/// Places and summaries of what is refused after a change of the wish.
fn check(change: impl Fn(&mut Desired)) -> Vec<String> {
    let prior = desired(3);
    let mut wanted = prior.clone();
    change(&mut wanted);
    let mut problems = Problems::default();
    refuse(&prior, &wanted, &mut problems);
    let line = |problem: Problem| {
        assert!(problem.is_error);
        format!("{}: {}", problem.place.join("."), problem.summary)
    };
    problems.0.into_iter().map(line).collect()
}

fn node(wanted: &mut Desired) -> &mut Node {
    wanted.nodes.get_mut(&key("2")).expect("a node")
}

#[test]
fn lets_through_what_a_restart_or_less_can_do() {
    let harmless = check(|wanted| {
        wanted.tuning.snapshot_count = 1;
        wanted.metrics_port = Some(2381);
        wanted.server_sans.push("etcd.example".to_owned());
        wanted.certificate_lifetime_s = 3600;
        node(wanted).host = "db2.example".to_owned();
        wanted.issuer.urls.clear();
        wanted.issuer.fingerprint = None;
    });
    assert_eq!(harmless, Vec::<String>::new());
}

#[test]
fn refuses_another_name() {
    let name = crate::name::Name::parse("other").expect("a name");
    let renamed = check(|wanted| wanted.name = name.clone());
    assert_eq!(renamed, ["name: The name cannot change"]);
}

#[test]
fn refuses_changes_of_membership() {
    let said = ["nodes: Members cannot be added or removed yet"];
    let gone = check(|wanted| drop(wanted.nodes.remove(&key("2"))));
    assert_eq!(gone, said);
    let added = check(|wanted| {
        let node = node(wanted).clone();
        wanted.nodes.insert(key("4"), node);
    });
    assert_eq!(added, said);
    let moved = check(|wanted| node(wanted).address = [10, 0, 9, 9].into());
    assert_eq!(moved, ["nodes.2: A member cannot move yet"]);
    let told = check(|wanted| node(wanted).advertise = "db2.example".to_owned());
    assert_eq!(told, ["nodes.2: A member cannot move yet"]);
}

#[test]
fn refuses_other_ports_and_versions() {
    let client = check(|wanted| wanted.client_port = 1);
    assert_eq!(client, ["client_port: Ports cannot change yet"]);
    let peer = check(|wanted| wanted.peer_port = 1);
    assert_eq!(peer, ["peer_port: Ports cannot change yet"]);
    let version = check(|wanted| wanted.version.patch += 1);
    assert_eq!(version, ["version: The version cannot change yet"]);
}

#[test]
fn refuses_another_ca_under_any_name() {
    let name = crate::name::Name::parse("other").expect("a name");
    let other = check(|wanted| wanted.issuer.name = name.clone());
    assert_eq!(other, ["issuer: The CA cannot change yet"]);
    let root = check(|wanted| wanted.issuer.fingerprint = Some("another".to_owned()));
    assert_eq!(root, ["issuer: The CA has another root"]);
}
