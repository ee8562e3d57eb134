//! A cluster as it was seen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Manifest;
use crate::{
    facts::{EtcdFact, Fact, HostFacts, MemberFact},
    name::NodeKey,
    stored::{self, TooNew},
};

/// Facts of all nodes; `Unknown` says why a host was not seen.
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

    /// What the member of a node answers, if it answers.
    pub fn member(&self, key: &NodeKey) -> Option<&EtcdFact> {
        self.host(key)?.etcd.as_ref().filter(|etcd| etcd.reachable)
    }

    /// The manifest on a node's host.
    pub fn manifest(&self, key: &NodeKey) -> Option<Manifest> {
        Manifest::parse(&self.host(key)?.owner.as_ref()?.manifest)
    }

    /// Whether the cluster had its first quorum, by what any host wrote down.
    pub fn bootstrapped(&self) -> bool {
        self.hosts.keys().any(|key| {
            self.manifest(key)
                .is_some_and(|manifest| manifest.bootstrapped)
        })
    }

    /// The member list, as a member with a quorum sees it. One that sees a quorum and did not tell
    /// its list has an empty one here, which says nothing.
    pub fn members(&self) -> Option<&[MemberFact]> {
        self.hosts
            .keys()
            .filter_map(|key| self.member(key))
            .find(|etcd| etcd.linearizable && !etcd.members.is_empty())
            .map(|etcd| etcd.members.as_slice())
    }

    /// A member that votes, answers, and sees a quorum.
    pub fn is_healthy(&self, key: &NodeKey) -> bool {
        self.member(key)
            .is_some_and(|etcd| etcd.linearizable && !etcd.is_learner && etcd.leader_id != 0)
    }

    /// Whether the member of a node takes itself for the leader.
    pub(super) fn leads(&self, key: &NodeKey) -> bool {
        self.member(key)
            .is_some_and(|etcd| etcd.leader_id != 0 && etcd.leader_id == etcd.member_id)
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
    use crate::etcd_cluster::fixture::{
        desired, etcd_mut, host_mut, key, lose, observed, read, silence, wish,
    };

    #[test]
    fn unknown_is_never_healthy() {
        let desired = desired(3);
        let mut seen = observed(&desired);
        assert!(seen.is_healthy(&key("2")));
        etcd_mut(&mut seen, "1").linearizable = false;
        etcd_mut(&mut seen, "2").leader_id = 0;
        etcd_mut(&mut seen, "3").is_learner = true;
        for node in ["1", "2", "3", "4"] {
            assert!(!seen.is_healthy(&key(node)), "{node}");
        }
        let mut seen = observed(&desired);
        silence(&mut seen, "1");
        host_mut(&mut seen, "2").etcd = None;
        lose(&mut seen, "3");
        for node in ["1", "2", "3"] {
            assert!(!seen.is_healthy(&key(node)), "{node}");
        }
    }

    #[test]
    fn one_manifest_is_enough_to_know_that_the_cluster_exists() {
        let desired = desired(3);
        let mut seen = observed(&desired);
        for node in ["1", "2"] {
            host_mut(&mut seen, node).owner = None;
        }
        assert!(seen.bootstrapped());
        lose(&mut seen, "3");
        assert!(!seen.bootstrapped());
    }

    #[test]
    fn a_manifest_of_a_newer_format_is_not_read() {
        let desired = desired(1);
        let mut seen = observed(&desired);
        let owner = host_mut(&mut seen, "1").owner.as_mut().expect("an owner");
        owner.manifest = owner.manifest.replace("\"format\":1", "\"format\":2");
        assert_eq!(seen.manifest(&key("1")), None);
    }

    #[test]
    fn private_bytes_come_back() {
        let mut seen = observed(&desired(3));
        lose(&mut seen, "2");
        let bytes = seen.store();
        assert_eq!(bytes, seen.store());
        assert_eq!(Observed::load(&bytes), Ok(Some(seen)));
        assert_eq!(Observed::load(b""), Ok(None));
    }

    #[test]
    fn private_bytes_of_the_largest_cluster_stay_small() {
        let size = observed(&read(&wish(9))).store().len();
        assert!(size < 32 * 1024, "{size}");
    }
}
