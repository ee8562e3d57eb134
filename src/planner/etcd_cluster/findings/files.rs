//! Files that were written: edited, missing, or to say something else now.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Remedy, drift, exposed, wanted};
use crate::{
    etcd_cluster::{
        desired::Desired,
        names,
        render::{self, Phase, effective, essence, parse},
    },
    facts::{FileFact, HostFacts, UnitFact},
    name::NodeKey,
    node::Node,
    rendered::{RenderedFile, sha256},
};

/// Options that only the first start of a member reads.
const FIRST_START: [&str; 3] = [
    "initial-cluster",
    "initial-cluster-token",
    "initial-cluster-state",
];

pub(super) fn written(
    desired: &Desired,
    key: &NodeKey,
    node: &Node,
    host: &HostFacts,
    bootstrapped: bool,
    found: &mut Vec<Finding>,
) {
    let phase = if bootstrapped {
        Phase::Existing
    } else {
        Phase::New
    };
    let unit = host.units.get(&names::unit(&desired.name, key));
    for file in render::files(desired, key, node, phase) {
        let Some(fact) = host.files.get(&file.path) else {
            // Nobody knows what the member read before it went.
            let owes = !file.unit && bootstrapped && unit.is_some_and(UnitFact::is_up);
            let remedy = if owes {
                Remedy::WriteAndRestart
            } else {
                Remedy::Write
            };
            found.push(drift(format!("{} is missing", file.path), remedy));
            continue;
        };
        if file.unit {
            found.extend(unit_file(&file, fact));
        } else {
            let differences = || differences(fact, desired, key, node);
            found.extend(configuration(&file, fact, unit, bootstrapped, differences));
        }
        found.extend(
            exposed(&file.path, fact, file.mode, file.user, file.group)
                .map(|sentence| drift(sentence, Remedy::Write)),
        );
    }
}

fn unit_file(file: &RenderedFile, fact: &FileFact) -> Option<Finding> {
    if fact.is_edited() {
        return Some(drift(format!("{} was edited", file.path), Remedy::Write));
    }
    let content = fact.content.as_deref().unwrap_or_default();
    (essence(content) != essence(&file.content)).then(|| wanted(Remedy::Write))
}

fn configuration(
    file: &RenderedFile,
    fact: &FileFact,
    unit: Option<&UnitFact>,
    bootstrapped: bool,
    differences: impl FnOnce() -> Vec<String>,
) -> Option<Finding> {
    if sha256(file.content.as_bytes()) == fact.sha256 {
        return None;
    }
    let differences = differences();
    let differs = !differences.is_empty();
    // One that is not up reads the file when it starts.
    let owes = differs && bootstrapped && unit.is_some_and(|unit| has_read(unit, fact));
    let remedy = if owes {
        Remedy::WriteAndRestart
    } else {
        Remedy::Write
    };
    if fact.is_edited() {
        let detail = match (&fact.content, differs) {
            (None, _) => "was edited and is no text any more".to_owned(),
            (Some(_), false) => "was edited, no option differs".to_owned(),
            (Some(_), true) => format!("was edited: {}", differences.join(", ")),
        };
        return Some(drift(format!("{} {detail}", file.path), remedy));
    }
    let state = |text: &str| parse(text).get("initial-cluster-state").cloned();
    let state_differs = state(fact.content.as_deref().unwrap_or_default()) != state(&file.content);
    (differs || state_differs).then(|| wanted(remedy))
}

/// Whether the member runs with something else than will be written. One that is up and not ready
/// may have read anything. (That a file was edited, read, and edited again cannot be told.)
fn has_read(unit: &UnitFact, fact: &FileFact) -> bool {
    // systemd tells whole seconds.
    let since_edit =
        unit.active_since_ms == 0 || unit.active_since_ms / 1000 >= fact.modified_ms / 1000;
    unit.is_up() && (!fact.is_edited() || since_edit)
}

/// Options that differ, in words.
fn differences(fact: &FileFact, desired: &Desired, key: &NodeKey, node: &Node) -> Vec<String> {
    let text = fact.content.as_deref().unwrap_or_default();
    let mut there = plain(parse(text));
    there.retain(|name, _| !FIRST_START.contains(&name.as_str()));
    let wanted = plain(effective(desired, key, node));
    let names: BTreeSet<&String> = there.keys().chain(wanted.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| match (there.get(name), wanted.get(name)) {
            (Some(is), Some(should)) if is != should => {
                Some(format!("{name} is {is}, wanted {should}"))
            }
            (Some(is), None) => Some(format!("{name} is {is}, wanted nothing")),
            (None, Some(should)) => Some(format!("{name} is missing, wanted {should}")),
            _ => None,
        })
        .collect()
}

/// Values without their quotes: both forms say the same.
fn plain(options: BTreeMap<String, String>) -> BTreeMap<String, String> {
    options
        .into_iter()
        .map(|(name, value)| {
            let text = serde_json::from_str::<String>(&value).unwrap_or(value);
            (name, text)
        })
        .collect()
}
