use super::*;
use crate::{
    etcd_cluster::fixture::{begun, desired, host, host_mut, key, read, wish},
    facts::{EtcdFact, FileFact, JournalFact},
};

/// Three hosts with what a creation on other ports left there; those of `finished` wrote down that it
/// had its quorum.
fn left(finished: &[&str]) -> Observed {
    let earlier = desired(3);
    let of = |key: &NodeKey| {
        let mut host = if finished.contains(&key.as_str()) {
            host(&earlier, key)
        } else {
            begun(&earlier, key)
        };
        // At the new ports nobody answers.
        host.etcd = None;
        host.journal = Some(JournalFact {
            id: earlier.id.clone(),
            wish: earlier.wish(),
            by: "ops".to_owned(),
            ..JournalFact::default()
        });
        (key.clone(), Fact::Known(host))
    };
    Observed::of(earlier.nodes.keys().map(of).collect())
}

fn with_ports() -> Desired {
    let mut wish = wish(3);
    wish.client_port = Some(12379);
    read(&wish)
}

/// What is said when the members of the earlier creation answer so.
fn said(desired: &Desired, observed: &Observed, etcd: &EtcdFact, wal: bool) -> String {
    let left = leftovers(desired, observed);
    let looks = left.iter().map(|left| {
        let mut host = HostFacts {
            etcd: Some(etcd.clone()),
            ..HostFacts::default()
        };
        let reach = left.reach(&desired.name).expect("a member");
        if wal {
            host.files.insert(reach.wal, FileFact::default());
        }
        (left.key.clone(), Fact::Known(host))
    });
    let looks = looks.collect();
    let mut problems = Problems::default();
    settle(desired, &left, &looks, &mut problems);
    let line = |problem: crate::problem::Problem| {
        let kind = if problem.is_error { "error" } else { "warning" };
        format!("{kind}: {} {}", problem.summary, problem.detail)
    };
    let lines: Vec<String> = problems.0.into_iter().map(line).collect();
    lines.join("\n")
}

#[test]
fn one_host_that_saw_the_quorum_saves_all() {
    let said = said(&with_ports(), &left(&["3"]), &EtcdFact::default(), true);
    assert!(
        said.starts_with("error: An earlier creation of cluster k8s may hold data"),
        "{said}"
    );
    assert!(
        said.contains("3 (10.0.1.13) wrote down that it had its quorum"),
        "{said}"
    );
    assert!(said.contains("client_port 2379, peer_port 2380"), "{said}");
    assert!(said.contains("Nothing was changed."), "{said}");
}

#[test]
fn a_member_with_a_leader_saves_all_whatever_was_written_down() {
    let leader = EtcdFact {
        reachable: true,
        leader_id: 7,
        ..EtcdFact::default()
    };
    let said = said(&with_ports(), &left(&[]), &leader, true);
    assert!(
        said.contains("its member on 1 (10.0.1.11) has a leader"),
        "{said}"
    );
}

#[test]
fn what_had_no_quorum_is_announced_and_removed() {
    let silent = EtcdFact::default();
    let said = said(&with_ports(), &left(&[]), &silent, true);
    assert!(
        said.starts_with("warning: What an earlier creation of cluster k8s left is removed"),
        "{said}"
    );
    assert!(
        said.contains("1 (10.0.1.11), 2 (10.0.1.12), 3 (10.0.1.13)"),
        "{said}"
    );
}

#[test]
fn a_host_that_cannot_be_asked_may_have_seen_a_quorum() {
    let mut moved = wish(3);
    moved.nodes.get_mut("3").expect("a node").host = "10.0.1.30".to_owned();
    let moved = read(&moved);
    let mut observed = left(&[]);
    let bare = crate::etcd_cluster::fixture::bare(&moved, &key("3"));
    *host_mut(&mut observed, "3") = bare;
    let silent = EtcdFact::default();
    let started = said(&moved, &observed, &silent, true);
    assert!(
        started.contains("its node 3 on 10.0.1.13 is none of these nodes"),
        "{started}"
    );
    let never = said(&moved, &observed, &silent, false);
    assert!(never.starts_with("warning"), "{never}");
    let left = leftovers(&moved, &observed);
    let mut problems = Problems::default();
    settle(&moved, &left, &BTreeMap::new(), &mut problems);
    assert!(problems.has_errors(), "nobody was asked");
}

#[test]
fn the_same_wish_leaves_nothing_over() {
    let desired = desired(3);
    assert_eq!(leftovers(&desired, &left(&["3"])), []);
    let said = said(&desired, &left(&["3"]), &EtcdFact::default(), true);
    assert_eq!(said, "");
}

#[test]
fn knows_where_the_former_member_is() {
    let left = leftovers(&with_ports(), &left(&[]));
    let reach = left[1].reach(&with_ports().name).expect("a member");
    assert_eq!(reach.endpoint, "https://127.0.0.1:2379");
    assert_eq!(reach.client_stem, "/etc/etcd/ssl/etcd-k8s-2-client");
    assert_eq!(reach.ca_path, "/etc/etcd/ssl/main-root_ca.crt");
    assert_eq!(reach.wal, "/var/lib/etcd/etcd-k8s-2/member/wal");
}
