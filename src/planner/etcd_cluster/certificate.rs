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
    let common_name = format!("{}.{role}.etcd.internal", desired.name);
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
