//! A cluster as it should be: known, valid, complete.

use std::{collections::BTreeMap, net::IpAddr};

use semver::Version;

use super::{certificate::may_have, options};
use crate::{
    address, duration,
    issuer::Issuer,
    name::{Name, NodeKey},
    node::{self, Node, NodeWish},
    problem::Problems,
    rendered::sha256,
    version,
};

/// A cluster as the user wrote it. Types are checked; meaning is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Name of the cluster.
    pub name: String,
    /// Version; the default if there is none.
    pub version: Option<String>,
    /// The nodes by key.
    pub nodes: BTreeMap<String, NodeWish>,
    /// Client port; 2379.
    pub client_port: Option<i64>,
    /// Peer port; 2380.
    pub peer_port: Option<i64>,
    /// Metrics port; none.
    pub metrics_port: Option<i64>,
    /// Heartbeat interval in milliseconds; 250.
    pub heartbeat_interval_ms: Option<i64>,
    /// Election timeout in milliseconds; 5000.
    pub election_timeout_ms: Option<i64>,
    /// Snapshot count; 10000.
    pub snapshot_count: Option<i64>,
    /// Auto-compaction mode; `periodic`.
    pub auto_compaction_mode: Option<String>,
    /// Auto-compaction retention; `8`.
    pub auto_compaction_retention: Option<String>,
    /// Backend quota in bytes; 2 GiB.
    pub quota_backend_bytes: Option<i64>,
    /// More options of etcd.
    pub extra_options: BTreeMap<String, String>,
    /// More names for all server certificates.
    pub server_sans: Vec<String>,
    /// Lifetime of leaves; `17520h`.
    pub certificate_lifetime: Option<String>,
}

/// What a restart can change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// In milliseconds.
    pub heartbeat_interval_ms: u32,
    /// In milliseconds; at least five heartbeats, at most 50 000.
    pub election_timeout_ms: u32,
    /// Applied entries between two snapshots.
    pub snapshot_count: u64,
    /// `periodic` or `revision`.
    pub auto_compaction_mode: String,
    /// Hours or a duration, or a number of revisions.
    pub auto_compaction_retention: String,
    /// In bytes.
    pub quota_backend_bytes: u64,
    /// Validated options by name, as they stand in the YAML of this minor version.
    pub extra: BTreeMap<String, String>,
}

/// A cluster as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Its name.
    pub name: Name,
    /// Its uid; empty while it is being planned for the first time.
    pub id: String,
    /// Version of etcd on every member.
    pub version: Version,
    /// Its nodes.
    pub nodes: BTreeMap<NodeKey, Node>,
    /// Client port on every node.
    pub client_port: u16,
    /// Peer port on every node.
    pub peer_port: u16,
    /// Port of metrics on loopback, if wanted.
    pub metrics_port: Option<u16>,
    /// What a restart can change.
    pub tuning: Tuning,
    /// More names for all server certificates.
    pub server_sans: Vec<String>,
    /// Lifetime of leaves, in seconds.
    pub certificate_lifetime_s: u32,
    /// Its CA.
    pub issuer: Issuer,
    /// What an import wants to find again on a host; opaque here.
    pub record: String,
}

impl Desired {
    /// Reads a wish. Warnings and errors are collected in `problems`; with an error there is no
    /// result.
    pub fn read(wish: &Wish, issuer: Issuer, problems: &mut Problems) -> Option<Self> {
        let name = Name::parse(&wish.name)
            .map_err(|error| {
                problems.error(
                    &["name"],
                    "Invalid name",
                    format!("{error}. The name stands in units, paths and certificates for life."),
                );
            })
            .ok();
        let version = read_version(wish.version.as_deref(), problems);
        if wish.nodes.is_empty() {
            problems.error(&["nodes"], "No nodes", "A cluster has at least one node.");
        }
        let nodes = node::settle(&wish.nodes, problems);
        node::check_sans(&["server_sans"], &wish.server_sans, problems);
        if let Some(name) = &name {
            check_roles(name, wish, problems);
        }
        count(wish.nodes.len(), problems);
        let client_port = port("client_port", wish.client_port, 2379, problems);
        let peer_port = port("peer_port", wish.peer_port, 2380, problems);
        let metrics_port = wish
            .metrics_port
            .and_then(|number| port("metrics_port", Some(number), 0, problems));
        different_ports(wish, [client_port, peer_port, metrics_port], problems);
        let tuning = version
            .as_ref()
            .and_then(|version| read_tuning(wish, version, problems));
        let lifetime = read_lifetime(wish.certificate_lifetime.as_deref(), problems);
        if problems.has_errors() {
            return None;
        }
        Some(Self {
            name: name?,
            id: String::new(),
            version: version?,
            nodes,
            client_port: client_port?,
            peer_port: peer_port?,
            metrics_port,
            tuning: tuning?,
            server_sans: wish.server_sans.clone(),
            certificate_lifetime_s: lifetime?,
            issuer,
            record: String::new(),
        })
    }

    /// `initial-cluster-token`: unique for each cluster ever made, so that two never meet.
    pub fn token(&self) -> String {
        format!("{}-{}-1", self.name, self.id)
    }

    /// Peer URL of a node.
    pub fn peer_url(&self, node: &Node) -> String {
        address::https(&node.advertise, self.peer_port)
    }

    /// Client URL of a node.
    pub fn client_url(&self, node: &Node) -> String {
        address::https(&node.advertise, self.client_port)
    }

    /// How the helper on the host reaches its member.
    pub fn local_endpoint(&self, node: &Node) -> String {
        address::https(
            &address::loopback(node.address).to_string(),
            self.client_port,
        )
    }

    /// Whether anything on hosts would be otherwise than `self` has it.
    pub fn is_other(&self, wanted: &Self) -> bool {
        let of = |desired: &Self| Self {
            id: String::new(),
            record: String::new(),
            ..desired.clone()
        };
        of(self) != of(wanted)
    }

    /// SHA-256 of what makes a creation the same one: name, nodes with addresses, ports.
    pub fn wish(&self) -> String {
        let nodes: Vec<String> = self
            .nodes
            .iter()
            .map(|(key, node)| format!("{key}={}/{}/{}", node.host, node.address, node.advertise))
            .collect();
        let text = format!(
            "{} {} {} {}",
            self.name,
            self.client_port,
            self.peer_port,
            nodes.join(" ")
        );
        sha256(text.as_bytes())
    }

    /// A node as sentences call it: `1 (10.0.1.10)`.
    pub fn called(&self, key: &NodeKey) -> String {
        self.nodes
            .get(key)
            .map_or_else(|| key.to_string(), |node| format!("{key} ({})", node.host))
    }

    /// Ports that the cluster takes on each host.
    pub fn ports(&self) -> Vec<u16> {
        let ports = self.wanted_ports().into_iter();
        ports.map(|(_, port)| port).collect()
    }

    /// The same, each with the attribute that gives it.
    pub fn wanted_ports(&self) -> Vec<(&'static str, u16)> {
        let metrics = self.metrics_port.map(|port| ("metrics_port", port));
        let always = [
            ("client_port", self.client_port),
            ("peer_port", self.peer_port),
        ];
        always.into_iter().chain(metrics).collect()
    }
}

/// Names that would let this cluster into another one.
fn check_roles(cluster: &Name, wish: &Wish, problems: &mut Problems) {
    let of_nodes = wish.nodes.iter().map(|(key, node)| {
        let place = vec!["nodes", key, "server_sans"];
        (place, &node.server_sans)
    });
    let all = std::iter::once((vec!["server_sans"], &wish.server_sans)).chain(of_nodes);
    for (place, sans) in all {
        for san in sans.iter().filter(|san| !may_have(cluster.as_str(), san)) {
            problems.error(
                &place,
                "Name of a role of another cluster",
                format!(
                    "\"{san}\" lets its owner into the cluster whose name it begins with. Names below \
                     etcd.internal are given by the CA: leave it out."
                ),
            );
        }
    }
}

fn read_version(text: Option<&str>, problems: &mut Problems) -> Option<Version> {
    let Some(text) = text else {
        return Some(version::default_version());
    };
    let Ok(parsed) = Version::parse(text.strip_prefix('v').unwrap_or(text)) else {
        problems.error(
            &["version"],
            "Invalid version",
            format!(
                "\"{text}\" is not a version such as \"{}\".",
                version::default_version()
            ),
        );
        return None;
    };
    let Some(line) = version::line(&parsed) else {
        problems.error(
            &["version"],
            "Unsupported version",
            format!(
                "etcd {parsed} has options that this provider does not know; it knows the lines {}.",
                version::lines_in_words()
            ),
        );
        return None;
    };
    if parsed.patch > line.newest {
        problems.warning(
            &["version"],
            "Version is newer than this provider",
            format!(
                "The newest 3.{} known on {} is 3.{}.{}; {parsed} may not exist.",
                line.minor,
                version::TABLE_DATE,
                line.minor,
                line.newest
            ),
        );
    }
    if parsed.patch < line.floor {
        problems.warning(
            &["version"],
            "Version has known security faults",
            format!(
                "etcd {parsed} is below 3.{}.{}: {}. The newest is 3.{}.{}.",
                line.minor, line.floor, line.advisories, line.minor, line.newest
            ),
        );
    }
    Some(parsed)
}

fn count(nodes: usize, problems: &mut Problems) {
    if nodes > 0 && nodes.is_multiple_of(2) {
        problems.warning(
            &["nodes"],
            "Even number of members",
            format!(
                "{nodes} members tolerate {} failures, as {} would: the last one adds a machine \
                 that can fail and no safety.",
                (nodes - 1) / 2,
                nodes - 1
            ),
        );
    }
    if nodes > 9 {
        problems.error(
            &["nodes"],
            "Too many members",
            format!(
                "{nodes} members would wait for each other on every write. Nine are the limit."
            ),
        );
    } else if nodes > 7 {
        problems.warning(
            &["nodes"],
            "Many members",
            "Every write waits for a majority; more than seven members mostly cost speed.",
        );
    }
}

fn port(
    attribute: &str,
    number: Option<i64>,
    default: u16,
    problems: &mut Problems,
) -> Option<u16> {
    let Some(number) = number else {
        return Some(default);
    };
    let port = u16::try_from(number).ok().filter(|port| *port > 0);
    if port.is_none() {
        problems.error(
            &[attribute],
            "Invalid port",
            format!("{number} is not a port (1 to 65535)."),
        );
    }
    port
}

/// The ports as they are, defaults included, in the order client, peer, metrics. What is wrong is told at the last one
/// that somebody wrote.
fn different_ports(wish: &Wish, ports: [Option<u16>; 3], problems: &mut Problems) {
    let named = [
        ("client_port", wish.client_port),
        ("peer_port", wish.peer_port),
        ("metrics_port", wish.metrics_port),
    ];
    for (index, ((name, written), port)) in named.iter().zip(ports).enumerate() {
        let mut earlier = named.iter().zip(ports).take(index);
        let twin = earlier.find(|(_, other)| port.is_some() && *other == port);
        if let (Some(((other, _), _)), Some(port)) = (twin, port) {
            let place = if written.is_some() { name } else { other };
            problems.error(
                &[place],
                "Ports must differ",
                format!("{other} and {name} are both {port}."),
            );
        }
    }
}

fn read_tuning(wish: &Wish, version: &Version, problems: &mut Problems) -> Option<Tuning> {
    let heartbeat = range(
        "heartbeat_interval_ms",
        wish.heartbeat_interval_ms,
        250,
        1,
        10_000,
        problems,
    );
    let election = range(
        "election_timeout_ms",
        wish.election_timeout_ms,
        5000,
        1,
        50_000,
        problems,
    );
    if let (Some(heartbeat), Some(election)) = (heartbeat, election)
        && election < 5 * heartbeat
    {
        let place = match (wish.heartbeat_interval_ms, wish.election_timeout_ms) {
            (Some(_), None) => "heartbeat_interval_ms",
            _ => "election_timeout_ms",
        };
        problems.error(
            &[place],
            "Election timeout too short",
            format!(
                "election_timeout_ms is {election}; with a heartbeat of {heartbeat} ms etcd wants at \
                 least {} (five heartbeats) and does not start with less.",
                5 * heartbeat
            ),
        );
    }
    let snapshots = range(
        "snapshot_count",
        wish.snapshot_count,
        10_000,
        1,
        i64::MAX,
        problems,
    );
    let quota = range(
        "quota_backend_bytes",
        wish.quota_backend_bytes,
        2 << 30,
        1 << 20,
        i64::MAX,
        problems,
    );
    if quota.is_some_and(|quota| quota > 8 << 30) {
        problems.warning(
            &["quota_backend_bytes"],
            "Large quota",
            "etcd advises at most 8 GiB: restarts and restores read the whole database.",
        );
    }
    let mode = wish.auto_compaction_mode.as_deref().unwrap_or("periodic");
    let retention = wish.auto_compaction_retention.as_deref().unwrap_or("8");
    if !matches!(mode, "periodic" | "revision") {
        problems.error(
            &["auto_compaction_mode"],
            "Unknown compaction mode",
            format!("\"{mode}\" is neither \"periodic\" nor \"revision\"."),
        );
    }
    let number = retention.parse::<u32>().is_ok();
    if !(number || mode == "periodic" && duration::milliseconds(retention).is_some()) {
        problems.error(
            &["auto_compaction_retention"],
            "Invalid retention",
            format!(
                "\"{retention}\" is neither a number of hours nor a duration such as \"30m\"; in \
                 mode \"revision\" it is a number of revisions."
            ),
        );
    }
    let extra = options::validate(&wish.extra_options, version, problems);
    let narrow = |number: i64| u32::try_from(number).ok();
    Some(Tuning {
        heartbeat_interval_ms: heartbeat.and_then(narrow)?,
        election_timeout_ms: election.and_then(narrow)?,
        snapshot_count: snapshots.and_then(|number| u64::try_from(number).ok())?,
        auto_compaction_mode: mode.to_owned(),
        auto_compaction_retention: retention.to_owned(),
        quota_backend_bytes: quota.and_then(|number| u64::try_from(number).ok())?,
        extra,
    })
}

fn range(
    attribute: &str,
    number: Option<i64>,
    default: i64,
    least: i64,
    most: i64,
    problems: &mut Problems,
) -> Option<i64> {
    let number = number.unwrap_or(default);
    if (least..=most).contains(&number) {
        return Some(number);
    }
    let limit = if number < least {
        format!("at least {least}")
    } else {
        format!("at most {most}")
    };
    problems.error(
        &[attribute],
        "Value out of range",
        format!("{number} is not allowed: {limit}."),
    );
    None
}

/// Lifetime limits of the CA's claims (E23), in seconds.
const LIFETIMES: (u64, u64) = (3_600, 26_280 * 3_600);

fn read_lifetime(text: Option<&str>, problems: &mut Problems) -> Option<u32> {
    let text = text.unwrap_or("17520h");
    let seconds = duration::milliseconds(text).map(|milliseconds| milliseconds / 1000);
    let allowed = seconds.filter(|seconds| (LIFETIMES.0..=LIFETIMES.1).contains(seconds));
    if allowed.is_none() {
        problems.error(
            &["certificate_lifetime"],
            "Invalid lifetime",
            format!("\"{text}\" is not a duration from \"1h\" to \"26280h\"."),
        );
    }
    u32::try_from(allowed?).ok()
}

/// Addresses that a certificate holds beside names.
pub(super) fn split_sans(sans: impl IntoIterator<Item = String>) -> (Vec<String>, Vec<String>) {
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    for san in sans {
        match san.parse::<IpAddr>() {
            Ok(address) => addresses.push(address.to_string()),
            Err(_) => names.push(san),
        }
    }
    for list in [&mut names, &mut addresses] {
        list.sort();
        list.dedup();
    }
    (names, addresses)
}

#[cfg(test)]
mod tests;
