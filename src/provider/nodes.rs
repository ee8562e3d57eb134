//! `nodes`: one dynamic attribute, checked here because Core drops what a type does not name.

use std::collections::BTreeMap;

use planner::node::NodeWish;
use tf_plugin::{Diagnostic, Diagnostics, Path, Value};

/// Members of a node, with what they hold.
const MEMBERS: [(&str, &str); 8] = [
    ("host", "string, required"),
    ("address", "string"),
    ("advertise", "string"),
    ("port", "number"),
    ("user", "string"),
    ("ssh_profile", "string"),
    ("host_key", "string"),
    ("server_sans", "list of strings"),
];

/// What `nodes` says in the docs.
pub(crate) const DESCRIPTION: &str = "The hosts by node key: a map of objects. The key (1 to 16 \
    lower-case letters and digits) stands in names of units and paths for life. Members of an \
    object:\n\
    - `host` (string, required): name or address that SSH connects to.\n\
    - `address` (string): IP address that is listened on. Default: `host`, if that is an address.\n\
    - `advertise` (string): name or address that others are told. Default: the address.\n\
    - `port` (number): SSH port. Default: `22`.\n\
    - `user` (string): SSH user. Default: the provider's.\n\
    - `ssh_profile` (string): name of an `ssh_profile` block of the provider.\n\
    - `host_key` (string): public key or `SHA256:` fingerprint of the host; known hosts then do not \
    matter.\n\
    - `server_sans` (list of strings): more names for the node's server certificate.";

/// The nodes that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nodes {
    /// By key; without those that are not wholly known.
    pub(crate) wishes: BTreeMap<String, NodeWish>,
    /// Something in them is known only after apply.
    pub(crate) is_unknown: bool,
}

/// Reads the attribute; what is wrong is reported at its place.
pub(crate) fn read(value: &Value, diagnostics: &mut Diagnostics) -> Nodes {
    let place = Path::attribute("nodes");
    let mut nodes = Nodes::default();
    if value.is_unknown() {
        nodes.is_unknown = true;
        return nodes;
    }
    let Some(entries) = value.as_map() else {
        let detail = "nodes is a map of objects, such as { \"1\" = { host = \"10.0.1.10\" } }.";
        diagnostics.push(Diagnostic::error("Wrong type", detail).at(place));
        return nodes;
    };
    for (key, entry) in entries {
        let place = place.clone().key(key);
        if entry.is_unknown() {
            nodes.is_unknown = true;
            continue;
        }
        let Some(members) = entry.as_map() else {
            let detail =
                format!("Node \"{key}\" is an object, such as {{ host = \"10.0.1.10\" }}.");
            diagnostics.push(Diagnostic::error("Wrong type", detail).at(place));
            continue;
        };
        match node(key, members, &place, diagnostics) {
            Some(wish) => {
                nodes.wishes.insert(key.clone(), wish);
            }
            None => nodes.is_unknown = true,
        }
    }
    nodes
}

/// `None` if a member is unknown. All is reported at the node: Core finds the line of an entry of an
/// attribute, and for anything deeper it points at the whole resource.
fn node(
    key: &str,
    members: &BTreeMap<String, Value>,
    place: &Path,
    diagnostics: &mut Diagnostics,
) -> Option<NodeWish> {
    let mut wish = NodeWish::default();
    let mut is_known = true;
    let mut has_host = false;
    for (name, value) in members {
        let Some((_, wanted)) = MEMBERS.iter().find(|(known, _)| known == name) else {
            diagnostics.push(
                Diagnostic::error(
                    format!("Unknown member \"{name}\" in node \"{key}\""),
                    format!("A node has: {}.{}", member_names(), near(name)),
                )
                .at(place.clone()),
            );
            continue;
        };
        if value.is_null() {
            continue;
        }
        has_host |= name == "host";
        if !value.is_wholly_known() {
            is_known = false;
            continue;
        }
        if !set(&mut wish, name, value) {
            let detail = format!("{name} of node \"{key}\" must be a {wanted}.");
            diagnostics.push(Diagnostic::error("Wrong type", detail).at(place.clone()));
        }
    }
    if !has_host {
        let detail =
            format!("Node \"{key}\" has no host: add host = \"…\", the name or address for SSH.");
        diagnostics.push(Diagnostic::error("Node without host", detail).at(place.clone()));
    }
    is_known.then_some(wish)
}

fn member_names() -> String {
    MEMBERS.map(|(name, _)| name).join(", ")
}

/// The member that was probably meant.
fn near(name: &str) -> String {
    let near = planner::near::nearest(name, MEMBERS.iter().map(|(known, _)| *known));
    near.map_or_else(String::new, |near| format!(" Did you mean {near}?"))
}

/// Takes a member over; false if it has another type.
fn set(wish: &mut NodeWish, name: &str, value: &Value) -> bool {
    let text = || match value.plain() {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.as_str().to_owned()),
        _ => None,
    };
    let place = match name {
        "host" => {
            let Some(host) = text().filter(|host| !host.is_empty()) else {
                return false;
            };
            wish.host = host;
            return true;
        }
        "port" => {
            wish.port = value.as_i64().or_else(|| value.as_str()?.parse().ok());
            return wish.port.is_some();
        }
        "server_sans" => {
            let names = value.as_list().map(|list| {
                list.iter()
                    .map(|name| name.as_str().map(str::to_owned))
                    .collect::<Option<Vec<_>>>()
            });
            let Some(Some(names)) = names else {
                return false;
            };
            wish.server_sans = names;
            return true;
        }
        "address" => &mut wish.address,
        "advertise" => &mut wish.advertise,
        "user" => &mut wish.user,
        "ssh_profile" => &mut wish.ssh_profile,
        _ => &mut wish.host_key,
    };
    *place = text();
    place.is_some()
}

/// The prior value if the new one means the same, so that form alone is never a change.
pub(crate) fn settle(prior: &Value, config: &Value) -> Value {
    if prior.is_null() || config.is_null() || !config.is_wholly_known() {
        return config.clone();
    }
    let mut ignored = Diagnostics::new();
    if read(prior, &mut ignored) == read(config, &mut ignored) && !ignored.has_errors() {
        prior.clone()
    } else {
        config.clone()
    }
}

/// Nodes of `wishes` whose hosts are reached otherwise than before.
pub(crate) fn rerouted(
    prior: &Value,
    wishes: &BTreeMap<String, NodeWish>,
) -> BTreeMap<String, NodeWish> {
    let before = read(prior, &mut Diagnostics::new()).wishes;
    let way = |wish: &NodeWish| (wish.host.clone(), wish.port, wish.ssh_profile.clone());
    let mut changed = wishes.clone();
    changed.retain(|key, wish| before.get(key).is_some_and(|old| way(old) != way(wish)));
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(members: Vec<(&str, Value)>) -> Value {
        Value::object([("1", Value::object(members))])
    }

    fn summaries(value: &Value) -> Vec<String> {
        let mut diagnostics = Diagnostics::new();
        read(value, &mut diagnostics);
        diagnostics
            .iter()
            .map(|diagnostic| diagnostic.summary.clone())
            .collect()
    }

    #[test]
    fn takes_a_number_in_any_form_and_null_for_absent() {
        let plain = one(vec![
            ("host", Value::string("h")),
            ("port", Value::integer(22)),
        ]);
        let other = one(vec![
            ("host", Value::string("h")),
            ("port", Value::string("22")),
            ("user", Value::Null),
        ]);
        assert_eq!(settle(&plain, &other), plain);
        let changed = one(vec![
            ("host", Value::string("h")),
            ("port", Value::integer(23)),
        ]);
        assert_eq!(settle(&plain, &changed), changed);
    }

    #[test]
    fn reports_what_core_would_drop() {
        let misspelt = one(vec![
            ("host", Value::string("h")),
            ("adress", Value::string("1.2.3.4")),
        ]);
        let mut diagnostics = Diagnostics::new();
        read(&misspelt, &mut diagnostics);
        let diagnostic = diagnostics.iter().next().expect("one error");
        assert!(
            diagnostic.detail.contains("Did you mean address?"),
            "{}",
            diagnostic.detail
        );
        let place = diagnostic.path.as_ref().map(ToString::to_string);
        assert_eq!(place.as_deref(), Some("nodes[\"1\"]"));
        assert_eq!(summaries(&one(vec![])), ["Node without host"]);
        assert_eq!(summaries(&Value::string("x")), ["Wrong type"]);
        let port = one(vec![
            ("host", Value::string("h")),
            ("port", Value::string("ssh")),
        ]);
        assert_eq!(summaries(&port), ["Wrong type"]);
    }

    #[test]
    fn what_is_unknown_is_no_error() {
        let mut diagnostics = Diagnostics::new();
        let nodes = read(&one(vec![("host", Value::unknown())]), &mut diagnostics);
        assert!(nodes.is_unknown && !diagnostics.has_errors());
        assert!(read(&Value::unknown(), &mut diagnostics).is_unknown);
    }
}
