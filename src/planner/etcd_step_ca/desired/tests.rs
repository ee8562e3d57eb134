use super::*;
use crate::etcd_step_ca::fixture::{problems, read, wish};

/// Places and summaries of what is wrong after a change of the wish.
fn check(change: impl Fn(&mut Wish)) -> Vec<String> {
    let mut wish = wish();
    change(&mut wish);
    problems(&wish)
        .into_iter()
        .map(|problem| {
            assert!(problem.is_error, "{problem:?}");
            format!("{}: {}", problem.place.join("."), problem.summary)
        })
        .collect()
}

#[test]
fn takes_the_defaults() {
    let desired = read(&wish());
    assert_eq!(desired.port, 9000);
    assert_eq!(desired.provisioner, "etcd-provisioner");
    assert_eq!(desired.lifetimes, ["1h", "17520h", "26280h"]);
    let issuer = desired.issuer(None);
    assert_eq!(issuer.urls, ["https://10.0.1.10:9000"]);
    assert_eq!(issuer.directory, "/etc/step-ca");
}

#[test]
fn refuses_bad_names() {
    assert_eq!(
        check(|wish| wish.name = "A".to_owned()),
        ["name: Invalid name"]
    );
    let instance = check(|wish| wish.instance = Some("-".to_owned()));
    assert_eq!(instance, ["instance: Invalid name"]);
    let provisioner = check(|wish| wish.provisioner = Some(String::new()));
    assert_eq!(provisioner, ["provisioner_name: Invalid name"]);
}

#[test]
fn refuses_nodes_that_are_not_one() {
    let empty = check(|wish| wish.nodes.clear());
    assert_eq!(empty, ["nodes: No nodes", "active_node: No such node"]);
    let two = check(|wish| {
        let node = NodeWish {
            host: "10.0.1.11".to_owned(),
            ..NodeWish::default()
        };
        wish.nodes.insert("2".to_owned(), node);
    });
    assert_eq!(two, ["nodes: Standby nodes are not supported yet"]);
    let active = check(|wish| wish.active_node = "2".to_owned());
    assert_eq!(active, ["active_node: No such node"]);
    let key = check(|wish| {
        let node = wish.nodes.remove("1").expect("a node");
        wish.nodes.insert("a-1".to_owned(), node);
        wish.active_node = "a-1".to_owned();
    });
    assert_eq!(key, ["nodes.a-1: Invalid node key"]);
}

#[test]
fn refuses_bad_ports_and_lifetimes() {
    for port in [0, -1, 65_536] {
        assert_eq!(check(|wish| wish.port = Some(port)), ["port: Invalid port"]);
    }
    let bad = check(|wish| wish.default_lifetime = Some("2 years".to_owned()));
    assert_eq!(bad, ["default_lifetime: Invalid lifetime"]);
    for (least, default, most) in [
        ("2h", "1h", "3h"),
        ("1h", "3h", "2h"),
        ("1h", "2h", "87601h"),
    ] {
        let unfit = check(|wish| {
            wish.min_lifetime = Some(least.to_owned());
            wish.default_lifetime = Some(default.to_owned());
            wish.max_lifetime = Some(most.to_owned());
        });
        assert_eq!(unfit, ["default_lifetime: Lifetimes do not fit each other"]);
    }
}

#[test]
fn tells_everything_that_is_wrong_at_once() {
    let all = check(|wish| {
        wish.name.clear();
        wish.port = Some(0);
        wish.active_node.clear();
    });
    assert_eq!(all.len(), 3, "{all:?}");
}

#[test]
fn a_configuration_that_differs_has_another_hash() {
    let of = |change: fn(&mut Wish)| {
        let mut wish = wish();
        change(&mut wish);
        read(&wish).configuration_hash()
    };
    let same = of(|_| {});
    assert_eq!(same, of(|wish| wish.port = Some(9000)));
    assert_ne!(same, of(|wish| wish.port = Some(9001)));
    assert_ne!(same, of(|wish| wish.provisioner = Some("p".to_owned())));
    assert_ne!(same, of(|wish| wish.min_lifetime = Some("2h".to_owned())));
    let sans = |wish: &mut Wish| {
        let node = wish.nodes.get_mut("1").expect("a node");
        node.server_sans = vec!["ca.example".to_owned()];
    };
    assert_ne!(same, of(sans));
}

#[test]
fn a_creation_goes_on_only_with_what_no_update_may_change() {
    let before = read(&wish()).wish();
    let with = |change: &dyn Fn(&mut Wish)| {
        let mut wish = wish();
        change(&mut wish);
        read(&wish).wish() == before
    };
    assert!(with(&|wish| wish.default_lifetime = Some("24h".to_owned())));
    for change in [
        (|wish| wish.name = "other".to_owned()) as fn(&mut Wish),
        |wish| wish.instance = Some("b".to_owned()),
        |wish| wish.port = Some(9001),
        |wish| wish.provisioner = Some("p".to_owned()),
    ] {
        assert!(!with(&change));
    }
}
