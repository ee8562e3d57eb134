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
    let mut hosts: BTreeMap<IpAddr, &str> = BTreeMap::new();
    let mut ways: BTreeMap<_, &str> = BTreeMap::new();
    let mut advertised: BTreeMap<String, &str> = BTreeMap::new();
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
        if let Some(other) = hosts.insert(address, key) {
            problems.error(
                &["nodes", key, "host"],
                "Two nodes on one host",
                format!(
                    "Nodes \"{other}\" and \"{key}\" both have address {address}. A host holds one \
                     member of a cluster: a second one would be lost together with the first."
                ),
            );
            continue;
        }
        let way = (&wish.host, wish.port.unwrap_or(22), &wish.ssh_profile);
        if let Some(other) = ways.insert(way, key) {
            problems.error(
                &["nodes", key, "host"],
                "Two nodes on one host",
                format!(
                    "Nodes \"{other}\" and \"{key}\" both have host {}. A host holds one member of a \
                     cluster: a second one would be lost together with the first.",
                    wish.host
                ),
            );
            continue;
        }
        check_names(key, wish, problems);
        let advertise = wish
            .advertise
            .clone()
            .unwrap_or_else(|| address.to_string());
        if let Some(other) = advertised.insert(advertise.clone(), key) {
            problems.error(
                &["nodes", key, "advertise"],
                "Two nodes under one name",
                format!(
                    "Nodes \"{other}\" and \"{key}\" are both advertised as {advertise}. Others must \
                     be able to tell them apart."
                ),
            );
        }
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

/// Names stand in URLs, in lists with commas and in certificates.
fn check_names(key: &str, wish: &NodeWish, problems: &mut Problems) {
    if !address::is_name(&wish.host) {
        problems.error(
            &["nodes", key, "host"],
            "Invalid host",
            format!(
                "\"{}\" is neither a name nor an IP address. User and port have members of their own.",
                wish.host
            ),
        );
    }
    if wish.port.is_some_and(|port| !(1..=65_535).contains(&port)) {
        problems.error(
            &["nodes", key, "port"],
            "Invalid port",
            "The SSH port is a number from 1 to 65535.",
        );
    }
    if let Some(advertise) = &wish.advertise {
        let unusable = advertise.parse().ok().and_then(address::unusable);
        if !address::is_name(advertise) {
            problems.error(
                &["nodes", key, "advertise"],
                "Invalid name",
                format!("\"{advertise}\" is neither a name nor an IP address."),
            );
        } else if let Some(why) = unusable {
            problems.error(
                &["nodes", key, "advertise"],
                "Members cannot reach this address",
                format!("{advertise} {why}, and it is what others are told."),
            );
        }
    }
    check_sans(&["nodes", key, "server_sans"], &wish.server_sans, problems);
}

/// Names for server certificates.
pub(crate) fn check_sans(place: &[&str], sans: &[String], problems: &mut Problems) {
    for san in sans {
        if !address::is_name(san.strip_prefix("*.").unwrap_or(san)) {
            problems.error(
                place,
                "Invalid name for a certificate",
                format!("\"{san}\" is neither a DNS name nor an IP address."),
            );
        }
    }
}

#[cfg(test)]
mod tests;
