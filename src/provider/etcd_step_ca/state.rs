//! From facts to the state of a CA.

use planner::{
    etcd_step_ca::{Desired, Observed, drift, status},
    facts::CaFact,
};
use tf_plugin::Value;

use crate::{issuer, nodes::Nodes};

/// The CA on the active node, if it was seen.
pub(super) fn ca<'a>(desired: &Desired, observed: &'a Observed) -> Option<&'a CaFact> {
    observed
        .host(&desired.active)?
        .ca
        .as_ref()
        .filter(|ca| ca.present)
}

/// Sets what follows from the configuration alone; the fingerprint is unknown if it is not there.
pub(super) fn set_wished(
    state: &mut Value,
    desired: &Desired,
    nodes: &Nodes,
    fingerprint: Option<String>,
) {
    let handle = desired.issuer(fingerprint);
    state.set(
        "urls",
        Value::strings(handle.urls.iter().map(String::as_str)),
    );
    state.set(
        "issuer",
        issuer::value(&handle, &desired.provisioner, &nodes.wishes),
    );
}

/// Sets what was seen. What was not seen stays as it was.
pub(super) fn set_seen(state: &mut Value, desired: &Desired, nodes: &Nodes, observed: &Observed) {
    if let Some(ca) = ca(desired, observed) {
        state.set("root_certificate", Value::string(&ca.root_pem));
        state.set("root_fingerprint", Value::string(&ca.root_fingerprint));
        set_wished(state, desired, nodes, Some(ca.root_fingerprint.clone()));
    }
    state.set("drift", Value::strings(drift(desired, observed)));
    state.set("status", Value::string(status(desired, observed)));
}
