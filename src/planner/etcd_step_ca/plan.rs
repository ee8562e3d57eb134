//! Findings, plan, drift and status of a CA: all from one list, so that every sentence has a step.

use super::{
    desired::Desired,
    names,
    observed::{Manifest, Observed},
    render,
    step::Step,
};
use crate::{
    facts::{Fact, HostFacts, UnitFact},
    name::NodeKey,
    problem::Problems,
    version,
};

/// A sentence (empty for work that is no drift) and the step that mends it.
type Finding = (String, Step);

fn findings(desired: &Desired, key: &NodeKey, host: &HostFacts) -> Vec<Finding> {
    let node = || key.clone();
    let mut found: Vec<Finding> = Vec::new();
    let instance = desired.instance.as_ref();
    let directory = names::directory(instance);
    if host.owner.is_none() {
        found.push((String::new(), Step::PrepareHost { node: node() }));
    }
    for (path, what) in [
        (
            format!("/opt/step-ca/{}/step-ca", version::STEP_CA),
            "step-ca",
        ),
        (format!("/opt/step/{}/step", version::STEP), "step"),
    ] {
        let step = Step::InstallPrograms { node: node() };
        match host.files.get(&path) {
            None => found.push((format!("{what} ({path}) is missing"), step)),
            Some(file) if file.sha256 != file.recorded_sha256 => {
                found.push((
                    format!("{path} is another program than the one installed"),
                    step,
                ));
            }
            Some(_) => {}
        }
    }
    let manifest = host
        .owner
        .as_ref()
        .and_then(|owner| Manifest::parse(&owner.manifest));
    let present = host.ca.as_ref().is_some_and(|ca| ca.present);
    let configuration = format!("{directory}/config/ca.json");
    let edited = host
        .files
        .get(&configuration)
        .is_some_and(|file| file.sha256 != file.recorded_sha256);
    let changed = manifest
        .as_ref()
        .is_none_or(|manifest| manifest.started_with != desired.configuration_hash());
    if !present {
        found.push((
            format!("{directory} holds no CA"),
            Step::Initialise { node: node() },
        ));
    } else if edited {
        found.push((
            format!("{configuration} was edited"),
            Step::Initialise { node: node() },
        ));
    } else if changed {
        found.push((String::new(), Step::Initialise { node: node() }));
    }
    unit(desired, key, host, edited || changed, &mut found);
    if host.journal.is_some() {
        found.push((String::new(), Step::ClaimCreation { node: node() }));
    }
    found
}

fn unit(
    desired: &Desired,
    key: &NodeKey,
    host: &HostFacts,
    reconfigured: bool,
    found: &mut Vec<Finding>,
) {
    let node = || key.clone();
    let name = names::unit(desired.instance.as_ref());
    let file = render::file(desired);
    match host.files.get(&file.path) {
        None => found.push((
            format!("{} is missing", file.path),
            Step::WriteFiles { node: node() },
        )),
        Some(fact) if fact.sha256 != fact.recorded_sha256 => {
            found.push((
                format!("{} was edited", file.path),
                Step::WriteFiles { node: node() },
            ));
        }
        Some(_) => {}
    }
    let fact = host.units.get(&name);
    if !fact.is_some_and(UnitFact::is_enabled) {
        found.push((
            format!("unit {name} is not enabled"),
            Step::EnableUnit { node: node() },
        ));
    }
    if !fact.is_some_and(UnitFact::is_up) {
        found.push((
            format!("unit {name} is stopped"),
            Step::StartUnit { node: node() },
        ));
        found.push((String::new(), Step::AwaitHealthy { node: node() }));
    } else if reconfigured {
        found.push((String::new(), Step::RestartUnit { node: node() }));
        found.push((String::new(), Step::AwaitHealthy { node: node() }));
    } else if !host.ca.as_ref().is_some_and(|ca| ca.healthy) {
        found.push((
            format!("{name} does not answer"),
            Step::AwaitHealthy { node: node() },
        ));
    }
}

/// Steps from `observed` to `desired`, in order, and what is waited on.
pub fn plan(desired: &Desired, observed: &Observed) -> (Vec<Step>, Vec<String>) {
    let (mut steps, mut blocked) = (Vec::new(), Vec::new());
    for key in desired.nodes.keys() {
        match observed.hosts.get(key) {
            Some(Fact::Known(host)) => {
                for (_, step) in findings(desired, key, host) {
                    if !steps.contains(&step) {
                        steps.push(step);
                    }
                }
            }
            Some(Fact::Unknown(why)) => {
                blocked.push(format!("{} is unreachable: {why}", desired.called(key)));
            }
            None => blocked.push(format!("{} was not looked at", desired.called(key))),
        }
    }
    (steps, blocked)
}

/// What a creation is announced as, before any fact is known.
pub fn announce_creation(desired: &Desired) -> Vec<String> {
    let active = desired.called(&desired.active);
    vec![
        format!(
            "install step-ca {} and step {} on {active}",
            version::STEP_CA,
            version::STEP
        ),
        format!(
            "make root, intermediate and provisioner {} there",
            desired.provisioner
        ),
        format!("start it on port {}", desired.port),
    ]
}

/// What differs on hosts that were seen, sorted, one fact each.
pub fn drift(desired: &Desired, observed: &Observed) -> Vec<String> {
    let mut sentences: Vec<String> = desired
        .nodes
        .keys()
        .filter_map(|key| Some((key, observed.host(key)?)))
        .flat_map(|(key, host)| {
            findings(desired, key, host)
                .into_iter()
                .filter(|(sentence, _)| !sentence.is_empty())
                .map(move |(sentence, _)| format!("{}: {sentence}", desired.called(key)))
        })
        .collect();
    sentences.sort();
    sentences.dedup();
    sentences
}

/// `ready`, or what is missing.
pub fn status(desired: &Desired, observed: &Observed) -> String {
    let called = desired.called(&desired.active);
    match observed.hosts.get(&desired.active) {
        None => format!("{called} was not looked at"),
        Some(Fact::Unknown(why)) => format!("{called} is unreachable: {why}"),
        Some(Fact::Known(host)) => match &host.ca {
            Some(ca) if ca.healthy => "ready".to_owned(),
            Some(ca) if ca.present => format!("step-ca on {called} does not answer"),
            _ => format!("there is no CA on {called}"),
        },
    }
}

/// Changes of an existing CA that this release does not do.
pub fn refuse(prior: &Desired, wanted: &Desired, problems: &mut Problems) {
    for (attribute, is, should) in [
        ("name", prior.name.to_string(), wanted.name.to_string()),
        (
            "instance",
            prior
                .instance
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            wanted
                .instance
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        ),
        ("port", prior.port.to_string(), wanted.port.to_string()),
        (
            "provisioner",
            prior.provisioner.clone(),
            wanted.provisioner.clone(),
        ),
    ] {
        if is != should {
            problems.error(
                &[attribute],
                format!("{attribute} cannot change"),
                format!(
                    "It is \"{is}\" and would be \"{should}\". Every certificate and every renewal \
                     depends on it. Nothing was changed."
                ),
            );
        }
    }
    let places = |desired: &Desired| -> Vec<String> {
        desired
            .nodes
            .iter()
            .map(|(key, node)| format!("{key} at {}", node.address))
            .collect()
    };
    if places(prior) != places(wanted) {
        problems.error(
            &["nodes"],
            "The CA cannot move yet",
            format!(
                "Its nodes are {} and would be {}. Its keys live there and nowhere else. Nothing was \
                 changed.",
                places(prior).join(", "),
                places(wanted).join(", ")
            ),
        );
    }
}

/// Collects what stands against making the CA on its hosts.
pub fn admit(desired: &Desired, observed: &Observed, id: Option<&str>, problems: &mut Problems) {
    for (key, node) in &desired.nodes {
        let place = ["nodes", key.as_str(), "host"];
        let host = match observed.hosts.get(key) {
            Some(Fact::Known(host)) => host,
            Some(Fact::Unknown(why)) => {
                problems.warning(
                    &place,
                    format!("Host {} cannot be checked now", node.host),
                    format!("{why}. If it is made in the same apply, that is expected."),
                );
                continue;
            }
            None => continue,
        };
        crate::etcd_cluster::check_host(&node.host, host, &place, problems);
        if let Some(owner) = &host.owner {
            if Some(owner.id.as_str()) != id {
                problems.error(
                    &["name"],
                    format!("CA {} exists already on {}", desired.name, node.host),
                    format!(
                        "It was made by this provider and is not in this state. Take it over with \
                         `tofu import ADDRESS {}@{}`. Nothing was changed.",
                        desired.name, node.host
                    ),
                );
            }
            continue;
        }
        let directory = names::directory(desired.instance.as_ref());
        if host
            .files
            .get(&directory)
            .is_some_and(|file| file.populated)
        {
            problems.error(
                &["instance"],
                format!("{directory} on {} is not empty", node.host),
                "Another CA lives there. Give this one an instance name, such as instance = \"b\", \
                 and another port. Nothing was changed."
                    .to_owned(),
            );
        }
        if let Some(fact) = host.ports.get(&desired.port)
            && (fact.listening || !fact.claimed_by.is_empty())
        {
            let who = if fact.claimed_by.is_empty() {
                &fact.process
            } else {
                &fact.claimed_by
            };
            problems.error(
                &["port"],
                format!("Port {} on {} is taken", desired.port, node.host),
                format!("{who} has it. Give this CA another port. Nothing was changed."),
            );
        }
    }
}
