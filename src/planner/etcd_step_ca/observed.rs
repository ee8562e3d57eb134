//! A CA as it was seen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{desired::Desired, drift::drift, plan::plan};
use crate::{
    facts::{Fact, HostFacts},
    issuer::root_path,
    name::NodeKey,
    steady,
    stored::{self, TooNew},
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

impl Observed {
    /// Facts of a node, if it was seen.
    pub fn host(&self, key: &NodeKey) -> Option<&HostFacts> {
        self.hosts.get(key).and_then(Fact::known)
    }

    /// Whether nothing is different from before that a plan or a person would see.
    pub fn is_same(&self, before: &Self, desired: &Desired) -> bool {
        steady::is_same(&self.alone(desired), &before.alone(desired))
            && plan(desired, self) == plan(desired, before)
            && drift(desired, self) == drift(desired, before)
    }

    /// Without what the clusters of this CA bring to its host.
    fn alone(&self, desired: &Desired) -> BTreeMap<NodeKey, Fact<HostFacts>> {
        let root = root_path(&desired.name);
        let mut hosts = self.hosts.clone();
        for fact in hosts.values_mut() {
            if let Fact::Known(host) = fact {
                host.files.remove(&root);
                host.certificates.remove(&root);
                host.timer_helper = None;
                if let Some(ca) = &mut host.ca {
                    ca.consumers.clear();
                }
            }
        }
        hosts
    }

    /// As private bytes.
    pub fn store(&self) -> Vec<u8> {
        stored::store(self)
    }

    /// From private bytes; `None` if there are none or they cannot be read.
    ///
    /// # Errors
    /// [`TooNew`] if a newer provider wrote them.
    pub fn load(bytes: &[u8]) -> Result<Option<Self>, TooNew> {
        stored::load(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd_step_ca::fixture::{host, lost, read, seen, stop, wish};

    #[test]
    fn private_bytes_come_back() {
        for observed in [seen(host(&read(&wish()))), lost()] {
            let bytes = observed.store();
            assert_eq!(bytes, observed.store());
            assert_eq!(Observed::load(&bytes), Ok(Some(observed)));
        }
        assert_eq!(Observed::load(b"nothing"), Ok(None));
    }

    #[test]
    fn what_clusters_bring_is_the_same_and_what_is_wrong_is_not() {
        let desired = read(&wish());
        let before = seen(host(&desired));
        let with = |change: &dyn Fn(&mut HostFacts)| {
            let mut other = host(&desired);
            change(&mut other);
            seen(other).is_same(&before, &desired)
        };
        assert!(with(&|host| {
            host.timer_helper = Some(true);
            let ca = host.ca.as_mut().expect("a CA");
            ca.consumers.push("k8s".to_owned());
            let root = host.files.values().next().expect("a file").clone();
            host.files.insert(root_path(&desired.name), root);
        }));
        assert!(!with(&stop));
        assert!(!lost().is_same(&before, &desired));
    }

    #[test]
    fn a_manifest_of_a_newer_format_is_not_read() {
        let owner = host(&read(&wish())).owner.expect("an owner");
        assert!(Manifest::parse(&owner.manifest).is_some());
        let newer = owner.manifest.replace("\"format\":1", "\"format\":2");
        assert_eq!(Manifest::parse(&newer), None);
    }
}
