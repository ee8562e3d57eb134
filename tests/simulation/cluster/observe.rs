//! What a look at the hosts answers.

use std::collections::BTreeMap;

use planner::{
    etcd_cluster::{Observed, Role, names},
    facts::{EtcdFact, Fact, FileFact, FileKind, HostFacts, MemberFact, UnitFact},
    name::NodeKey,
    rendered::sha256,
};

use super::world::World;

impl World {
    pub(crate) fn observe(&self) -> Observed {
        let look = |key: &NodeKey| {
            let host = &self.hosts[key];
            let fact = if host.is_reachable && host.is_powered {
                Fact::Known(self.look(key))
            } else {
                Fact::Unknown("connection timed out".to_owned())
            };
            (key.clone(), fact)
        };
        Observed::of(self.hosts.keys().map(look).collect())
    }

    fn look(&self, key: &NodeKey) -> HostFacts {
        let host = &self.hosts[key];
        let mut files: BTreeMap<String, FileFact> = BTreeMap::new();
        for (path, file) in &host.files {
            let fact = FileFact {
                kind: FileKind::File,
                sha256: sha256(file.content.as_bytes()),
                mode: file.mode,
                user: file.user.clone(),
                modified_ms: file.modified_ms,
                content: Some(file.content.clone()),
                recorded_sha256: host.recorded.get(path).cloned().unwrap_or_default(),
                owner: names::owner(&self.desired.name),
                ..FileFact::default()
            };
            files.insert(path.clone(), fact);
        }
        let directory = |mode, populated| FileFact {
            kind: FileKind::Directory,
            mode,
            user: names::USER.to_owned(),
            populated,
            ..FileFact::default()
        };
        let name = &self.desired.name;
        if let Some(mode) = host.directory {
            files.insert(names::data(name, key), directory(mode, host.data.is_some()));
        }
        if host.data.is_some() {
            files.insert(names::wal(name, key), directory(0o700, true));
        }
        let units = host.units.iter().filter_map(|(name, unit)| {
            let has_file = host
                .files
                .contains_key(&format!("/etc/systemd/system/{name}"));
            (has_file || unit.process.is_some()).then(|| {
                let since_ms = unit.process.as_ref().map_or(0, |process| process.since_ms);
                let is_timer = unit.is_up && !name.ends_with(".service");
                let state = match (unit.is_up, is_timer || since_ms != 0) {
                    (false, _) => "inactive",
                    (true, true) => "active",
                    (true, false) => "activating",
                };
                let file_state = match (has_file, unit.is_enabled) {
                    (false, _) => "",
                    (true, true) => "enabled",
                    (true, false) => "disabled",
                };
                let program = unit.process.as_ref().map(|process| process.program.clone());
                let fact = UnitFact {
                    load_state: "loaded".to_owned(),
                    active_state: state.to_owned(),
                    unit_file_state: file_state.to_owned(),
                    active_since_ms: since_ms,
                    executable_sha256: program.unwrap_or_default(),
                    ..UnitFact::default()
                };
                (name.clone(), fact)
            })
        });
        HostFacts {
            architecture: "x86_64".to_owned(),
            init: "systemd".to_owned(),
            systemd_version: 252,
            machine_id: format!("machine-{key}"),
            now_ms: self.now_ms,
            addresses: vec![self.desired.nodes[key].address.to_string()],
            units: units.collect(),
            certificates: host.certificates.clone(),
            etcd: Some(self.ask(key)),
            owner: host.owner.clone(),
            journal: host.journal.clone(),
            users: host
                .has_user
                .then(|| names::USER.to_owned())
                .into_iter()
                .collect(),
            files,
            ..HostFacts::default()
        }
    }

    /// What the member tells the helper on its host.
    fn ask(&self, key: &NodeKey) -> EtcdFact {
        let asks = self.has_certificates(key, &[Role::Client, Role::Server]);
        let process = self.process(key).filter(|process| process.since_ms != 0);
        let Some(process) = process.filter(|_| asks) else {
            return EtcdFact {
                error: "connection refused".to_owned(),
                ..EtcdFact::default()
            };
        };
        let serves = self.serves(key);
        let is_learner = !self.votes(process.member_id);
        let mut fact = EtcdFact {
            reachable: true,
            cluster_id: 7,
            member_id: process.member_id,
            leader_id: self.leader.filter(|_| serves).unwrap_or_default(),
            version: self.desired.version.to_string(),
            is_learner,
            linearizable: serves && !is_learner,
            ..EtcdFact::default()
        };
        if fact.linearizable && !self.hosts[key].is_mute {
            let member = |member: &super::world::Member| MemberFact {
                id: member.id,
                name: member.name.clone(),
                peer_urls: vec![member.peer_url.clone()],
                is_learner: member.is_learner,
            };
            fact.members = self.list.iter().map(member).collect();
        } else {
            "member list: permission denied".clone_into(&mut fact.error);
        }
        fact
    }
}
