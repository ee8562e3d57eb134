//! Entries of `nodes`: the user's wish for a member or a CA on a host.

use std::{collections::BTreeMap, net::IpAddr};

use crate::{address, name::NodeKey, problem::Problems};

/// A node as the user wrote it, with the types checked already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeWish {
    /// Where SSH finds it.
    pub host: String,
    /// IP address that is listened on.
    pub address: Option<String>,
    /// Name or address that others are told.
    pub advertise: Option<String>,
    /// SSH port.
    pub port: Option<i64>,
    /// SSH user.
    pub user: Option<String>,
    /// Name of an `ssh_profile` block.
    pub ssh_profile: Option<String>,
    /// Pinned host key.
    pub host_key: Option<String>,
    /// More names for its server certificate.
    pub server_sans: Vec<String>,
}

/// A node whose addresses are settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where SSH finds it.
    pub host: String,
    /// IP address that is listened on.
    pub address: IpAddr,
    /// Name or address that others are told.
    pub advertise: String,
    /// More names for its server certificate.
    pub server_sans: Vec<String>,
}

/// Settles the addresses of all nodes; what is wrong is collected at `nodes`.
pub fn settle(
    wishes: &BTreeMap<String, NodeWish>,
    problems: &mut Problems,
) -> BTreeMap<NodeKey, Node> {
    let mut nodes = BTreeMap::new();
    let mut hosts: BTreeMap<String, &str> = BTreeMap::new();
    for (key, wish) in wishes {
        let parsed = match NodeKey::parse(key) {
            Ok(parsed) => parsed,
            Err(error) => {
                problems.error(
                    &["nodes", key],
                    "Invalid node key",
                    format!("{error}. The key stands in the names of units and paths for life."),
                );
                continue;
            }
        };
        let Some(address) = address_of(key, wish, problems) else {
            continue;
        };
        if let Some(other) = hosts.insert(address.to_string(), key) {
            problems.error(
                &["nodes", key, "host"],
                "Two nodes on one host",
                format!(
                    "Nodes \"{other}\" and \"{key}\" both have address {address}. A host holds one \
                     member of a cluster: a second one would be lost together with the first."
                ),
            );
        }
        let advertise = wish
            .advertise
            .clone()
            .unwrap_or_else(|| address.to_string());
        let node = Node {
            host: wish.host.clone(),
            address,
            advertise,
            server_sans: wish.server_sans.clone(),
        };
        nodes.insert(parsed, node);
    }
    nodes
}

fn address_of(key: &str, wish: &NodeWish, problems: &mut Problems) -> Option<IpAddr> {
    let (text, member) = match &wish.address {
        Some(address) => (address, "address"),
        None => (&wish.host, "host"),
    };
    let Ok(parsed) = text.parse::<IpAddr>() else {
        let detail = if member == "address" {
            format!("\"{text}\" is not an IP address. etcd listens on addresses, not on names.")
        } else {
            format!(
                "Host \"{text}\" is a name, so the address that etcd listens on must be said: add \
                 address = \"…\" to node \"{key}\"."
            )
        };
        problems.error(&["nodes", key, member], "An IP address is needed", detail);
        return None;
    };
    if let Some(why) = address::unusable(parsed) {
        problems.error(
            &["nodes", key, member],
            "Members cannot reach this address",
            format!("{parsed} {why}. Give an address that the other nodes can reach."),
        );
        return None;
    }
    Some(parsed)
}
