//! From a configuration or state to what the planner knows.

use std::collections::BTreeMap;

use planner::{
    etcd_cluster::{self as cluster, Desired, Wish},
    problem::Problems,
};
use tf_plugin::{Diagnostics, Path, Value};

use super::schema;
use crate::{
    common::{integer, record, text, texts},
    issuer::{self, Handle},
    nodes::{self, Nodes},
    report,
};

/// A configuration that was read.
pub(super) struct Read {
    pub(super) nodes: Nodes,
    /// `None` if it is unknown or wrong.
    pub(super) handle: Option<Handle>,
    /// `None` if something is wrong or unknown.
    pub(super) desired: Option<Desired>,
}

/// Attributes that must be known for anything to be said.
const DECISIVE: [&str; 14] = [
    "name",
    "version",
    "client_port",
    "peer_port",
    "metrics_port",
    "server_sans",
    "certificate_lifetime",
    "heartbeat_interval_ms",
    "election_timeout_ms",
    "snapshot_count",
    "auto_compaction_mode",
    "auto_compaction_retention",
    "quota_backend_bytes",
    "extra_options",
];

/// Reads a configuration, plan or state.
pub(super) fn read(values: &Value, diagnostics: &mut Diagnostics) -> Read {
    let nodes = nodes::read(values.get("nodes"), diagnostics);
    let has_bad_nodes = diagnostics.has_errors();
    let handle = issuer::read(values.get("issuer"), diagnostics);
    let has_bad_parts = diagnostics.has_errors();
    let is_unknown = (nodes.is_unknown && !has_bad_nodes)
        || DECISIVE
            .iter()
            .any(|name| !values.get(name).is_wholly_known());
    if is_unknown {
        return Read {
            nodes,
            handle,
            desired: None,
        };
    }
    let mut bad_numbers = Diagnostics::new();
    let wish = wish(values, &nodes, &mut bad_numbers);
    let has_bad_parts = has_bad_parts || bad_numbers.has_errors();
    diagnostics.extend(bad_numbers);
    let mut problems = Problems::default();
    // All but the issuer can be wrong before the issuer is known.
    let issuer = handle
        .as_ref()
        .map_or_else(issuer::anonymous, |known| known.issuer.clone());
    let desired = Desired::read(&wish, issuer, &mut problems)
        .filter(|_| handle.is_some() && !has_bad_parts)
        .map(|mut desired| {
            desired.id = text(values, "id").unwrap_or_default();
            desired.record = record(values, &schema::attributes());
            desired
        });
    if has_bad_nodes {
        problems.leave_out(&["nodes"]);
    }
    diagnostics.extend(report::problems(problems));
    Read {
        nodes,
        handle,
        desired,
    }
}

/// Attributes that decide what is done and are known only after apply.
pub(super) fn unknown(values: &Value) -> Vec<&'static str> {
    let others = DECISIVE
        .into_iter()
        .filter(|name| !values.get(name).is_wholly_known());
    let mut issuer = values.get("issuer").plain().clone();
    issuer.set("root_fingerprint", Value::Null);
    let mut unknown = Vec::new();
    for (name, value) in [("nodes", values.get("nodes")), ("issuer", &issuer)] {
        if !value.is_wholly_known() {
            unknown.push(name);
        }
    }
    unknown.extend(others);
    unknown
}

fn wish(values: &Value, nodes: &Nodes, diagnostics: &mut Diagnostics) -> Wish {
    let mut number = |name| integer(values.get(name), Path::attribute(name), diagnostics);
    Wish {
        name: text(values, "name").unwrap_or_default(),
        version: text(values, "version"),
        nodes: nodes.wishes.clone(),
        client_port: number("client_port"),
        peer_port: number("peer_port"),
        metrics_port: number("metrics_port"),
        heartbeat_interval_ms: number("heartbeat_interval_ms"),
        election_timeout_ms: number("election_timeout_ms"),
        snapshot_count: number("snapshot_count"),
        auto_compaction_mode: text(values, "auto_compaction_mode"),
        auto_compaction_retention: text(values, "auto_compaction_retention"),
        quota_backend_bytes: number("quota_backend_bytes"),
        extra_options: map(values, "extra_options"),
        server_sans: texts(values, "server_sans"),
        certificate_lifetime: text(values, "certificate_lifetime"),
    }
}

/// What is wrong with the checksums of archives; `installed` has those that the programs of the wanted
/// version came from, if it is installed.
pub(super) fn check_pins(values: &Value, installed: &Value) -> Diagnostics {
    let pins = |values| map(values, "release_sha256");
    let mut problems = Problems::default();
    cluster::check_pins(&pins(values), &pins(installed), &mut problems);
    report::problems(problems)
}

/// A map of texts.
pub(super) fn map(values: &Value, name: &str) -> BTreeMap<String, String> {
    let entries = values.get(name).as_map();
    entries
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use tf_plugin::Number;

    use super::*;

    fn config(changes: &[(&str, Value)]) -> Value {
        let node = Value::object([("host", Value::string("10.0.1.11"))]);
        let mut config = Value::object([
            ("name", Value::string("k8s")),
            ("nodes", Value::object([("1", node)])),
            ("issuer", Value::unknown()),
        ]);
        for (name, value) in changes {
            config.set(name, value.clone());
        }
        config
    }

    fn told(config: &Value) -> Vec<String> {
        let mut diagnostics = Diagnostics::new();
        let read = read(config, &mut diagnostics);
        assert!(read.desired.is_none(), "the issuer is not known");
        let line = |found: &tf_plugin::Diagnostic| {
            let place = found.path.as_ref().map(ToString::to_string);
            format!("{}: {}", place.unwrap_or_default(), found.detail)
        };
        diagnostics.iter().map(line).collect()
    }

    #[test]
    fn what_is_known_only_after_apply_is_named() {
        assert_eq!(unknown(&config(&[])), ["issuer"]);
        let issuer = Value::object([("root_fingerprint", Value::unknown())]);
        let later = config(&[
            ("heartbeat_interval_ms", Value::unknown()),
            ("nodes", Value::object([("1", Value::unknown())])),
            ("issuer", issuer),
        ]);
        assert_eq!(unknown(&later), ["nodes", "heartbeat_interval_ms"]);
    }

    #[test]
    fn a_number_that_is_not_whole_is_told_and_not_taken_for_unset() {
        let number = |text: &str| Value::Number(Number::parse(text).expect("a number"));
        assert_eq!(told(&config(&[])), Vec::<String>::new());
        for attribute in [
            "client_port",
            "peer_port",
            "metrics_port",
            "heartbeat_interval_ms",
            "election_timeout_ms",
            "snapshot_count",
            "quota_backend_bytes",
        ] {
            assert_eq!(
                told(&config(&[(attribute, number("5379.5"))])),
                [format!(
                    "{attribute}: A whole number is needed, and 5379.5 has a fraction."
                )]
            );
            assert_eq!(
                told(&config(&[(attribute, number("99999999999999999999"))])),
                [format!(
                    "{attribute}: A whole number is needed, and 99999999999999999999 is out of any range."
                )]
            );
        }
        assert_eq!(
            told(&config(&[("client_port", number("2379.0"))])),
            Vec::<String>::new()
        );
    }
}
