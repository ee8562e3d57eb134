//! From a configuration or state to what the planner knows.

use planner::{
    etcd_step_ca::{Desired, Wish},
    problem::Problems,
};
use tf_plugin::{Diagnostics, Value};

use crate::{
    common::{record, text},
    nodes::{self, Nodes},
    report,
};

use super::schema;

/// A configuration that was read.
pub(super) struct Read {
    pub(super) nodes: Nodes,
    /// `None` if something is wrong or unknown.
    pub(super) desired: Option<Desired>,
}

/// Attributes that must be known for anything to be said.
const DECISIVE: [&str; 8] = [
    "name",
    "active_node",
    "port",
    "instance",
    "provisioner_name",
    "min_lifetime",
    "default_lifetime",
    "max_lifetime",
];

/// Reads a configuration, plan or state.
pub(super) fn read(values: &Value, diagnostics: &mut Diagnostics) -> Read {
    let nodes = nodes::read(values.get("nodes"), diagnostics);
    let has_bad_nodes = diagnostics.has_errors();
    let is_unknown = (nodes.is_unknown && !has_bad_nodes)
        || DECISIVE.iter().any(|name| values.get(name).is_unknown());
    if is_unknown {
        return Read {
            nodes,
            desired: None,
        };
    }
    let wish = Wish {
        name: text(values, "name").unwrap_or_default(),
        instance: text(values, "instance"),
        nodes: nodes.wishes.clone(),
        active_node: text(values, "active_node").unwrap_or_default(),
        port: values.get("port").as_i64(),
        provisioner: text(values, "provisioner_name"),
        min_lifetime: text(values, "min_lifetime"),
        default_lifetime: text(values, "default_lifetime"),
        max_lifetime: text(values, "max_lifetime"),
    };
    let mut problems = Problems::default();
    let desired = Desired::read(&wish, &mut problems).map(|mut desired| {
        desired.id = text(values, "id").unwrap_or_default();
        desired.record = record(values, &schema::attributes());
        desired
    });
    if has_bad_nodes {
        problems.leave_out(&["nodes", "active_node"]);
    }
    diagnostics.extend(report::problems(problems));
    Read {
        nodes,
        desired: desired.filter(|_| !has_bad_nodes),
    }
}
