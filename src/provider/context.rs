//! What a configured provider has: ways to log in, a pool of connections, archives.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use host::{Pool, Profile, Target};
use planner::node::NodeWish;
use tokio::sync::watch;

use crate::{download::Downloads, in_state::InState, services::Services, talos_artifact::Places};

/// A configured provider. Each Configure makes one: what was stopped stays stopped, what comes after
/// is not, in a process that serves several runs too (`-debug`).
pub(crate) struct Context {
    pub(crate) pool: Pool,
    pub(crate) downloads: Downloads,
    pub(crate) services: Services,
    pub(crate) default_profile: Arc<Profile>,
    pub(crate) profiles: BTreeMap<String, Arc<Profile>>,
    /// Who works on the hosts, for locks and logs there.
    pub(crate) operator: String,
    /// Who it is and in which directory, for journals there: what comes from the same place again may be
    /// the same creation.
    pub(crate) origin: String,
    /// Turns true when Core asks to stop.
    pub(crate) stop: watch::Sender<bool>,
    /// Resources that were planned, and that were made, in this run.
    pub(crate) names: Names,
    /// Objects of the state that this run has met.
    pub(crate) in_state: InState,
    /// Files of Talos images that objects of this run want or have.
    pub(crate) places: Places,
}

/// When a name is taken: Core plans a creation once more just before it makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum When {
    Planned,
    Made,
}

/// Names of new resources by host: two of one name would own the same things there.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<BTreeSet<(When, String, String)>>);

impl Names {
    /// Takes the name of an owner on hosts; `false` if another creation of this run has it on one.
    pub(crate) fn take<'a>(
        &self,
        when: When,
        owner: &str,
        hosts: impl IntoIterator<Item = &'a str>,
    ) -> bool {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted: BTreeSet<_> = hosts
            .into_iter()
            .map(|host| (when, owner.to_owned(), host.to_owned()))
            .collect();
        if wanted.iter().any(|name| taken.contains(name)) {
            return false;
        }
        taken.extend(wanted);
        true
    }
}

/// How far the provider is configured.
#[derive(Clone)]
pub(crate) enum Setup {
    /// Not at all: only validation is possible.
    Missing,
    /// Something in the configuration is known only after apply.
    Unknown,
    /// Ready to work.
    Ready(Arc<Context>),
}

/// A node names what is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadTarget {
    /// Member of the node.
    pub(crate) member: &'static str,
    /// A sentence.
    pub(crate) why: String,
}

impl Context {
    /// How to reach a node.
    pub(crate) fn target(&self, node: &NodeWish) -> Result<Target, BadTarget> {
        let bad = |member, why: String| BadTarget { member, why };
        let profile = match &node.ssh_profile {
            None => Arc::clone(&self.default_profile),
            Some(name) => self.profiles.get(name).map(Arc::clone).ok_or_else(|| {
                let known: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
                let known = if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                };
                bad(
                    "ssh_profile",
                    format!("The provider has no ssh_profile named \"{name}\" (it has: {known})."),
                )
            })?,
        };
        let port = node.port.unwrap_or(22);
        let port = u16::try_from(port)
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| bad("port", format!("{port} is not a port (1 to 65535).")))?;
        let host_key = node
            .host_key
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error: host::ParseHostKeyError| bad("host_key", format!("It is {error}.")))?;
        Ok(Target {
            host: node.host.clone(),
            port,
            user: node.user.clone(),
            host_key,
            profile,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_once_on_a_host() {
        let names = Names::default();
        let owner = "etcd_cluster/k8s";
        assert!(names.take(When::Planned, owner, ["a", "b"]));
        assert!(names.take(When::Made, owner, ["a", "b"]));
        assert!(names.take(When::Planned, owner, ["c", "d"]), "other hosts");
        assert!(names.take(When::Planned, "etcd_cluster/events", ["a"]));
        for when in [When::Planned, When::Made] {
            assert!(!names.take(when, owner, ["b", "e"]));
        }
        assert!(
            names.take(When::Planned, owner, ["e"]),
            "nothing was half taken"
        );
    }
}
