//! Objects that stand in the state of this run, by owner.
//!
//! Core plans a replacement as a creation, and does not say what it replaces. That an object of the
//! name is there is then no fault, as it would be for a state that was lost.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use planner::facts::Fact;
use tf_plugin::Value;

use crate::facts::Facts;

/// What is remembered of each: enough to say whether it may be deleted.
const KEPT: [&str; 3] = ["id", "name", "deletion_protection"];

/// Objects of the state by their owner in ledgers.
#[derive(Debug, Default)]
pub(crate) struct InState(Mutex<BTreeMap<String, Value>>);

impl InState {
    /// Remembers an object that Core has in its state.
    pub(crate) fn note(&self, owner: String, state: &Value) {
        let kept = KEPT.map(|name| (name, state.get(name).clone()));
        let mut objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        objects.insert(owner, Value::object(kept));
    }

    /// Whether an object of the state has this uid.
    pub(crate) fn has(&self, id: &str) -> bool {
        let objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        objects
            .values()
            .any(|state| state.get("id").as_str() == Some(id))
    }

    /// The object of the state that is on these hosts under this name, and its uid.
    pub(crate) fn on(&self, owner: &str, facts: &Facts) -> Option<(String, Value)> {
        let objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = objects.get(owner)?;
        let id = state.get("id").as_str()?;
        let hosts = facts.values().filter_map(Fact::known);
        let mut owners = hosts.filter_map(|host| host.owner.as_ref());
        let is_there = owners.any(|owner| owner.id == id);
        is_there.then(|| (id.to_owned(), state.clone()))
    }
}

#[cfg(test)]
mod tests {
    use planner::{
        facts::{HostFacts, OwnerFact},
        name::NodeKey,
    };

    use super::*;

    #[test]
    fn only_the_very_object_of_the_state_is_replaced() {
        let objects = InState::default();
        let with = |id: &str| -> Facts {
            let host = HostFacts {
                owner: Some(OwnerFact {
                    id: id.to_owned(),
                    ..OwnerFact::default()
                }),
                ..HostFacts::default()
            };
            let key = NodeKey::parse("1").expect("a key");
            [(key, Fact::Known(host))].into()
        };
        let owner = "etcd_cluster/k8s";
        assert_eq!(objects.on(owner, &with("1")), None);
        let state = Value::object([
            ("id", Value::string("1")),
            ("deletion_protection", Value::Bool(false)),
            ("members", Value::string("left out")),
        ]);
        objects.note(owner.to_owned(), &state);
        let (id, kept) = objects.on(owner, &with("1")).expect("it is there");
        assert_eq!(id, "1");
        assert_eq!(kept.get("deletion_protection").as_bool(), Some(false));
        assert!(kept.get("members").is_null());
        assert_eq!(objects.on(owner, &with("2")), None);
        assert_eq!(objects.on("etcd_cluster/events", &with("1")), None);
        assert_eq!(objects.on(owner, &Facts::new()), None);
    }
}
