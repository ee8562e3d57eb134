//! The steps of a CA, carried out by the helper on its host.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use host::proto::{EnsureRequest, InitialiseCaRequest, control_unit_request::Verb};
use planner::{
    etcd_step_ca::{self as planner_ca, Desired, Manifest, Observed, Step},
    facts::Fact,
    name::NodeKey,
    version,
};

use super::look;
use crate::{
    common::{self, control, ensure, ensured},
    download::Program,
    executor::{Ensure, Next, Retry, Work},
    hosts::Hosts,
    programs,
    report::Trouble,
    session::{self, Locked},
};

/// step-ca answers within a second; after this much something is wrong.
const STARTING: Duration = Duration::from_secs(30);

/// Root and intermediate live for ten years.
const LIFETIME_HOURS: u32 = 87_600;

/// Limit for one look at the host.
const LOOK: Duration = Duration::from_secs(30);

pub(super) struct CaWork<'a> {
    pub(super) hosts: &'a Hosts,
    pub(super) locked: &'a Locked<'a>,
    pub(super) desired: &'a Desired,
    /// Whether the journal of the creation may be closed: the CA stands in a state.
    pub(super) claims: bool,
    pub(super) last: Mutex<Observed>,
    pub(super) waiting: Mutex<Option<Instant>>,
}

impl CaWork<'_> {
    fn owner(&self) -> String {
        planner_ca::owner(&self.desired.name)
    }

    fn unit(&self) -> String {
        planner_ca::unit(self.desired.instance.as_ref())
    }

    fn manifest(&self, key: &NodeKey, started_with: String) -> String {
        let manifest = Manifest {
            format: 1,
            id: self.desired.id.clone(),
            node: key.clone(),
            instance: self.desired.instance.as_ref().map(ToString::to_string),
            port: self.desired.port,
            started_with,
            record: self.desired.record.clone(),
        };
        manifest.to_json()
    }

    fn request(&self, manifest: Option<String>) -> EnsureRequest {
        EnsureRequest {
            owner: self.owner(),
            id: self.desired.id.clone(),
            manifest,
            ..EnsureRequest::default()
        }
    }

    async fn prepare(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let mut request = self.request(Some(self.manifest(key, String::new())));
        request.claims_ports = true;
        request.ports = vec![self.desired.port.into()];
        ensure(self.hosts, key, request).await?;
        Ok(Ensure::Added)
    }

    async fn install(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let machine = {
            let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.host(key)
                .map(|host| host.architecture.clone())
                .unwrap_or_default()
        };
        let mut result = Ensure::NotNeeded;
        for (program, version) in [
            (Program::StepCa, &version::STEP_CA),
            (Program::Step, &version::STEP),
        ] {
            let wish = programs::Wish {
                owner: &self.owner(),
                id: &self.desired.id,
                program,
                version,
                machine: &machine,
                sha256: None,
            };
            let installed = programs::install(self.hosts, key, &wish).await?;
            if installed.ensure != Ensure::NotNeeded {
                result = installed.ensure;
            }
        }
        Ok(result)
    }

    async fn initialise(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let desired = self.desired;
        let [min, default, max] = desired.lifetimes.clone();
        let request = InitialiseCaRequest {
            owner: self.owner(),
            id: desired.id.clone(),
            directory: planner_ca::directory(desired.instance.as_ref()),
            name: desired.name.to_string(),
            provisioner: desired.provisioner.clone(),
            dns_names: desired.dns_names(),
            listen: format!(":{}", desired.port),
            root_lifetime_hours: LIFETIME_HOURS,
            intermediate_lifetime_hours: LIFETIME_HOURS,
            min_lifetime: min,
            default_lifetime: default,
            max_lifetime: max,
            step_path: format!("/opt/step/{}/step", version::STEP),
        };
        let response = self
            .hosts
            .call(key, "InitialiseCa", |mut client| async move {
                client.initialise_ca(request).await
            })
            .await?;
        Ok(ensured(response.outcome()))
    }

    async fn write(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let mut request = self.request(None);
        request.items = vec![
            common::file(planner_ca::unit_file(self.desired)),
            common::reload(),
        ];
        ensure(self.hosts, key, request).await
    }

    async fn start(&self, key: &NodeKey, verb: Verb) -> Result<Ensure, Trouble> {
        let done = control(self.hosts, key, &self.owner(), &self.unit(), verb, true).await?;
        let manifest = self.manifest(key, self.desired.configuration_hash());
        ensure(self.hosts, key, self.request(Some(manifest))).await?;
        Ok(done)
    }

    async fn healthy(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let response = self.hosts.observe(key, look::request(self.desired)).await?;
        let fact = response.cas.into_iter().next().unwrap_or_default();
        if fact.healthy {
            return Ok(Ensure::NotNeeded);
        }
        let since = *self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(Instant::now);
        if since.elapsed() < STARTING {
            return Err(Trouble::NotYet(format!(
                "step-ca does not answer yet: {}",
                fact.error
            )));
        }
        Err(Trouble::Refused {
            why: format!(
                "step-ca on {} does not answer {} s after its start: {}",
                self.desired.called(key),
                STARTING.as_secs(),
                fact.error
            ),
            hint: common::journal(&self.unit(), &self.hosts.target(key).host),
        })
    }
}

#[async_trait]
impl Work for CaWork<'_> {
    type Step = Step;
    type Error = Trouble;

    async fn next(&self) -> Result<Next<Step>, Trouble> {
        self.locked.keep().await?;
        let request = |_: &NodeKey| look::request(self.desired);
        let (facts, troubles) = self.hosts.observe_all(&self.owner(), LOOK, request).await;
        if let Some(trouble) = troubles.into_iter().next() {
            return Err(trouble);
        }
        let unseen = facts.values().find_map(|fact| match fact {
            Fact::Unknown(why) => Some(why.clone()),
            Fact::Known(_) => None,
        });
        if let Some(why) = unseen {
            return Err(Trouble::NotYet(why));
        }
        let observed = Observed { hosts: facts };
        let (mut steps, blocked) = planner_ca::plan(self.desired, &observed);
        steps.retain(|step| self.claims || !matches!(step, Step::ClaimCreation { .. }));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = observed;
        Ok(Next {
            wave: steps.clone(),
            left: steps,
            blocked,
        })
    }

    async fn apply(&self, step: &Step) -> Result<Ensure, Trouble> {
        match step {
            Step::PrepareHost { node } => self.prepare(node).await,
            Step::InstallPrograms { node } => self.install(node).await,
            Step::Initialise { node } => self.initialise(node).await,
            Step::WriteFiles { node } => self.write(node).await,
            Step::EnableUnit { node } => {
                control(
                    self.hosts,
                    node,
                    &self.owner(),
                    &self.unit(),
                    Verb::Enable,
                    true,
                )
                .await
            }
            Step::StartUnit { node } => self.start(node, Verb::Start).await,
            Step::RestartUnit { node } => self.start(node, Verb::Restart).await,
            Step::AwaitHealthy { node } => self.healthy(node).await,
            Step::ClaimCreation { node } => {
                session::clear(self.hosts, node, &self.owner(), &self.desired.id).await
            }
        }
    }

    fn lane(&self, step: &Step) -> String {
        step.node().to_string()
    }

    fn look(&self, step: &Step) -> Option<String> {
        let (Step::StartUnit { node } | Step::RestartUnit { node } | Step::AwaitHealthy { node }) =
            step
        else {
            return None;
        };
        Some(common::journal(&self.unit(), &self.hosts.target(node).host))
    }

    fn retry(&self, error: &Trouble) -> Retry {
        self.hosts.retry(error)
    }
}
