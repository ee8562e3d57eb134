//! The firewall of the whole cluster: its options, IP sets and security groups, as pve-firewall's `API2/Firewall` has
//! them. Nothing is filtered.

use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
};

use serde_json::{Map, Value, json};

use crate::{
    parameters::{self, Parameters},
    privilege::Subject,
    reply::{Answer, Reply},
    route::Call,
};

/// What `cluster.fw` holds.
#[derive(Debug, Default)]
pub(crate) struct Firewall {
    options: Map<String, Value>,
    sets: BTreeMap<String, Set>,
    groups: BTreeMap<String, Group>,
}

#[derive(Debug, Default)]
struct Set {
    comment: Option<String>,
    /// By network: the file is written in their order, whatever was added first.
    networks: BTreeMap<String, Value>,
}

#[derive(Debug, Default)]
struct Group {
    comment: Option<String>,
    rules: Vec<Map<String, Value>>,
}

/// Options, and whether each is a number.
const OPTIONS: [(&str, bool); 5] = [
    ("enable", true),
    ("ebtables", true),
    ("log_ratelimit", false),
    ("policy_in", false),
    ("policy_out", false),
];
/// Properties of a rule, and whether each is a number.
const PROPERTIES: [(&str, bool); 14] = [
    ("action", false),
    ("comment", false),
    ("dest", false),
    ("digest", false),
    ("dport", false),
    ("enable", true),
    ("icmp-type", false),
    ("iface", false),
    ("log", false),
    ("macro", false),
    ("proto", false),
    ("source", false),
    ("sport", false),
    ("type", false),
];

/// Answers a call below `/cluster/firewall`.
pub(crate) fn answer(call: &Call<'_>, subject: &Subject, rest: &[&str]) -> Answer {
    let privilege = match call.method {
        "GET" => "Sys.Audit",
        _ => "Sys.Modify",
    };
    call.cluster.require_any(subject, "/", &[privilege])?;
    let mut firewall = call.cluster.firewall();
    let query = &call.parameters;
    match (call.method, rest) {
        ("GET", ["options"]) => Ok(Reply::data(json!(firewall.options))),
        ("PUT", ["options"]) => {
            firewall.options.extend(values(query, &OPTIONS)?);
            Ok(done())
        }
        ("GET", ["ipset"]) => Ok(listed(&firewall.sets, "name", |set| set.comment.as_ref())),
        ("POST", ["ipset"]) => {
            let name = claim(&mut firewall.sets, "name", "IPSet", query)?;
            let set = firewall.sets.entry(name).or_default();
            if let Some(comment) = query.get("comment") {
                set.comment = Some(comment.clone());
            }
            Ok(done())
        }
        ("GET", ["groups"]) => Ok(listed(&firewall.groups, "group", |group| {
            group.comment.as_ref()
        })),
        ("POST", ["groups"]) => {
            let name = claim(&mut firewall.groups, "group", "Security group", query)?;
            let group = firewall.groups.entry(name).or_default();
            if let Some(comment) = query.get("comment") {
                group.comment = Some(comment.clone());
            }
            Ok(done())
        }
        (_, ["ipset", name, rest @ ..]) => of_set(call, firewall, name, rest),
        (_, ["groups", name, rest @ ..]) => of_group(call, firewall, name, rest),
        _ => Err(call.unknown()),
    }
}

fn of_set(
    call: &Call<'_>,
    mut firewall: MutexGuard<'_, Firewall>,
    name: &str,
    rest: &[&str],
) -> Answer {
    let query = &call.parameters;
    let set = firewall
        .sets
        .get_mut(name)
        .ok_or_else(|| Reply::thrown(format!("no such IPSet '{name}'")))?;
    match (call.method, rest) {
        ("GET", []) => Ok(Reply::data(set.networks.values().cloned().collect())),
        ("POST", []) => {
            parameters::only(query, &["cidr", "comment", "nomatch"])?;
            let cidr = parameters::required(query, "cidr")?;
            if set.networks.contains_key(cidr) {
                let text = format!("address '{cidr}' already exists");
                return Err(Reply::parameter("cidr", &text));
            }
            let entry = values(
                query,
                &[("cidr", false), ("comment", false), ("nomatch", true)],
            )?;
            set.networks.insert(cidr.to_owned(), Value::Object(entry));
            Ok(done())
        }
        ("DELETE", []) if set.networks.is_empty() => {
            firewall.sets.remove(name);
            Ok(done())
        }
        ("DELETE", []) => Err(Reply::thrown(format!("IPSet '{name}' is not empty"))),
        // The network has a slash of its own.
        ("DELETE", cidr) => {
            set.networks.remove(&cidr.join("/"));
            Ok(done())
        }
        _ => Err(call.unknown()),
    }
}

fn of_group(
    call: &Call<'_>,
    mut firewall: MutexGuard<'_, Firewall>,
    name: &str,
    rest: &[&str],
) -> Answer {
    let query = &call.parameters;
    let Firewall { sets, groups, .. } = &mut *firewall;
    let group = groups
        .get_mut(name)
        .ok_or_else(|| Reply::thrown(format!("no such security group '{name}'")))?;
    let position = match rest {
        [position] => {
            let wrong = || Reply::parameter("pos", "type check ('integer') failed");
            let position: usize = position.parse().map_err(|_| wrong())?;
            if position >= group.rules.len() {
                let text = format!("no rule at position {position}");
                return Err(Reply::thrown(text));
            }
            Some(position)
        }
        _ => None,
    };
    let at = |position: Value, rule: &Map<String, Value>| {
        let mut rule = rule.clone();
        rule.insert("pos".to_owned(), position);
        Value::Object(rule)
    };
    match (call.method, position) {
        ("GET", None) => {
            let rules = group.rules.iter().enumerate();
            let rules: Vec<_> = rules.map(|(index, rule)| at(index.into(), rule)).collect();
            Ok(Reply::data(rules.into()))
        }
        // Out of the path it comes, and a text it stays.
        ("GET", Some(position)) => {
            let rule = at(position.to_string().into(), &group.rules[position]);
            Ok(Reply::data(rule))
        }
        ("POST", None) => {
            for name in ["action", "type"] {
                parameters::required(query, name)?;
            }
            let mut rule = rule(query, sets)?;
            rule.entry("enable").or_insert_with(|| 0.into());
            // A new one is the first.
            group.rules.insert(0, rule);
            Ok(done())
        }
        ("PUT", Some(position)) => {
            let changed = rule(query, sets)?;
            group.rules[position].extend(changed);
            Ok(done())
        }
        ("DELETE", Some(position)) => {
            group.rules.remove(position);
            Ok(done())
        }
        ("DELETE", None) if group.rules.is_empty() => {
            groups.remove(name);
            Ok(done())
        }
        ("DELETE", None) => Err(Reply::thrown(format!(
            "Security group '{name}' is not empty"
        ))),
        _ => Err(call.unknown()),
    }
}

fn done() -> Reply {
    Reply::data(Value::Null)
}

/// The properties of a rule that were given; sets that it names must be there.
fn rule(query: &Parameters, sets: &BTreeMap<String, Set>) -> Result<Map<String, Value>, Reply> {
    for property in ["source", "dest"] {
        let set = query
            .get(property)
            .and_then(|value| value.strip_prefix('+'));
        let set = set.map(|set| set.strip_prefix("dc/").unwrap_or(set));
        if let Some(set) = set.filter(|set| !sets.contains_key(*set)) {
            return Err(Reply::parameter(
                property,
                &format!("no such ipset '{set}'"),
            ));
        }
    }
    let mut query = query.clone();
    // It is in the path too.
    query.remove("pos");
    values(&query, &PROPERTIES)
}

/// The name of a set or a group that is to be there; one that is renamed takes its content along.
fn claim<T>(
    known: &mut BTreeMap<String, T>,
    key: &str,
    kind: &str,
    query: &Parameters,
) -> Result<String, Reply> {
    parameters::only(query, &[key, "comment", "rename", "digest"])?;
    let name = parameters::required(query, key)?.to_owned();
    match query.get("rename") {
        None if known.contains_key(&name) => {
            let text = format!("{kind} '{name}' already exists");
            Err(Reply::parameter(key, &text))
        }
        None => Ok(name),
        Some(old) => {
            let content = known.remove(old).ok_or_else(|| {
                let text = format!("{kind} '{old}' does not exist");
                Reply::parameter(key, &text)
            })?;
            known.insert(name.clone(), content);
            Ok(name)
        }
    }
}

fn listed<T>(
    known: &BTreeMap<String, T>,
    key: &str,
    comment: impl Fn(&T) -> Option<&String>,
) -> Reply {
    let list: Vec<_> = known
        .iter()
        .map(|(name, content)| {
            let mut found = json!({ key: name });
            if let Some(comment) = comment(content) {
                found["comment"] = json!(comment);
            }
            found
        })
        .collect();
    Reply::data(list.into())
}

/// Parameters as they are answered: numbers as numbers.
fn values(query: &Parameters, known: &[(&str, bool)]) -> Result<Map<String, Value>, Reply> {
    let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
    parameters::only(query, &names)?;
    known
        .iter()
        .filter_map(|(name, is_number)| Some((*name, *is_number, query.get(*name)?)))
        .map(|(name, is_number, text)| {
            let value = if is_number {
                let wrong = || Reply::parameter(name, "type check ('integer') failed");
                text.parse::<i64>().map_err(|_| wrong())?.into()
            } else {
                Value::String(text.clone())
            };
            Ok((name.to_owned(), value))
        })
        .collect()
}

impl Firewall {
    /// All of it, as a test looks at it.
    pub(crate) fn shown(&self) -> Value {
        let sets = self.sets.iter();
        let sets = sets.map(|(name, set)| (name, set.networks.keys().collect::<Vec<_>>()));
        let groups = self.groups.iter();
        json!({
            "options": self.options,
            "sets": sets.collect::<BTreeMap<_, _>>(),
            "groups": groups.map(|(name, group)| (name, &group.rules)).collect::<BTreeMap<_, _>>(),
        })
    }
}

impl crate::cluster::Cluster {
    pub(crate) fn firewall(&self) -> MutexGuard<'_, Firewall> {
        self.firewall.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
