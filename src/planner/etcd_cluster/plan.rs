//! From findings to the next steps, in order.

use super::{
    desired::Desired,
    findings::{Finding, Remedy, findings},
    names,
    observed::Observed,
    safety::may_disrupt,
    step::Step,
};
use crate::{facts::Fact, name::NodeKey};

/// What to do, in order, and what cannot be done now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Steps; empty when nothing is left to do.
    pub steps: Vec<Step>,
    /// What is waited on and why, in sentences.
    pub blocked: Vec<String>,
}

impl Plan {
    /// The steps that may run before the next look at the hosts: those of one node in order, nodes
    /// side by side. A disruptive step is alone.
    pub fn wave(&self) -> Vec<Step> {
        let Some(first) = self.steps.first() else {
            return Vec::new();
        };
        if first.ends_wave() {
            return vec![first.clone()];
        }
        self.steps
            .iter()
            .take_while(|step| !step.ends_wave())
            .cloned()
            .collect()
    }

    /// The steps as `change_plan` says them.
    pub fn sentences(&self) -> Vec<String> {
        self.steps.iter().map(Step::to_string).collect()
    }
}

/// What a creation is announced as, before any fact is known.
pub fn announce_creation(desired: &Desired) -> Vec<String> {
    let hosts: Vec<String> = desired
        .nodes
        .keys()
        .map(|key| desired.called(key))
        .collect();
    vec![
        format!("install etcd {} on {}", desired.version, hosts.join(", ")),
        format!(
            "issue peer, server and client certificates from {} for each",
            desired.issuer.name
        ),
        format!(
            "start {} member{} side by side and wait until all vote",
            hosts.len(),
            if hosts.len() == 1 { "" } else { "s" }
        ),
    ]
}

/// Steps from `observed` to `desired`, in order; empty when nothing is left to do.
///
/// At most one step disrupts a voter before the next look, because facts older than that no longer
/// hold. Hosts that were not seen are left alone once the cluster exists; a cluster that is being
/// made waits for all.
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    let mut all: Vec<(&NodeKey, Vec<Finding>)> = Vec::new();
    for (key, node) in &desired.nodes {
        match observed.hosts.get(key) {
            Some(Fact::Known(host)) => {
                let mut found = findings(desired, observed, key, node, host);
                found.sort_by_key(|finding| finding.remedy);
                all.push((key, found));
            }
            Some(Fact::Unknown(why)) if !observed.bootstrapped() => {
                plan.blocked
                    .push(format!("{} is unreachable: {why}", desired.called(key)));
            }
            None if !observed.bootstrapped() => {
                plan.blocked
                    .push(format!("{} was not looked at", desired.called(key)));
            }
            _ => {}
        }
    }
    if !plan.blocked.is_empty() {
        return plan;
    }
    for (key, found) in &all {
        quiet(desired, key, found, &mut plan.steps);
    }
    starts(observed, &all, &mut plan.steps);
    if observed.bootstrapped() {
        loud(desired, observed, &all, &mut plan);
    }
    for (key, found) in &all {
        if found.iter().any(|finding| finding.remedy == Remedy::Finish) {
            plan.steps.push(Step::FinishBootstrap {
                node: (*key).clone(),
            });
        }
    }
    for (key, found) in &all {
        if found.iter().any(|finding| finding.remedy == Remedy::Claim) {
            plan.steps.push(Step::ClaimCreation {
                node: (*key).clone(),
            });
        }
    }
    plan
}

fn has(found: &[Finding], remedy: impl Fn(Remedy) -> bool) -> bool {
    found.iter().any(|finding| remedy(finding.remedy))
}

/// Steps that no client notices.
fn quiet(desired: &Desired, key: &NodeKey, found: &[Finding], steps: &mut Vec<Step>) {
    let node = || key.clone();
    if has(found, |remedy| remedy == Remedy::Prepare) {
        steps.push(Step::PrepareHost { node: node() });
    }
    if has(found, |remedy| remedy == Remedy::Install) {
        let version = desired.version.to_string();
        steps.push(Step::InstallPrograms {
            node: node(),
            version,
        });
    }
    for role in super::Role::ALL {
        if has(found, |remedy| remedy == Remedy::Issue(role)) {
            steps.push(Step::IssueCertificate { node: node(), role });
        }
    }
    let owes_restart = has(found, |remedy| remedy == Remedy::WriteAndRestart);
    if owes_restart || has(found, |remedy| remedy == Remedy::Write) {
        steps.push(Step::WriteFiles {
            node: node(),
            owes_restart,
        });
    }
    if has(found, |remedy| remedy == Remedy::Enable) {
        steps.push(Step::EnableUnits { node: node() });
    }
}

/// Starting what is down disrupts nobody, and members that wait for a quorum must start together.
fn starts(observed: &Observed, all: &[(&NodeKey, Vec<Finding>)], steps: &mut Vec<Step>) {
    let nodes_with = |remedy: Remedy| -> Vec<NodeKey> {
        all.iter()
            .filter(|(_, found)| has(found, |other| other == remedy))
            .map(|(key, _)| (*key).clone())
            .collect()
    };
    let down = nodes_with(Remedy::Start);
    let mut waiting = nodes_with(Remedy::Await);
    if !down.is_empty() {
        if observed.bootstrapped() {
            waiting.extend(down.iter().cloned());
            waiting.sort();
            waiting.dedup();
        }
        steps.push(Step::StartMembers { nodes: down });
    }
    if !waiting.is_empty() {
        steps.push(Step::AwaitHealthy { nodes: waiting });
    }
}

/// Steps that disrupt a member, one at a time, the leader last.
fn loud(desired: &Desired, observed: &Observed, all: &[(&NodeKey, Vec<Finding>)], plan: &mut Plan) {
    let leads = |key: &NodeKey| {
        observed
            .member(key)
            .is_some_and(|etcd| etcd.leader_id == etcd.member_id)
    };
    for (key, found) in all {
        if has(found, |remedy| remedy == Remedy::Rejoin) {
            rejoin(desired, observed, key, plan);
        }
    }
    let mut restarts: Vec<&NodeKey> = all
        .iter()
        .filter(|(_, found)| {
            has(found, |remedy| {
                matches!(remedy, Remedy::Restart | Remedy::WriteAndRestart)
            })
        })
        .map(|(key, _)| *key)
        .collect();
    restarts.sort_by_key(|key| (leads(key), (*key).clone()));
    for key in restarts {
        if let Err(reason) = may_disrupt(desired, observed, key) {
            plan.blocked.push(format!(
                "{} needs a restart, but {reason}",
                desired.called(key)
            ));
            continue;
        }
        let successor = desired
            .nodes
            .keys()
            .find(|other| *other != key && observed.is_healthy(other));
        if let Some(to) = successor.filter(|_| leads(key)) {
            plan.steps.push(Step::MoveLeader {
                node: key.clone(),
                to: to.clone(),
            });
        }
        let voters = desired.nodes.len();
        let tolerance = (voters - 1).saturating_sub(super::safety::quorum(voters));
        plan.steps.push(Step::RestartMember {
            node: key.clone(),
            tolerance,
        });
        plan.steps.push(Step::AwaitHealthy {
            nodes: vec![key.clone()],
        });
    }
}

/// Brings a node back whose member is gone from the list, or whose data is lost.
fn rejoin(desired: &Desired, observed: &Observed, key: &NodeKey, plan: &mut Plan) {
    let (Some(host), Some(members)) = (observed.host(key), observed.members()) else {
        return;
    };
    let node = || key.clone();
    let url = &desired.peer_url(&desired.nodes[key]);
    let listed = members.iter().find(|member| member.peer_urls.contains(url));
    let is_up = host
        .units
        .get(&names::unit(&desired.name, key))
        .is_some_and(crate::facts::UnitFact::is_up);
    let data = names::data(&desired.name, key);
    let has_data = host.files.get(&data).is_some_and(|file| file.populated);
    match listed {
        Some(learner) if learner.is_learner => {
            if !is_up {
                plan.steps.push(Step::StartMembers {
                    nodes: vec![node()],
                });
            }
            plan.steps.push(Step::PromoteLearner {
                node: node(),
                member_id: learner.id,
            });
        }
        Some(voter) => match may_disrupt(desired, observed, key) {
            Ok(()) => {
                plan.steps.push(Step::RemoveMember {
                    node: node(),
                    member_id: voter.id,
                });
            }
            Err(reason) => plan.blocked.push(format!(
                "the data of {} is lost, but {reason}",
                desired.called(key)
            )),
        },
        None => {
            if is_up {
                plan.steps.push(Step::StopMember { node: node() });
            }
            if has_data {
                plan.steps.push(Step::SetDataAside { node: node() });
            }
            plan.steps.push(Step::AddLearner { node: node() });
        }
    }
}
