use super::*;
use crate::etcd_cluster::fixture::{desired, key, problems, read, wish};

/// What is said of three nodes after a change of the wish: kind, place, summary.
fn check(change: impl Fn(&mut Wish)) -> Vec<String> {
    let mut wish = wish(3);
    change(&mut wish);
    said(&wish)
}

fn said(wish: &Wish) -> Vec<String> {
    problems(wish)
        .into_iter()
        .map(|problem| {
            let kind = if problem.is_error { "error" } else { "warning" };
            format!("{kind} {}: {}", problem.place.join("."), problem.summary)
        })
        .collect()
}

#[test]
fn takes_the_defaults() {
    assert_eq!(said(&wish(3)), Vec::<String>::new());
    let desired = desired(3);
    assert_eq!(desired.version, version::default_version());
    assert_eq!((desired.client_port, desired.peer_port), (2379, 2380));
    assert_eq!(desired.metrics_port, None);
    assert_eq!(desired.tuning.heartbeat_interval_ms, 250);
    assert_eq!(desired.tuning.election_timeout_ms, 5000);
    assert_eq!(desired.tuning.snapshot_count, 10_000);
    assert_eq!(desired.tuning.auto_compaction_mode, "periodic");
    assert_eq!(desired.tuning.auto_compaction_retention, "8");
    assert_eq!(desired.tuning.quota_backend_bytes, 2 << 30);
    assert_eq!(desired.certificate_lifetime_s, 17_520 * 3600);
    assert_eq!(desired.token(), "k8s-0123456789abcdef-1");
}

#[test]
fn refuses_bad_names() {
    for name in ["", "K8s", "-k8s", "k8s-", "k_8"] {
        let bad = check(|wish| name.clone_into(&mut wish.name));
        assert_eq!(bad, ["error name: Invalid name"], "{name}");
    }
    let key = check(|wish| {
        let node = wish.nodes.remove("1").expect("a node");
        wish.nodes.insert("A".to_owned(), node);
    });
    assert_eq!(key, ["error nodes.A: Invalid node key"]);
    let sans = check(|wish| wish.server_sans = vec!["a b".to_owned()]);
    assert_eq!(sans, ["error server_sans: Invalid name for a certificate"]);
}

#[test]
fn counts_members() {
    for (members, expected) in [
        (0, &["error nodes: No nodes"][..]),
        (1, &[]),
        (2, &["warning nodes: Even number of members"]),
        (3, &[]),
        (4, &["warning nodes: Even number of members"]),
        (7, &[]),
        (
            8,
            &[
                "warning nodes: Even number of members",
                "warning nodes: Many members",
            ],
        ),
        (9, &["warning nodes: Many members"]),
        (11, &["error nodes: Too many members"]),
    ] {
        assert_eq!(said(&wish(members)), expected, "{members}");
    }
    let detail = &problems(&wish(4))[0].detail;
    assert!(detail.contains("4 members tolerate 1 failures, as 3 would"));
}

#[test]
fn two_nodes_need_two_addresses() {
    let same = check(|wish| {
        wish.nodes.get_mut("2").expect("a node").host = "10.0.1.11".to_owned();
    });
    assert_eq!(same, ["error nodes.2.host: Two nodes on one host"]);
}

#[test]
fn knows_versions() {
    let version = |text: &str| check(|wish| wish.version = Some(text.to_owned()));
    for good in ["3.5.35", "v3.5.35", "3.6.16", "3.7.3"] {
        assert_eq!(version(good), Vec::<String>::new(), "{good}");
    }
    for bad in ["", "3.5", "latest", "3.5.35 "] {
        assert_eq!(version(bad), ["error version: Invalid version"], "{bad}");
    }
    for unknown in ["3.4.45", "3.8.0", "4.5.35", "2.3.8"] {
        assert_eq!(version(unknown), ["error version: Unsupported version"]);
    }
    for old in ["3.5.32", "3.6.13", "3.7.0"] {
        assert_eq!(
            version(old),
            ["warning version: Version has known security faults"]
        );
    }
    for new in ["3.5.36", "3.6.17", "3.7.4"] {
        assert_eq!(
            version(new),
            ["warning version: Version is newer than this provider"]
        );
    }
}

#[test]
fn ports_are_ports_and_differ() {
    for port in [0, -1, 65_536] {
        let bad = check(|wish| wish.client_port = Some(port));
        assert_eq!(bad, ["error client_port: Invalid port"]);
    }
    let same = check(|wish| wish.peer_port = Some(2379));
    assert_eq!(same, ["error peer_port: Ports must differ"]);
    // Nobody wrote the other one.
    let other = check(|wish| wish.client_port = Some(2380));
    assert_eq!(other, ["error client_port: Ports must differ"]);
    let metrics = check(|wish| wish.metrics_port = Some(2380));
    assert_eq!(metrics, ["error metrics_port: Ports must differ"]);
    assert_eq!(check(|wish| wish.metrics_port = Some(2381)), [""; 0]);
}

#[test]
fn elections_wait_for_five_heartbeats() {
    let timing = |heartbeat, election| {
        check(|wish| {
            wish.heartbeat_interval_ms = Some(heartbeat);
            wish.election_timeout_ms = Some(election);
        })
    };
    assert_eq!(timing(100, 500), [""; 0]);
    assert_eq!(
        timing(100, 499),
        ["error election_timeout_ms: Election timeout too short"]
    );
    let heartbeat = check(|wish| wish.heartbeat_interval_ms = Some(2_000));
    assert_eq!(
        heartbeat,
        ["error heartbeat_interval_ms: Election timeout too short"]
    );
    assert_eq!(
        timing(100, 50_001),
        ["error election_timeout_ms: Value out of range"]
    );
    assert_eq!(
        timing(0, 500),
        ["error heartbeat_interval_ms: Value out of range"]
    );
}

#[test]
fn checks_sizes_and_retention() {
    let count = check(|wish| wish.snapshot_count = Some(0));
    assert_eq!(count, ["error snapshot_count: Value out of range"]);
    let small = check(|wish| wish.quota_backend_bytes = Some(0));
    assert_eq!(small, ["error quota_backend_bytes: Value out of range"]);
    let large = check(|wish| wish.quota_backend_bytes = Some(9 << 30));
    assert_eq!(large, ["warning quota_backend_bytes: Large quota"]);
    let retention = |mode: &str, text: &str| {
        check(|wish| {
            wish.auto_compaction_mode = Some(mode.to_owned());
            wish.auto_compaction_retention = Some(text.to_owned());
        })
    };
    for (mode, text) in [("periodic", "0"), ("periodic", "30m"), ("revision", "1000")] {
        assert_eq!(retention(mode, text), [""; 0], "{mode} {text}");
    }
    for (mode, text) in [
        ("periodic", ""),
        ("periodic", "8 hours"),
        ("periodic", "99999999999"),
        ("revision", "30m"),
    ] {
        let bad = ["error auto_compaction_retention: Invalid retention"];
        assert_eq!(retention(mode, text), bad, "{mode} {text}");
    }
    assert_eq!(
        retention("never", "8"),
        ["error auto_compaction_mode: Unknown compaction mode"]
    );
}

#[test]
fn lifetimes_are_what_the_ca_allows() {
    for (text, good) in [
        ("1h", true),
        ("26280h", true),
        ("59m", false),
        ("26281h", false),
        ("two years", false),
    ] {
        let said = check(|wish| wish.certificate_lifetime = Some(text.to_owned()));
        assert_eq!(said.is_empty(), good, "{text}: {said:?}");
    }
}

#[test]
fn tells_everything_that_is_wrong_at_once() {
    let all = check(|wish| {
        wish.name.clear();
        wish.version = Some("new".to_owned());
        wish.client_port = Some(0);
        wish.nodes.get_mut("2").expect("a node").host = "db".to_owned();
        wish.certificate_lifetime = Some(String::new());
    });
    assert_eq!(all.len(), 5, "{all:?}");
}

#[test]
fn urls_are_those_of_the_node() {
    let mut wish = wish(1);
    let node = wish.nodes.get_mut("1").expect("a node");
    node.address = Some("fd00::1".to_owned());
    let desired = read(&wish);
    let node = &desired.nodes[&key("1")];
    assert_eq!(desired.peer_url(node), "https://[fd00::1]:2380");
    assert_eq!(desired.client_url(node), "https://[fd00::1]:2379");
    assert_eq!(desired.local_endpoint(node), "https://[::1]:2379");
    assert_eq!(desired.called(&key("1")), "1 (10.0.1.11)");
    assert_eq!(desired.called(&key("9")), "9");
}

#[test]
fn the_same_wish_is_the_same_creation() {
    let of = |change: fn(&mut Wish)| {
        let mut wish = wish(3);
        change(&mut wish);
        read(&wish).wish()
    };
    let same = of(|_| {});
    assert_eq!(same, of(|wish| wish.snapshot_count = Some(1)));
    assert_ne!(same, of(|wish| wish.name = "other".to_owned()));
    assert_ne!(same, of(|wish| wish.peer_port = Some(1)));
    let moved = |wish: &mut Wish| {
        wish.nodes.get_mut("2").expect("a node").host = "10.0.1.99".to_owned();
    };
    assert_ne!(same, of(moved));
}
