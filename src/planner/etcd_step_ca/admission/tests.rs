use super::*;
use crate::{
    etcd_step_ca::fixture::{bare, host, key, lost, read, seen, wish},
    facts::{CertificateFact, FileFact, FileKind, HostFacts, PortFact},
    problem::Problem,
};

fn admitted(observed: &Observed, id: Option<&str>) -> Vec<String> {
    let mut problems = Problems::default();
    admit(&read(&wish()), observed, id, &mut problems);
    let line = |problem: Problem| {
        let kind = if problem.is_error { "error" } else { "warning" };
        format!("{kind} {}: {}", problem.place.join("."), problem.summary)
    };
    problems.0.into_iter().map(line).collect()
}

fn check(change: impl Fn(&mut HostFacts)) -> Vec<String> {
    let mut host = bare();
    change(&mut host);
    admitted(&seen(host), None)
}

#[test]
fn admits_a_bare_host_and_warns_of_one_that_was_not_seen() {
    assert_eq!(check(|_| {}), Vec::<String>::new());
    let unseen = ["warning nodes.1.host: Host 10.0.1.10 cannot be checked now"];
    assert_eq!(admitted(&lost(), None), unseen);
    assert_eq!(admitted(&Observed::default(), None), Vec::<String>::new());
}

#[test]
fn refuses_hosts_that_cannot_run_it() {
    let init = check(|host| host.init = "runit".to_owned());
    assert_eq!(
        init,
        ["error nodes.1.host: Host 10.0.1.10 does not run systemd"]
    );
    let old = check(|host| host.systemd_version = 238);
    assert_eq!(old, ["error nodes.1.host: systemd on 10.0.1.10 is too old"]);
    let machine = check(|host| host.architecture = "riscv64".to_owned());
    assert_eq!(
        machine,
        ["error nodes.1.host: No programs for host 10.0.1.10"]
    );
}

#[test]
fn refuses_what_is_anothers() {
    let filled = check(|host| {
        let directory = FileFact {
            kind: FileKind::Directory,
            populated: true,
            ..FileFact::default()
        };
        host.files.insert("/etc/step-ca".to_owned(), directory);
    });
    assert_eq!(
        filled,
        ["error instance: /etc/step-ca on 10.0.1.10 is not empty"]
    );
    for port in [
        PortFact {
            listening: true,
            ..PortFact::default()
        },
        PortFact {
            claimed_by: "etcd_cluster/k8s".to_owned(),
            ..PortFact::default()
        },
    ] {
        let taken = check(|host| {
            host.ports.insert(9000, port.clone());
        });
        assert_eq!(taken, ["error port: Port 9000 on 10.0.1.10 is taken"]);
    }
}

#[test]
fn refuses_a_name_under_which_others_trust_another_ca() {
    let path = "/etc/etcd/ssl/main-root_ca.crt".to_owned();
    let trusting = |host: &mut HostFacts, fingerprint: &str| {
        let file = FileFact {
            owner: "etcd_cluster/k8s".to_owned(),
            ..FileFact::default()
        };
        host.files.insert(path.clone(), file);
        let root = CertificateFact {
            present: true,
            fingerprint: fingerprint.to_owned(),
            ..CertificateFact::default()
        };
        host.certificates.insert(path.clone(), root);
    };
    let error = ["error name: etcd_cluster/k8s on 10.0.1.10 trusts another CA named main"];
    assert_eq!(check(|host| trusting(host, "f0f0")), error);
    // A creation that goes on has the root already.
    let desired = read(&wish());
    let mut host = host(&desired);
    let own = host.ca.as_ref().map(|ca| ca.root_fingerprint.clone());
    trusting(&mut host, &own.expect("a root"));
    assert_eq!(admitted(&seen(host), Some(&desired.id)), [""; 0]);
}

#[test]
fn a_finished_ca_is_imported_and_an_unfinished_one_goes_on() {
    let desired = read(&wish());
    let observed = seen(host(&desired));
    let exists = ["error name: CA main exists already on 10.0.1.10"];
    assert_eq!(admitted(&observed, None), exists);
    assert_eq!(admitted(&observed, Some("another")), exists);
    assert_eq!(admitted(&observed, Some(&desired.id)), Vec::<String>::new());
    assert!(observed.host(&key()).is_some());
}
