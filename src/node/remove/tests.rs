//! Nothing of ours stays, and nothing of others goes.

use std::fs;

use super::*;
use crate::{
    ensure::tests::{directory, file, wish},
    proto::JournalEntry,
    test_host::{EVERYWHERE, TestHost},
};

const A: &str = "etcd_cluster/a";
const B: &str = "etcd_cluster/b";
const DATA: &str = "/var/lib/etcd/etcd-a-1";
const NOW_MS: i64 = 1_795_233_599_000;

fn make(host: &TestHost, owner: &str) {
    let name = owner.rsplit('/').next().expect("a name");
    let items = vec![
        directory("/var/lib/etcd", true, false),
        directory(&format!("/var/lib/etcd/etcd-{name}-1"), false, true),
        file(&format!("/etc/etcd/{name}.yaml"), "text"),
        file("/etc/etcd-node/secrets/a/token", "secret"),
    ];
    let count = if owner == A { items.len() } else { 3 };
    wish(host, owner, items.into_iter().take(count).collect()).expect("made");
}

fn gone(host: &TestHost, owner: &str, delete_data: bool) -> RemoveResponse {
    let request = RemoveRequest {
        owner: owner.to_owned(),
        id: String::new(),
        delete_data,
        now_ms: NOW_MS,
    };
    remove(host.root(), &request, "test").expect("removed")
}

/// Everything below the root, but for what the test host itself has.
fn all(host: &TestHost) -> Vec<String> {
    fn walk(path: &Path, base: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(path).expect("a directory").flatten() {
            let name = entry
                .path()
                .strip_prefix(base)
                .expect("below")
                .display()
                .to_string();
            found.push(name);
            if entry.path().is_dir() {
                walk(&entry.path(), base, found);
            }
        }
    }
    let mut found = Vec::new();
    let base = host.root().at("/");
    walk(&base, &base, &mut found);
    found.retain(|name| {
        let path = format!("/{name}");
        !EVERYWHERE.contains(&path.as_str()) && !["/etc/passwd", "/etc/group"].contains(&&*path)
    });
    found.sort();
    found
}

#[test]
fn the_last_owner_leaves_the_host_as_it_was() {
    let host = TestHost::new();
    make(&host, A);
    make(&host, B);
    host.write(&format!("{DATA}/member/snap/db"), "data");
    let first = gone(&host, A, true);
    assert_eq!(first.outcome(), Outcome::Updated);
    assert!(!first.host_clean && first.kept.is_empty());
    assert!(!host.exists(DATA) && host.exists("/etc/etcd/b.yaml"));
    let last = gone(&host, B, true);
    assert!(last.host_clean);
    assert_eq!(all(&host), Vec::<String>::new(), "nothing is left");
    let again = gone(&host, B, true);
    assert_eq!(
        (again.outcome(), again.host_clean),
        (Outcome::NotNeeded, true)
    );
}

#[test]
fn data_is_moved_aside_unless_it_is_to_be_deleted() {
    let host = TestHost::new();
    make(&host, A);
    host.write(&format!("{DATA}/member/snap/db"), "data");
    let response = gone(&host, A, false);
    assert_eq!(
        response.kept,
        ["/var/lib/etcd/deleted/etcd-a-1-20261121T035959Z"]
    );
    assert!(response.host_clean);
    assert_eq!(
        host.read(&format!("{}/member/snap/db", response.kept[0])),
        "data"
    );
    assert!(!host.exists("/etc/etcd") && !host.exists("/var/lib/etcd-node"));
    // The same again, in the same second.
    make(&host, A);
    host.write(&format!("{DATA}/member/snap/db"), "newer");
    let response = gone(&host, A, false);
    assert_eq!(
        response.kept,
        ["/var/lib/etcd/deleted/etcd-a-1-20261121T035959Z-2"]
    );
}

#[test]
fn an_empty_data_directory_is_not_worth_keeping() {
    let host = TestHost::new();
    make(&host, A);
    assert_eq!(gone(&host, A, false).kept, Vec::<String>::new());
    assert_eq!(all(&host), Vec::<String>::new());
}

#[test]
fn a_directory_that_was_there_before_us_stays() {
    let host = TestHost::new();
    fs::create_dir_all(host.root().at(&format!("{DATA}/lost+found"))).expect("a file system");
    make(&host, A);
    host.write(&format!("{DATA}/member/wal/0.wal"), "data");
    let kept = gone(&host, A, false).kept;
    assert_eq!(kept, [format!("{DATA}/deleted/etcd-a-1-20261121T035959Z")]);
    assert_eq!(host.read(&format!("{}/member/wal/0.wal", kept[0])), "data");
    assert!(host.exists(&format!("{DATA}/lost+found")));
    let host = TestHost::new();
    fs::create_dir_all(host.root().at(&format!("{DATA}/lost+found"))).expect("a file system");
    make(&host, A);
    host.write(&format!("{DATA}/member/wal/0.wal"), "data");
    gone(&host, A, true);
    assert!(host.exists(DATA) && !host.exists(&format!("{DATA}/member")));
}

#[test]
fn what_others_put_beside_ours_stays() {
    let host = TestHost::new();
    make(&host, A);
    host.write("/etc/etcd/theirs.yaml", "theirs");
    assert!(gone(&host, A, true).host_clean);
    assert_eq!(all(&host), ["etc/etcd", "etc/etcd/theirs.yaml"]);
}

#[test]
fn another_id_removes_nothing() {
    let host = TestHost::new();
    make(&host, A);
    let request = RemoveRequest {
        owner: A.to_owned(),
        id: "another".to_owned(),
        ..RemoveRequest::default()
    };
    let failed = remove(host.root(), &request, "test").expect_err("not his");
    assert_eq!(failed.0.kind(), Kind::Conflict);
    assert!(host.exists("/etc/etcd/a.yaml"));
}

#[test]
fn an_unfinished_creation_of_another_keeps_the_host() {
    let host = TestHost::new();
    make(&host, A);
    let entry = JournalEntry {
        owner: B.to_owned(),
        id: "2".to_owned(),
        ..JournalEntry::default()
    };
    journal::write(host.root(), entry).expect("written");
    assert!(!gone(&host, A, true).host_clean);
    assert_eq!(journal::all(host.root()).expect("one").len(), 1);
    assert!(gone(&host, B, true).host_clean);
    assert_eq!(all(&host), Vec::<String>::new());
}

#[test]
fn a_link_that_others_use_leads_to_a_program_that_is_there() {
    let host = TestHost::new();
    make(&host, A);
    make(&host, B);
    let mut ledger = Ledger::load(host.root()).expect("a ledger");
    for (owner, version) in [(A, "3.5.35"), (B, "3.6.16")] {
        let home = format!("/opt/etcd/{version}");
        host.write(&format!("{home}/etcdctl"), version);
        ledger.share(host.root(), owner, &home, SharedKind::Programs, None);
        ledger.share(
            host.root(),
            owner,
            "/opt/bin/etcdctl",
            SharedKind::Link,
            None,
        );
    }
    ledger.save(host.root()).expect("saved");
    fs::create_dir_all(host.root().at("/opt/bin")).expect("a directory");
    atomic::link(
        &host.root().at("/opt/bin/etcdctl"),
        "/opt/etcd/3.6.16/etcdctl",
    )
    .expect("a link");
    fs::remove_dir_all(host.root().at("/opt/etcd/3.6.16")).expect("gone");
    gone(&host, B, true);
    let target = fs::read_link(host.root().at("/opt/bin/etcdctl")).expect("a link");
    assert_eq!(target, Path::new("/opt/etcd/3.5.35/etcdctl"));
}
