//! From a configuration or state to what the planner knows.

use planner::{
    etcd_step_ca::{Desired, Wish},
    problem::Problems,
};
use tf_plugin::{Diagnostics, Path, Value};

use crate::{
    common::{integer, record, text},
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

/// Attributes that decide what is done and are known only after apply.
pub(super) fn unknown(values: &Value) -> Vec<&'static str> {
    std::iter::once("nodes")
        .chain(DECISIVE)
        .filter(|name| !values.get(name).is_wholly_known())
        .collect()
}

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
    let mut bad_numbers = Diagnostics::new();
    let wish = Wish {
        name: text(values, "name").unwrap_or_default(),
        instance: text(values, "instance"),
        nodes: nodes.wishes.clone(),
        active_node: text(values, "active_node").unwrap_or_default(),
        port: integer(
            values.get("port"),
            Path::attribute("port"),
            &mut bad_numbers,
        ),
        provisioner: text(values, "provisioner_name"),
        min_lifetime: text(values, "min_lifetime"),
        default_lifetime: text(values, "default_lifetime"),
        max_lifetime: text(values, "max_lifetime"),
    };
    let has_bad_parts = has_bad_nodes || bad_numbers.has_errors();
    diagnostics.extend(bad_numbers);
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
        desired: desired.filter(|_| !has_bad_parts),
    }
}

#[cfg(test)]
mod tests {
    use tf_plugin::Number;

    use super::*;

    #[test]
    fn a_port_that_is_not_whole_is_told_and_not_taken_for_unset() {
        let node = Value::object([("host", Value::string("10.0.1.10"))]);
        let mut config = Value::object([
            ("name", Value::string("main")),
            ("nodes", Value::object([("1", node)])),
            ("active_node", Value::string("1")),
        ]);
        let told = |config: &Value| {
            let mut diagnostics = Diagnostics::new();
            let port = read(config, &mut diagnostics)
                .desired
                .map(|desired| desired.port);
            (port, diagnostics.iter().count())
        };
        assert_eq!(told(&config), (Some(9000), 0));
        for text in ["9000.7", "99999999999999999999"] {
            let number = Number::parse(text).expect("a number");
            config.set("port", Value::Number(number));
            assert_eq!(told(&config), (None, 1), "{text}");
        }
    }
}
