//! What was seen on hosts. Facts are old the moment they are taken.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Something that was seen, or the reason why it was not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fact<T> {
    /// It was seen.
    Known(T),
    /// It was not; never to be read as absent, and never as healthy.
    Unknown(String),
}

impl<T> Fact<T> {
    /// The value, if it was seen.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

/// One host, as the helper on it answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    /// As `uname -m` says.
    pub architecture: String,
    /// Name of process 1.
    pub init: String,
    /// Major version of systemd; 0 if unknown.
    pub systemd_version: u32,
    /// ID and `VERSION_ID` of os-release.
    pub os: String,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// The host's clock, milliseconds since 1970.
    pub now_ms: i64,
    /// IP addresses of its interfaces.
    pub addresses: Vec<String>,
    /// Files and directories by path; absent ones are not listed.
    pub files: BTreeMap<String, FileFact>,
    /// Units by name.
    pub units: BTreeMap<String, UnitFact>,
    /// Certificates by path.
    pub certificates: BTreeMap<String, CertificateFact>,
    /// The local member, if it was asked.
    pub etcd: Option<EtcdFact>,
    /// The local CA, if it was asked.
    pub ca: Option<CaFact>,
    /// Ports by number.
    pub ports: BTreeMap<u16, PortFact>,
    /// What the ledger says of the resource on this host.
    pub owner: Option<OwnerFact>,
    /// An unfinished creation of the resource on this host.
    pub journal: Option<JournalFact>,
    /// Users that exist.
    pub users: Vec<String>,
    /// The program that timers run is there and starts; not known of hosts that older builds saw.
    #[serde(default)]
    pub timer_helper: Option<bool>,
    /// File systems by a path on them. Never kept: it changes by itself.
    #[serde(skip)]
    pub space: BTreeMap<String, SpaceFact>,
}

/// The file system that a path is on, or will be on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpaceFact {
    /// What a service may still write.
    pub free_bytes: u64,
    /// Programs on it cannot be run.
    pub noexec: bool,
    /// Nothing can be written to it.
    pub read_only: bool,
}

/// A file, directory or link that exists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FileFact {
    /// `file`, `directory`, `link` or `other`.
    pub kind: FileKind,
    /// Hex, of regular files.
    pub sha256: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub user: String,
    /// Group; empty if an older build saw it.
    #[serde(default)]
    pub group: String,
    /// Milliseconds since 1970.
    pub modified_ms: i64,
    /// Text, if it was asked for.
    pub content: Option<String>,
    /// Hash that the ledger recorded at our last write; empty if it is not ours.
    pub recorded_sha256: String,
    /// Owner in the ledger.
    pub owner: String,
    /// A directory with entries.
    pub populated: bool,
    /// It was not there before us; an older build did not tell.
    #[serde(default)]
    pub made: bool,
    /// First path below a data directory that does not belong to the user of the directory; empty if none,
    /// or an older build saw it.
    #[serde(default)]
    pub stranger: String,
    /// Target of a link.
    pub link_target: String,
}

impl FileFact {
    /// It has other bytes than those of our last write.
    pub fn is_edited(&self) -> bool {
        self.sha256 != self.recorded_sha256
    }
}

/// What a path is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileKind {
    /// A regular file.
    #[default]
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, socket or pipe.
    Other,
}

/// A unit in systemd's own words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UnitFact {
    /// `loaded`, `not-found`, `masked`.
    pub load_state: String,
    /// `active`, `activating`, `inactive`, `failed`.
    pub active_state: String,
    /// `enabled`, `disabled`, `masked`.
    pub unit_file_state: String,
    /// When it became active, milliseconds since 1970; 0 if it is not.
    pub active_since_ms: i64,
    /// SHA-256 of the main process's executable; empty if it does not run.
    pub executable_sha256: String,
    /// Drop-ins that systemd applies.
    pub drop_ins: Vec<String>,
    /// What a service starts with all drop-ins, a command each; empty if an older build saw it.
    #[serde(default)]
    pub exec_start: Vec<String>,
    /// The user that it runs as, with all drop-ins; empty for root.
    #[serde(default)]
    pub user: String,
}

impl UnitFact {
    /// Whether it runs or is on its way up.
    pub fn is_up(&self) -> bool {
        matches!(
            self.active_state.as_str(),
            "active" | "activating" | "reloading"
        )
    }

    /// Whether it will be started at boot.
    pub fn is_enabled(&self) -> bool {
        self.unit_file_state == "enabled"
    }
}

/// A certificate and its key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CertificateFact {
    /// The file is there.
    pub present: bool,
    /// Why it cannot be read.
    pub error: String,
    /// SHA-256 in DER, hex; of a chain, the leaf's.
    #[serde(default)]
    pub fingerprint: String,
    /// Subject's common name.
    pub common_name: String,
    /// DNS names in the SANs.
    pub dns_names: Vec<String>,
    /// Addresses in the SANs.
    pub ip_addresses: Vec<String>,
    /// Milliseconds since 1970.
    pub not_before_ms: i64,
    /// Milliseconds since 1970.
    pub not_after_ms: i64,
    /// The key is there and belongs to it.
    pub key_matches: bool,
    /// Permission bits of the key.
    pub key_mode: u32,
    /// Owner of the key.
    pub key_user: String,
    /// Why its chain does not lead to the root of its CA; empty if it does, or if nobody could tell.
    #[serde(default)]
    pub chain_error: String,
    /// Permission bits of the certificate.
    #[serde(default)]
    pub mode: u32,
    /// Owner of the certificate; empty if an older build saw it.
    #[serde(default)]
    pub user: String,
}

/// What the local member answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EtcdFact {
    /// It answered.
    pub reachable: bool,
    /// Why it did not.
    pub error: String,
    /// Cluster id.
    pub cluster_id: u64,
    /// Its own member id.
    pub member_id: u64,
    /// Member id of the leader that it knows; 0 for none.
    pub leader_id: u64,
    /// Version of the running server.
    pub version: String,
    /// It does not vote.
    pub is_learner: bool,
    /// The member list that it knows.
    pub members: Vec<MemberFact>,
    /// Size of its database file; 0 if an older build saw it.
    #[serde(default)]
    pub database_size_bytes: u64,
    /// Alarms: member id and kind.
    pub alarms: Vec<(u64, String)>,
    /// A linearizable read succeeded: it sees a quorum.
    pub linearizable: bool,
}

/// One entry of the member list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemberFact {
    /// Member id.
    pub id: u64,
    /// Empty until it has started once.
    pub name: String,
    /// Its peer URLs.
    pub peer_urls: Vec<String>,
    /// It does not vote.
    pub is_learner: bool,
}

/// What is known of a CA on the host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CaFact {
    /// Its files are there.
    pub present: bool,
    /// SHA-256 of the root in DER, hex.
    pub root_fingerprint: String,
    /// The root certificate.
    pub root_pem: String,
    /// When the root ends, milliseconds since 1970.
    pub root_not_after_ms: i64,
    /// When the intermediate ends, milliseconds since 1970.
    pub intermediate_not_after_ms: i64,
    /// It answers.
    pub healthy: bool,
    /// Why it does not.
    pub error: String,
    /// Clusters and clients that have certificates from it.
    pub consumers: Vec<String>,
    /// Paths of it that are not root's, or more open than they should be.
    #[serde(default)]
    pub exposed: Vec<String>,
    /// Files without which it cannot sign, and that cannot be made again.
    #[serde(default)]
    pub lost: Vec<String>,
    /// The key of its provisioner is missing; another can be made.
    #[serde(default)]
    pub lacks_provisioner_key: bool,
}

/// A TCP port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PortFact {
    /// Owner in the ledger that claims it.
    pub claimed_by: String,
    /// Somebody listens.
    pub listening: bool,
    /// Who.
    pub process: String,
    /// In which unit.
    pub unit: String,
}

/// The ledger's entry of the resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OwnerFact {
    /// Uid of the resource.
    pub id: String,
    /// What we wrote down at our last change, as JSON.
    pub manifest: String,
}

/// An unfinished creation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JournalFact {
    /// Uid that it made.
    pub id: String,
    /// SHA-256 of its wish.
    pub wish: String,
    /// Who began it, and where.
    pub by: String,
    /// It came to its end, and whether its object stands in a state is not known yet.
    #[serde(default)]
    pub is_made: bool,
    /// When this was written down, by the host's clock, milliseconds since 1970; 0 if an older build did.
    #[serde(default)]
    pub since_ms: i64,
}
