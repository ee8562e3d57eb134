//! How members behave: starts, elections, writes, and what they lose.

use std::collections::BTreeMap;

use planner::{
    etcd_cluster::{Phase, Role, files, names},
    name::NodeKey,
    rendered::sha256,
};

use super::world::{Data, Done, Member, Process, World, broken, quorum};

/// Options of a configuration file, those of blocks with the block's name in front.
fn parse(text: &str) -> BTreeMap<String, String> {
    let mut block = String::new();
    let mut options = BTreeMap::new();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let (value, is_nested) = (value.trim(), name.starts_with(' '));
        if value.is_empty() {
            block = format!("{name}.");
        } else {
            let prefix = if is_nested { block.as_str() } else { "" };
            options.insert(format!("{prefix}{}", name.trim()), value.to_owned());
        }
    }
    options
}

/// Without what only a first start reads.
fn lasting(mut options: BTreeMap<String, String>) -> BTreeMap<String, String> {
    options.retain(|name, _| !name.starts_with("initial-cluster"));
    options
}

impl World {
    /// Options of a running member that are not those that its node should have now.
    pub(crate) fn runs_otherwise(&self, key: &NodeKey) -> bool {
        let node = &self.desired.nodes[key];
        let configuration = names::configuration(&self.desired.name, key);
        let mut wanted = files(&self.desired, key, node, Phase::Existing).into_iter();
        let wanted = wanted.find(|file| file.path == configuration);
        self.process(key).is_some_and(|process| {
            let runs = lasting(process.options.clone());
            wanted.is_some_and(|file| runs != lasting(parse(&file.content)))
        })
    }

    /// Whether the running member has read what somebody edited.
    pub(crate) fn has_read_an_edit(&self, key: &NodeKey) -> bool {
        let edits = ["heartbeat-interval", "listen-peer-urls"];
        let url = format!("\"{}\"", self.peer_url(key));
        let ours = ["250".to_owned(), url];
        self.process(key).is_some_and(|process| {
            let mut pairs = edits.iter().zip(&ours);
            pairs.any(|(name, ours)| process.options.get(*name) != Some(ours))
        })
    }

    pub(crate) fn voters(&self) -> usize {
        self.list.iter().filter(|member| !member.is_learner).count()
    }

    pub(crate) fn votes(&self, id: u64) -> bool {
        self.list
            .iter()
            .any(|member| member.id == id && !member.is_learner)
    }

    fn is_listed(&self, id: u64) -> bool {
        self.list.iter().any(|member| member.id == id)
    }

    /// Nodes whose members run and can talk to others.
    fn connected(&self) -> Vec<NodeKey> {
        let is_connected = |key: &&NodeKey| {
            self.process(key).is_some_and(|process| {
                let listens = process.options.get("listen-peer-urls");
                let wanted = format!("\"{}\"", self.peer_url(key));
                process.delay == 0 && listens == Some(&wanted) && self.is_listed(process.member_id)
            })
        };
        self.hosts.keys().filter(is_connected).cloned().collect()
    }

    fn member_id(&self, key: &NodeKey) -> u64 {
        self.process(key).map_or(0, |process| process.member_id)
    }

    /// Nodes whose members run, vote and can talk to others.
    pub(crate) fn voting(&self) -> Vec<NodeKey> {
        let mut keys = self.connected();
        keys.retain(|key| self.votes(self.member_id(key)));
        keys
    }

    pub(crate) fn has_quorum(&self) -> bool {
        !self.list.is_empty() && self.voting().len() >= quorum(self.voters())
    }

    /// Whether the others would be a quorum without this node.
    pub(crate) fn can_spare(&self, key: &NodeKey) -> bool {
        let others = self.voting().iter().filter(|other| *other != key).count();
        others >= quorum(self.voters())
    }

    /// Voters that have their data, running or not.
    pub(crate) fn keepers(&self) -> usize {
        let keeps =
            |host: &super::world::Host| host.data.is_some_and(|data| self.votes(data.member_id));
        self.hosts.values().filter(|host| keeps(host)).count()
    }

    pub(crate) fn quorum_of_keepers(&self) -> bool {
        self.list.is_empty() || self.keepers() >= quorum(self.voters())
    }

    /// Whether the member answers and sees a quorum.
    pub(crate) fn serves(&self, key: &NodeKey) -> bool {
        self.has_quorum() && self.connected().contains(key)
    }

    /// Lets members start, elect, replicate: what happens while nobody looks.
    pub(crate) fn settle(&mut self) -> Done {
        for _ in 0..3 {
            for key in self.keys() {
                self.keep_up(&key)?;
            }
            self.elect()?;
        }
        let now_ms = self.now_ms;
        for key in self.keys() {
            if let Some(process) = &mut self.unit(&key).process {
                process.delay = process.delay.saturating_sub(1);
            }
            let serves = self.serves(&key);
            if serves && self.disrupted.as_ref() == Some(&key) {
                self.disrupted = None;
            }
            let id = self.member_id(&key);
            if let Some(process) = &mut self.unit(&key).process
                && serves
            {
                if process.since_ms == 0 {
                    process.since_ms = now_ms;
                }
                let name = names::member(&self.desired.name, &key);
                if let Some(member) = self.list.iter_mut().find(|member| member.id == id) {
                    member.name = name;
                }
            }
            if serves && !self.random.once_in(4) {
                self.catch_up(&key);
            }
        }
        Ok(())
    }

    /// The member gets everything that the leader has.
    pub(crate) fn catch_up(&mut self, key: &NodeKey) {
        let Some(index) = self.leader_index() else {
            return;
        };
        if let Some(data) = &mut self.host(key).data {
            data.index = index;
            let id = data.member_id;
            self.promised.insert(id);
        }
    }

    fn leader_index(&self) -> Option<u64> {
        let leader = self.leader?;
        let of_leader = |host: &super::world::Host| {
            host.data
                .filter(|data| data.member_id == leader)
                .map(|data| data.index)
        };
        self.hosts.values().find_map(of_leader)
    }

    /// Whether a learner has what the leader has.
    pub(crate) fn has_caught_up(&self, id: u64) -> bool {
        let mut data = self.hosts.values().filter_map(|host| host.data);
        let index = data
            .find(|data| data.member_id == id)
            .map(|data| data.index);
        index.is_some() && index == self.leader_index()
    }

    /// systemd starts what should be up; a removed member ends.
    fn keep_up(&mut self, key: &NodeKey) -> Done {
        let is_powered = self.hosts[key].is_powered;
        let removed = self
            .process(key)
            .is_some_and(|process| self.has_quorum() && !self.is_listed(process.member_id));
        if !is_powered || removed {
            self.unit(key).process = None;
        }
        if is_powered && self.unit(key).is_up && self.process(key).is_none() {
            self.start(key)?;
        }
        Ok(())
    }

    /// One start of a member, as its files on the disk say.
    fn start(&mut self, key: &NodeKey) -> Done {
        let name = self.desired.name.clone();
        let host = &self.hosts[key];
        let unit_path = format!("/etc/systemd/system/{}", names::unit(&name, key));
        let Some(unit) = host.files.get(&unit_path) else {
            return Ok(());
        };
        let asserts = unit.content.contains("AssertPathExists=");
        let joins = host.files.contains_key(&names::joining(&name, key));
        if asserts && host.data.is_none() && !joins {
            // systemd does not try again.
            self.unit(key).is_up = false;
            return Ok(());
        }
        let program = format!("{}/etcd", names::programs(&self.desired.version));
        let (Some(program), Some(configuration), true) = (
            host.files.get(&program),
            host.files.get(&names::configuration(&name, key)),
            self.has_certificates(key, &[Role::Peer, Role::Server]) && host.directory.is_some(),
        ) else {
            return Ok(());
        };
        let options = parse(&configuration.content);
        let program = sha256(program.content.as_bytes());
        let member_id = match host.data {
            Some(data) if self.is_listed(data.member_id) || !self.has_quorum() => data.member_id,
            // It was removed, and hears so.
            Some(_) => return Ok(()),
            None => match self.begin(key, &options)? {
                Some(id) => id,
                None => return Ok(()),
            },
        };
        let delay = self.random.pick(&[0, 0, 1, 3]);
        self.unit(key).process = Some(Process {
            delay,
            member_id,
            options,
            program,
            since_ms: 0,
        });
        Ok(())
    }

    /// A first start without data: which member it is, or `None` if etcd refuses.
    fn begin(&mut self, key: &NodeKey, options: &BTreeMap<String, String>) -> Done<Option<u64>> {
        let initial = options["initial-cluster"].trim_matches('"').to_owned();
        let initial: Vec<(&str, &str)> = initial
            .split(',')
            .filter_map(|entry| entry.split_once('='))
            .collect();
        let is_new = options["initial-cluster-state"] == "new";
        if is_new && self.list.is_empty() {
            for (name, url) in &initial {
                let id = self.next_id;
                self.next_id += 1;
                self.list.push(Member {
                    id,
                    name: (*name).to_owned(),
                    peer_url: (*url).to_owned(),
                    is_learner: false,
                });
            }
        }
        if !is_new && (!self.has_quorum() || initial.len() != self.list.len()) {
            // "member count is unequal", or nobody to ask.
            return Ok(None);
        }
        let url = self.peer_url(key);
        let Some(member) = self.list.iter().find(|member| member.peer_url == url) else {
            return Ok(None);
        };
        let id = member.id;
        if self.promised.contains(&id) {
            if (is_new && self.has_quorum()) || !self.votes(id) {
                // "has already been bootstrapped"; a learner has promised nothing, and panics.
                return Ok(None);
            }
            return broken(format!(
                "member {id:x} of {key} starts without what it has confirmed"
            ));
        }
        self.host(key).data = Some(Data {
            member_id: id,
            index: 0,
        });
        Ok(Some(id))
    }

    pub(crate) fn has_certificates(&self, key: &NodeKey, roles: &[Role]) -> bool {
        let host = &self.hosts[key];
        let has = |role: &Role| {
            let stem = names::certificate_stem(&self.desired.name, key, role.as_str());
            let fact = host.certificates.get(&format!("{stem}.crt"));
            fact.is_some_and(|fact| fact.present && fact.key_matches && fact.error.is_empty())
        };
        roles.iter().all(has) && host.files.contains_key(&self.desired.issuer.root_path())
    }

    /// A leader whose log is as new as those of a quorum; what it does not have is lost.
    fn elect(&mut self) -> Done {
        if !self.has_quorum() {
            self.leader = None;
            return Ok(());
        }
        let voting = self.voting();
        let current = self.leader;
        if voting
            .iter()
            .any(|key| Some(self.member_id(key)) == current)
        {
            return Ok(());
        }
        let logs: Vec<(u64, u64)> = voting
            .iter()
            .filter_map(|key| self.hosts[key].data)
            .map(|data| (data.member_id, data.index))
            .collect();
        let needed = quorum(self.voters());
        let electable: Vec<(u64, u64)> = logs
            .iter()
            .filter(|(_, index)| logs.iter().filter(|(_, other)| other <= index).count() >= needed)
            .copied()
            .collect();
        if electable.is_empty() {
            return broken("a quorum runs and nobody can lead");
        }
        let (leader, index) = self.random.pick(&electable);
        if index < self.acknowledged {
            return broken(format!(
                "acknowledged writes are lost: member {leader:x} leads with {index} of {}",
                self.acknowledged
            ));
        }
        self.leader = Some(leader);
        for host in self.hosts.values_mut() {
            if let Some(data) = &mut host.data {
                data.index = data.index.min(index);
            }
        }
        Ok(())
    }

    /// An entry that a quorum confirms: the leader and as few others as are enough.
    pub(crate) fn commit(&mut self) -> bool {
        let mut voting = self.voting();
        let leads = |key: &NodeKey| Some(self.member_id(key)) == self.leader;
        let (Some(position), Some(index)) = (voting.iter().position(leads), self.leader_index())
        else {
            return false;
        };
        if !self.has_quorum() {
            return false;
        }
        let index = index + 1;
        let mut confirming = vec![voting.swap_remove(position)];
        while confirming.len() < quorum(self.voters()) {
            let next = self.random.below(voting.len());
            confirming.push(voting.swap_remove(next));
        }
        for key in confirming {
            if let Some(data) = &mut self.host(&key).data {
                data.index = index;
                let id = data.member_id;
                self.promised.insert(id);
            }
        }
        self.acknowledged = index;
        true
    }
}
