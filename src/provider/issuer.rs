//! The handle `issuer`: what a cluster is given to get certificates from a CA.
//!
//! It names hosts and login profiles, never credentials, and not which node is active.

use std::collections::BTreeMap;

use planner::{
    issuer::Issuer,
    name::{Name, NodeKey},
    node::NodeWish,
};
use tf_plugin::{Diagnostic, Diagnostics, Path, Type, Value};

/// The type of the handle.
pub(crate) fn ty() -> Type {
    Type::object([
        ("name", Type::String),
        ("provisioner", Type::String),
        ("directory", Type::String),
        ("port", Type::Number),
        ("root_fingerprint", Type::String),
        ("urls", Type::list(Type::String)),
        (
            "nodes",
            Type::list(Type::object([
                ("key", Type::String),
                ("host", Type::String),
                ("port", Type::Number),
                ("user", Type::String),
                ("ssh_profile", Type::String),
                ("host_key", Type::String),
            ])),
        ),
    ])
}

/// What the docs say of the handle.
pub(crate) const DESCRIPTION: &str = "What clusters are given as their `issuer`: name, URLs and SSH \
    targets of all nodes, provisioner and fingerprint of the root. Known at plan but for the \
    fingerprint of a CA that is being made.";

/// The handle of a CA.
pub(crate) fn value(
    issuer: &Issuer,
    provisioner: &str,
    wishes: &BTreeMap<String, NodeWish>,
) -> Value {
    let nodes = wishes.iter().map(|(key, wish)| {
        Value::object([
            ("key", Value::string(key)),
            ("host", Value::string(&wish.host)),
            ("port", wish.port.map_or(Value::Null, Value::integer)),
            ("user", Value::optional_string(wish.user.as_deref())),
            (
                "ssh_profile",
                Value::optional_string(wish.ssh_profile.as_deref()),
            ),
            ("host_key", Value::optional_string(wish.host_key.as_deref())),
        ])
    });
    let fingerprint = issuer.fingerprint.as_deref();
    Value::object([
        ("name", Value::string(issuer.name.as_str())),
        ("provisioner", Value::string(provisioner)),
        ("directory", Value::string(&issuer.directory)),
        ("port", Value::integer(issuer.port)),
        (
            "root_fingerprint",
            fingerprint.map_or_else(Value::unknown, Value::string),
        ),
        (
            "urls",
            Value::strings(issuer.urls.iter().map(String::as_str)),
        ),
        ("nodes", Value::List(nodes.collect())),
    ])
}

/// Stands for an issuer that is not known yet while the rest of a configuration is checked.
pub(crate) fn anonymous() -> Issuer {
    Issuer {
        name: Name::parse("unknown").expect("a plain word is a name"),
        urls: Vec::new(),
        fingerprint: None,
        directory: String::new(),
        port: 0,
    }
}

/// A handle that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handle {
    pub(crate) issuer: Issuer,
    /// The CA's nodes, as far as SSH needs them.
    pub(crate) nodes: BTreeMap<String, NodeWish>,
}

/// Reads a handle; `None` if something but the fingerprint is unknown, or if it is none.
pub(crate) fn read(value: &Value, diagnostics: &mut Diagnostics) -> Option<Handle> {
    if value.is_unknown() {
        return None;
    }
    let mut rest = value.plain().clone();
    rest.set("root_fingerprint", Value::Null);
    if !rest.is_wholly_known() {
        return None;
    }
    let handle = parse(value);
    if handle.is_none() {
        let detail = "issuer is the attribute issuer of an etcd_step_ca, such as \
                      etcd_step_ca.main.issuer.";
        diagnostics.push(Diagnostic::error("Not an issuer", detail).at(Path::attribute("issuer")));
    }
    handle
}

fn parse(value: &Value) -> Option<Handle> {
    let text = |value: &Value, name: &str| value.get(name).as_str().map(str::to_owned);
    let mut nodes = BTreeMap::new();
    for node in value.get("nodes").as_list()? {
        let key = text(node, "key")?;
        NodeKey::parse(&key).ok()?;
        let wish = NodeWish {
            host: text(node, "host")?,
            port: match node.get("port") {
                port if port.is_null() => None,
                port => Some(port.as_i64()?),
            },
            user: text(node, "user"),
            ssh_profile: text(node, "ssh_profile"),
            host_key: text(node, "host_key"),
            ..NodeWish::default()
        };
        nodes.insert(key, wish);
    }
    let urls = value
        .get("urls")
        .as_list()?
        .iter()
        .map(|url| url.as_str().map(str::to_owned));
    let issuer = Issuer {
        name: Name::parse(value.get("name").as_str()?).ok()?,
        urls: urls.collect::<Option<Vec<_>>>()?,
        fingerprint: text(value, "root_fingerprint"),
        directory: text(value, "directory")?,
        port: u16::try_from(value.get("port").as_i64()?).ok()?,
    };
    Some(Handle { issuer, nodes })
}
