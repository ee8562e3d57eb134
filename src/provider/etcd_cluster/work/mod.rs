//! The steps of a cluster, carried out by the helpers on its hosts.

mod guard;
mod laying;
mod members;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::future::join_all;
use host::proto::{EnsureRequest, Item, control_unit_request::Verb};
use planner::{
    etcd_cluster::{self as cluster, Desired, Manifest, Observed, Step, check, names},
    name::NodeKey,
};
use tokio::sync::OnceCell;

use crate::{
    common::{self, control, ensure},
    etcd_cluster::{case::Case, certify, look},
    executor::{Ensure, Next, Retry, Work},
    hosts::Hosts,
    report::Trouble,
    session::{self, Locked},
};

/// Limit for one look at a host.
const LOOK: Duration = Duration::from_secs(30);

/// What the host of a node wrote down last, as far as steps change it.
#[derive(Clone, Debug, Default)]
struct Written {
    started_with: String,
    bootstrapped: bool,
}

/// A change of a cluster under way.
pub(super) struct ClusterWork<'a> {
    hosts: &'a Hosts,
    ca: &'a Hosts,
    desired: &'a Desired,
    locked: &'a Locked<'a>,
    /// The machines that it began on.
    machines: Observed,
    /// Disruptive steps that the plan announced; `None` while the cluster is being made.
    announced: Option<BTreeSet<String>>,
    wanted: BTreeMap<String, String>,
    last: Mutex<Observed>,
    written: Mutex<BTreeMap<NodeKey, Written>>,
    archives: Mutex<BTreeMap<String, String>>,
    waiting: Mutex<Option<Instant>>,
    /// When a step changed something last.
    changed: Mutex<Option<Instant>>,
    root: OnceCell<String>,
}

/// What a run leaves behind for the state.
pub(super) struct Ended {
    pub(super) observed: Observed,
    /// SHA-256 of the archives by architecture.
    pub(super) archives: BTreeMap<String, String>,
    /// The cluster had its first quorum.
    pub(super) bootstrapped: bool,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> ClusterWork<'a> {
    /// `desired` has the uid that the case may lack; `machines` is what was last known of the hosts;
    /// `announced` what the plan said, for a cluster that stands in a state; `wanted` the SHA-256 of
    /// archives by architecture.
    pub(super) fn new(
        case: &'a Case,
        desired: &'a Desired,
        locked: &'a Locked<'a>,
        machines: Observed,
        announced: Option<BTreeSet<String>>,
        wanted: BTreeMap<String, String>,
        observed: Observed,
    ) -> Self {
        let work = Self {
            hosts: &case.hosts,
            ca: &case.ca,
            desired,
            locked,
            machines,
            announced,
            archives: Mutex::new(wanted.clone()),
            wanted,
            last: Mutex::default(),
            written: Mutex::default(),
            waiting: Mutex::default(),
            changed: Mutex::default(),
            root: OnceCell::new(),
        };
        work.take(observed);
        work
    }

    pub(super) fn end(self) -> Ended {
        let observed = self.last.into_inner().unwrap_or_default();
        let written = self.written.into_inner().unwrap_or_default();
        let bootstrapped = observed.bootstrapped()
            || written.values().any(|written| written.bootstrapped)
            || observed.hosts.keys().any(|key| observed.is_healthy(key));
        let archives = self.archives.into_inner().unwrap_or_default();
        Ended {
            observed,
            archives,
            bootstrapped,
        }
    }

    fn take(&self, observed: Observed) {
        let mut written = held(&self.written);
        for key in observed.hosts.keys() {
            if let Some(manifest) = observed.manifest(key) {
                let Manifest {
                    started_with,
                    bootstrapped,
                    ..
                } = manifest;
                written.insert(
                    key.clone(),
                    Written {
                        started_with,
                        bootstrapped,
                    },
                );
            }
        }
        *held(&self.last) = observed;
    }

    fn owner(&self) -> String {
        names::owner(&self.desired.name)
    }

    fn request(&self, items: Vec<Item>) -> EnsureRequest {
        EnsureRequest {
            owner: self.owner(),
            id: self.desired.id.clone(),
            items,
            ..EnsureRequest::default()
        }
    }

    /// Writes items together with what is to be remembered, which goes first.
    async fn write_down(
        &self,
        key: &NodeKey,
        change: impl FnOnce(&mut Written),
        mut request: EnsureRequest,
    ) -> Result<Ensure, Trouble> {
        let mut written = held(&self.written).get(key).cloned().unwrap_or_default();
        change(&mut written);
        let Written {
            started_with,
            bootstrapped,
        } = written.clone();
        let manifest = Manifest::new(self.desired, key, started_with, bootstrapped);
        request.manifest = Some(manifest.to_json());
        let done = ensure(self.hosts, key, request).await?;
        held(&self.written).insert(key.clone(), written);
        Ok(done)
    }

    fn is_bootstrapped(&self) -> bool {
        held(&self.written)
            .values()
            .any(|written| written.bootstrapped)
    }
}

#[async_trait]
impl Work for ClusterWork<'_> {
    type Step = Step;
    type Error = Trouble;

    async fn next(&self) -> Result<Next<Step>, Trouble> {
        self.locked.keep().await?;
        let (facts, mut troubles) = look::all(self.hosts, self.desired, LOOK).await;
        let observed = Observed::of(facts);
        let waits_for_all = self.announced.is_none() && !observed.bootstrapped();
        let is_seen = observed.hosts.values().any(|fact| fact.known().is_some());
        if (waits_for_all || !is_seen) && !troubles.is_empty() {
            return Err(troubles.swap_remove(0));
        }
        if !is_seen {
            return Err(Trouble::NotYet("no host answers".to_owned()));
        }
        if self.announced.is_some()
            && let Some(key) = cluster::forgotten(self.desired, &observed).first()
        {
            return Err(Trouble::Refused {
                why: format!(
                    "the ledger on {} does not know this cluster any more",
                    self.hosts.target(key).host
                ),
                hint: "run plan again: it says what to do.".to_owned(),
            });
        }
        self.still_ours(&observed)?;
        let mut plan = cluster::plan(self.desired, &observed);
        if self.announced.is_none() {
            plan.steps
                .retain(|step| !matches!(step, Step::ClaimCreation { .. }));
        }
        let wave = plan.wave();
        if wave.is_empty()
            && !plan.blocked.is_empty()
            && let Some(trouble) = self.went_away(troubles).or_else(|| self.settles(&observed))
        {
            return Err(trouble);
        }
        if let Some(violation) = check(self.desired, &observed, &plan).into_iter().next() {
            return Err(Trouble::Refused {
                why: format!("the plan breaks a rule of safety: {}", violation.0),
                hint: "this is a defect of the provider; please report it. Nothing was changed."
                    .to_owned(),
            });
        }
        if let Some(trouble) = self.unannounced(&wave) {
            return Err(trouble);
        }
        self.take(observed);
        Ok(Next {
            wave,
            left: plan.steps,
            blocked: plan.blocked,
        })
    }

    async fn apply(&self, step: &Step) -> Result<Ensure, Trouble> {
        let ensure = self.carry_out(step).await?;
        if ensure != Ensure::NotNeeded {
            *held(&self.changed) = Some(Instant::now());
        }
        Ok(ensure)
    }

    fn lane(&self, step: &Step) -> String {
        step.node()
            .map_or_else(|| "all".to_owned(), ToString::to_string)
    }

    fn retry(&self, error: &Trouble) -> Retry {
        self.hosts.retry(error)
    }

    fn look(&self, step: &Step) -> Option<String> {
        let key = match step {
            Step::StartMembers { nodes } | Step::AwaitHealthy { nodes } => nodes.first()?,
            Step::RestartMember { node, .. } | Step::StopMember { node } => node,
            _ => return None,
        };
        Some(common::journal(
            &names::unit(&self.desired.name, key),
            &self.hosts.target(key).host,
        ))
    }
}

impl ClusterWork<'_> {
    async fn carry_out(&self, step: &Step) -> Result<Ensure, Trouble> {
        match step {
            Step::PrepareHost { node } => self.prepare(node).await,
            Step::InstallPrograms { node, .. } => self.install(node).await,
            Step::IssueCertificate { node, role } => {
                certify::issue(self.hosts, self.ca, self.desired, node, *role).await
            }
            Step::WriteFiles { node, owes_restart } => self.write(node, *owes_restart).await,
            Step::EnableUnits { node } => self.enable(node).await,
            Step::StartMembers { nodes } => {
                let started = join_all(nodes.iter().map(|key| self.start(key))).await;
                started.into_iter().collect::<Result<Vec<_>, _>>()?;
                Ok(Ensure::Updated)
            }
            Step::AwaitHealthy { nodes } => self.healthy(nodes).await,
            Step::FinishBootstrap { node } => self.finish(node).await,
            Step::MoveLeader { node, to } => self.move_leader(node, to).await,
            Step::RestartMember { node, .. } => self.restart(node).await,
            Step::StopMember { node } => {
                let unit = names::unit(&self.desired.name, node);
                control(self.hosts, node, &self.owner(), &unit, Verb::Stop, true).await
            }
            Step::SetDataAside { node } => self.set_aside(node).await,
            Step::RemoveMember { node, member_id } => self.remove_member(node, *member_id).await,
            Step::AddLearner { node } => self.add_learner(node).await,
            Step::PromoteLearner { node, member_id } => self.promote(node, *member_id).await,
            Step::ClaimCreation { node } => {
                session::clear(self.hosts, node, &self.owner(), &self.desired.id).await
            }
        }
    }
}
