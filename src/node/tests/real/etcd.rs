//! An etcd is seen as it is: alone, with a learner, led by another, without quorum, out of space.

use lab::Release;

use crate::{
    member::{FIRST, OWNER, SECOND, programs},
    proto::{
        AddLearnerRequest, EtcdAlarm, EtcdFact, Outcome, control_unit_request::Verb, failure::Kind,
    },
    release::versions,
    station::{Station, failure, refused, until},
};

#[tokio::test]
async fn an_etcd_of_the_oldest_version_is_seen_as_it_is() {
    let version = versions("etcd").first().cloned();
    life("oldest", Release::Bullseye, &version.expect("a version")).await;
}

#[tokio::test]
async fn an_etcd_of_the_newest_version_is_seen_as_it_is() {
    let version = versions("etcd").last().cloned();
    life("newest", Release::Trixie, &version.expect("a version")).await;
}

fn names(fact: &EtcdFact) -> Vec<(&str, bool)> {
    let mut names: Vec<_> = fact
        .members
        .iter()
        .map(|member| (member.name.as_str(), member.is_learner))
        .collect();
    names.sort_unstable();
    names
}

async fn life(name: &str, release: Release, version: &str) {
    let mut station = Station::up(name, release).await;
    programs(&mut station, version).await;
    let nothing = FIRST.fact(&mut station).await;
    assert!(
        !nothing.reachable && !nothing.error.is_empty(),
        "{nothing:?}"
    );

    FIRST.start(&mut station, &[FIRST], "new").await;
    let alone = FIRST
        .seen(&mut station, "one member answers", |fact| fact.linearizable)
        .await;
    assert!(alone.reachable && alone.error.is_empty(), "{alone:?}");
    assert_eq!(alone.version, version);
    assert_eq!(alone.leader_id, alone.member_id);
    assert!(alone.cluster_id != 0 && alone.revision >= 1 && alone.database_size_bytes > 0);
    assert_eq!(names(&alone), [("first", false)]);
    assert_eq!(alone.members[0].id, alone.member_id);
    assert_eq!(alone.members[0].peer_urls, [FIRST.peer_url()]);
    assert_eq!(alone.members[0].client_urls, [FIRST.client_url()]);
    assert_eq!(alone.alarms, []);

    let second = grow(&mut station).await;
    shrink(&mut station, alone.member_id, second).await;
    fill(&mut station, alone.member_id).await;
    station.down();
}

/// Adds the second member, lets it vote and lead; gives its id.
async fn grow(station: &mut Station) -> u64 {
    let wish = AddLearnerRequest {
        etcd: Some(FIRST.query()),
        peer_urls: vec![SECOND.peer_url()],
    };
    let added = station.node.add_learner(wish.clone()).await;
    let second = added.expect("added").into_inner().member_id;
    let again = station.node.add_learner(wish).await;
    assert_eq!(again.expect("there").into_inner().member_id, second);
    let waiting = FIRST.fact(station).await;
    assert_eq!(names(&waiting), [("", true), ("first", false)]);
    let early = station.node.promote_learner(FIRST.about(second)).await;
    refused(Kind::NotYet, early);

    SECOND.start(station, &[FIRST, SECOND], "existing").await;
    let promoted = until("the learner has caught up", async || {
        match station.node.promote_learner(FIRST.about(second)).await {
            Ok(response) => Some(response.into_inner().outcome()),
            Err(status) => {
                let failure = failure(&status);
                assert_eq!(failure.kind(), Kind::NotYet, "{failure:?}");
                None
            }
        }
    });
    assert_eq!(promoted.await, Outcome::Updated);
    let again = station.node.promote_learner(FIRST.about(second)).await;
    assert_eq!(
        again.expect("it votes").into_inner().outcome(),
        Outcome::NotNeeded
    );
    let moved = station.node.move_leader(FIRST.about(second)).await;
    assert_eq!(
        moved.expect("moved").into_inner().outcome(),
        Outcome::Updated
    );
    let led = FIRST
        .seen(station, "the second leads", |fact| fact.leader_id == second)
        .await;
    assert_eq!(names(&led), [("first", false), ("second", false)]);
    assert!(!SECOND.fact(station).await.is_learner);
    second
}

/// Stops the second member, so that there is no quorum, and later takes it out.
async fn shrink(station: &mut Station, first: u64, second: u64) {
    station.control(OWNER, &SECOND.unit(), Verb::Stop).await;
    let lost = FIRST
        .seen(station, "the quorum is lost", |fact| {
            fact.reachable && !fact.linearizable
        })
        .await;
    assert!(!lost.linearizable_error.is_empty(), "{lost:?}");
    assert!(!SECOND.fact(station).await.reachable);
    let early = station.node.remove_member(FIRST.about(second)).await;
    refused(Kind::NotYet, early);

    station.control(OWNER, &SECOND.unit(), Verb::Start).await;
    FIRST
        .seen(station, "the quorum is back", |fact| fact.linearizable)
        .await;
    until("the second is taken out", async || {
        // etcd wants to have seen the others for some seconds.
        let removed = station.node.remove_member(FIRST.about(second)).await;
        removed.ok()
    })
    .await;
    let again = station.node.remove_member(FIRST.about(second)).await;
    assert_eq!(
        again.expect("gone").into_inner().outcome(),
        Outcome::NotNeeded
    );
    let alone = FIRST
        .seen(station, "the first is alone", |fact| {
            fact.linearizable && fact.leader_id == first
        })
        .await;
    assert_eq!(names(&alone), [("first", false)]);
}

/// Writes until the quota is used up. etcd counts what it has committed, which is some time later.
async fn fill(station: &mut Station, first: u64) {
    let write = format!(
        "export ETCDCTL_API=3; head -c 1000000 /dev/zero | tr '\\0' x >/tmp/value; \
         for i in $(seq 100); do \
         /opt/bin/etcdctl --endpoints {} put key$i </tmp/value || exit 0; done; exit 1",
        FIRST.client_url()
    );
    station.root(&["sh", "-c", &write]);
    let full = FIRST
        .seen(station, "the alarm is raised", |fact| {
            !fact.alarms.is_empty()
        })
        .await;
    let alarm = EtcdAlarm {
        member_id: first,
        kind: "NOSPACE".to_owned(),
    };
    assert_eq!(full.alarms, [alarm]);
    assert!(full.linearizable, "it answers reads: {full:?}");
}
