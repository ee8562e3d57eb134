//! From findings to the next steps, in order.

use std::collections::BTreeSet;

use super::{
    desired::Desired,
    findings::{self, Finding, Remedy},
    membership::{Standing, standing},
    observed::Observed,
    place,
    rejoin::{can_run, is_idle, rejoin},
    render::fingerprint,
    safety::{may_disrupt, may_disrupt_later, quorum, voters},
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
    let mut plan = Plan {
        blocked: place::astray(desired, observed, &Observed::default()),
        ..Plan::default()
    };
    if !plan.blocked.is_empty() {
        return plan;
    }
    let bootstrapped = observed.bootstrapped();
    if !bootstrapped {
        plan.blocked = unseen(desired, observed);
        if !plan.blocked.is_empty() {
            return plan;
        }
    }
    let mut all = findings::all(desired, observed);
    for (key, found) in &mut all {
        if bootstrapped && is_idle(desired, observed, key) {
            found.retain(|finding| finding.remedy == Remedy::Rejoin);
        }
        found.sort_by_key(|finding| finding.remedy);
    }
    for (key, found) in &all {
        quiet(desired, key, found, &mut plan.steps);
        if !waits(desired, observed, key, found) {
            written(key, found, &mut plan.steps);
        }
    }
    if bootstrapped {
        plan.steps.extend(finishes(&all));
        starts(desired, observed, &all, &mut plan);
        let learns =
            |key: &NodeKey| matches!(standing(desired, observed, key), Standing::Learner(_));
        let (learners, others): (Vec<&NodeKey>, Vec<&NodeKey>) = all
            .iter()
            .map(|(key, _)| *key)
            .filter(|key| owes_restart(&all, key) && can_run(desired, observed, key))
            .partition(|key| learns(key));
        // One that runs with other options than it should may never catch up.
        for key in learners {
            plan.steps.extend(rewritten(desired, observed, &all, key));
            plan.steps.push(restart(desired, key));
        }
        let astray: Vec<&NodeKey> = nodes_with(&all, Remedy::Rejoin).collect();
        rejoin(desired, observed, &astray, &mut plan);
        restarts(desired, observed, &all, others, &mut plan);
    } else {
        creation(&all, &mut plan.steps);
        plan.steps.extend(finishes(&all));
    }
    for key in nodes_with(&all, Remedy::Claim) {
        plan.steps.push(Step::ClaimCreation { node: key.clone() });
    }
    plan
}

/// Hosts that were not seen, in sentences.
fn unseen(desired: &Desired, observed: &Observed) -> Vec<String> {
    let why = |key: &NodeKey| match observed.hosts.get(key) {
        Some(Fact::Known(_)) => None,
        Some(Fact::Unknown(why)) => Some(format!("{} is unreachable: {why}", desired.called(key))),
        None => Some(format!("{} was not looked at", desired.called(key))),
    };
    desired.nodes.keys().filter_map(why).collect()
}

/// Writing down that the cluster exists: at once where it does, at the end where it is being made.
fn finishes(all: &[(&NodeKey, Vec<Finding>)]) -> Vec<Step> {
    nodes_with(all, Remedy::Finish)
        .map(|key| Step::FinishBootstrap { node: key.clone() })
        .collect()
}

fn nodes_with<'a>(
    all: &'a [(&'a NodeKey, Vec<Finding>)],
    remedy: Remedy,
) -> impl Iterator<Item = &'a NodeKey> {
    all.iter()
        .filter(move |(_, found)| has(found, |other| other == remedy))
        .map(|(key, _)| *key)
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
}

/// Whether files are written only right before the restart that shows what they are worth: an option that
/// etcd does not take must be met by one member, and not wait for the crash of the next.
fn waits(desired: &Desired, observed: &Observed, key: &NodeKey, found: &[Finding]) -> bool {
    let mut owed = found
        .iter()
        .filter(|finding| finding.remedy == Remedy::WriteAndRestart);
    let Some(finding) = owed.next() else {
        return false;
    };
    // What it was started with last is known to be good.
    let is_proven = observed.manifest(key).is_some_and(|manifest| {
        manifest.started_with == fingerprint(desired, key, &desired.nodes[key])
    });
    // A member that does not serve, and whose files somebody broke, has nothing to lose.
    let is_broken = !finding.sentence.is_empty() && !observed.is_healthy(key);
    !is_proven && !is_broken
}

/// Files, and units that start at boot.
fn written(key: &NodeKey, found: &[Finding], steps: &mut Vec<Step>) {
    let node = || key.clone();
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

/// The same for a node that is restarted next, if its files wait for that.
fn rewritten(
    desired: &Desired,
    observed: &Observed,
    all: &[(&NodeKey, Vec<Finding>)],
    key: &NodeKey,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for (other, found) in all {
        if *other == key && waits(desired, observed, key, found) {
            written(key, found, &mut steps);
        }
    }
    steps
}

/// Members of a new cluster: none becomes ready before a majority runs, so they start together.
fn creation(all: &[(&NodeKey, Vec<Finding>)], steps: &mut Vec<Step>) {
    let down: Vec<NodeKey> = nodes_with(all, Remedy::Start).cloned().collect();
    if !down.is_empty() {
        steps.push(Step::StartMembers { nodes: down });
    }
    let waiting: Vec<NodeKey> = nodes_with(all, Remedy::Await).cloned().collect();
    if !waiting.is_empty() {
        steps.push(Step::AwaitHealthy { nodes: waiting });
    }
}

/// Starting what is down disrupts nobody. What is waited for here is in nobody's way but that of
/// steps that disrupt others.
fn starts(
    desired: &Desired,
    observed: &Observed,
    all: &[(&NodeKey, Vec<Finding>)],
    plan: &mut Plan,
) {
    let down: Vec<NodeKey> = nodes_with(all, Remedy::Start).cloned().collect();
    let (owing, sick): (Vec<&NodeKey>, Vec<&NodeKey>) =
        nodes_with(all, Remedy::Await).partition(|key| owes_restart(all, key));
    let mut waiting: BTreeSet<NodeKey> = sick.into_iter().chain(&down).cloned().collect();
    for key in owing {
        // A member that will be restarted may never answer before that.
        let will_be = may_disrupt(desired, observed, key).is_ok()
            || may_disrupt_later(desired, observed, key, &waiting);
        if !will_be {
            waiting.insert(key.clone());
        }
    }
    if !down.is_empty() {
        plan.steps.push(Step::StartMembers { nodes: down });
    }
    if waiting.is_empty() {
        return;
    }
    let voters = voters(desired, observed);
    let able = all
        .iter()
        .filter(|(_, found)| !has(found, |remedy| remedy == Remedy::Rejoin));
    let able = able.count();
    if able >= quorum(voters) {
        plan.steps.push(Step::AwaitHealthy {
            nodes: waiting.into_iter().collect(),
        });
    } else {
        let called: Vec<String> = waiting.iter().map(|key| desired.called(key)).collect();
        plan.blocked.push(format!(
            "{} cannot answer yet: {able} of {voters} members were seen with their data, and a quorum is \
             {}",
            called.join(", "),
            quorum(voters)
        ));
    }
}

fn owes_restart(all: &[(&NodeKey, Vec<Finding>)], key: &NodeKey) -> bool {
    let owes = |remedy: Remedy| matches!(remedy, Remedy::Restart | Remedy::WriteAndRestart);
    all.iter()
        .any(|(other, found)| *other == key && has(found, owes))
}

fn restart(desired: &Desired, key: &NodeKey) -> Step {
    let members = desired.nodes.len();
    Step::RestartMember {
        node: key.clone(),
        tolerance: (members > 1).then(|| (members - 1).saturating_sub(quorum(members))),
    }
}

/// Restarts of voters, one at a time: first who is sick anyway, the leader last.
fn restarts(
    desired: &Desired,
    observed: &Observed,
    all: &[(&NodeKey, Vec<Finding>)],
    mut restarts: Vec<&NodeKey>,
    plan: &mut Plan,
) {
    restarts.sort_by_key(|key| (observed.leads(key), observed.is_healthy(key), *key));
    let mut mended = mended(&plan.steps);
    for key in restarts {
        if let Err(reason) = may_disrupt(desired, observed, key) {
            // Steps before it may make it safe: they end their waves, and then it is asked again.
            if !may_disrupt_later(desired, observed, key, &mended) {
                plan.blocked.push(format!(
                    "{} needs a restart, but {reason}",
                    desired.called(key)
                ));
                continue;
            }
        }
        mended.insert(key.clone());
        plan.steps.extend(rewritten(desired, observed, all, key));
        plan.steps.extend(hand_over(desired, observed, key));
        plan.steps.push(restart(desired, key));
        plan.steps.push(Step::AwaitHealthy {
            nodes: vec![key.clone()],
        });
    }
}

/// Nodes whose members are healthy after these steps.
pub(super) fn mended(steps: &[Step]) -> BTreeSet<NodeKey> {
    let nodes = steps.iter().flat_map(|step| match step {
        Step::AwaitHealthy { nodes } => nodes.clone(),
        Step::PromoteLearner { node, .. } => vec![node.clone()],
        _ => Vec::new(),
    });
    nodes.collect()
}

/// Moves leadership to a healthy member before the one that has it is disrupted.
pub(super) fn hand_over(desired: &Desired, observed: &Observed, key: &NodeKey) -> Option<Step> {
    let mut others = desired.nodes.keys().filter(|other| *other != key);
    let to = others.find(|other| observed.leads(key) && observed.is_healthy(other))?;
    Some(Step::MoveLeader {
        node: key.clone(),
        to: to.clone(),
    })
}

#[cfg(test)]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
mod tests;
