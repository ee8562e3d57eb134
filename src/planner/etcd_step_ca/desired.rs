//! A CA as it should be.

use std::collections::BTreeMap;

use crate::{
    address, duration,
    issuer::Issuer,
    name::{Name, NodeKey},
    node::{self, Node, NodeWish},
    problem::Problems,
    rendered::sha256,
};

use super::names;

/// A CA as the user wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Name of the CA.
    pub name: String,
    /// Second CA on a host.
    pub instance: Option<String>,
    /// The nodes by key.
    pub nodes: BTreeMap<String, NodeWish>,
    /// Key of the node that signs.
    pub active_node: String,
    /// Port; 9000.
    pub port: Option<i64>,
    /// Provisioner; `etcd-provisioner`.
    pub provisioner: Option<String>,
    /// Shortest lifetime of leaves; `1h`.
    pub min_lifetime: Option<String>,
    /// Lifetime of leaves that ask for none; `17520h`.
    pub default_lifetime: Option<String>,
    /// Longest lifetime of leaves; `26280h`.
    pub max_lifetime: Option<String>,
}

/// A CA as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Its name.
    pub name: Name,
    /// Its uid; empty while it is planned for the first time.
    pub id: String,
    /// Second CA on a host.
    pub instance: Option<Name>,
    /// Its nodes; the first is the active one in this release.
    pub nodes: BTreeMap<NodeKey, Node>,
    /// The node that signs.
    pub active: NodeKey,
    /// Port of the API.
    pub port: u16,
    /// Name of the provisioner.
    pub provisioner: String,
    /// Claims: shortest, default, longest lifetime, as Go durations.
    pub lifetimes: [String; 3],
    /// What an import wants to find again on the host; opaque here.
    pub record: String,
}

/// Root and intermediate live for ten years (E20).
pub(super) const CA_LIFETIME_HOURS: u32 = 87_600;

impl Desired {
    /// Reads a wish; problems are collected.
    pub fn read(wish: &Wish, problems: &mut Problems) -> Option<Self> {
        let mut name = |attribute: &str, text: &str| {
            Name::parse(text)
                .map_err(|error| {
                    problems.error(&[attribute], "Invalid name", format!("{error}."));
                })
                .ok()
        };
        let parsed = name("name", &wish.name);
        let instance = wish.instance.as_deref().map(|text| name("instance", text));
        let nodes = node::settle(&wish.nodes, problems);
        if wish.nodes.is_empty() {
            problems.error(&["nodes"], "No nodes", "A CA has one node.");
        }
        if wish.nodes.len() > 1 {
            problems.error(
                &["nodes"],
                "Standby nodes are not supported yet",
                "This release runs a CA on one host. Keep the node that active_node names.",
            );
        }
        if !wish.nodes.contains_key(&wish.active_node) {
            problems.error(
                &["active_node"],
                "No such node",
                format!(
                    "\"{}\" is not a key of nodes ({}).",
                    wish.active_node,
                    wish.nodes.keys().cloned().collect::<Vec<_>>().join(", ")
                ),
            );
        }
        let port = wish.port.map_or(Some(9000), |number| {
            u16::try_from(number).ok().filter(|port| *port > 0)
        });
        if port.is_none() {
            problems.error(
                &["port"],
                "Invalid port",
                "A port is a number from 1 to 65535.",
            );
        }
        let provisioner = wish
            .provisioner
            .clone()
            .unwrap_or_else(|| "etcd-provisioner".to_owned());
        if provisioner.is_empty() {
            problems.error(
                &["provisioner_name"],
                "Invalid name",
                "A provisioner has a name.",
            );
        }
        let lifetimes = [
            ("min_lifetime", &wish.min_lifetime, "1h"),
            ("default_lifetime", &wish.default_lifetime, "17520h"),
            ("max_lifetime", &wish.max_lifetime, "26280h"),
        ]
        .map(|(attribute, text, default)| {
            let text = text.clone().unwrap_or_else(|| default.to_owned());
            if duration::milliseconds(&text).is_none() {
                problems.error(
                    &[attribute],
                    "Invalid lifetime",
                    format!("\"{text}\" is not a duration such as \"{default}\"."),
                );
            }
            text
        });
        let [least, default, most] =
            [0, 1, 2].map(|index: usize| duration::milliseconds(&lifetimes[index]));
        if let (Some(least), Some(default), Some(most)) = (least, default, most)
            && (least > default
                || default > most
                || most > u64::from(CA_LIFETIME_HOURS) * 3_600_000)
        {
            problems.error(
                &["default_lifetime"],
                "Lifetimes do not fit each other",
                format!(
                    "min_lifetime {}, default_lifetime {} and max_lifetime {} must grow, and none may \
                     outlive the CA (87600h).",
                    lifetimes[0], lifetimes[1], lifetimes[2]
                ),
            );
        }
        if problems.has_errors() {
            return None;
        }
        Some(Self {
            name: parsed?,
            id: String::new(),
            instance: match instance {
                None => None,
                Some(instance) => Some(instance?),
            },
            active: NodeKey::parse(&wish.active_node).ok()?,
            nodes,
            port: port?,
            provisioner,
            lifetimes,
            record: String::new(),
        })
    }

    /// What its consumers get; the fingerprint once it is known.
    pub fn issuer(&self, fingerprint: Option<String>) -> Issuer {
        Issuer {
            name: self.name.clone(),
            urls: self
                .nodes
                .values()
                .map(|node| address::https(&node.advertise, self.port))
                .collect(),
            fingerprint,
            directory: names::directory(self.instance.as_ref()),
            port: self.port,
        }
    }

    /// Names and addresses under which it is reached, sorted.
    pub fn dns_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .nodes
            .values()
            .flat_map(|node| {
                [
                    node.advertise.clone(),
                    node.address.to_string(),
                    node.host.clone(),
                ]
                .into_iter()
                .chain(node.server_sans.clone())
            })
            .chain([
                "localhost".to_owned(),
                "127.0.0.1".to_owned(),
                "::1".to_owned(),
            ])
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// SHA-256 of what makes a creation the same one: what an update refuses to change.
    pub fn wish(&self) -> String {
        let nodes: Vec<String> = self
            .nodes
            .iter()
            .map(|(key, node)| format!("{key}={}", node.host))
            .collect();
        let text = format!(
            "{} {} {} {} {}",
            self.name,
            self.port,
            nodes.join(" "),
            names::directory(self.instance.as_ref()),
            self.provisioner
        );
        sha256(text.as_bytes())
    }

    /// A node as sentences call it.
    pub fn called(&self, key: &NodeKey) -> String {
        self.nodes
            .get(key)
            .map_or_else(|| key.to_string(), |node| format!("{key} ({})", node.host))
    }

    /// SHA-256 of what ca.json says: a change of it needs a restart.
    pub fn configuration_hash(&self) -> String {
        let text = format!(
            "{} {} {} {}",
            self.dns_names().join(","),
            self.port,
            self.provisioner,
            self.lifetimes.join(",")
        );
        sha256(text.as_bytes())
    }
}

#[cfg(test)]
mod tests;
