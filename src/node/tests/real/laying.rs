//! A release archive is laid down whole or not at all.

use std::{collections::BTreeSet, time::Duration};

use lab::Release;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    proto::{Outcome, failure::Kind},
    release::{Archive, install, messages, versions},
    station::{Station, refused},
};

const OWNER: &str = "etcd_cluster/k8s";
const ID: &str = "1";

/// Everything on the host that an installation could leave behind or change.
fn everything(station: &Station) -> BTreeSet<String> {
    let find =
        "find /etc /opt /usr /var/lib -xdev ! -path '/var/lib/systemd/*' -printf '%p %s %m\\n'";
    let listed = station.root(&["sh", "-c", find]);
    listed.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn programs_of_a_release_run_and_nothing_is_left_of_a_wrong_one() {
    let mut station = Station::up("laying", Release::Bookworm).await;
    let version = versions("etcd").pop().expect("the lab builds etcd");
    let archive = Archive::of("etcd", &version);
    let names = ["etcd", "etcdctl", "etcdutl"];
    let header = || archive.header(OWNER, ID, "etcd", &names);
    let before = everything(&station);
    let mut other = header();
    other.archive_sha256 = "0".repeat(64);
    let failure = refused(
        Kind::ChecksumMismatch,
        install(&mut station.node, other, &archive.content).await,
    );
    assert!(failure.message.contains(&archive.sha256), "{failure:?}");
    let half = archive.content.slice(..archive.content.len() / 2);
    refused(
        Kind::ChecksumMismatch,
        install(&mut station.node, header(), &half).await,
    );
    let after = everything(&station);
    let changed: Vec<_> = after.symmetric_difference(&before).collect();
    assert!(changed.is_empty(), "{changed:?}");

    let installed = install(&mut station.node, header(), &archive.content)
        .await
        .expect("a good archive")
        .into_inner();
    assert_eq!(installed.outcome(), Outcome::Added);
    for (program, name) in installed.programs.iter().zip(names) {
        assert_eq!(program.path, format!("/opt/etcd/{version}/{name}"));
        let sum = station.root(&["sha256sum", &program.path]);
        assert!(sum.starts_with(&program.sha256), "{sum}");
    }
    let said = station.root(&["/opt/bin/etcd", "--version"]);
    assert!(said.contains(&format!("etcd Version: {version}")), "{said}");
    let again = install(&mut station.node, header(), &archive.content).await;
    assert_eq!(
        again.expect("the same again").into_inner().outcome(),
        Outcome::NotNeeded
    );
    station.down();
}

/// Nobody who works waits for so long.
const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn installations_that_wait_for_another_do_not_hold_it_up() {
    let station = Station::up("waiting", Release::Bookworm).await;
    let version = versions("etcd").pop().expect("the lab builds etcd");
    let archive = Archive::of("etcd", &version);
    let offer = |owner: &str| {
        let header = archive.header(owner, ID, "etcd", &["etcd"]);
        let (sender, receiver) = mpsc::channel(1);
        let mut node = station.node.clone();
        let answer = tokio::spawn(async move { node.install(ReceiverStream::new(receiver)).await });
        (messages(header, &archive.content), sender, answer)
    };
    let (parts, sender, first) = offer(OWNER);
    let (begin, rest) = parts.split_at(parts.len() / 2);
    for part in begin {
        let sent = timeout(LONG, sender.send(part.clone())).await;
        sent.expect("nobody else sends").expect("it is read");
    }
    // Two more of the same, which wait for the first, and send as much as they are let.
    let mut others = Vec::new();
    for owner in ["etcd_cluster/second", "etcd_cluster/third"] {
        let (parts, sender, answer) = offer(owner);
        let mut left = parts.into_iter();
        let mut unsent = None;
        for part in left.by_ref() {
            if timeout(Duration::from_millis(500), sender.send(part.clone()))
                .await
                .is_err()
            {
                unsent = Some(part);
                break;
            }
        }
        others.push((unsent, left, sender, answer));
    }
    for part in rest {
        let sent = timeout(LONG, sender.send(part.clone())).await;
        sent.expect("the first is not held up").expect("it is read");
    }
    drop(sender);
    let answer = timeout(LONG, first)
        .await
        .expect("it ends")
        .expect("no panic");
    assert_eq!(
        answer.expect("installed").into_inner().outcome(),
        Outcome::Added
    );
    for (unsent, left, sender, answer) in others {
        // What is there already is not read to its end.
        for part in unsent.into_iter().chain(left) {
            if sender.send(part).await.is_err() {
                break;
            }
        }
        drop(sender);
        let answer = timeout(LONG, answer)
            .await
            .expect("it ends")
            .expect("no panic");
        assert_eq!(
            answer.expect("there").into_inner().outcome(),
            Outcome::NotNeeded
        );
    }
    station.down();
}
