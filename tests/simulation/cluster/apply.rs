//! What steps do to the model, one small effect after the other: an apply may be killed before each.

use std::collections::BTreeMap;

use planner::{
    etcd_cluster::{
        Manifest, Observed, Phase, Role, Step, files, files_to_join, fingerprint, names, subject,
    },
    facts::{CertificateFact, OwnerFact},
    name::NodeKey,
    rendered::RenderedFile,
    version,
};

use super::world::{Data, Done, File, Member, Stop, World, broken, failed};

/// How often a wait looks before it gives up.
const PATIENCE: usize = 12;

/// What an apply knows beside the facts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work {
    pub(crate) last: Observed,
    written: BTreeMap<NodeKey, (String, bool)>,
}

impl Work {
    /// Takes new facts over.
    pub(crate) fn take(&mut self, observed: Observed) {
        for key in observed.hosts.keys() {
            if let Some(manifest) = observed.manifest(key) {
                let written = (manifest.started_with, manifest.bootstrapped);
                self.written.insert(key.clone(), written);
            }
        }
        self.last = observed;
    }

    pub(crate) fn is_bootstrapped(&self) -> bool {
        self.written.values().any(|(_, bootstrapped)| *bootstrapped)
    }
}

fn as_file(rendered: RenderedFile, now_ms: i64) -> (String, File) {
    let file = File {
        content: rendered.content,
        mode: rendered.mode,
        user: rendered.user.to_owned(),
        modified_ms: now_ms,
    };
    (rendered.path, file)
}

impl World {
    pub(crate) fn apply(&mut self, work: &mut Work, step: &Step) -> Done {
        for key in nodes(step) {
            let host = &self.hosts[&key];
            if !(host.is_reachable && host.is_powered) {
                return failed(format!("{key} cannot be reached"));
            }
        }
        match step {
            Step::PrepareHost { node } => self.prepare(work, node),
            Step::InstallPrograms { node, .. } => self.install(node),
            Step::IssueCertificate { node, role } => self.issue(node, *role),
            Step::WriteFiles { node, owes_restart } => self.write(work, node, *owes_restart),
            Step::EnableUnits { node } => self.enable(node),
            Step::StartMembers { nodes } => nodes
                .iter()
                .try_for_each(|node| self.start_member(work, node)),
            Step::AwaitHealthy { nodes } => self.await_healthy(nodes),
            Step::FinishBootstrap { node } => {
                self.write_down(work, node, |written| written.1 = true)?;
                self.put(node, Phase::Existing)
            }
            Step::MoveLeader { node, to } => self.move_leader(node, to),
            Step::RestartMember { node, .. } => self.restart(work, node),
            Step::StopMember { node } => self.stop_member(node),
            Step::SetDataAside { node } => self.set_aside(node),
            Step::RemoveMember { node, member_id } => self.remove_member(work, node, *member_id),
            Step::AddLearner { node } => self.add_learner(work, node),
            Step::PromoteLearner { node, member_id } => self.promote(work, node, *member_id),
            Step::ClaimCreation { node } => {
                self.act()?;
                self.host(node).journal = None;
                Ok(())
            }
        }
    }

    fn write_down(
        &mut self,
        work: &mut Work,
        key: &NodeKey,
        change: impl FnOnce(&mut (String, bool)),
    ) -> Done {
        let mut written = work.written.get(key).cloned().unwrap_or_default();
        change(&mut written);
        self.act()?;
        let manifest = Manifest::new(&self.desired, key, written.0.clone(), written.1);
        let id = self.desired.id.clone();
        self.host(key).owner = Some(OwnerFact {
            id,
            manifest: manifest.to_json(),
        });
        work.written.insert(key.clone(), written);
        Ok(())
    }

    fn put_file(&mut self, key: &NodeKey, rendered: RenderedFile) -> Done {
        self.act()?;
        let (path, file) = as_file(rendered, self.now_ms);
        self.host(key).write(&path, file);
        Ok(())
    }

    fn put(&mut self, key: &NodeKey, phase: Phase) -> Done {
        if !self.hosts[key].has_user {
            return failed("user etcd is missing");
        }
        let rendered = files(&self.desired, key, &self.desired.nodes[key], phase);
        rendered
            .into_iter()
            .try_for_each(|file| self.put_file(key, file))
    }

    fn prepare(&mut self, work: &mut Work, key: &NodeKey) -> Done {
        self.write_down(work, key, |_| {})?;
        self.act()?;
        self.host(key).has_user = true;
        self.act()?;
        self.host(key).directory = Some(0o700);
        for path in [
            self.desired.issuer.root_path(),
            self.desired.issuer.file_path(),
        ] {
            let content = path.clone();
            self.put_file(key, public(path, content, 0o644))?;
        }
        Ok(())
    }

    fn install(&mut self, key: &NodeKey) -> Done {
        let programs = names::programs(&self.desired.version);
        let etcd = ["etcd", "etcdctl", "etcdutl"].map(|name| format!("{programs}/{name}"));
        let step = format!("/opt/step/{}/step", version::STEP);
        for path in etcd.into_iter().chain([step]) {
            let content = path.clone();
            self.put_file(key, public(path, content, 0o755))?;
        }
        Ok(())
    }

    fn issue(&mut self, key: &NodeKey, role: Role) -> Done {
        if !self.hosts[key].has_user {
            return failed("user etcd is missing");
        }
        let path = format!(
            "{}.crt",
            names::certificate_stem(&self.desired.name, key, role.as_str())
        );
        self.act()?;
        // The key; a certificate that was there does not fit a new one.
        let node = &self.desired.nodes[key];
        let subject = subject(&self.desired, key, node, role);
        let life_ms = i64::from(self.desired.certificate_lifetime_s) * 1000;
        self.act()?;
        let fact = CertificateFact {
            present: true,
            common_name: subject.common_name,
            dns_names: subject.dns_names,
            ip_addresses: subject.ip_addresses,
            not_before_ms: self.now_ms,
            not_after_ms: self.now_ms + life_ms,
            key_matches: true,
            key_mode: 0o400,
            key_user: names::USER.to_owned(),
            ..CertificateFact::default()
        };
        self.host(key).certificates.insert(path, fact);
        Ok(())
    }

    fn write(&mut self, work: &mut Work, key: &NodeKey, owes_restart: bool) -> Done {
        let phase = if work.is_bootstrapped() {
            Phase::Existing
        } else {
            Phase::New
        };
        self.write_down(work, key, |written| {
            if owes_restart {
                written.0.clear();
            }
        })?;
        self.put(key, phase)
    }

    fn enable(&mut self, key: &NodeKey) -> Done {
        let timers = Role::ALL.map(|role| {
            let stem = names::renewal(&self.desired.name, role.as_str());
            format!("{stem}.timer")
        });
        for name in std::iter::once(self.unit_name(key)).chain(timers) {
            let path = format!("/etc/systemd/system/{name}");
            if !self.hosts[key].files.contains_key(&path) {
                return failed(format!("{name} cannot be enabled: there is no such file"));
            }
            self.act()?;
            let is_timer = !name.ends_with(".service");
            let unit = self.host(key).units.entry(name).or_default();
            unit.is_enabled = true;
            unit.is_up |= is_timer;
        }
        Ok(())
    }

    fn start_member(&mut self, work: &mut Work, key: &NodeKey) -> Done {
        let node = &self.desired.nodes[key];
        let current = fingerprint(&self.desired, key, node);
        self.write_down(work, key, |written| written.0 = current)?;
        let url = self.peer_url(key);
        let members = work.last.members().unwrap_or_default();
        let joins = members
            .iter()
            .any(|member| member.is_learner && member.peer_urls.contains(&url));
        if work.last.bootstrapped() && joins {
            let node = &self.desired.nodes[key];
            for file in files_to_join(&self.desired, &work.last, key, node) {
                self.put_file(key, file)?;
            }
            let path = names::joining(&self.desired.name, key);
            self.put_file(key, public(path, "joins".to_owned(), 0o644))?;
        }
        self.act()?;
        self.unit(key).is_up = true;
        Ok(())
    }

    fn await_healthy(&mut self, nodes: &[NodeKey]) -> Done {
        for _ in 0..PATIENCE {
            self.settle()?;
            self.act()?;
            let observed = self.observe();
            if nodes.iter().all(|key| observed.is_healthy(key)) {
                return Ok(());
            }
        }
        failed(format!("{nodes:?} do not become healthy"))
    }

    /// A voter may be disrupted only while the others are a quorum.
    fn must_spare(&self, key: &NodeKey, what: &str) -> Done {
        let id = self.hosts[key].data.map(|data| data.member_id);
        let votes = id.is_some_and(|id| self.votes(id));
        if votes && self.voters() > 1 && !self.can_spare(key) {
            return broken(format!("{what} {key}: the others are no quorum"));
        }
        self.must_be_alone(key, what)
    }

    /// One at a time.
    fn must_be_alone(&self, key: &NodeKey, what: &str) -> Done {
        match &self.disrupted {
            Some(other) if other != key => broken(format!(
                "{what} {key}: {other} was disrupted and does not serve again"
            )),
            _ => Ok(()),
        }
    }

    fn restart(&mut self, work: &mut Work, key: &NodeKey) -> Done {
        self.must_spare(key, "restart")?;
        self.act()?;
        if self
            .process(key)
            .is_some_and(|process| self.votes(process.member_id))
        {
            self.disrupted = Some(key.clone());
        }
        self.unit(key).process = None;
        self.unit(key).is_up = true;
        let node = &self.desired.nodes[key];
        let current = fingerprint(&self.desired, key, node);
        self.write_down(work, key, |written| written.0 = current)
    }

    fn stop_member(&mut self, key: &NodeKey) -> Done {
        self.must_spare(key, "stop")?;
        self.act()?;
        self.unit(key).is_up = false;
        self.unit(key).process = None;
        Ok(())
    }

    fn set_aside(&mut self, key: &NodeKey) -> Done {
        if self.unit(key).is_up {
            return failed("the unit is not stopped");
        }
        if let Some(Data { member_id, .. }) = self.hosts[key].data
            && self.list.iter().any(|member| member.id == member_id)
        {
            return broken(format!("the data of member {member_id:x} is set aside"));
        }
        self.act()?;
        self.host(key).data = None;
        Ok(())
    }

    /// A healthy node that can be asked for a change of the list, in truth and not only as last seen.
    fn must_serve(&self, work: &Work, key: &NodeKey) -> Done {
        let mut others = self.hosts.keys().filter(|other| *other != key);
        let via = others.find(|other| work.last.is_healthy(other));
        if via.is_some_and(|via| self.serves(via)) {
            return Ok(());
        }
        failed("no healthy member can be asked for a change of the member list")
    }

    /// A change of the list is an entry that a quorum of the new list confirms.
    fn change_list(&mut self) -> Done {
        self.settle()?;
        if self.commit() {
            Ok(())
        } else {
            broken("a change of the member list cost the quorum")
        }
    }

    fn remove_member(&mut self, work: &Work, key: &NodeKey, member_id: u64) -> Done {
        self.must_serve(work, key)?;
        if self.votes(member_id) && !self.can_spare(key) {
            return broken(format!("remove {key}: the others are no quorum"));
        }
        self.must_be_alone(key, "remove")?;
        self.act()?;
        self.list.retain(|member| member.id != member_id);
        self.change_list()
    }

    fn add_learner(&mut self, work: &Work, key: &NodeKey) -> Done {
        self.must_serve(work, key)?;
        let url = self.peer_url(key);
        if self.list.iter().any(|member| member.peer_url == url) {
            return Ok(());
        }
        if self.list.iter().any(|member| member.is_learner) {
            return failed("too many learner members in cluster");
        }
        self.act()?;
        let id = self.next_id;
        self.next_id += 1;
        self.list.push(Member {
            id,
            name: String::new(),
            peer_url: url,
            is_learner: true,
        });
        self.change_list()
    }

    /// What lets the unit start without data goes first: a voter must never have it.
    fn promote(&mut self, work: &Work, key: &NodeKey, member_id: u64) -> Done {
        self.must_serve(work, key)?;
        let is_ready = |world: &Self| world.serves(key) && world.has_caught_up(member_id);
        for _ in 0..PATIENCE {
            self.settle()?;
            self.act()?;
            if is_ready(self) {
                break;
            }
        }
        if !is_ready(self) {
            return failed("can only promote a learner member which is in sync with leader");
        }
        self.act()?;
        let path = names::joining(&self.desired.name, key);
        self.host(key).files.remove(&path);
        if self.votes(member_id) {
            return Ok(());
        }
        self.act()?;
        for member in &mut self.list {
            member.is_learner &= member.id != member_id;
        }
        self.change_list()
    }

    fn move_leader(&mut self, from: &NodeKey, to: &NodeKey) -> Done {
        if !(self.serves(from) && self.serves(to)) {
            return Err(Stop::Failed("leadership cannot be moved now".to_owned()));
        }
        self.act()?;
        self.catch_up(to);
        self.leader = self.process(to).map(|process| process.member_id);
        Ok(())
    }
}

fn public(path: String, content: String, mode: u32) -> RenderedFile {
    RenderedFile {
        path,
        user: "root",
        group: "root",
        mode,
        content,
        shared: true,
        follows: false,
        unit: false,
    }
}

/// Nodes that a step is about.
pub(crate) fn nodes(step: &Step) -> Vec<NodeKey> {
    match step {
        Step::StartMembers { nodes } | Step::AwaitHealthy { nodes } => nodes.clone(),
        other => other.node().cloned().into_iter().collect(),
    }
}
