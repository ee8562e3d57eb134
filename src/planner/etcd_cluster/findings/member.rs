//! The member itself: in the list, with its data, up, answering, with the options that are wanted.

use super::{Finding, Remedy, drift, wanted};
use crate::{
    drop_in,
    etcd_cluster::{
        desired::Desired,
        membership::{Standing, standing},
        names,
        observed::Observed,
        place::no_address,
        render::fingerprint,
    },
    facts::{Fact, HostFacts, UnitFact},
    name::NodeKey,
    node::Node,
};

/// A cluster that had its quorum: every member should vote and answer.
pub(super) fn running(
    desired: &Desired,
    observed: &Observed,
    key: &NodeKey,
    node: &Node,
    host: &HostFacts,
    found: &mut Vec<Finding>,
) {
    let manifest = observed.manifest(key);
    if manifest
        .as_ref()
        .is_none_or(|manifest| !manifest.bootstrapped)
    {
        found.push(wanted(Remedy::Finish));
    }
    let name = names::unit(&desired.name, key);
    let unit = host.units.get(&name).filter(|unit| unit.is_up());
    let restart = unit.and_then(|unit| {
        let started_with = manifest.map(|manifest| manifest.started_with);
        let owed = started_with.is_some_and(|hash| hash != fingerprint(desired, key, node));
        owes(desired, host, unit, &name, owed)
    });
    if let Some(sentence) = out_of_place(desired, observed, key, host) {
        found.push(drift(sentence, Remedy::Rejoin));
        found.extend(restart);
        return;
    }
    if unit.is_none() {
        found.push(drift(format!("unit {name} is stopped"), Remedy::Start));
        return;
    }
    found.extend(restart);
    // A member that was let in keeps nothing that lets it start without data.
    let joining = names::joining(&desired.name, key);
    let votes = matches!(standing(desired, observed, key), Standing::Voter(_));
    if votes && host.files.contains_key(&joining) {
        found.push(drift(
            format!("{joining} lets {name} start without its data"),
            Remedy::Rejoin,
        ));
    }
    let file = host.files.get(&format!("/etc/systemd/system/{name}"));
    let is_overridden = unit.is_some_and(|unit| drop_in::overriding(unit, file).is_some());
    if !observed.is_healthy(key) && !is_overridden && is_to_blame(desired, observed) {
        let answers = match observed.member(key) {
            Some(_) => "sees no quorum",
            None => "does not answer",
        };
        let member = names::member(&desired.name, key);
        let why =
            no_address(node, host).map_or_else(String::new, |why| format!(": its host has {why}"));
        found.push(drift(format!("{member} {answers}{why}"), Remedy::Await));
    }
}

/// Why a member that is up must be restarted.
fn owes(
    desired: &Desired,
    host: &HostFacts,
    unit: &UnitFact,
    name: &str,
    owed: bool,
) -> Option<Finding> {
    let path = format!("{}/etcd", names::programs(&desired.version));
    let program = host.files.get(&path);
    // No restart makes a unit start ours that a drop-in has start something else.
    let file = host.files.get(&format!("/etc/systemd/system/{name}"));
    let is_overridden = drop_in::overriding(unit, file).is_some();
    let runs_other = !is_overridden
        && program.is_some_and(|program| {
            !unit.executable_sha256.is_empty() && unit.executable_sha256 != program.recorded_sha256
        });
    if runs_other {
        let sentence = format!("{name} runs another program than the one installed");
        return Some(drift(sentence, Remedy::Restart));
    }
    owed.then(|| wanted(Remedy::Restart))
}

/// Why the member cannot simply run: it is not in the list, does not vote, or has no data.
fn out_of_place(
    desired: &Desired,
    observed: &Observed,
    key: &NodeKey,
    host: &HostFacts,
) -> Option<String> {
    let name = names::member(&desired.name, key);
    match standing(desired, observed, key) {
        Standing::Absent => Some(format!("{name} is not in the member list")),
        Standing::Learner(_) => Some(format!("{name} is a learner and does not vote")),
        Standing::Voter(_) | Standing::Unknown => {
            let wal = names::wal(&desired.name, key);
            (!host.files.contains_key(&wal))
                .then(|| format!("{wal} is missing: its disk is not mounted, or the data is lost"))
        }
    }
}

/// Whether a member that does not answer can be at fault itself: without a quorum none answers, and that
/// may be for hosts that were not seen.
fn is_to_blame(desired: &Desired, observed: &Observed) -> bool {
    let seen = |key: &NodeKey| matches!(observed.hosts.get(key), Some(Fact::Known(_)));
    observed.members().is_some() || desired.nodes.keys().all(seen)
}

/// A cluster that is being made.
pub(super) fn starting(
    desired: &Desired,
    observed: &Observed,
    key: &NodeKey,
    host: &HostFacts,
    found: &mut Vec<Finding>,
) {
    let unit = host.units.get(&names::unit(&desired.name, key));
    if !unit.is_some_and(UnitFact::is_up) {
        found.push(wanted(Remedy::Start));
    }
    if !observed.is_healthy(key) {
        found.push(wanted(Remedy::Await));
    }
    found.push(wanted(Remedy::Finish));
}
