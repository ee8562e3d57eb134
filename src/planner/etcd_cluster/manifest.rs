//! What an apply writes down on each host about its member, in the ledger.

use serde::{Deserialize, Serialize};

use super::desired::Desired;
use crate::name::NodeKey;

/// The cluster as this host last knew it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// 1. A newer one is not read.
    pub format: u32,
    /// Uid of the cluster.
    pub id: String,
    /// Key of the node on this host.
    pub node: NodeKey,
    /// All nodes: key, host, address, advertised name.
    pub nodes: Vec<(NodeKey, String, String, String)>,
    /// Version of etcd.
    pub version: String,
    /// Client port.
    pub client_port: u16,
    /// Peer port.
    pub peer_port: u16,
    /// Metrics port.
    pub metrics_port: Option<u16>,
    /// Name of the CA.
    pub issuer: String,
    /// SHA-256 of the options with which the member was last started by an apply; empty while a
    /// restart is owed.
    pub started_with: String,
    /// The cluster had its first quorum: from then on a missing disk is never an empty database.
    pub bootstrapped: bool,
    /// SHA-256 of the wish that created it.
    pub wish: String,
    /// What an import wants to find again; opaque here.
    #[serde(default)]
    pub record: String,
}

impl Manifest {
    /// For a node of `desired`.
    pub fn new(
        desired: &Desired,
        node: &NodeKey,
        started_with: String,
        bootstrapped: bool,
    ) -> Self {
        let nodes = desired.nodes.iter().map(|(key, node)| {
            (
                key.clone(),
                node.host.clone(),
                node.address.to_string(),
                node.advertise.clone(),
            )
        });
        Self {
            format: 1,
            id: desired.id.clone(),
            node: node.clone(),
            nodes: nodes.collect(),
            version: desired.version.to_string(),
            client_port: desired.client_port,
            peer_port: desired.peer_port,
            metrics_port: desired.metrics_port,
            issuer: desired.issuer.name.to_string(),
            started_with,
            bootstrapped,
            wish: desired.wish(),
            record: desired.record.clone(),
        }
    }

    /// Reads what a host has; `None` if it is not there or of a newer format.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str::<Self>(text)
            .ok()
            .filter(|manifest| manifest.format == 1)
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON")
    }
}
