//! From wish and facts to the state of a cluster.

use planner::{
    etcd_cluster::{Desired, Observed, Role, drift, names, status},
    name::NodeKey,
    node::Node,
};
use tf_plugin::Value;

fn certificate(desired: &Desired, key: &NodeKey) -> Value {
    let stem = names::certificate_stem(&desired.name, key, Role::Client.as_str());
    Value::object([
        ("ca_file", Value::string(desired.issuer.root_path())),
        ("certificate_file", Value::string(format!("{stem}.crt"))),
        ("key_file", Value::string(format!("{stem}.key"))),
    ])
}

fn member(desired: &Desired, key: &NodeKey, node: &Node) -> Value {
    Value::object([
        ("name", Value::string(names::member(&desired.name, key))),
        ("host", Value::string(&node.host)),
        ("address", Value::string(node.address.to_string())),
        ("peer_url", Value::string(desired.peer_url(node))),
        ("client_url", Value::string(desired.client_url(node))),
        ("unit", Value::string(names::unit(&desired.name, key))),
        (
            "data_directory",
            Value::string(names::data(&desired.name, key)),
        ),
        (
            "configuration_file",
            Value::string(names::configuration(&desired.name, key)),
        ),
        ("client_certificate", certificate(desired, key)),
    ])
}

/// Sets what follows from the configuration alone.
pub(super) fn set_wished(state: &mut Value, desired: &Desired) {
    let members = Value::object(
        desired
            .nodes
            .iter()
            .map(|(key, node)| (key.as_str(), member(desired, key, node))),
    );
    let endpoints: Vec<String> = desired
        .nodes
        .values()
        .map(|node| desired.client_url(node))
        .collect();
    let handle = Value::object([
        ("name", Value::string(desired.name.as_str())),
        ("client_port", Value::integer(desired.client_port)),
        ("peer_port", Value::integer(desired.peer_port)),
        ("members", members.clone()),
        ("issuer", state.get("issuer").clone()),
    ]);
    let first = desired.nodes.keys().next();
    state.set("version", Value::string(desired.version.to_string()));
    state.set("members", members);
    state.set("endpoints_joined", Value::string(endpoints.join(",")));
    state.set("endpoints", Value::strings(endpoints));
    state.set(
        "client_certificate",
        first.map_or(Value::Null, |key| certificate(desired, key)),
    );
    state.set("cluster", handle);
}

/// Sets what was seen.
pub(super) fn set_seen(state: &mut Value, desired: &Desired, observed: &Observed) {
    state.set("drift", Value::strings(drift(desired, observed)));
    state.set("status", Value::string(status(desired, observed)));
}
