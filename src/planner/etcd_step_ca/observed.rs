//! A CA as it was seen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    etcd_cluster::TooNew,
    facts::{Fact, HostFacts},
    name::NodeKey,
};

/// What an apply writes down on the host about the CA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// 1. A newer one is not read.
    pub format: u32,
    /// Uid of the CA.
    pub id: String,
    /// Key of the node on this host.
    pub node: NodeKey,
    /// Name of the second CA on a host.
    pub instance: Option<String>,
    /// Port of the API.
    pub port: u16,
    /// Hash of the configuration that the running step-ca was started with.
    pub started_with: String,
    /// What an import wants to find again; opaque here.
    #[serde(default)]
    pub record: String,
}

impl Manifest {
    /// Reads what a host has.
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

/// Facts of all nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Facts by node key.
    pub hosts: BTreeMap<NodeKey, Fact<HostFacts>>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    observed: Observed,
}

impl Observed {
    /// Facts of a node, if it was seen.
    pub fn host(&self, key: &NodeKey) -> Option<&HostFacts> {
        self.hosts.get(key).and_then(Fact::known)
    }

    /// As private bytes.
    pub fn store(&self) -> Vec<u8> {
        let stored = Stored {
            format: 1,
            observed: self.clone(),
        };
        serde_json::to_vec(&stored).expect("texts and numbers are JSON")
    }

    /// From private bytes; `None` if there are none.
    ///
    /// # Errors
    /// [`TooNew`] if a newer provider wrote them.
    pub fn load(bytes: &[u8]) -> Result<Option<Self>, TooNew> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let Ok(head) = serde_json::from_slice::<Head>(bytes) else {
            return Ok(None);
        };
        if head.format > 1 {
            return Err(TooNew(head.format));
        }
        Ok(serde_json::from_slice::<Stored>(bytes)
            .ok()
            .map(|stored| stored.observed))
    }
}
