//! The steps of a cluster, carried out by the helpers on its hosts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::future::join_all;
use host::proto::{
    Absent, AddLearnerRequest, ClearJournalRequest, Directory, EnsureRequest, EtcdQuery, Item,
    Link, MemberRequest, ObserveRequest, SetDataAsideRequest, User, control_unit_request::Verb,
    item,
};
use planner::{
    etcd_cluster::{
        self as cluster, Desired, Manifest, Observed, Phase, Role, Step, check, files, fingerprint,
        names,
    },
    facts::{Fact, HostFacts},
    name::NodeKey,
    rendered::RenderedFile,
    version,
};
use tokio::sync::OnceCell;

use super::{case::Case, certify, look};
use crate::{
    common::{self, control, ensure, ensured, shared_directory},
    download::{Program, Wanted},
    executor::{Ensure, Next, Retry, Work},
    hosts::Hosts,
    programs,
    report::Trouble,
    session::Locked,
};

/// Limit for one look at a host.
const LOOK: Duration = Duration::from_secs(30);

/// How long members may take until they vote and see a quorum. Elections take seconds; a large
/// database that is replayed takes a minute.
const HEALTHY: Duration = Duration::from_mins(3);

/// Limit for one question to a member that is being waited for, in milliseconds.
const BRIEF_MS: u32 = 400;

/// A member that systemd had to start again so often does not come up by itself.
const CRASHES: u32 = 3;

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

    async fn prepare(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let desired = self.desired;
        let root = self
            .root
            .get_or_try_init(|| certify::root(self.ca, desired))
            .await?;
        let fingerprint = desired.issuer.fingerprint.clone().unwrap_or_default();
        let of_service = |path: &str, shared, data| {
            common::item(item::Item::Directory(Directory {
                path: path.to_owned(),
                user: names::USER.to_owned(),
                group: names::USER.to_owned(),
                mode: 0o700,
                shared,
                data,
            }))
        };
        let public = |path: String, content: String, follows: bool| {
            common::file(RenderedFile {
                path,
                user: "root",
                group: "root",
                mode: 0o644,
                content,
                shared: true,
                follows,
                unit: false,
            })
        };
        // Names that people and older tools look for; with two CAs on a host the last one has them.
        let link = |name: &str| {
            common::item(item::Item::Link(Link {
                path: format!("{}/{name}", names::TLS),
                target: desired.issuer.root_path(),
                unless_foreign: true,
                shared: true,
            }))
        };
        let mut request = self.request(vec![
            common::item(item::Item::User(User {
                name: names::USER.to_owned(),
                home: names::HOME.to_owned(),
            })),
            of_service(names::HOME, true, false),
            of_service(&names::data(&desired.name, key), false, true),
            shared_directory("/etc/etcd"),
            shared_directory(names::TLS),
            shared_directory("/etc/etcd/issuers"),
            public(desired.issuer.root_path(), root.clone(), false),
            public(
                desired.issuer.file_path(),
                desired.issuer.file(root, &fingerprint),
                true,
            ),
            link("root_ca.crt"),
            link("peer-ca.crt"),
            link("client-ca.crt"),
            common::timer_helper(),
        ]);
        request.claims_ports = true;
        request.ports = desired.ports().into_iter().map(u32::from).collect();
        self.write_down(key, |_| {}, request).await?;
        Ok(Ensure::Added)
    }

    async fn install(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let machine = held(&self.last)
            .host(key)
            .map(|host| host.architecture.clone());
        let machine = machine.unwrap_or_default();
        let mut result = Ensure::NotNeeded;
        for (program, version) in [
            (Program::Etcd, &self.desired.version),
            (Program::Step, &version::STEP),
        ] {
            let architecture = crate::download::Architecture::from_machine(&machine);
            let sha256 = architecture
                .filter(|_| program == Program::Etcd)
                .and_then(|architecture| self.wanted.get(&architecture.to_string()))
                .map(|sha256| Wanted {
                    sha256: sha256.clone(),
                    origin: "release_sha256",
                });
            let wish = programs::Wish {
                owner: &self.owner(),
                id: &self.desired.id,
                program,
                version,
                machine: &machine,
                sha256,
            };
            let installed = programs::install(self.hosts, key, &wish).await?;
            if program == Program::Etcd {
                let (architecture, sha256) = installed.archive;
                held(&self.archives).insert(architecture, sha256);
            }
            if installed.ensure != Ensure::NotNeeded {
                result = installed.ensure;
            }
        }
        Ok(result)
    }

    /// Files, what makes units start at boot, and one reload for all of it.
    fn files(&self, key: &NodeKey, phase: Phase) -> Vec<Item> {
        let files = files(self.desired, key, &self.desired.nodes[key], phase);
        let wanted = self.units(key).into_iter().map(|(unit, target)| {
            common::item(item::Item::Link(Link {
                path: format!("/etc/systemd/system/{target}.wants/{unit}"),
                target: format!("/etc/systemd/system/{unit}"),
                unless_foreign: false,
                shared: false,
            }))
        });
        let wanted: Vec<Item> = wanted.collect();
        files
            .into_iter()
            .map(common::file)
            .chain(wanted)
            .chain([common::reload()])
            .collect()
    }

    /// Units of a node that start at boot, and for which target.
    fn units(&self, key: &NodeKey) -> Vec<(String, &'static str)> {
        let name = &self.desired.name;
        let timers = Role::ALL.map(|role| {
            let timer = format!("{}.timer", names::renewal(name, role.as_str()));
            (timer, "timers.target")
        });
        let member = (names::unit(name, key), "multi-user.target");
        std::iter::once(member).chain(timers).collect()
    }

    fn is_bootstrapped(&self) -> bool {
        held(&self.written)
            .values()
            .any(|written| written.bootstrapped)
    }

    async fn write(&self, key: &NodeKey, owes_restart: bool) -> Result<Ensure, Trouble> {
        let phase = if self.is_bootstrapped() {
            Phase::Existing
        } else {
            Phase::New
        };
        let owe = |written: &mut Written| {
            if owes_restart {
                written.started_with.clear();
            }
        };
        self.write_down(key, owe, self.request(self.files(key, phase)))
            .await
    }

    async fn enable(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let mut result = Ensure::NotNeeded;
        for (unit, target) in self.units(key) {
            let verbs: &[Verb] = if target == "timers.target" {
                &[Verb::Enable, Verb::Start]
            } else {
                &[Verb::Enable]
            };
            for verb in verbs {
                let done = control(self.hosts, key, &self.owner(), &unit, *verb, true).await?;
                if done != Ensure::NotNeeded {
                    result = done;
                }
            }
        }
        Ok(result)
    }

    fn fingerprint(&self, key: &NodeKey) -> String {
        fingerprint(self.desired, key, &self.desired.nodes[key])
    }

    /// A member that is down starts with what its files say, so that is written down before.
    async fn start(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let current = |written: &mut Written| written.started_with = self.fingerprint(key);
        let mut items = Vec::new();
        if self.joins(key) {
            items.push(joining(self.desired, key));
        }
        self.write_down(key, current, self.request(items)).await?;
        let unit = names::unit(&self.desired.name, key);
        control(self.hosts, key, &self.owner(), &unit, Verb::Start, false).await
    }

    /// A member that comes back to a cluster with an empty data directory.
    fn joins(&self, key: &NodeKey) -> bool {
        let last = held(&self.last);
        let url = self.desired.peer_url(&self.desired.nodes[key]);
        last.bootstrapped()
            && last.members().is_some_and(|members| {
                members
                    .iter()
                    .any(|member| member.is_learner && member.peer_urls.contains(&url))
            })
    }

    async fn healthy(&self, nodes: &[NodeKey]) -> Result<Ensure, Trouble> {
        // The members alone, and not for long: a read that waits for a leader would be waited for.
        let looks = join_all(nodes.iter().map(|key| async move {
            let query = EtcdQuery {
                timeout_ms: BRIEF_MS,
                ..look::member(self.desired, key)
            };
            let request = ObserveRequest {
                etcd: vec![query],
                units: vec![names::unit(&self.desired.name, key)],
                ..ObserveRequest::default()
            };
            (key, self.hosts.observe(key, request).await)
        }));
        let mut observed = held(&self.last).clone();
        for (key, response) in looks.await {
            let response = response?;
            let crashes = response
                .units
                .iter()
                .any(|unit| unit.restarts >= CRASHES && unit.active_state != "active");
            if crashes {
                // Started once more and waited for, it tells why it ends.
                let unit = names::unit(&self.desired.name, key);
                control(self.hosts, key, &self.owner(), &unit, Verb::Start, true).await?;
            }
            let facts = crate::facts::from_response(response, &self.owner());
            if let Some(Fact::Known(host)) = observed.hosts.get_mut(key) {
                host.etcd = facts.etcd;
            }
        }
        let sick: Vec<&NodeKey> = nodes
            .iter()
            .filter(|key| !observed.is_healthy(key))
            .collect();
        let why = cluster::status(self.desired, &observed);
        let first = sick.first().map(|key| (*key).clone());
        // Kept in any case: whether there was a quorum decides what a failure means.
        *held(&self.last) = observed;
        let Some(first) = first else {
            *held(&self.waiting) = None;
            return Ok(Ensure::NotNeeded);
        };
        let since = *held(&self.waiting).get_or_insert_with(Instant::now);
        if since.elapsed() < HEALTHY {
            return Err(Trouble::NotYet(why));
        }
        *held(&self.waiting) = None;
        Err(Trouble::Refused {
            why: format!("{why} {} s after the start", HEALTHY.as_secs()),
            hint: common::journal(
                &names::unit(&self.desired.name, &first),
                &self.hosts.target(&first).host,
            ),
        })
    }

    async fn finish(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let finished = |written: &mut Written| written.bootstrapped = true;
        self.write_down(
            key,
            finished,
            self.request(self.files(key, Phase::Existing)),
        )
        .await
    }

    async fn restart(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let unit = names::unit(&self.desired.name, key);
        control(self.hosts, key, &self.owner(), &unit, Verb::Restart, true).await?;
        let current = |written: &mut Written| written.started_with = self.fingerprint(key);
        self.write_down(key, current, self.request(Vec::new()))
            .await?;
        Ok(Ensure::Updated)
    }

    /// A node whose member sees a quorum, other than `key`.
    fn healthy_other(&self, key: &NodeKey) -> Result<NodeKey, Trouble> {
        let last = held(&self.last);
        let other = self
            .desired
            .nodes
            .keys()
            .find(|other| *other != key && last.is_healthy(other));
        other.cloned().ok_or_else(|| Trouble::Refused {
            why: "no healthy member can be asked for a change of the member list".to_owned(),
            hint: "bring a majority of the members back first.".to_owned(),
        })
    }

    async fn move_leader(&self, from: &NodeKey, to: &NodeKey) -> Result<Ensure, Trouble> {
        let member_id = held(&self.last).member(to).map_or(0, |etcd| etcd.member_id);
        let request = MemberRequest {
            etcd: Some(look::member(self.desired, from)),
            member_id,
        };
        let response = self
            .hosts
            .call(from, "MoveLeader", |mut client| async move {
                client.move_leader(request).await
            })
            .await?;
        Ok(ensured(response.outcome()))
    }

    async fn set_aside(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let now_ms = held(&self.last).host(key).map_or(0, |host| host.now_ms);
        let request = SetDataAsideRequest {
            owner: self.owner(),
            path: names::data(&self.desired.name, key),
            unit: names::unit(&self.desired.name, key),
            now_ms,
        };
        let response = self
            .hosts
            .call(key, "SetDataAside", |mut client| async move {
                client.set_data_aside(request).await
            })
            .await?;
        tracing::info!(
            host = self.hosts.target(key).host,
            path = response.moved_to,
            "data set aside"
        );
        Ok(Ensure::Updated)
    }

    async fn remove_member(&self, key: &NodeKey, member_id: u64) -> Result<Ensure, Trouble> {
        let via = self.healthy_other(key)?;
        let request = MemberRequest {
            etcd: Some(look::member(self.desired, &via)),
            member_id,
        };
        let response = self
            .hosts
            .call(&via, "RemoveMember", |mut client| async move {
                client.remove_member(request).await
            })
            .await?;
        Ok(ensured(response.outcome()))
    }

    async fn add_learner(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let via = self.healthy_other(key)?;
        let request = AddLearnerRequest {
            etcd: Some(look::member(self.desired, &via)),
            peer_urls: vec![self.desired.peer_url(&self.desired.nodes[key])],
        };
        self.hosts
            .call(&via, "AddLearner", |mut client| async move {
                client.add_learner(request).await
            })
            .await?;
        Ok(Ensure::Added)
    }

    async fn promote(&self, key: &NodeKey, member_id: u64) -> Result<Ensure, Trouble> {
        let via = self.healthy_other(key)?;
        let request = MemberRequest {
            etcd: Some(look::member(self.desired, &via)),
            member_id,
        };
        self.hosts
            .call(&via, "PromoteLearner", |mut client| async move {
                client.promote_learner(request).await
            })
            .await?;
        let path = names::joining(&self.desired.name, key);
        let items = vec![common::item(item::Item::Absent(Absent { path }))];
        ensure(self.hosts, key, self.request(items)).await?;
        Ok(Ensure::Updated)
    }

    async fn claim(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let request = ClearJournalRequest {
            owner: self.owner(),
            id: self.desired.id.clone(),
        };
        let response = self
            .hosts
            .call(key, "ClearJournal", |mut client| async move {
                client.clear_journal(request).await
            })
            .await?;
        Ok(ensured(response.outcome()))
    }

    /// Whether these are the hosts that it began on, and what is on them is this cluster.
    fn still_ours(&self, observed: &Observed) -> Result<(), Trouble> {
        let astray = cluster::astray(self.desired, observed, &self.machines);
        if !astray.is_empty() {
            return Err(Trouble::Refused {
                why: astray.join("; "),
                hint: "give each node the host that it had, and run plan again.".to_owned(),
            });
        }
        let hosts = || observed.hosts.values().filter_map(Fact::known);
        let is_ours = |host: &HostFacts| {
            let owner = host.owner.as_ref();
            owner.is_some_and(|owner| owner.id == self.desired.id)
        };
        if self.announced.is_some() && !hosts().any(is_ours) {
            return Err(Trouble::Refused {
                why: "no host that answers knows this cluster any more".to_owned(),
                hint: "see that the right hosts answer and that their disks are mounted, then run plan \
                       again."
                    .to_owned(),
            });
        }
        Ok(())
    }

    /// Why a host is not seen that was seen before in this run, as long as it is waited for.
    fn went_away(&self, troubles: Vec<Trouble>) -> Option<Trouble> {
        let last = held(&self.last);
        troubles.into_iter().find(|trouble| {
            let key = trouble.key();
            let was_seen = key.is_some_and(|key| last.host(key).is_some());
            was_seen && trouble.is_unreachable() && self.retry(trouble) != Retry::Permanent
        })
    }

    /// A disruptive step that nobody has agreed to.
    fn unannounced(&self, wave: &[Step]) -> Option<Trouble> {
        let announced = self.announced.as_ref()?;
        let step = wave.iter().find(|step| {
            let follows = matches!(step, Step::MoveLeader { .. } | Step::PromoteLearner { .. });
            step.disrupts() && !follows && !announced.contains(&step.to_string())
        })?;
        Some(Trouble::Refused {
            why: format!("the facts changed since the plan: it did not say \"{step}\""),
            hint: "run plan again, read what it says now, and apply that.".to_owned(),
        })
    }
}

/// Lets the unit start although there is no data yet.
fn joining(desired: &Desired, key: &NodeKey) -> Item {
    common::file(RenderedFile {
        path: names::joining(&desired.name, key),
        user: "root",
        group: "root",
        mode: 0o644,
        content: "This member joins its cluster with an empty data directory.\n".to_owned(),
        shared: false,
        follows: false,
        unit: false,
    })
}

#[async_trait]
impl Work for ClusterWork<'_> {
    type Step = Step;
    type Error = Trouble;

    async fn next(&self) -> Result<Next<Step>, Trouble> {
        self.locked.keep().await?;
        let request = |key: &NodeKey| look::request(self.desired, key);
        let (facts, mut troubles) = self.hosts.observe_all(&self.owner(), LOOK, request).await;
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
            && let Some(trouble) = self.went_away(troubles)
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
            Step::ClaimCreation { node } => self.claim(node).await,
        }
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
