//! What a helper answers, in the planner's words.

use std::collections::BTreeMap;

use host::proto::{self, ObserveResponse, file_fact::Kind};
use planner::facts::{
    CaFact, CertificateFact, EtcdFact, FileFact, FileKind, HostFacts, JournalFact, MemberFact,
    OwnerFact, PortFact, SpaceFact, UnitFact,
};

use crate::session;

/// Facts about one host, as far as `owner` is concerned.
pub(crate) fn from_response(response: ObserveResponse, owner: &str) -> HostFacts {
    let host = response.host.unwrap_or_default();
    HostFacts {
        architecture: host.architecture,
        init: host.init,
        systemd_version: host.systemd_version,
        os: format!("{} {}", host.os_id, host.os_version)
            .trim()
            .to_owned(),
        machine_id: host.machine_id,
        now_ms: host.now_ms,
        addresses: host.addresses,
        files: response.files.into_iter().filter_map(file).collect(),
        units: response
            .units
            .into_iter()
            .filter(|unit| unit.load_state != "not-found")
            .map(unit)
            .collect(),
        certificates: response.certificates.into_iter().map(certificate).collect(),
        etcd: response.etcd.into_iter().next().map(etcd),
        ca: response.cas.into_iter().next().map(ca),
        ports: response.ports.into_iter().filter_map(port).collect(),
        owner: response
            .owners
            .into_iter()
            .find(|fact| fact.owner == owner)
            .map(|fact| OwnerFact {
                id: fact.id,
                manifest: fact.manifest,
            }),
        journal: response
            .journal
            .into_iter()
            .find(|entry| entry.owner == owner)
            .map(|entry| JournalFact {
                id: entry.id,
                wish: entry.wish,
                by: entry.by,
                is_made: entry.phase == session::MADE,
                since_ms: entry.started_ms,
            }),
        timer_helper: Some(!response.timer_helper_version.is_empty()),
        space: response
            .space
            .into_iter()
            .map(|fact| {
                let space = SpaceFact {
                    free_bytes: fact.free_bytes,
                    noexec: fact.noexec,
                    read_only: fact.read_only,
                };
                (fact.path, space)
            })
            .collect(),
        users: response
            .users
            .into_iter()
            .filter(|user| user.present)
            .map(|user| user.name)
            .collect(),
    }
}

fn file(fact: proto::FileFact) -> Option<(String, FileFact)> {
    let kind = match fact.kind() {
        Kind::Absent => return None,
        Kind::File => FileKind::File,
        Kind::Directory => FileKind::Directory,
        Kind::Link => FileKind::Link,
        Kind::Other => FileKind::Other,
    };
    let file = FileFact {
        kind,
        sha256: fact.sha256,
        mode: fact.mode,
        user: fact.user,
        group: fact.group,
        modified_ms: fact.modified_ms,
        content: fact.content,
        recorded_sha256: fact.recorded_sha256,
        owner: fact.owner,
        populated: fact.populated,
        made: fact.made,
        stranger: fact.stranger,
        link_target: fact.link_target,
    };
    Some((fact.path, file))
}

fn unit(fact: proto::UnitFact) -> (String, UnitFact) {
    let unit = UnitFact {
        load_state: fact.load_state,
        active_state: fact.active_state,
        unit_file_state: fact.unit_file_state,
        active_since_ms: fact.active_since_ms,
        executable_sha256: fact.executable_sha256,
        drop_ins: fact.drop_ins,
        exec_start: fact.exec_start,
        user: fact.user,
    };
    (fact.name, unit)
}

fn certificate(fact: proto::CertificateFact) -> (String, CertificateFact) {
    let certificate = CertificateFact {
        present: fact.present,
        error: fact.error,
        fingerprint: fact.fingerprint,
        common_name: fact.common_name,
        dns_names: fact.dns_names,
        ip_addresses: fact.ip_addresses,
        not_before_ms: fact.not_before_ms,
        not_after_ms: fact.not_after_ms,
        key_matches: fact.key_matches,
        key_mode: fact.key_mode,
        key_user: fact.key_user,
        chain_error: fact.chain_error,
        mode: fact.mode,
        user: fact.user,
    };
    (fact.path, certificate)
}

fn etcd(fact: proto::EtcdFact) -> EtcdFact {
    EtcdFact {
        reachable: fact.reachable,
        error: fact.error,
        cluster_id: fact.cluster_id,
        member_id: fact.member_id,
        leader_id: fact.leader_id,
        version: fact.version,
        is_learner: fact.is_learner,
        members: fact
            .members
            .into_iter()
            .map(|member| MemberFact {
                id: member.id,
                name: member.name,
                peer_urls: member.peer_urls,
                is_learner: member.is_learner,
            })
            .collect(),
        database_size_bytes: u64::try_from(fact.database_size_bytes).unwrap_or_default(),
        alarms: fact
            .alarms
            .into_iter()
            .map(|alarm| (alarm.member_id, alarm.kind))
            .collect(),
        linearizable: fact.linearizable,
    }
}

fn ca(fact: proto::CaFact) -> CaFact {
    CaFact {
        present: fact.present,
        root_fingerprint: fact.root_fingerprint,
        root_pem: fact.root_pem,
        root_not_after_ms: fact.root_not_after_ms,
        intermediate_not_after_ms: fact.intermediate_not_after_ms,
        healthy: fact.healthy,
        error: fact.error,
        consumers: fact
            .consumers
            .into_iter()
            .map(|consumer| consumer.name)
            .collect(),
        exposed: fact.exposed,
        lost: fact.lost,
        lacks_provisioner_key: fact.lacks_provisioner_key,
    }
}

fn port(fact: proto::PortFact) -> Option<(u16, PortFact)> {
    let port = PortFact {
        claimed_by: fact.claimed_by,
        listening: fact.listening,
        process: fact.process,
        unit: fact.unit,
    };
    Some((u16::try_from(fact.port).ok()?, port))
}

/// Facts by node key, from answers in any order.
pub(crate) type Facts = BTreeMap<planner::name::NodeKey, planner::facts::Fact<HostFacts>>;
