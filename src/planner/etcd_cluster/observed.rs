//! A cluster as it was seen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Manifest;
use crate::{
    facts::{EtcdFact, Fact, HostFacts, MemberFact},
    name::NodeKey,
};

/// Facts of all nodes; `Unknown` says why a host was not seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Facts by node key.
    pub hosts: BTreeMap<NodeKey, Fact<HostFacts>>,
}

/// How `Observed` lies in a state's private bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// 1.
    pub format: u32,
    /// The facts.
    pub observed: Observed,
}

/// The private bytes were written by a newer provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state was written by a newer version of this provider (format {0}); use that version")]
pub struct TooNew(pub u32);

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

    /// The member list, as a member with a quorum sees it.
    pub fn members(&self) -> Option<&[MemberFact]> {
        self.hosts
            .keys()
            .filter_map(|key| self.member(key))
            .find(|etcd| etcd.linearizable)
            .map(|etcd| etcd.members.as_slice())
    }

    /// A member that votes, answers, and sees a quorum.
    pub fn is_healthy(&self, key: &NodeKey) -> bool {
        self.member(key)
            .is_some_and(|etcd| etcd.linearizable && !etcd.is_learner && etcd.leader_id != 0)
    }

    /// As private bytes.
    pub fn store(&self) -> Vec<u8> {
        let stored = Stored {
            format: 1,
            observed: self.clone(),
        };
        serde_json::to_vec(&stored).expect("texts and numbers are JSON")
    }

    /// From private bytes; `None` if there are none or they cannot be read.
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
