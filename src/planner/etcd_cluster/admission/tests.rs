use super::*;
use crate::{
    etcd_cluster::fixture::{bare, desired, host_mut, key, lose, observed},
    facts::{CertificateFact, PortFact},
    problem::Problem,
    rendered::sha256,
};

fn admitted(observed: &Observed, id: Option<&str>) -> Vec<String> {
    let mut problems = Problems::default();
    admit(&desired(3), observed, id, &mut problems);
    let line = |problem: Problem| {
        let kind = if problem.is_error { "error" } else { "warning" };
        format!("{kind} {}: {}", problem.place.join("."), problem.summary)
    };
    problems.0.into_iter().map(line).collect()
}

fn bare_hosts() -> Observed {
    let desired = desired(3);
    let host = |key: &NodeKey| (key.clone(), Fact::Known(bare(&desired, key)));
    Observed::of(desired.nodes.keys().map(host).collect())
}

/// What is said of three bare hosts after a change of the second.
fn check(change: impl Fn(&mut HostFacts)) -> Vec<String> {
    let mut observed = bare_hosts();
    change(host_mut(&mut observed, "2"));
    admitted(&observed, None)
}

#[test]
fn admits_bare_hosts_and_warns_of_those_that_were_not_seen() {
    let mut observed = bare_hosts();
    assert_eq!(admitted(&observed, None), Vec::<String>::new());
    lose(&mut observed, "2");
    observed.hosts.remove(&key("3"));
    assert_eq!(
        admitted(&observed, None),
        ["warning nodes.2.host: Host 10.0.1.12 cannot be checked now"]
    );
}

#[test]
fn refuses_hosts_that_cannot_run_a_member() {
    let init = check(|host| host.init = "openrc".to_owned());
    assert_eq!(
        init,
        ["error nodes.2.host: Host 10.0.1.12 does not run systemd"]
    );
    let old = check(|host| host.systemd_version = OLDEST_SYSTEMD - 1);
    assert_eq!(old, ["error nodes.2.host: systemd on 10.0.1.12 is too old"]);
    assert_eq!(check(|host| host.systemd_version = 0), [""; 0]);
    let machine = check(|host| host.architecture = "ppc64le".to_owned());
    assert_eq!(
        machine,
        ["error nodes.2.host: No programs for host 10.0.1.12"]
    );
    assert_eq!(
        check(|host| host.architecture = "aarch64".to_owned()),
        [""; 0]
    );
}

#[test]
fn refuses_two_names_of_one_machine() {
    let same = check(|host| host.machine_id = "machine-1".to_owned());
    assert_eq!(same, ["error nodes.2.host: Two nodes on one machine"]);
    // Hosts that cannot say who they are may all be the same, or not.
    let mut observed = bare_hosts();
    for node in ["1", "2"] {
        host_mut(&mut observed, node).machine_id.clear();
    }
    assert_eq!(admitted(&observed, None), [""; 0]);
}

#[test]
fn refuses_an_address_that_the_host_does_not_have() {
    let other = check(|host| host.addresses = vec!["192.168.0.1".to_owned()]);
    assert_eq!(
        other,
        ["error nodes.2.address: Host 10.0.1.12 has no address 10.0.1.12"]
    );
    assert_eq!(check(|host| host.addresses.clear()), [""; 0]);
}

#[test]
fn refuses_ports_of_others() {
    let port = |number: u16, fact: PortFact| {
        check(move |host| {
            host.ports.insert(number, fact.clone());
        })
    };
    let claimed = |by: &str| PortFact {
        claimed_by: by.to_owned(),
        ..PortFact::default()
    };
    assert_eq!(
        port(2379, claimed("etcd_cluster/events")),
        ["error client_port: Port 2379 on 10.0.1.12 belongs to etcd_cluster/events"]
    );
    assert_eq!(port(2379, claimed("etcd_cluster/k8s")), [""; 0]);
    let listening = PortFact {
        listening: true,
        process: "etcd".to_owned(),
        ..PortFact::default()
    };
    assert_eq!(
        port(2380, listening.clone()),
        ["error peer_port: Port 2380 on 10.0.1.12 is taken"]
    );
    assert_eq!(port(2381, listening), [""; 0]);
}

#[test]
fn the_way_to_be_rid_of_a_creation_that_was_given_up_is_named() {
    let mut observed = bare_hosts();
    let claimed = PortFact {
        claimed_by: "etcd_cluster/one".to_owned(),
        ..PortFact::default()
    };
    host_mut(&mut observed, "2").ports.insert(2379, claimed);
    let mut problems = Problems::default();
    admit(&desired(3), &observed, None, &mut problems);
    let detail = &problems.0.first().expect("an error").detail;
    let way = "`tofu import etcd_cluster.ADDRESS one@10.0.1.12` and destroy it";
    assert!(detail.contains(way), "{detail}");
}

#[test]
fn a_name_that_the_ca_knows_as_anothers_is_refused() {
    let (desired, observed) = (desired(3), observed(&desired(3)));
    let refused = |observed: &Observed, id: Option<&str>, registered: &str| {
        let registered = Registered {
            id: registered.to_owned(),
            host: "10.0.1.10".to_owned(),
        };
        let mut problems = Problems::default();
        check_name(&desired, observed, id, &registered, &mut problems);
        problems.has_errors()
    };
    assert!(refused(&bare_hosts(), None, "another"));
    assert!(refused(&bare_hosts(), Some("begun"), "another"));
    assert!(!refused(&bare_hosts(), Some("begun"), "begun"));
    // It is on these hosts: that is told by itself.
    assert!(!refused(&observed, None, &desired.id));
}

#[test]
fn a_member_without_its_ledger_is_nobodys_left_over() {
    let mut observed = bare_hosts();
    let host = host_mut(&mut observed, "2");
    let unit = "etcd-k8s-2.service";
    host.units
        .insert(unit.to_owned(), crate::facts::UnitFact::default());
    let path = "/etc/etcd/etcd-k8s-2-conf.yaml".to_owned();
    host.files.insert(path, FileFact::default());
    let listening = PortFact {
        listening: true,
        process: "etcd".to_owned(),
        unit: unit.to_owned(),
        ..PortFact::default()
    };
    host.ports.insert(2379, listening);
    let mut problems = Problems::default();
    admit(&desired(3), &observed, None, &mut problems);
    let [problem] = problems.0.as_slice() else {
        panic!("{problems:?}");
    };
    assert!(problem.detail.contains("ledger.json"), "{problem:?}");
    assert!(!problem.detail.contains("move it away"), "{problem:?}");
}

#[test]
fn refuses_what_another_tool_made() {
    let path = "/etc/etcd/etcd-k8s-2-conf.yaml";
    let data = "/var/lib/etcd/etcd-k8s-2";
    let put = |path: &'static str, fact: FileFact| {
        check(move |host| {
            host.files.insert(path.to_owned(), fact.clone());
        })
    };
    assert_eq!(
        put(path, FileFact::default()),
        ["error name: /etc/etcd/etcd-k8s-2-conf.yaml on 10.0.1.12 is not ours"]
    );
    let directory = |populated| FileFact {
        kind: FileKind::Directory,
        populated,
        ..FileFact::default()
    };
    assert_eq!(
        put(data, directory(true)),
        ["error name: /var/lib/etcd/etcd-k8s-2 on 10.0.1.12 is not ours"]
    );
    // A disk that was mounted for it.
    assert_eq!(put(data, directory(false)), [""; 0]);
}

/// The root of another CA of the same name, that another cluster uses.
fn other_root(host: &mut HostFacts) {
    let path = "/etc/etcd/ssl/main-root_ca.crt".to_owned();
    let file = FileFact {
        owner: "etcd_cluster/events".to_owned(),
        ..FileFact::default()
    };
    let certificate = CertificateFact {
        present: true,
        fingerprint: "f".repeat(64),
        ..CertificateFact::default()
    };
    host.files.insert(path.clone(), file);
    host.certificates.insert(path, certificate);
}

#[test]
fn refuses_a_second_ca_of_a_name_that_others_trust() {
    let error = "error issuer: etcd_cluster/events on 10.0.1.12 trusts another CA named main";
    assert_eq!(check(other_root), [error]);
    let same = check(|host| {
        other_root(host);
        let path = "/etc/etcd/ssl/main-root_ca.crt";
        let certificate = host.certificates.get_mut(path).expect("a root");
        certificate.fingerprint = sha256(b"root");
    });
    assert_eq!(same, [""; 0]);
    // One that is made in the same apply will have a root of its own.
    let mut later = desired(3);
    later.issuer.fingerprint = None;
    let mut observed = bare_hosts();
    other_root(host_mut(&mut observed, "2"));
    let mut problems = Problems::default();
    admit(&later, &observed, None, &mut problems);
    assert_eq!(problems.0.len(), 1);
    assert!(problems.0[0].detail.contains("still to be made"));
    // What an earlier try of this creation left is the helper's to judge.
    let owner = |host: &mut HostFacts| {
        other_root(host);
        let path = "/etc/etcd/ssl/main-root_ca.crt";
        let file = host.files.get_mut(path).expect("a root");
        "etcd_cluster/k8s".clone_into(&mut file.owner);
    };
    assert_eq!(check(owner), [""; 0]);
}

#[test]
fn a_finished_cluster_is_imported_and_an_unfinished_one_goes_on() {
    let desired = desired(3);
    let mut observed = observed(&desired);
    for node in ["1", "2", "3"] {
        let listening = PortFact {
            claimed_by: "etcd_cluster/k8s".to_owned(),
            listening: true,
            ..PortFact::default()
        };
        host_mut(&mut observed, node).ports.insert(2379, listening);
    }
    assert_eq!(admitted(&observed, Some(&desired.id)), [""; 0]);
    let exists = admitted(&observed, Some("another"));
    // Once for all hosts, and no word of ports that are its own.
    let summary = "error name: Cluster k8s exists already on 10.0.1.11, 10.0.1.12, 10.0.1.13";
    assert_eq!(exists, [summary]);
    let mut problems = Problems::default();
    admit(&desired, &observed, None, &mut problems);
    let names_import = |problem: &Problem| {
        let command = "tofu import ADDRESS k8s@10.0.1.11,10.0.1.12,10.0.1.13";
        problem.detail.contains(command)
    };
    assert!(problems.0.iter().any(names_import));
}
