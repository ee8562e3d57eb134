//! What the local member answers.

use std::{
    fs,
    time::{Duration, Instant},
};

use etcd_client::{
    AlarmAction, AlarmType, Certificate, ConnectOptions, GetOptions, Identity, TlsOptions,
};

use crate::{
    failure::Failed,
    proto::{EtcdAlarm, EtcdFact, EtcdMember, EtcdQuery, failure::Kind},
};

/// A connection to the member of a query.
pub(crate) struct Client(pub(crate) etcd_client::Client);

impl Client {
    pub(crate) async fn connect(query: &EtcdQuery) -> Result<Self, Failed> {
        let read = |path: &str| {
            fs::read(path).map_err(|error| Failed::io("reading", path.to_owned(), &error))
        };
        let identity = Identity::from_pem(read(&query.certificate_path)?, read(&query.key_path)?);
        let tls = TlsOptions::new()
            .ca_certificate(Certificate::from_pem(read(&query.ca_path)?))
            .identity(identity);
        let options = ConnectOptions::new()
            .with_tls(tls)
            .with_connect_timeout(timeout(query))
            .with_timeout(timeout(query));
        etcd_client::Client::connect([&query.endpoint], Some(options))
            .await
            .map(Self)
            .map_err(|error| failed(query, &error))
    }
}

pub(crate) fn timeout(query: &EtcdQuery) -> Duration {
    Duration::from_millis(if query.timeout_ms == 0 {
        2000
    } else {
        query.timeout_ms.into()
    })
}

pub(crate) fn failed(query: &EtcdQuery, error: &etcd_client::Error) -> Failed {
    let text = error.to_string();
    // These texts are etcd's own (`api/v3rpc/rpctypes/error.go`); a later try can succeed.
    let wait = [
        "unhealthy cluster",
        "not ready",
        "no leader",
        "in sync with leader",
        "timed out",
        "too many learner",
    ];
    let kind = if wait.iter().any(|part| text.contains(part)) {
        Kind::NotYet
    } else {
        Kind::Etcd
    };
    Failed::new(
        kind,
        &query.endpoint,
        format!("the member at {} answers: {text}", query.endpoint),
    )
    .output(&text)
}

pub(crate) async fn fact(query: &EtcdQuery) -> EtcdFact {
    let mut fact = EtcdFact {
        endpoint: query.endpoint.clone(),
        ..EtcdFact::default()
    };
    let mut client = match Client::connect(query).await {
        Ok(client) => client.0,
        Err(failed) => {
            fact.error = failed.0.message;
            return fact;
        }
    };
    let status = match client.status().await {
        Ok(status) => status,
        Err(error) => {
            fact.error = error.to_string();
            return fact;
        }
    };
    fact.reachable = true;
    if let Some(header) = status.header() {
        fact.cluster_id = header.cluster_id();
        fact.member_id = header.member_id();
        fact.revision = header.revision();
    }
    fact.leader_id = status.leader();
    fact.raft_term = status.raft_term();
    fact.raft_index = status.raft_index();
    fact.raft_applied_index = status.raft_applied_index();
    fact.database_size_bytes = status.db_size();
    fact.database_size_in_use_bytes = status.raft_used_db_size();
    status.version().clone_into(&mut fact.version);
    fact.is_learner = status.is_learner();
    let (mut lister, mut alarmer, mut reader) = (client.clone(), client.clone(), client);
    let started = Instant::now();
    let (members, alarms, read) = tokio::join!(
        lister.member_list(),
        alarmer.alarm(AlarmAction::Get, AlarmType::None, None),
        reader.get(
            "etcd-node/health",
            Some(GetOptions::new().with_limit(1).with_count_only())
        ),
    );
    fact.linearizable_ms = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
    if let Ok(members) = members {
        fact.members = members.members().iter().map(member).collect();
    }
    if let Ok(alarms) = alarms {
        fact.alarms = alarms
            .alarms()
            .iter()
            .map(|alarm| EtcdAlarm {
                member_id: alarm.member_id(),
                kind: match alarm.alarm() {
                    AlarmType::Nospace => "NOSPACE",
                    AlarmType::Corrupt => "CORRUPT",
                    AlarmType::None => "NONE",
                }
                .to_owned(),
            })
            .collect();
    }
    match read {
        Ok(_) => fact.linearizable = true,
        // Refused after consensus: authentication is on and this user may not read, but a quorum is.
        Err(error) if error.to_string().contains("permission denied") => fact.linearizable = true,
        Err(error) => fact.linearizable_error = error.to_string(),
    }
    fact
}

pub(crate) fn member(member: &etcd_client::Member) -> EtcdMember {
    EtcdMember {
        id: member.id(),
        name: member.name().to_owned(),
        peer_urls: member.peer_urls().to_vec(),
        client_urls: member.client_urls().to_vec(),
        is_learner: member.is_learner(),
    }
}
