//! What can be made to go wrong.

use std::collections::{BTreeMap, BTreeSet};

/// A fault of some calls.
#[derive(Clone, Debug)]
pub struct Fault {
    /// `GET`, `POST`, `DELETE`; any for `None`.
    pub method: Option<String>,
    /// What the path below `/api2/json` contains: `/upload`, `/content`.
    pub path: String,
    /// The node that is asked; any for `None`.
    pub node: Option<String>,
    /// How many calls meet it.
    pub times: u32,
    /// What happens.
    pub effect: Effect,
}

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is answered with this status and reason, and not done.
    Answer(u16, String),
    /// The connection ends after so many bytes of the body, and nothing is done.
    CutAfter(u64),
    /// It is done, and the connection ends before the answer.
    CutAnswer,
    /// It is never answered, and not done.
    Silence,
}

impl Fault {
    /// A fault of the next call whose path contains this.
    pub fn once(path: &str, effect: Effect) -> Self {
        Self {
            method: None,
            path: path.to_owned(),
            node: None,
            times: 1,
            effect,
        }
    }

    /// The same for so many calls.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// The same for calls with this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// The same for calls to this node.
    #[must_use]
    pub fn node(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }
}

/// How tasks go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskEnd {
    /// It ends with this error before it has touched anything.
    Early(String),
    /// It ends with this error when half of the file is in place.
    Halfway(String),
    /// It does its work and ends with this status, such as `WARNINGS: 1`.
    Late(String),
}

/// Everything that is wrong now.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) calls: Vec<Fault>,
    /// Next ends of tasks, by kind.
    pub(crate) task_ends: Vec<(String, TaskEnd)>,
    /// How often a new task is unknown at first.
    pub(crate) unknown_task_polls: u32,
    /// How often a task is shown as running at least.
    pub(crate) running_task_polls: u32,
    /// How often a new file is left out of a listing.
    pub(crate) listing_lag: u32,
    /// Storages that do not answer, on these nodes; on all for an empty set.
    pub(crate) offline: BTreeMap<String, BTreeSet<String>>,
    /// Free bytes by storage.
    pub(crate) available: BTreeMap<String, u64>,
    /// Free bytes for uploads on the node that takes them, by node.
    pub(crate) upload_space: BTreeMap<String, u64>,
    /// Nodes whose storages are sent nothing: uploads wait at the gate.
    pub(crate) held_uploads: BTreeSet<String>,
    /// API tokens that are no longer good.
    pub(crate) expired_tokens: BTreeSet<String>,
    /// Nodes that are down.
    pub(crate) down: BTreeSet<String>,
}

impl Faults {
    /// The fault that a call meets, if any; it counts.
    pub(crate) fn of_call(&mut self, method: &str, path: &str, node: &str) -> Option<Effect> {
        let index = self.calls.iter().position(|fault| {
            path.contains(&fault.path)
                && fault
                    .method
                    .as_deref()
                    .is_none_or(|wanted| wanted == method)
                && fault.node.as_deref().is_none_or(|wanted| wanted == node)
        })?;
        let fault = &mut self.calls[index];
        let effect = fault.effect.clone();
        fault.times = fault.times.saturating_sub(1);
        if fault.times == 0 {
            self.calls.remove(index);
        }
        Some(effect)
    }

    pub(crate) fn of_task(&mut self, kind: &str) -> Option<TaskEnd> {
        let index = self
            .task_ends
            .iter()
            .position(|(wanted, _)| wanted == kind)?;
        Some(self.task_ends.remove(index).1)
    }

    pub(crate) fn is_offline(&self, storage: &str, node: &str) -> bool {
        self.offline
            .get(storage)
            .is_some_and(|nodes| nodes.is_empty() || nodes.contains(node))
    }
}
