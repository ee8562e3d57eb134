//! A model of hosts and of the cluster on them: as much as the planner's steps and faults touch.

use std::collections::{BTreeMap, BTreeSet};

use planner::{
    etcd_cluster::{Desired, Wish, names},
    facts::{CertificateFact, JournalFact, OwnerFact},
    issuer::Issuer,
    name::{Name, NodeKey},
    node::NodeWish,
    problem::Problems,
    rendered::sha256,
};

use crate::random::Random;

/// Something that must never be, in words; or an apply that was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A rule is broken: the simulation fails.
    Broken(String),
    /// The apply was killed here.
    Killed,
    /// A step failed, as steps may.
    Failed(String),
}

pub(crate) type Done<T = ()> = Result<T, Stop>;

pub(crate) fn broken<T>(why: impl Into<String>) -> Done<T> {
    Err(Stop::Broken(why.into()))
}

pub(crate) fn failed<T>(why: impl Into<String>) -> Done<T> {
    Err(Stop::Failed(why.into()))
}

#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) content: String,
    pub(crate) mode: u32,
    pub(crate) user: String,
    pub(crate) modified_ms: i64,
}

/// What a member has on its disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Data {
    pub(crate) member_id: u64,
    /// The last entry of its log.
    pub(crate) index: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) member_id: u64,
    /// The configuration that it read.
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) program: String,
    /// Looks until it has begun: it reads its data first.
    pub(crate) delay: usize,
    /// When it told systemd that it serves; 0 before.
    pub(crate) since_ms: i64,
}

/// The member's unit, or a timer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unit {
    pub(crate) is_enabled: bool,
    /// systemd keeps it up.
    pub(crate) is_up: bool,
    pub(crate) process: Option<Process>,
}

#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about a host"
)]
pub(crate) struct Host {
    /// SSH answers.
    pub(crate) is_reachable: bool,
    /// The machine runs.
    pub(crate) is_powered: bool,
    /// The member tells neither its list nor alarms.
    pub(crate) is_mute: bool,
    pub(crate) files: BTreeMap<String, File>,
    /// Hashes of our last writes, as the ledger has them.
    pub(crate) recorded: BTreeMap<String, String>,
    pub(crate) certificates: BTreeMap<String, CertificateFact>,
    pub(crate) has_user: bool,
    /// Mode of the data directory, if it is there.
    pub(crate) directory: Option<u32>,
    pub(crate) data: Option<Data>,
    pub(crate) units: BTreeMap<String, Unit>,
    pub(crate) owner: Option<OwnerFact>,
    pub(crate) journal: Option<JournalFact>,
}

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) peer_url: String,
    pub(crate) is_learner: bool,
}

/// Everything.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) now_ms: i64,
    pub(crate) desired: Desired,
    pub(crate) hosts: BTreeMap<NodeKey, Host>,
    /// The member list that a quorum agrees on; empty before the first start.
    pub(crate) list: Vec<Member>,
    pub(crate) leader: Option<u64>,
    /// The last entry that a client was told to be safe.
    pub(crate) acknowledged: u64,
    /// Members that have confirmed an entry, ever.
    pub(crate) promised: BTreeSet<u64>,
    pub(crate) next_id: u64,
    /// The voter that our steps have stopped or restarted, until it serves again or something else
    /// happens to it.
    pub(crate) disrupted: Option<NodeKey>,
    /// Small effects until the apply is killed.
    pub(crate) knife: Option<usize>,
    /// What happened, for who reads a failure.
    pub(crate) trail: Vec<String>,
}

/// Votes needed to commit an entry.
pub(crate) fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

impl Host {
    pub(crate) fn bare() -> Self {
        Self {
            is_reachable: true,
            is_powered: true,
            ..Self::default()
        }
    }

    /// Writes a file as the helper does: entered in the ledger, then put in place.
    pub(crate) fn write(&mut self, path: &str, file: File) {
        self.recorded
            .insert(path.to_owned(), sha256(file.content.as_bytes()));
        let is_same = self.files.get(path).is_some_and(|there| {
            there.content == file.content && there.mode == file.mode && there.user == file.user
        });
        if !is_same {
            self.files.insert(path.to_owned(), file);
        }
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let members = random.pick(&[1, 1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 7]);
        let node = |index: usize| NodeWish {
            host: format!("10.0.1.{}", 10 + index),
            ..NodeWish::default()
        };
        let wish = Wish {
            name: "k8s".to_owned(),
            version: Some(random.pick(&["3.5.35", "3.6.16", "3.7.3"]).to_owned()),
            nodes: (1..=members)
                .map(|index| (index.to_string(), node(index)))
                .collect(),
            ..Wish::default()
        };
        let issuer = Issuer {
            name: Name::parse("main").expect("a name"),
            urls: vec!["https://10.0.1.10:9000".to_owned()],
            fingerprint: Some(sha256(b"root")),
            directory: "/etc/step-ca".to_owned(),
            port: 9000,
        };
        let mut problems = Problems::default();
        let desired = Desired::read(&wish, issuer, &mut problems);
        let mut desired = desired.expect("the wish is good");
        desired.id = format!("{seed:016x}");
        let hosts = desired.nodes.keys().map(|key| (key.clone(), Host::bare()));
        Self {
            random,
            now_ms: 1_790_000_000_000,
            hosts: hosts.collect(),
            desired,
            list: Vec::new(),
            leader: None,
            acknowledged: 0,
            promised: BTreeSet::new(),
            next_id: 0x1000,
            disrupted: None,
            knife: None,
            trail: Vec::new(),
        }
    }

    pub(crate) fn keys(&self) -> Vec<NodeKey> {
        self.hosts.keys().cloned().collect()
    }

    pub(crate) fn host(&mut self, key: &NodeKey) -> &mut Host {
        self.hosts.get_mut(key).expect("every node has a host")
    }

    pub(crate) fn unit_name(&self, key: &NodeKey) -> String {
        names::unit(&self.desired.name, key)
    }

    /// The member's unit, made when it is first touched.
    pub(crate) fn unit(&mut self, key: &NodeKey) -> &mut Unit {
        let name = self.unit_name(key);
        self.host(key).units.entry(name).or_default()
    }

    pub(crate) fn process(&self, key: &NodeKey) -> Option<&Process> {
        let host = &self.hosts[key];
        let unit = host.units.get(&self.unit_name(key))?;
        unit.process.as_ref().filter(|_| host.is_powered)
    }

    pub(crate) fn peer_url(&self, key: &NodeKey) -> String {
        self.desired.peer_url(&self.desired.nodes[key])
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.trail.push(text.into());
    }

    /// Time passes with everything that is done, and the apply may be killed before it.
    pub(crate) fn act(&mut self) -> Done {
        self.now_ms += 1000;
        match &mut self.knife {
            Some(0) => {
                self.note("killed");
                Err(Stop::Killed)
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}
