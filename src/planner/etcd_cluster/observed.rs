//! A cluster as it was seen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Manifest, desired::Desired, drift::drift, plan::plan};
use crate::{
    facts::{EtcdFact, Fact, HostFacts, MemberFact},
    name::NodeKey,
    steady,
    stored::{self, TooNew},
};

/// Facts of all nodes; `Unknown` says why a host was not seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Facts by node key.
    pub hosts: BTreeMap<NodeKey, Fact<HostFacts>>,
    /// Machine ids of nodes that are not seen now, from when they were.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    machines: BTreeMap<NodeKey, String>,
}

impl Observed {
    /// What was seen just now.
    pub fn of(hosts: BTreeMap<NodeKey, Fact<HostFacts>>) -> Self {
        Self {
            hosts,
            machines: BTreeMap::new(),
        }
    }

    /// The same, with the machines that were known before of the hosts that were not seen: a refresh
    /// without them does not forget on which machine a member is.
    #[must_use]
    pub fn remembering(mut self, before: &Self) -> Self {
        let unseen = self.hosts.keys().filter(|key| self.machine(key).is_none());
        let known = unseen.filter_map(|key| Some((key.clone(), before.machine(key)?.to_owned())));
        let known: Vec<_> = known.collect();
        self.machines.extend(known);
        self
    }

    /// The machine id of a node's host, as it is or was last seen.
    pub fn machine(&self, key: &NodeKey) -> Option<&str> {
        let seen = self.host(key).map(|host| host.machine_id.as_str());
        seen.filter(|id| !id.is_empty())
            .or_else(|| self.machines.get(key).map(String::as_str))
    }

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

    /// Whether nothing is different from before that a plan or a person would see.
    pub fn is_same(&self, before: &Self, desired: &Desired) -> bool {
        self.machines == before.machines
            && steady::is_same(&self.hosts, &before.hosts)
            && plan(desired, self) == plan(desired, before)
            && drift(desired, self) == drift(desired, before)
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
    fn what_changes_by_itself_is_the_same() {
        let desired = desired(3);
        let before = observed(&desired);
        let later = |change: &dyn Fn(&mut HostFacts)| {
            let mut later = before.clone();
            change(host_mut(&mut later, "2"));
            later.is_same(&before, &desired)
        };
        assert!(later(&|host| {
            host.now_ms += 3_600_000;
            for file in host.files.values_mut() {
                file.modified_ms += 1;
            }
            for certificate in host.certificates.values_mut() {
                certificate.not_before_ms += 3_600_000;
                certificate.not_after_ms += 3_600_000;
            }
            host.etcd.as_mut().expect("a member").leader_id += 1;
        }));
        // Late certificates are drift, and so no longer the same.
        let years = i64::from(desired.certificate_lifetime_s) * 1000;
        assert!(!later(&|host| host.now_ms += years));
        assert!(!later(&|host| host.users.clear()));
        assert!(!later(&|host| host.etcd = None));
        assert!(!later(&|host| host
            .etcd
            .as_mut()
            .expect("a member")
            .leader_id = 0));
        let mut away = before.clone();
        lose(&mut away, "2");
        assert!(!away.is_same(&before, &desired));
        assert!(away.is_same(&away.clone(), &desired));
    }

    #[test]
    fn private_bytes_of_the_largest_cluster_stay_small() {
        let size = observed(&read(&wish(9))).store().len();
        assert!(size < 32 * 1024, "{size}");
    }
}
