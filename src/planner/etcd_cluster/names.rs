//! Names and paths of a cluster on a host, as today's users have them.

use crate::{
    name::{Name, NodeKey},
    version,
};

/// Where etcd's own directories lie.
pub const HOME: &str = "/var/lib/etcd";
/// Certificates and keys of members.
pub const TLS: &str = "/etc/etcd/ssl";
/// Directories that members share, and that their service must be able to pass.
pub const DIRECTORIES: [&str; 4] = [HOME, "/etc/etcd", TLS, "/etc/etcd/issuers"];
/// The service user and group.
pub const USER: &str = crate::access::SERVICE;
/// The helper as timers call it.
pub const TIMER_HELPER: &str = "/opt/etcd-node/current/etcd-node";

/// `etcd-<cluster>-<key>`: name of the member, stem of everything else.
pub fn member(cluster: &Name, key: &NodeKey) -> String {
    format!("etcd-{cluster}-{key}")
}

/// Its unit.
pub fn unit(cluster: &Name, key: &NodeKey) -> String {
    format!("{}.service", member(cluster, key))
}

/// Its data directory.
pub fn data(cluster: &Name, key: &NodeKey) -> String {
    format!("{HOME}/{}", member(cluster, key))
}

/// The log that its data directory has from its first start on.
pub fn wal(cluster: &Name, key: &NodeKey) -> String {
    format!("{}/member/wal", data(cluster, key))
}

/// Its configuration.
pub fn configuration(cluster: &Name, key: &NodeKey) -> String {
    format!("/etc/etcd/{}-conf.yaml", member(cluster, key))
}

/// A file that lets its unit start without data, while it joins a cluster that exists.
pub fn joining(cluster: &Name, key: &NodeKey) -> String {
    format!("/etc/etcd/{}-joins", member(cluster, key))
}

/// Path of a certificate of it, without the ending.
pub fn certificate_stem(cluster: &Name, key: &NodeKey, role: &str) -> String {
    format!("{TLS}/{}-{role}", member(cluster, key))
}

/// Stem of the renewal timer and service of a role.
pub fn renewal(cluster: &Name, role: &str) -> String {
    format!("step-renew-{cluster}-{role}")
}

/// Owner in the ledger.
pub fn owner(cluster: &Name) -> String {
    format!("etcd_cluster/{cluster}")
}

/// Directory of the programs of a version.
pub fn programs(version: &semver::Version) -> String {
    format!("/opt/etcd/{version}")
}

/// The link that units start a version by, and where it leads.
pub fn link(version: &semver::Version) -> (String, String) {
    let program = format!("{}/etcd", programs(version));
    (format!("/opt/bin/etcd-{version}"), program)
}

/// The directories of programs, with those above them that are made for them.
pub fn program_directories(version: &semver::Version) -> Vec<String> {
    let step = format!("/opt/step/{}", version::STEP);
    let own = ["/opt", "/opt/bin", "/opt/etcd", "/opt/step"].map(str::to_owned);
    own.into_iter().chain([programs(version), step]).collect()
}
