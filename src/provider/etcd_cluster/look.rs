//! What is looked at on the host of a member.

use std::time::Duration;

use host::proto::{CertificateQuery, EtcdQuery, FileQuery, ObserveRequest};
use planner::{
    etcd_cluster::{Desired, Observed, Phase, Reach, Role, files, names, without_data},
    facts::Fact,
    name::NodeKey,
    space, version,
};

use crate::{
    facts::{Facts, from_response},
    hosts::Hosts,
    report::Trouble,
};

/// Looks at all hosts side by side, and once more at those whose data seems lost: it may have been
/// made while the others were asked.
pub(super) async fn all(
    hosts: &Hosts,
    desired: &Desired,
    limit: Duration,
) -> (Facts, Vec<Trouble>) {
    let owner = names::owner(&desired.name);
    let (facts, troubles) = hosts
        .observe_all(&owner, limit, |key| request(desired, key))
        .await;
    let mut observed = Observed::of(facts);
    for key in without_data(desired, &observed) {
        let look = hosts.observe(key, request(desired, key));
        if let Ok(Ok(response)) = tokio::time::timeout(limit, look).await {
            let fact = Fact::Known(from_response(response, &owner));
            observed.hosts.insert(key.clone(), fact);
        }
    }
    (observed.hosts, troubles)
}

/// How the helper on a node's host reaches its member.
pub(super) fn member(desired: &Desired, key: &NodeKey) -> EtcdQuery {
    let stem = names::certificate_stem(&desired.name, key, Role::Client.as_str());
    EtcdQuery {
        endpoint: desired.local_endpoint(&desired.nodes[key]),
        ca_path: desired.issuer.root_path(),
        certificate_path: format!("{stem}.crt"),
        key_path: format!("{stem}.key"),
        timeout_ms: 0,
    }
}

/// Whether the member that an earlier creation left was started, and whether it has a leader.
pub(super) fn leftover(reach: &Reach) -> ObserveRequest {
    ObserveRequest {
        files: vec![FileQuery {
            path: reach.wal.clone(),
            content: false,
        }],
        etcd: vec![EtcdQuery {
            endpoint: reach.endpoint.clone(),
            ca_path: reach.ca_path.clone(),
            certificate_path: format!("{}.crt", reach.client_stem),
            key_path: format!("{}.key", reach.client_stem),
            timeout_ms: 0,
        }],
        ..ObserveRequest::default()
    }
}

/// Everything that drift, plan and status are made of.
pub(super) fn request(desired: &Desired, key: &NodeKey) -> ObserveRequest {
    let plain = |path: String| FileQuery {
        path,
        content: false,
    };
    let data = names::data(&desired.name, key);
    let programs = names::programs(&desired.version);
    let mut queries = vec![
        plain(format!("{data}/member/wal")),
        plain(data),
        plain(desired.issuer.root_path()),
        plain(desired.issuer.file_path()),
        plain(format!("/opt/step/{}/step", version::STEP)),
    ];
    queries.extend(["etcd", "etcdctl", "etcdutl"].map(|name| plain(format!("{programs}/{name}"))));
    let directories = names::DIRECTORIES.map(str::to_owned).into_iter();
    let mut of_programs = names::program_directories(&desired.version);
    of_programs.push(names::link(&desired.version).0);
    queries.extend(directories.chain(of_programs).map(plain));
    let written = files(desired, key, &desired.nodes[key], Phase::Existing);
    queries.extend(written.into_iter().map(|file| FileQuery {
        path: file.path,
        content: true,
    }));
    let mut certificates = Role::ALL
        .map(|role| {
            let stem = names::certificate_stem(&desired.name, key, role.as_str());
            CertificateQuery {
                path: format!("{stem}.crt"),
                key_path: format!("{stem}.key"),
                root_path: desired.issuer.root_path(),
                root_fingerprint: desired.issuer.fingerprint.clone().unwrap_or_default(),
            }
        })
        .to_vec();
    certificates.push(CertificateQuery {
        path: desired.issuer.root_path(),
        ..CertificateQuery::default()
    });
    let renewals = Role::ALL.map(|role| names::renewal(&desired.name, role.as_str()));
    let renewals = renewals
        .iter()
        .flat_map(|stem| [format!("{stem}.timer"), format!("{stem}.service")]);
    ObserveRequest {
        files: queries,
        units: std::iter::once(names::unit(&desired.name, key))
            .chain(renewals)
            .collect(),
        certificates,
        etcd: vec![member(desired, key)],
        ports: desired.ports().into_iter().map(u32::from).collect(),
        users: vec![names::USER.to_owned()],
        owners: vec![names::owner(&desired.name)],
        space: [space::PROGRAMS, space::DATA]
            .map(|(path, _)| path.to_owned())
            .to_vec(),
        ..ObserveRequest::default()
    }
}
