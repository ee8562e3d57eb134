use super::*;

fn wish(host: &str) -> NodeWish {
    NodeWish {
        host: host.to_owned(),
        ..NodeWish::default()
    }
}

/// Places and summaries of what is wrong with two nodes; the first is changed.
fn check(change: impl Fn(&mut NodeWish)) -> Vec<String> {
    let mut first = wish("10.0.1.11");
    change(&mut first);
    let nodes = [("1", first), ("2", wish("10.0.1.12"))];
    let mut problems = Problems::default();
    settle(
        &nodes.map(|(key, node)| (key.to_owned(), node)).into(),
        &mut problems,
    );
    problems
        .0
        .iter()
        .map(|problem| format!("{}: {}", problem.place.join("."), problem.summary))
        .collect()
}

#[test]
fn addresses_follow_from_the_host() {
    let mut problems = Problems::default();
    let mut named = wish("db1.example");
    named.address = Some("10.0.1.11".to_owned());
    let mut advertised = wish("FD00:0::2");
    advertised.advertise = Some("etcd2.example".to_owned());
    let nodes = [("1", named), ("2", advertised)];
    let nodes = settle(
        &nodes.map(|(key, node)| (key.to_owned(), node)).into(),
        &mut problems,
    );
    assert_eq!(problems.0, []);
    let told: Vec<_> = nodes
        .values()
        .map(|node| (node.address.to_string(), node.advertise.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("10.0.1.11".to_owned(), "10.0.1.11"),
            ("fd00::2".to_owned(), "etcd2.example")
        ]
    );
}

#[test]
fn one_host_holds_one_node_whatever_its_address_is() {
    let same = |node: &mut NodeWish| {
        node.host = "10.0.1.12".to_owned();
        node.address = Some("10.0.1.11".to_owned());
    };
    assert_eq!(check(same), ["nodes.2.host: Two nodes on one host"]);
    // Another SSH port or another bastion may lead to another machine.
    let port = |node: &mut NodeWish| {
        same(node);
        node.port = Some(2222);
    };
    assert_eq!(check(port), [""; 0]);
    let profile = |node: &mut NodeWish| {
        same(node);
        node.ssh_profile = Some("far".to_owned());
    };
    assert_eq!(check(profile), [""; 0]);
}

#[test]
fn a_name_is_no_address() {
    let host = check(|node| node.host = "db1.example".to_owned());
    assert_eq!(host, ["nodes.1.host: An IP address is needed"]);
    let address = check(|node| node.address = Some("db1.example".to_owned()));
    assert_eq!(address, ["nodes.1.address: An IP address is needed"]);
}

#[test]
fn others_must_be_able_to_reach_it() {
    for address in ["127.0.0.1", "0.0.0.0", "169.254.0.1", "224.0.0.1"] {
        let unreachable = check(|node| node.address = Some(address.to_owned()));
        assert_eq!(
            unreachable,
            ["nodes.1.address: Members cannot reach this address"]
        );
        let told = check(|node| node.advertise = Some(address.to_owned()));
        assert_eq!(
            told,
            ["nodes.1.advertise: Members cannot reach this address"]
        );
    }
}

#[test]
fn a_host_holds_one_node() {
    let same = check(|node| node.address = Some("10.0.1.12".to_owned()));
    assert_eq!(same, ["nodes.2.host: Two nodes on one host"]);
    let written_otherwise = check(|node| node.host = "10.0.1.12".to_owned());
    assert_eq!(written_otherwise, ["nodes.2.host: Two nodes on one host"]);
    let advertised = check(|node| node.advertise = Some("10.0.1.12".to_owned()));
    assert_eq!(advertised, ["nodes.2.advertise: Two nodes under one name"]);
}

#[test]
fn names_must_fit_urls_lists_and_certificates() {
    let address = |node: &mut NodeWish| node.address = Some("10.0.1.11".to_owned());
    let host = check(|node| {
        address(node);
        node.host = "ops@10.0.1.11".to_owned();
    });
    assert_eq!(host, ["nodes.1.host: Invalid host"]);
    let advertise = check(|node| node.advertise = Some("a,b".to_owned()));
    assert_eq!(advertise, ["nodes.1.advertise: Invalid name"]);
    let sans = check(|node| {
        node.server_sans = vec!["*.etcd.example".to_owned(), "https://x".to_owned()];
    });
    assert_eq!(
        sans,
        ["nodes.1.server_sans: Invalid name for a certificate"]
    );
    for port in [0, 65_536] {
        let port = check(|node| node.port = Some(port));
        assert_eq!(port, ["nodes.1.port: Invalid port"]);
    }
}

#[test]
fn keys_have_no_hyphens() {
    let mut problems = Problems::default();
    let nodes = [("a-1".to_owned(), wish("10.0.1.11"))].into();
    assert!(settle(&nodes, &mut problems).is_empty());
    assert_eq!(problems.0[0].summary, "Invalid node key");
    assert!(problems.0[0].detail.contains("1 to 16 lower-case letters"));
}
