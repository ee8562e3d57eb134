//! Clusters for tests: as a user wishes them, and as an apply leaves them.

use std::collections::BTreeMap;

use super::{
    CERTIFICATE_MODE, Desired, Manifest, Observed, Phase, Role, Wish, files, fingerprint,
    membership::Standing, membership::standing, names, subject,
};
use crate::{
    facts::{
        CertificateFact, EtcdFact, Fact, FileFact, FileKind, HostFacts, MemberFact, OwnerFact,
        UnitFact,
    },
    issuer::Issuer,
    name::{Name, NodeKey},
    node::NodeWish,
    problem::{Problem, Problems},
    rendered::sha256,
    version,
};

/// When everything was made, in milliseconds.
pub(super) const MADE_MS: i64 = 1_790_000_000_000;
/// An hour later.
pub(super) const NOW_MS: i64 = MADE_MS + 3_600_000;

pub(super) fn key(text: &str) -> NodeKey {
    NodeKey::parse(text).expect("a key")
}

pub(super) fn issuer() -> Issuer {
    Issuer {
        name: Name::parse("main").expect("a name"),
        urls: vec!["https://10.0.1.10:9000".to_owned()],
        fingerprint: Some(sha256(b"root")),
        directory: "/etc/step-ca".to_owned(),
        port: 9000,
    }
}

/// `k8s` on `members` hosts, 10.0.1.11 and so on.
pub(super) fn wish(members: usize) -> Wish {
    let node = |index: usize| NodeWish {
        host: format!("10.0.1.{}", 10 + index),
        ..NodeWish::default()
    };
    Wish {
        name: "k8s".to_owned(),
        nodes: (1..=members)
            .map(|index| (index.to_string(), node(index)))
            .collect(),
        ..Wish::default()
    }
}

/// What is wrong with a wish.
pub(super) fn problems(wish: &Wish) -> Vec<Problem> {
    let mut problems = Problems::default();
    let desired = Desired::read(wish, issuer(), &mut problems);
    assert_eq!(desired.is_none(), problems.has_errors());
    problems.0
}

pub(super) fn read(wish: &Wish) -> Desired {
    let mut problems = Problems::default();
    let desired = Desired::read(wish, issuer(), &mut problems);
    let mut desired = desired.unwrap_or_else(|| panic!("{problems:?}"));
    desired.id = "0123456789abcdef".to_owned();
    desired
}

pub(super) fn desired(members: usize) -> Desired {
    read(&wish(members))
}

fn file(content: &str, mode: u32, user: &str, group: &str) -> FileFact {
    let sha256 = sha256(content.as_bytes());
    FileFact {
        kind: FileKind::File,
        recorded_sha256: sha256.clone(),
        sha256,
        mode,
        user: user.to_owned(),
        group: group.to_owned(),
        modified_ms: MADE_MS,
        content: Some(content.to_owned()),
        owner: "etcd_cluster/k8s".to_owned(),
        ..FileFact::default()
    }
}

fn directory(mode: u32, user: &str) -> FileFact {
    FileFact {
        kind: FileKind::Directory,
        mode,
        user: user.to_owned(),
        group: user.to_owned(),
        owner: "etcd_cluster/k8s".to_owned(),
        populated: true,
        made: true,
        ..FileFact::default()
    }
}

fn unit(enabled: bool, executable: &str) -> UnitFact {
    UnitFact {
        load_state: "loaded".to_owned(),
        active_state: "active".to_owned(),
        unit_file_state: if enabled { "enabled" } else { "disabled" }.to_owned(),
        active_since_ms: MADE_MS + 1000,
        executable_sha256: executable.to_owned(),
        ..UnitFact::default()
    }
}

/// Id of the member of a node.
pub(super) fn id(key: &NodeKey) -> u64 {
    0x8e9e_0000 + u64::from(key.as_str().as_bytes()[0])
}

fn members(desired: &Desired) -> Vec<MemberFact> {
    let member = |(key, node)| MemberFact {
        id: id(key),
        name: names::member(&desired.name, key),
        peer_urls: vec![desired.peer_url(node)],
        is_learner: false,
    };
    desired.nodes.iter().map(member).collect()
}

/// The host of a node after an apply.
pub(super) fn host(desired: &Desired, key: &NodeKey) -> HostFacts {
    host_in(desired, key, Phase::Existing)
}

/// The host of a node whose member votes, in a creation that was cut off before it was written down.
pub(super) fn begun(desired: &Desired, key: &NodeKey) -> HostFacts {
    host_in(desired, key, Phase::New)
}

fn host_in(desired: &Desired, key: &NodeKey, phase: Phase) -> HostFacts {
    let node = &desired.nodes[key];
    let mut files: BTreeMap<String, FileFact> = files(desired, key, node, phase)
        .into_iter()
        .map(|rendered| {
            let fact = file(
                &rendered.content,
                rendered.mode,
                rendered.user,
                rendered.group,
            );
            (rendered.path, fact)
        })
        .collect();
    let programs = names::programs(&desired.version);
    for name in ["etcd", "etcdctl", "etcdutl"] {
        files.insert(
            format!("{programs}/{name}"),
            file(name, 0o755, "root", "root"),
        );
    }
    files.insert(
        format!("/opt/step/{}/step", version::STEP),
        file("step", 0o755, "root", "root"),
    );
    for path in [desired.issuer.root_path(), desired.issuer.file_path()] {
        let content = path.clone();
        files.insert(path, file(&content, 0o644, "root", "root"));
    }
    let public = names::DIRECTORIES.map(str::to_owned).into_iter();
    for path in public.chain(names::program_directories(&desired.version)) {
        files.insert(path, directory(0o755, "root"));
    }
    files.insert(names::HOME.to_owned(), directory(0o700, names::USER));
    let (link, target) = names::link(&desired.version);
    let link_fact = FileFact {
        kind: FileKind::Link,
        link_target: target,
        ..FileFact::default()
    };
    files.insert(link, link_fact);
    let data = names::data(&desired.name, key);
    files.insert(data, directory(0o700, names::USER));
    let wal = names::wal(&desired.name, key);
    files.insert(wal, directory(0o700, names::USER));
    let mut member = unit(true, &sha256(b"etcd"));
    let programs = format!("/opt/bin/etcd-{}", desired.version);
    let configuration = names::configuration(&desired.name, key);
    member.exec_start = vec![format!("{programs} --config-file={configuration}")];
    names::USER.clone_into(&mut member.user);
    let mut units = BTreeMap::from([(names::unit(&desired.name, key), member)]);
    let mut certificates = BTreeMap::new();
    for role in Role::ALL {
        let timer = format!("{}.timer", names::renewal(&desired.name, role.as_str()));
        units.insert(timer, unit(true, ""));
        let stem = names::certificate_stem(&desired.name, key, role.as_str());
        let subject = subject(desired, key, node, role);
        let fact = CertificateFact {
            present: true,
            common_name: subject.common_name,
            dns_names: subject.dns_names,
            ip_addresses: subject.ip_addresses,
            not_before_ms: MADE_MS,
            not_after_ms: MADE_MS + i64::from(desired.certificate_lifetime_s) * 1000,
            key_matches: true,
            key_mode: 0o400,
            key_user: names::USER.to_owned(),
            mode: CERTIFICATE_MODE,
            user: names::USER.to_owned(),
            ..CertificateFact::default()
        };
        certificates.insert(format!("{stem}.crt"), fact);
    }
    let root = CertificateFact {
        present: true,
        fingerprint: desired.issuer.fingerprint.clone().unwrap_or_default(),
        ..CertificateFact::default()
    };
    certificates.insert(desired.issuer.root_path(), root);
    let existing = phase == Phase::Existing;
    let manifest = Manifest::new(desired, key, fingerprint(desired, key, node), existing);
    HostFacts {
        architecture: "x86_64".to_owned(),
        init: "systemd".to_owned(),
        systemd_version: 252,
        os: "debian 12".to_owned(),
        machine_id: format!("machine-{key}"),
        now_ms: NOW_MS,
        addresses: vec![node.address.to_string()],
        files,
        units,
        certificates,
        etcd: Some(EtcdFact {
            reachable: true,
            cluster_id: 7,
            member_id: id(key),
            leader_id: id(desired.nodes.keys().next().expect("a node")),
            version: desired.version.to_string(),
            members: members(desired),
            linearizable: true,
            ..EtcdFact::default()
        }),
        owner: Some(OwnerFact {
            id: desired.id.clone(),
            manifest: manifest.to_json(),
        }),
        users: vec![names::USER.to_owned()],
        timer_helper: Some(true),
        ..HostFacts::default()
    }
}

/// A host on which nothing was done yet.
pub(super) fn bare(desired: &Desired, key: &NodeKey) -> HostFacts {
    let host = host(desired, key);
    HostFacts {
        files: BTreeMap::new(),
        units: BTreeMap::new(),
        certificates: BTreeMap::new(),
        etcd: None,
        owner: None,
        users: Vec::new(),
        ..host
    }
}

/// All hosts after an apply; the first member leads.
pub(super) fn observed(desired: &Desired) -> Observed {
    let host = |key: &NodeKey| (key.clone(), Fact::Known(host(desired, key)));
    Observed::of(desired.nodes.keys().map(host).collect())
}

pub(super) fn host_mut<'a>(observed: &'a mut Observed, node: &str) -> &'a mut HostFacts {
    match observed.hosts.get_mut(&key(node)) {
        Some(Fact::Known(host)) => host,
        other => panic!("{node} is {other:?}"),
    }
}

pub(super) fn file_mut<'a>(observed: &'a mut Observed, node: &str, path: &str) -> &'a mut FileFact {
    let host = host_mut(observed, node);
    host.files.get_mut(path).expect("a file")
}

pub(super) fn etcd_mut<'a>(observed: &'a mut Observed, node: &str) -> &'a mut EtcdFact {
    host_mut(observed, node).etcd.as_mut().expect("a member")
}

pub(super) fn unit_mut<'a>(observed: &'a mut Observed, node: &str) -> &'a mut UnitFact {
    let name = format!("etcd-k8s-{node}.service");
    let host = host_mut(observed, node);
    host.units.get_mut(&name).expect("a unit")
}

/// The host cannot be reached.
pub(super) fn lose(observed: &mut Observed, node: &str) {
    let fact = Fact::Unknown("connection timed out".to_owned());
    observed.hosts.insert(key(node), fact);
}

/// The member is stopped.
pub(super) fn stop(observed: &mut Observed, node: &str) {
    let unit = unit_mut(observed, node);
    "inactive".clone_into(&mut unit.active_state);
    unit.active_since_ms = 0;
    unit.executable_sha256.clear();
    silence(observed, node);
}

/// The member runs and does not answer.
pub(super) fn silence(observed: &mut Observed, node: &str) {
    host_mut(observed, node).etcd = Some(EtcdFact {
        error: "connection refused".to_owned(),
        ..EtcdFact::default()
    });
}

/// No member sees a quorum.
pub(super) fn without_quorum(observed: &mut Observed) {
    for fact in observed.hosts.values_mut() {
        if let Fact::Known(HostFacts {
            etcd: Some(etcd), ..
        }) = fact
        {
            etcd.linearizable = false;
            etcd.leader_id = 0;
        }
    }
}

/// Data directory and all are gone; the member is down.
pub(super) fn lose_data(desired: &Desired, observed: &mut Observed, node: &str) {
    stop(observed, node);
    let host = host_mut(observed, node);
    host.files.remove(&names::wal(&desired.name, &key(node)));
    let data = names::data(&desired.name, &key(node));
    host.files.get_mut(&data).expect("data").populated = false;
}

/// Changes the member list that every member tells.
pub(super) fn relist(observed: &mut Observed, change: impl Fn(&mut Vec<MemberFact>)) {
    for fact in observed.hosts.values_mut() {
        if let Fact::Known(HostFacts {
            etcd: Some(etcd), ..
        }) = fact
            && etcd.reachable
        {
            change(&mut etcd.members);
        }
    }
}

/// Takes a node out of the member list.
pub(super) fn unlist(observed: &mut Observed, node: &str) {
    let gone = id(&key(node));
    relist(observed, |members| {
        members.retain(|member| member.id != gone);
    });
}

/// Somebody wrote another text over a file.
pub(super) fn edit(observed: &mut Observed, node: &str, path: &str, from: &str, to: &str) {
    let file = file_mut(observed, node, path);
    let text = file.content.as_deref().expect("a text").replace(from, to);
    assert_ne!(Some(&text), file.content.as_ref(), "{from} is not in it");
    file.sha256 = sha256(text.as_bytes());
    file.content = Some(text);
    file.modified_ms = NOW_MS;
}

/// How a node stands, in a word.
pub(super) fn stands(desired: &Desired, observed: &Observed, node: &str) -> &'static str {
    match standing(desired, observed, &key(node)) {
        Standing::Unknown => "unknown",
        Standing::Absent => "absent",
        Standing::Learner(_) => "learner",
        Standing::Voter(_) => "voter",
    }
}

/// Steps and what is blocked, a line each.
pub(super) fn planned(desired: &Desired, observed: &Observed) -> String {
    let plan = super::plan(desired, observed);
    assert_eq!(super::check(desired, observed, &plan), [], "{plan:?}");
    let mut text = String::new();
    for step in &plan.steps {
        text.push_str(&step.to_string());
        text.push('\n');
    }
    for reason in &plan.blocked {
        text.push_str("blocked: ");
        text.push_str(reason);
        text.push('\n');
    }
    text
}
