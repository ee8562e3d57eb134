//! The three certificates of a member and the names in them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    desired::{Desired, split_sans},
    names,
};
use crate::{name::NodeKey, node::Node};

/// What a certificate of a member is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Between members.
    Peer,
    /// Towards clients.
    Server,
    /// For local clients: the helper, a person, kube-apiserver on the same host.
    Client,
}

impl Role {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Peer, Self::Server, Self::Client];

    /// As it stands in paths and names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Names below it are roles in clusters: `<cluster>.<role>.etcd.internal`.
const ROLES: &str = ".etcd.internal";

/// Whether a cluster may have a name in its certificates: names of roles only below its own. Others let
/// in by them.
pub fn may_have(cluster: &str, name: &str) -> bool {
    // DNS compares without regard to case, and so does who checks certificates.
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let Some(stem) = name.strip_suffix(ROLES) else {
        return name != ROLES.trim_start_matches('.');
    };
    stem.rsplit_once('.').is_some_and(|(owner, role)| {
        owner == cluster
            && !role.is_empty()
            && role
                .chars()
                .all(|character| character.is_ascii_lowercase() || character == '-')
    })
}

/// Mode of a certificate: it is shown to whoever asks.
pub const CERTIFICATE_MODE: u32 = 0o644;
/// Mode of its key: nobody writes it, and the service user alone reads it.
pub const KEY_MODE: u32 = 0o400;

/// What a certificate must say. Renewal never changes it, so it is right from the first day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Common name: the role in the cluster.
    pub common_name: String,
    /// DNS names, sorted.
    pub dns_names: Vec<String>,
    /// Addresses, sorted.
    pub ip_addresses: Vec<String>,
}

/// The names for `role` of node `key`.
///
/// `<cluster>.peer.etcd.internal` and `<cluster>.client.etcd.internal` are what `allowed-hostname`
/// lets in: a certificate of another cluster under the same CA does not hold them (E26a).
pub fn subject(desired: &Desired, key: &NodeKey, node: &Node, role: Role) -> Subject {
    let common_name = format!("{}.{role}{ROLES}", desired.name);
    let mut sans = vec![common_name.clone()];
    match role {
        // etcd compares the remote address with the IP SANs of a peer (`listener_tls.go`).
        Role::Peer => {
            sans.extend([
                node.address.to_string(),
                node.advertise.clone(),
                names::member(&desired.name, key),
            ]);
        }
        Role::Server => {
            sans.extend([
                node.address.to_string(),
                node.advertise.clone(),
                node.host.clone(),
                names::member(&desired.name, key),
                "localhost".to_owned(),
                "127.0.0.1".to_owned(),
                "::1".to_owned(),
            ]);
            sans.extend(desired.server_sans.iter().cloned());
            sans.extend(node.server_sans.iter().cloned());
        }
        Role::Client => {}
    }
    let (dns_names, ip_addresses) = split_sans(sans);
    Subject {
        common_name,
        dns_names,
        ip_addresses,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::etcd_cluster::fixture::{desired, key};

    fn check(desired: &Desired, role: Role, expected: &Expect) {
        let key = key("1");
        let subject = subject(desired, &key, &desired.nodes[&key], role);
        let mut names = vec![subject.common_name];
        names.extend(subject.dns_names);
        names.extend(subject.ip_addresses);
        expected.assert_eq(&names.join(" "));
    }

    #[test]
    fn names_say_the_role_in_the_cluster() {
        let desired = desired(3);
        check(
            &desired,
            Role::Peer,
            &expect!["k8s.peer.etcd.internal etcd-k8s-1 k8s.peer.etcd.internal 10.0.1.11"],
        );
        check(
            &desired,
            Role::Server,
            &expect![
                "k8s.server.etcd.internal etcd-k8s-1 k8s.server.etcd.internal localhost 10.0.1.11 127.0.0.1 ::1"
            ],
        );
        check(
            &desired,
            Role::Client,
            &expect!["k8s.client.etcd.internal k8s.client.etcd.internal"],
        );
    }

    #[test]
    fn servers_have_all_names_under_which_they_are_called() {
        let mut desired = desired(3);
        desired.server_sans = vec!["etcd.kube-system.svc".to_owned(), "10.96.0.9".to_owned()];
        let node = desired.nodes.get_mut(&key("1")).expect("a node");
        node.host = "db1.example".to_owned();
        node.advertise = "etcd1.example".to_owned();
        node.address = "fd00::1".parse().expect("an address");
        node.server_sans = vec!["FD00:0::2".to_owned(), "db1.example".to_owned()];
        check(
            &desired,
            Role::Peer,
            &expect![
                "k8s.peer.etcd.internal etcd-k8s-1 etcd1.example k8s.peer.etcd.internal fd00::1"
            ],
        );
        check(
            &desired,
            Role::Server,
            &expect![
                "k8s.server.etcd.internal db1.example etcd-k8s-1 etcd.kube-system.svc etcd1.example k8s.server.etcd.internal localhost 10.96.0.9 127.0.0.1 ::1 fd00::1 fd00::2"
            ],
        );
    }

    #[test]
    fn other_clusters_get_other_names() {
        let one = desired(3);
        let mut other = one.clone();
        other.name = crate::name::Name::parse("events").expect("a name");
        let key = key("1");
        for role in [Role::Peer, Role::Client] {
            let of = |desired: &Desired| subject(desired, &key, &desired.nodes[&key], role);
            let (one, other) = (of(&one), of(&other));
            assert!(
                one.dns_names
                    .iter()
                    .all(|name| !other.dns_names.contains(name))
            );
        }
    }
}
