//! What the local member answers.

use std::{
    fs,
    time::{Duration, Instant},
};

use etcd_client::{
    AlarmAction, AlarmType, Certificate, ConnectOptions, GetOptions, Identity, TlsOptions,
};
use serde::Deserialize;

use crate::{
    ca,
    failure::{Failed, chain},
    proto::{EtcdAlarm, EtcdFact, EtcdMember, EtcdQuery, failure::Kind},
    root::Root,
};

/// Limit for a request that comes without one.
const USUAL: Duration = Duration::from_secs(2);

/// A key that is never written; asking for it takes a quorum all the same.
const PROBE: &str = "etcd-node/health";

/// A connection to the member of a query.
pub(crate) struct Client(pub(crate) etcd_client::Client);

#[derive(Deserialize)]
struct Version {
    etcdserver: String,
    #[serde(default)]
    etcdcluster: String,
}

impl Client {
    pub(crate) async fn connect(root: &Root, query: &EtcdQuery) -> Result<Self, Failed> {
        let read = |path: &str| {
            let place = root.wanted(path)?;
            fs::read(&place).map_err(|error| Failed::io("reading", &place, &error))
        };
        let mut options = ConnectOptions::new()
            .with_connect_timeout(limit(query))
            .with_timeout(limit(query));
        if !query.ca_path.is_empty() {
            let ca = Certificate::from_pem(read(&query.ca_path)?);
            let identity =
                Identity::from_pem(read(&query.certificate_path)?, read(&query.key_path)?);
            options = options.with_tls(TlsOptions::new().ca_certificate(ca).identity(identity));
        }
        etcd_client::Client::connect([&query.endpoint], Some(options))
            .await
            .map(Self)
            .map_err(|error| failed(query, &error))
    }
}

fn limit(query: &EtcdQuery) -> Duration {
    if query.timeout_ms == 0 {
        USUAL
    } else {
        Duration::from_millis(query.timeout_ms.into())
    }
}

/// What etcd says, with whether a later try can succeed.
pub(crate) fn failed(query: &EtcdQuery, error: &etcd_client::Error) -> Failed {
    // Texts of `api/v3rpc/rpctypes/error.go`; the codes alone do not tell these from others.
    const LATER: [&str; 8] = [
        "unhealthy cluster",
        "not ready",
        "no leader",
        "leader changed",
        "in sync with leader",
        "timed out",
        "too many learner",
        "server stopped",
    ];
    let text = text(error);
    let is_unanswered = matches!(error, etcd_client::Error::TransportError(_))
        || matches!(error, etcd_client::Error::GRpcStatus(status)
            if matches!(status.code(), tonic::Code::Unavailable | tonic::Code::DeadlineExceeded | tonic::Code::Cancelled));
    let is_later = is_unanswered || LATER.iter().any(|part| text.contains(part));
    let kind = if is_later { Kind::NotYet } else { Kind::Etcd };
    Failed::new(
        kind,
        &query.endpoint,
        format!("the member at {} answers: {text}", query.endpoint),
    )
    .output(&text)
}

/// etcd's own words where it answered.
fn text(error: &etcd_client::Error) -> String {
    match error {
        etcd_client::Error::GRpcStatus(status) => status.message().to_owned(),
        other => chain(other),
    }
}

/// Refused after consensus (`EtcdServer.Range`): this user may not read, but a quorum answered.
fn is_refused_by_quorum(error: &etcd_client::Error) -> bool {
    let text = text(error);
    [
        "permission denied",
        "user name is empty",
        "invalid auth token",
        "user name not found",
    ]
    .iter()
    .any(|part| text.contains(part))
}

pub(super) async fn fact(root: &Root, query: &EtcdQuery) -> EtcdFact {
    let mut fact = EtcdFact {
        endpoint: query.endpoint.clone(),
        ..EtcdFact::default()
    };
    if let Err(why) = Box::pin(ask(root, query, &mut fact)).await {
        fact.error = why;
    }
    fact
}

async fn ask(root: &Root, query: &EtcdQuery, fact: &mut EtcdFact) -> Result<(), String> {
    // Asked first and alone: a member that is not there says so at once here, and TLS says why, while
    // gRPC would try until its time is up.
    let version = version(root, query).await?;
    fact.version = version.etcdserver;
    if version.etcdcluster != "not_decided" {
        fact.cluster_version = version.etcdcluster;
    }
    let mut client = Client::connect(root, query)
        .await
        .map_err(|failed| failed.0.message)?
        .0;
    let (mut lister, mut alarmer, mut reader) = (client.clone(), client.clone(), client.clone());
    let read = async {
        let started = Instant::now();
        let options = GetOptions::new().with_limit(1).with_count_only();
        let result = reader.get(PROBE, Some(options)).await;
        (result, started.elapsed())
    };
    let (status, members, alarms, (read, took)) = tokio::join!(
        client.status(),
        lister.member_list(),
        alarmer.alarm(AlarmAction::Get, AlarmType::None, None),
        read,
    );
    let status = status.map_err(|error| format!("status: {}", text(&error)))?;
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
    fact.is_learner = status.is_learner();
    fact.linearizable_ms = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
    match read {
        Ok(_) => fact.linearizable = true,
        Err(error) if is_refused_by_quorum(&error) => fact.linearizable = true,
        Err(error) => fact.linearizable_error = text(&error),
    }
    let members = members.map_err(|error| format!("member list: {}", text(&error)))?;
    fact.members = members.members().iter().map(member).collect();
    let alarms = alarms.map_err(|error| format!("alarms: {}", text(&error)))?;
    fact.alarms = alarms.alarms().iter().filter_map(alarm).collect();
    Ok(())
}

async fn version(root: &Root, query: &EtcdQuery) -> Result<Version, String> {
    let read = |path: &str| {
        let place = root.wanted(path)?;
        fs::read_to_string(&place).map_err(|error| Failed::io("reading", &place, &error))
    };
    let client = || {
        if query.ca_path.is_empty() {
            return ca::client("", None, None);
        }
        let (certificate, key) = (read(&query.certificate_path)?, read(&query.key_path)?);
        ca::client(&read(&query.ca_path)?, Some((&certificate, &key)), None)
    };
    let client = client().map_err(|failed| failed.0.message)?;
    let response = client
        .get(format!("{}/version", query.endpoint.trim_end_matches('/')))
        .timeout(limit(query))
        .send()
        .await
        .map_err(|error| chain(&error))?;
    let text = response.text().await.map_err(|error| chain(&error))?;
    serde_json::from_str(&text).map_err(|error| format!("its version cannot be read: {error}"))
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

fn alarm(alarm: &etcd_client::AlarmMember) -> Option<EtcdAlarm> {
    let kind = match alarm.alarm() {
        AlarmType::Nospace => "NOSPACE",
        AlarmType::Corrupt => "CORRUPT",
        AlarmType::None => return None,
    };
    Some(EtcdAlarm {
        member_id: alarm.member_id(),
        kind: kind.to_owned(),
    })
}
