//! Import of what this provider made itself: every host knows what it was made from.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use host::proto::ObserveRequest;
use planner::node::NodeWish;
use tf_plugin::{
    Diagnostic, Diagnostics, Schema, Value, json,
    provider::{Identity, Import, Outcome},
};

use crate::{
    context::{Context, Setup},
    hosts::Hosts,
    life::{made, ready},
    nodes,
    report::Told,
};

/// Limit for looking at the hosts.
const LOOK: Duration = Duration::from_secs(30);

/// What identifies both resources across states.
pub(crate) fn identity() -> Identity {
    Identity {
        version: 0,
        attributes: vec![
            ("name", "Name of the resource."),
            (
                "hosts",
                "Hosts of its nodes, in the order of their keys, separated by commas.",
            ),
        ],
    }
}

/// The identity of an object in a state.
pub(crate) fn identity_of(state: &Value) -> Value {
    let read = nodes::read(state.get("nodes"), &mut Diagnostics::new());
    let hosts: Vec<&str> = read
        .wishes
        .values()
        .map(|wish| wish.host.as_str())
        .collect();
    if read.is_unknown {
        return Value::Null;
    }
    Value::object([
        ("name", state.get("name").clone()),
        ("hosts", Value::string(hosts.join(","))),
    ])
}

/// What was asked for, as name and hosts.
fn split(wanted: &Import) -> Option<(String, Vec<String>)> {
    let (name, hosts) = match wanted {
        Import::Id(id) => id
            .split_once('@')
            .map(|(name, hosts)| (name.to_owned(), hosts.to_owned()))?,
        Import::Identity(identity) => (
            identity.get("name").as_str()?.to_owned(),
            identity.get("hosts").as_str()?.to_owned(),
        ),
    };
    let hosts: Vec<String> = hosts
        .split(',')
        .map(|host| host.trim().to_owned())
        .filter(|host| !host.is_empty())
        .collect();
    (!name.is_empty() && !hosts.is_empty()).then_some((name, hosts))
}

/// The answer to an import of an object of `kind`.
pub(crate) async fn import(setup: &Setup, kind: &str, schema: &Schema, wanted: &Import) -> Outcome {
    let found = async {
        let context = ready(setup)?;
        find(&context, kind, schema, wanted).await
    };
    match found.await {
        Ok(state) => made(state, Vec::new(), Diagnostics::new()),
        Err(diagnostics) => Outcome::failed(diagnostics),
    }
}

/// Finds an object by what its hosts wrote down. `kind` is `etcd_cluster` or `etcd_step_ca`.
///
/// # Errors
/// Diagnostics: it is nowhere, or the hosts cannot be asked.
async fn find(
    context: &Arc<Context>,
    kind: &str,
    schema: &Schema,
    wanted: &Import,
) -> Result<Value, Diagnostics> {
    let Some((name, list)) = split(wanted) else {
        return Err(Diagnostic::error(
            "What to import is not clear",
            "Say NAME@HOST or NAME@HOST,HOST,…: the name and the hosts that it runs on, such as \
             k8s@10.0.1.10,10.0.1.11,10.0.1.12.",
        )
        .into());
    };
    let owner = format!("{kind}/{name}");
    let wishes: BTreeMap<String, NodeWish> = list
        .iter()
        .enumerate()
        .map(|(index, host)| {
            (
                format!("h{index}"),
                NodeWish {
                    host: host.clone(),
                    ..NodeWish::default()
                },
            )
        })
        .collect();
    let hosts = Hosts::new(context, &wishes)?;
    let request = |_: &_| ObserveRequest {
        owners: vec![owner.clone()],
        ..ObserveRequest::default()
    };
    let (facts, troubles) = hosts.observe_all(&owner, LOOK, request).await;
    if let Some(trouble) = troubles.first() {
        return Err(trouble
            .diagnostic(format!("{name} cannot be imported: a host cannot be asked"))
            .into());
    }
    let mut found: Vec<(String, String)> = facts
        .values()
        .filter_map(|fact| fact.known()?.owner.clone())
        .map(|owner| (owner.id, owner.manifest))
        .collect();
    found.sort();
    let Some((id, manifest)) = found.first() else {
        return Err(Diagnostic::error(
            format!("There is no {owner} on {}", list.join(", ")),
            "This provider made nothing of that name there.\nHint: See what a host has with `sudo \
             /opt/etcd-node/current/etcd-node status` on it.",
        )
        .into());
    };
    if let Some((other, _)) = found.iter().find(|(other, _)| other != id) {
        return Err(Diagnostic::error(
            format!("The hosts hold different objects named {name}"),
            format!(
                "One was made under the id {id}, another under {other}. Name only the hosts of one."
            ),
        )
        .into());
    }
    let unreadable = || -> Diagnostics {
        Diagnostic::error(
            format!("{owner} cannot be imported"),
            "What its hosts wrote down about it cannot be read by this version of the provider.",
        )
        .into()
    };
    let record = serde_json::from_str::<serde_json::Value>(manifest)
        .ok()
        .and_then(|manifest| {
            serde_json::from_str::<serde_json::Value>(manifest.get("record")?.as_str()?).ok()
        })
        .ok_or_else(unreadable)?;
    let mut state = json::from_json(&record, &schema.block.ty()).map_err(|_| unreadable())?;
    state.set("id", Value::string(id));
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_name_and_hosts() {
        let id = |text: &str| split(&Import::Id(text.to_owned()));
        assert_eq!(
            id("k8s@a, b"),
            Some(("k8s".to_owned(), vec!["a".to_owned(), "b".to_owned()]))
        );
        for bad in ["k8s", "k8s@", "@a", ""] {
            assert_eq!(id(bad), None, "{bad}");
        }
    }
}
