use std::fmt::Write as _;

use expect_test::{ExpectFile, expect_file};

use super::*;
use crate::{
    etcd_cluster::{
        Wish,
        fixture::{desired, key, observed, read, unlist, wish},
    },
    node::NodeWish,
};

/// All files of node 1, as one text.
fn check(wish: &Wish, phase: Phase, golden: &ExpectFile) {
    let desired = read(wish);
    let key = key("1");
    let mut text = String::new();
    for file in files(&desired, &key, &desired.nodes[&key], phase) {
        let _ = writeln!(
            text,
            "=== {} {:04o} {}:{}\n{}",
            file.path, file.mode, file.user, file.group, file.content
        );
    }
    golden.assert_eq(&text);
}

fn version(version: &str) -> Wish {
    Wish {
        version: Some(version.to_owned()),
        ..wish(3)
    }
}

#[test]
fn renders_3_5() {
    let golden = expect_file!["../golden/3.5.txt"];
    check(&version("3.5.35"), Phase::Existing, &golden);
}

#[test]
fn renders_3_6() {
    let golden = expect_file!["../golden/3.6.txt"];
    check(&version("3.6.16"), Phase::Existing, &golden);
}

#[test]
fn renders_3_7() {
    let golden = expect_file!["../golden/3.7.txt"];
    check(&version("3.7.3"), Phase::Existing, &golden);
}

#[test]
fn renders_a_new_cluster() {
    let golden = expect_file!["../golden/new.txt"];
    check(&wish(1), Phase::New, &golden);
}

#[test]
fn renders_ipv6_names_and_every_option() {
    let node = |index: u8| NodeWish {
        host: format!("db{index}.example"),
        address: Some(format!("FD00::{index}")),
        advertise: (index == 1).then(|| "etcd1.example".to_owned()),
        ..NodeWish::default()
    };
    let extra = [
        ("max-request-bytes", "3145728"),
        ("enable-grpc-gateway", "true"),
        ("corrupt-check-time", "4h"),
        ("cors", "https://a.example:443,https://b.example:443"),
    ];
    let wish = Wish {
        name: "team-a".to_owned(),
        version: Some("3.5.35".to_owned()),
        nodes: [("1", node(1)), ("2", node(2))]
            .map(|(key, node)| (key.to_owned(), node))
            .into(),
        client_port: Some(12379),
        peer_port: Some(12380),
        metrics_port: Some(12381),
        heartbeat_interval_ms: Some(100),
        election_timeout_ms: Some(1000),
        snapshot_count: Some(50_000),
        auto_compaction_mode: Some("revision".to_owned()),
        auto_compaction_retention: Some("1000".to_owned()),
        quota_backend_bytes: Some(4 << 30),
        extra_options: extra
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..Wish::default()
    };
    let golden = expect_file!["../golden/ipv6.txt"];
    check(&wish, Phase::Existing, &golden);
}

#[test]
fn reads_its_own_configuration_back() {
    let desired = desired(3);
    let key = key("2");
    let node = &desired.nodes[&key];
    let mut read = parse(&configuration(&desired, &key, node, Phase::New));
    for name in [
        "initial-cluster",
        "initial-cluster-token",
        "initial-cluster-state",
    ] {
        assert!(read.remove(name).is_some(), "{name}");
    }
    assert_eq!(read, effective(&desired, &key, node));
}

#[test]
fn the_fingerprint_knows_options_and_no_first_start() {
    let three = desired(3);
    let key = key("1");
    let of = |desired: &Desired| fingerprint(desired, &key, &desired.nodes[&key]);
    let mut other = three.clone();
    other.id = "fedcba9876543210".to_owned();
    other.nodes.remove(&crate::etcd_cluster::fixture::key("3"));
    assert_eq!(of(&three), of(&other));
    other.tuning.snapshot_count += 1;
    assert_ne!(of(&three), of(&other));
}

#[test]
fn who_joins_is_told_the_members_that_are_listed() {
    let desired = desired(5);
    let mut seen = observed(&desired);
    unlist(&mut seen, "4");
    let key = key("2");
    let initial = |files: &[RenderedFile]| parse(&files[0].content)["initial-cluster"].clone();
    let joins = files_to_join(&desired, &seen, &key, &desired.nodes[&key]);
    assert!(!initial(&joins).contains("etcd-k8s-4="), "{joins:?}");
    assert!(initial(&joins).contains("etcd-k8s-5="), "{joins:?}");
    let all = files(&desired, &key, &desired.nodes[&key], Phase::Existing);
    assert_eq!(joins[1..], all[1..]);
}

#[test]
fn units_are_valid_for_systemd_239() {
    let desired = desired(3);
    let key = key("1");
    for phase in [Phase::New, Phase::Existing] {
        for file in files(&desired, &key, &desired.nodes[&key], phase) {
            for word in ["ExecCondition", "append:", "LoadCredential", "ProtectProc"] {
                assert!(!file.content.contains(word), "{word} in {}", file.path);
            }
        }
    }
}
