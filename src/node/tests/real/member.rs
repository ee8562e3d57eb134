//! Members of etcd on one host, each with ports of its own on loopback.

use crate::{
    proto::{
        Directory, EtcdFact, EtcdQuery, MemberRequest, ObserveRequest, control_unit_request::Verb,
        item::Item as Wish,
    },
    release::{Archive, install},
    station::{Station, until},
};

pub(crate) const OWNER: &str = "etcd_cluster/k8s";
pub(crate) const ID: &str = "1";

/// A member by its name and ports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) name: &'static str,
    client_port: u16,
    peer_port: u16,
}

pub(crate) const FIRST: Member = Member {
    name: "first",
    client_port: 2379,
    peer_port: 2380,
};
pub(crate) const SECOND: Member = Member {
    name: "second",
    client_port: 3379,
    peer_port: 3380,
};

impl Member {
    pub(crate) fn client_url(self) -> String {
        format!("http://127.0.0.1:{}", self.client_port)
    }

    pub(crate) fn peer_url(self) -> String {
        format!("http://127.0.0.1:{}", self.peer_port)
    }

    pub(crate) fn unit(self) -> String {
        format!("etcd-{}.service", self.name)
    }

    pub(crate) fn query(self) -> EtcdQuery {
        EtcdQuery {
            endpoint: self.client_url(),
            ..EtcdQuery::default()
        }
    }

    /// A call about `other`, sent to this member.
    pub(crate) fn about(self, other: u64) -> MemberRequest {
        MemberRequest {
            etcd: Some(self.query()),
            member_id: other,
        }
    }

    /// Starts it with `members` as the initial cluster; its quota is a few MiB.
    pub(crate) async fn start(self, station: &mut Station, members: &[Self], state: &str) {
        let data = format!("/var/lib/etcd/{}", self.name);
        let cluster: Vec<String> = members
            .iter()
            .map(|member| format!("{}={}", member.name, member.peer_url()))
            .collect();
        let (client, peer) = (self.client_url(), self.peer_url());
        let content = format!(
            "[Service]\n\
             Type=notify\n\
             ExecStart=/opt/bin/etcd --name {name} --data-dir {data} \
             --listen-client-urls {client} --advertise-client-urls {client} \
             --listen-peer-urls {peer} --initial-advertise-peer-urls {peer} \
             --initial-cluster {cluster} --initial-cluster-state {state} \
             --quota-backend-bytes 4194304\n",
            name = self.name,
            cluster = cluster.join(","),
        );
        let directory = Directory {
            path: data.clone(),
            user: "root".to_owned(),
            group: "root".to_owned(),
            mode: 0o700,
            shared: false,
            data: true,
        };
        station
            .ensure(OWNER, ID, [Wish::Directory(directory)])
            .await;
        station.unit(OWNER, ID, &self.unit(), &content).await;
        station.control(OWNER, &self.unit(), Verb::Start).await;
    }

    /// What the helper sees of it.
    pub(crate) async fn fact(self, station: &mut Station) -> EtcdFact {
        let request = ObserveRequest {
            etcd: vec![self.query()],
            ..ObserveRequest::default()
        };
        let seen = station.node.observe(request).await.expect("facts");
        seen.into_inner().etcd.remove(0)
    }

    /// What the helper sees of it, as soon as it is as it should be.
    pub(crate) async fn seen(
        self,
        station: &mut Station,
        what: &str,
        is_right: impl Fn(&EtcdFact) -> bool,
    ) -> EtcdFact {
        until(what, async || {
            let fact = self.fact(station).await;
            is_right(&fact).then_some(fact)
        })
        .await
    }
}

/// Puts etcd and etcdctl on the host.
pub(crate) async fn programs(station: &mut Station, version: &str) {
    let archive = Archive::of("etcd", version);
    let header = archive.header(OWNER, ID, "etcd", &["etcd", "etcdctl"]);
    install(&mut station.node, header, &archive.content)
        .await
        .expect("installed");
}
