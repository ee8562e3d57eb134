//! From findings to the next steps, to drift and to a status.

use super::{
    desired::{Desired, Tagged},
    findings::{Finding, Wait, exchanged, findings, remove},
    observed::Observed,
    step::Step,
};
use crate::problem::{Place, Problem};

/// What is to be done, and what stands against it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Steps in order; [`wave`](super::wave) says which may run now.
    pub steps: Vec<Step>,
    /// What does not answer and is needed.
    pub waits: Vec<Wait>,
    /// What a person has to decide, at the attribute where that is done.
    pub refusals: Vec<Problem>,
    /// What is done and should be known.
    pub warnings: Vec<Problem>,
}

impl Plan {
    /// What stands in the way, as fragments.
    pub fn blocked(&self) -> Vec<String> {
        let refusals = self
            .refusals
            .iter()
            .map(|problem| format!("{}: {}", problem.summary, problem.detail));
        let waits = self.waits.iter().map(|wait| wait.why.clone());
        waits.chain(refusals).collect()
    }

    /// The attribute that names the first thing that stands in the way.
    pub fn blocked_at(&self) -> Option<&Place> {
        let refusals = self.refusals.iter().map(|problem| &problem.place);
        self.waits
            .iter()
            .map(|wait| &wait.place)
            .chain(refusals)
            .next()
    }
}

/// Steps from `observed` to `desired`, in order; empty when nothing is left to do.
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    for finding in findings(desired, observed) {
        for step in finding.steps {
            if !plan.steps.contains(&step) {
                plan.steps.push(step);
            }
        }
        // The same silence may stand against several things: the first is named.
        let is_new = |wait: &Wait| !plan.waits.iter().any(|known| known.why == wait.why);
        if let Some(wait) = finding.waits.filter(is_new) {
            plan.waits.push(wait);
        }
        for (found, list) in [
            (finding.refusal, &mut plan.refusals),
            (finding.warning, &mut plan.warnings),
        ] {
            // Once for all nodes: the first is named.
            let is_new = |found: &Problem| {
                let is_same =
                    |known: &Problem| known.place == found.place && known.summary == found.summary;
                !list.iter().any(is_same)
            };
            list.extend(found.filter(is_new));
        }
    }
    plan.steps.sort_by_key(Step::stage);
    plan
}

/// What differs from what the last apply left, sorted; never what does not answer.
pub fn drift(desired: &Desired, observed: &Observed) -> Vec<String> {
    let found = findings(desired, observed).into_iter();
    let mut sentences: Vec<String> = found
        .map(|finding| finding.drift)
        .filter(|sentence| !sentence.is_empty())
        .collect();
    sentences.sort();
    sentences.dedup();
    sentences
}

/// `ready`, or the first thing that is not as it should be.
pub fn status(desired: &Desired, observed: &Observed) -> String {
    let found = findings(desired, observed);
    let first =
        |text: fn(&Finding) -> String| found.iter().map(text).find(|sentence| !sentence.is_empty());
    first(|finding| finding.drift.clone())
        .or_else(|| {
            first(|finding| {
                let wait = finding.waits.as_ref();
                wait.map_or_else(String::new, |wait| wait.why.clone())
            })
        })
        .or_else(|| {
            first(|finding| {
                let refusal = finding.refusal.as_ref();
                refusal.map_or_else(String::new, |problem| problem.detail.clone())
            })
        })
        .or_else(|| {
            first(|finding| {
                let text = if finding.is_open {
                    finding.unseen.as_str()
                } else {
                    ""
                };
                text.to_owned()
            })
        })
        .or_else(|| {
            first(|finding| {
                let step = finding.steps.first();
                step.map_or_else(String::new, |step| format!("not done yet: {step}"))
            })
        })
        .unwrap_or_else(|| "ready".to_owned())
}

/// What a creation is announced as, before any fact is known.
pub fn announce_creation(desired: &Desired) -> Vec<String> {
    sentences(&plan(desired, &Observed::default()).steps)
}

/// Steps in words.
pub fn sentences(steps: &[Step]) -> Vec<String> {
    steps.iter().map(ToString::to_string).collect()
}

/// Steps of a removal: the files that we wrote. Tags stay, because other clusters may install from
/// them.
pub fn plan_removal(observed: &Observed) -> Vec<Step> {
    let files = observed.recorded.files.iter().filter(|file| file.is_ours);
    let mut steps: Vec<Step> = files.filter_map(|file| remove(observed, file)).collect();
    let local = observed.recorded.local.iter().filter(|it| it.is_ours);
    steps.extend(local.map(|local| {
        let path = local.path.clone();
        Step::RemoveLocal { path }
    }));
    steps
}

/// Files that a removal leaves because others were put in their places, as sentences.
pub fn left_by_removal(observed: &Observed) -> Vec<String> {
    let files = observed.recorded.files.iter().filter(|file| file.is_ours);
    files.filter_map(|file| exchanged(observed, file)).collect()
}

/// A storage of a node, and the files to ask for there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Id of the storage.
    pub storage: String,
    /// Name of the node.
    pub node: String,
    /// As `iso/NAME`.
    pub volumes: Vec<String>,
}

/// What has to be looked at on storages: what is wanted, and what was written before.
pub fn looks(desired: &Desired, observed: &Observed) -> Vec<Look> {
    let mut looks: Vec<Look> = Vec::new();
    let mut ask = |storage: &str, node: &str, volume: &str| {
        let known = looks
            .iter_mut()
            .find(|look| look.storage == storage && look.node == node);
        match known {
            Some(look) if look.volumes.iter().any(|known| known == volume) => {}
            Some(look) => look.volumes.push(volume.to_owned()),
            None => looks.push(Look {
                storage: storage.to_owned(),
                node: node.to_owned(),
                volumes: vec![volume.to_owned()],
            }),
        }
    };
    for target in &desired.targets {
        for node in &target.nodes {
            ask(&target.storage, node, &desired.volume());
            for file in &observed.recorded.files {
                if file.is_shared && file.storage == target.storage {
                    ask(&target.storage, node, &file.volume);
                }
            }
        }
    }
    for file in &observed.recorded.files {
        ask(&file.storage, &file.node, &file.volume);
    }
    looks
}

/// Tags that have to be looked at.
pub fn tags(desired: &Desired) -> Vec<Tagged> {
    let installer = desired.installer.as_ref().map(|installer| &installer.place);
    let artifact = desired.artifact.as_ref();
    installer.into_iter().chain(artifact).cloned().collect()
}

#[cfg(test)]
mod random;
#[cfg(test)]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
mod tests;
