//! Starting, restarting and waiting for members, and their place in the member list.

use std::time::{Duration, Instant};

use futures::future::join_all;
use host::proto::{
    Absent, AddLearnerRequest, EtcdQuery, FileQuery, Item, MemberRequest, ObserveRequest,
    SetDataAsideRequest, control_unit_request::Verb, failure::Kind, item,
};
use planner::{
    etcd_cluster::{self as cluster, Desired, Phase, names},
    facts::Fact,
    name::NodeKey,
    rendered::RenderedFile,
};

use super::{ClusterWork, Written, held};
use crate::{
    common::{self, control, ensure, ensured},
    etcd_cluster::look,
    executor::Ensure,
    report::{Trouble, sentence},
};

/// How long members may take until they vote and see a quorum. Elections take seconds; a large
/// database that is replayed takes a minute.
const HEALTHY: Duration = Duration::from_mins(3);

/// Limit for one question to a member that is being waited for, in milliseconds.
const BRIEF_MS: u32 = 400;

/// A member that systemd had to start again so often does not come up by itself.
const CRASHES: u32 = 3;

impl ClusterWork<'_> {
    /// A member that is down starts with what its files say, so that is written down before.
    pub(super) async fn start(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let current = |written: &mut Written| written.started_with = self.fingerprint(key);
        let mut items = Vec::new();
        if self.joins(key) {
            let node = &self.desired.nodes[key];
            let files = cluster::files_to_join(self.desired, &held(&self.last), key, node);
            let configuration = files.into_iter().filter(|file| !file.unit);
            items.extend(configuration.map(common::file));
            items.push(joining(self.desired, key));
        }
        self.write_down(key, current, self.request(items)).await?;
        let unit = names::unit(&self.desired.name, key);
        control(self.hosts, key, &self.owner(), &unit, Verb::Start, false).await
    }

    /// A member that comes back to a cluster with an empty data directory.
    pub(super) fn joins(&self, key: &NodeKey) -> bool {
        let last = held(&self.last);
        let url = self.desired.peer_url(&self.desired.nodes[key]);
        last.bootstrapped()
            && last.members().is_some_and(|members| {
                members
                    .iter()
                    .any(|member| member.is_learner && member.peer_urls.contains(&url))
            })
    }

    pub(super) async fn healthy(&self, nodes: &[NodeKey]) -> Result<Ensure, Trouble> {
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
                control(self.hosts, key, &self.owner(), &unit, Verb::Start, true)
                    .await
                    .map_err(|trouble| self.crashed(key, trouble))?;
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
        Err(self.waited(&first, why))
    }

    /// What a member that was started still lacks: waited for, but not forever.
    fn waited(&self, key: &NodeKey, lacks: String) -> Trouble {
        let since = *held(&self.waiting).get_or_insert_with(Instant::now);
        if since.elapsed() < HEALTHY {
            return Trouble::NotYet(lacks);
        }
        *held(&self.waiting) = None;
        Trouble::Refused {
            why: format!("{lacks} {} s after the start", HEALTHY.as_secs()),
            hint: common::journal(
                &names::unit(&self.desired.name, key),
                &self.hosts.target(key).host,
            ),
        }
    }

    /// What helps where a member ends again and again: its data may be damaged.
    fn crashed(&self, key: &NodeKey, trouble: Trouble) -> Trouble {
        let has_crashed = matches!(&trouble, Trouble::Call { source, .. }
            if source.failure().is_some_and(|failure| failure.kind() == Kind::UnitFailed));
        if !has_crashed || self.healthy_other(key).is_err() {
            return trouble;
        }
        let data = names::data(&self.desired.name, key);
        let host = &self.hosts.target(key).host;
        Trouble::Refused {
            why: trouble.line(),
            hint: format!(
                "{} If it is the data that is damaged, run `mv {data} {data}.before` on {host} as root and \
                 apply: the member joins anew and gets its data from the others.",
                sentence(&trouble.hint())
            ),
        }
    }

    pub(super) async fn finish(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let finished = |written: &mut Written| written.bootstrapped = true;
        self.write_down(
            key,
            finished,
            self.request(self.files(key, Phase::Existing)),
        )
        .await
    }

    pub(super) async fn restart(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let unit = names::unit(&self.desired.name, key);
        control(self.hosts, key, &self.owner(), &unit, Verb::Restart, true).await?;
        let current = |written: &mut Written| written.started_with = self.fingerprint(key);
        self.write_down(key, current, self.request(Vec::new()))
            .await?;
        Ok(Ensure::Updated)
    }

    /// A node whose member sees a quorum, other than `key`.
    pub(super) fn healthy_other(&self, key: &NodeKey) -> Result<NodeKey, Trouble> {
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

    pub(super) async fn move_leader(
        &self,
        from: &NodeKey,
        to: &NodeKey,
    ) -> Result<Ensure, Trouble> {
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

    pub(super) async fn set_aside(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
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

    pub(super) async fn remove_member(
        &self,
        key: &NodeKey,
        member_id: u64,
    ) -> Result<Ensure, Trouble> {
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

    pub(super) async fn add_learner(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
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

    /// What lets the unit start without data goes first: a voter that had it would start empty after its
    /// disk went missing, and break the promise of what it has confirmed.
    pub(super) async fn promote(&self, key: &NodeKey, member_id: u64) -> Result<Ensure, Trouble> {
        let via = self.healthy_other(key)?;
        if !self.has_data(key).await? {
            let lacks = format!("{} has no data yet", self.desired.called(key));
            return Err(self.waited(key, lacks));
        }
        *held(&self.waiting) = None;
        let path = names::joining(&self.desired.name, key);
        let items = vec![common::item(item::Item::Absent(Absent { path }))];
        ensure(self.hosts, key, self.request(items)).await?;
        let request = MemberRequest {
            etcd: Some(look::member(self.desired, &via)),
            member_id,
        };
        self.hosts
            .call(&via, "PromoteLearner", |mut client| async move {
                client.promote_learner(request).await
            })
            .await?;
        Ok(Ensure::Updated)
    }

    /// Whether the member of a node would start again by itself.
    async fn has_data(&self, key: &NodeKey) -> Result<bool, Trouble> {
        let wal = names::wal(&self.desired.name, key);
        let request = ObserveRequest {
            files: vec![FileQuery {
                path: wal.clone(),
                content: false,
            }],
            ..ObserveRequest::default()
        };
        let response = self.hosts.observe(key, request).await?;
        let facts = crate::facts::from_response(response, &self.owner());
        Ok(facts.files.contains_key(&wal))
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
