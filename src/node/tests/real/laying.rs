//! A release archive is laid down whole or not at all.

use std::collections::BTreeSet;

use lab::Release;

use crate::{
    proto::{Outcome, failure::Kind},
    release::{Archive, install, versions},
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
