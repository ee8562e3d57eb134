//! What is not as it should be on the host of a CA, each with the step that mends it.
//!
//! Drift and plan are both made from this one list, so every sentence has a step, or a reason why
//! there is none.

use super::{
    desired::Desired,
    names,
    observed::{Manifest, Observed},
    render,
    step::Step,
};
use crate::{
    access::shut,
    drop_in,
    facts::{FileFact, HostFacts, UnitFact},
    name::NodeKey,
    program::{lost_link, program},
    version,
};

/// Something on a host that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Without the node in front; empty for what is no drift but work that is wanted or owed.
    pub(super) sentence: String,
    /// What mends it; `None` if only a person can.
    pub(super) step: Option<Step>,
}

fn drift(sentence: String, step: Step) -> Finding {
    Finding {
        sentence,
        step: Some(step),
    }
}

fn wanted(step: Step) -> Finding {
    drift(String::new(), step)
}

/// What is known of the files of the CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Files {
    /// As they were written.
    Kept,
    /// Keys are there, ca.json is not.
    Unconfigured,
    /// ca.json has other bytes than those of our last write.
    Edited,
    /// Nothing is there, and nothing was.
    NotMade,
    /// Nothing is there any more.
    Lost,
}

pub(super) fn findings(desired: &Desired, observed: &Observed, key: &NodeKey) -> Vec<Finding> {
    let Some(host) = observed.host(key) else {
        return Vec::new();
    };
    let node = || key.clone();
    let directory = names::directory(desired.instance.as_ref());
    let files = files(desired, host);
    if files == Files::Lost {
        // A new root would be trusted by nobody who has certificates of the old one.
        return vec![Finding {
            sentence: format!("{directory} holds no CA any more"),
            step: None,
        }];
    }
    let lost = lost(desired, host);
    if !lost.is_empty() {
        return lost;
    }
    let manifest = host
        .owner
        .as_ref()
        .and_then(|owner| Manifest::parse(&owner.manifest));
    let changed = manifest
        .as_ref()
        .is_none_or(|manifest| manifest.started_with != desired.configuration_hash());
    // ca.json names the public half.
    let lacks_provisioner_key =
        files == Files::Kept && host.ca.as_ref().is_some_and(|ca| ca.lacks_provisioner_key);
    let reconfigured = changed || files == Files::Edited || lacks_provisioner_key;
    let mut found = Vec::new();
    // Preparing writes down that a restart is owed, before ca.json is touched.
    let owes = manifest.is_none_or(|manifest| !manifest.started_with.is_empty());
    if host.owner.is_none() || (reconfigured && owes) {
        found.push(wanted(Step::PrepareHost { node: node() }));
    }
    let step_ca = format!("/opt/step-ca/{}/step-ca", version::STEP_CA);
    programs(desired, key, host, &step_ca, &mut found);
    let initialise = Step::Initialise { node: node() };
    let configuration = names::configuration(desired.instance.as_ref());
    match files {
        Files::NotMade => found.push(drift(
            format!("{directory} holds no CA"),
            initialise.clone(),
        )),
        Files::Unconfigured => {
            found.push(drift(
                format!("{configuration} is missing"),
                initialise.clone(),
            ));
        }
        Files::Edited => found.push(drift(
            format!("{configuration} was edited"),
            initialise.clone(),
        )),
        Files::Kept if lacks_provisioner_key => found.push(drift(
            format!("{directory}/secrets/provisioner_key is missing"),
            initialise.clone(),
        )),
        Files::Kept if changed => found.push(wanted(initialise.clone())),
        Files::Kept | Files::Lost => {}
    }
    let exposed = host.ca.iter().flat_map(|ca| &ca.exposed);
    found.extend(exposed.map(|path| {
        let sentence = format!("{path} has another owner, or a mode that does not protect it");
        drift(sentence, initialise.clone())
    }));
    unit(desired, key, host, reconfigured, &step_ca, &mut found);
    if is_ours(desired, host) {
        found.push(wanted(Step::ClaimCreation { node: node() }));
    }
    found
}

/// What a CA that was made cannot sign without, and nobody can make again.
fn lost(desired: &Desired, host: &HostFacts) -> Vec<Finding> {
    if host.owner.is_none() || is_ours(desired, host) {
        return Vec::new();
    }
    let lost = host.ca.iter().flat_map(|ca| &ca.lost);
    lost.map(|path| Finding {
        sentence: format!("{path} is missing"),
        step: None,
    })
    .collect()
}

/// Whether the journal of this creation is still open.
fn is_ours(desired: &Desired, host: &HostFacts) -> bool {
    host.journal
        .as_ref()
        .is_some_and(|entry| entry.id == desired.id)
}

fn files(desired: &Desired, host: &HostFacts) -> Files {
    let configuration = names::configuration(desired.instance.as_ref());
    let present = host.ca.as_ref().is_some_and(|ca| ca.present);
    let has_root = host
        .ca
        .as_ref()
        .is_some_and(|ca| !ca.root_fingerprint.is_empty());
    // A creation has an open journal until its CA stands in a state.
    let was_made = host.owner.is_some() && !is_ours(desired, host);
    match (present, has_root) {
        (true, _)
            if host
                .files
                .get(&configuration)
                .is_some_and(FileFact::is_edited) =>
        {
            Files::Edited
        }
        (true, _) => Files::Kept,
        (false, true) => Files::Unconfigured,
        (false, false) if was_made => Files::Lost,
        (false, false) => Files::NotMade,
    }
}

fn programs(
    desired: &Desired,
    key: &NodeKey,
    host: &HostFacts,
    step_ca: &str,
    found: &mut Vec<Finding>,
) {
    let install = Step::InstallPrograms { node: key.clone() };
    let owner = names::owner(&desired.name);
    let step = format!("/opt/step/{}/step", version::STEP);
    let sentences = [step_ca, &step].map(|path| program(path, host, &owner));
    let link = lost_link(names::LINK, step_ca, host);
    found.extend(
        sentences
            .into_iter()
            .chain([link])
            .flatten()
            .map(|sentence| drift(sentence, install.clone())),
    );
    if let Some(sentence) = ["/opt", "/opt/bin"]
        .iter()
        .find_map(|path| shut(path, host.files.get(*path)?))
    {
        found.push(drift(sentence, install));
    }
}

fn unit(
    desired: &Desired,
    key: &NodeKey,
    host: &HostFacts,
    reconfigured: bool,
    step_ca: &str,
    found: &mut Vec<Finding>,
) {
    let node = || key.clone();
    let name = names::unit(desired.instance.as_ref());
    let file = render::file(desired);
    match host.files.get(&file.path) {
        None => found.push(drift(
            format!("{} is missing", file.path),
            Step::WriteFiles { node: node() },
        )),
        Some(fact) if fact.is_edited() => {
            found.push(drift(
                format!("{} was edited", file.path),
                Step::WriteFiles { node: node() },
            ));
        }
        Some(_) => {}
    }
    let fact = host.units.get(&name);
    if !fact.is_some_and(UnitFact::is_enabled) {
        found.push(drift(
            format!("unit {name} is not enabled"),
            Step::EnableUnit { node: node() },
        ));
    }
    let is_overridden =
        fact.is_some_and(|unit| drop_in::overriding(unit, host.files.get(&file.path)).is_some());
    let runs_other = !is_overridden
        && fact
            .zip(host.files.get(step_ca))
            .is_some_and(|(unit, program)| {
                !unit.executable_sha256.is_empty()
                    && unit.executable_sha256 != program.recorded_sha256
            });
    if !fact.is_some_and(UnitFact::is_up) {
        found.push(drift(
            format!("unit {name} is stopped"),
            Step::StartUnit { node: node() },
        ));
        found.push(wanted(Step::AwaitHealthy { node: node() }));
    } else if runs_other {
        found.push(drift(
            format!("{name} runs another program than the one installed"),
            Step::RestartUnit { node: node() },
        ));
        found.push(wanted(Step::AwaitHealthy { node: node() }));
    } else if reconfigured {
        found.push(wanted(Step::RestartUnit { node: node() }));
        found.push(wanted(Step::AwaitHealthy { node: node() }));
    } else if !is_overridden && !host.ca.as_ref().is_some_and(|ca| ca.healthy) {
        found.push(drift(
            format!("{name} does not answer"),
            Step::AwaitHealthy { node: node() },
        ));
    }
}
