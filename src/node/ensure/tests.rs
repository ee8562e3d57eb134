//! What is ours, what is not, and what a killed run leaves.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use super::*;
use crate::{
    digest, observe,
    proto::{Absent, Directory, File, Link, ObserveRequest, failure::Kind},
    test_host::TestHost,
};

const A: &str = "etcd_cluster/a";
const B: &str = "etcd_cluster/b";
const CONF: &str = "/etc/etcd/a.yaml";

pub(crate) fn file(path: &str, content: &str) -> Item {
    Item {
        item: Some(Wish::File(plain_file(path, content))),
    }
}

fn plain_file(path: &str, content: &str) -> File {
    File {
        path: path.to_owned(),
        user: "root".to_owned(),
        group: "root".to_owned(),
        mode: 0o640,
        content: content.as_bytes().to_vec(),
        ..File::default()
    }
}

fn shared_file(path: &str, content: &str) -> Item {
    Item {
        item: Some(Wish::File(File {
            shared: true,
            ..plain_file(path, content)
        })),
    }
}

pub(crate) fn directory(path: &str, shared: bool, data: bool) -> Item {
    Item {
        item: Some(Wish::Directory(Directory {
            path: path.to_owned(),
            user: "root".to_owned(),
            group: "root".to_owned(),
            mode: 0o700,
            shared,
            data,
        })),
    }
}

fn link(path: &str, target: &str, unless_foreign: bool) -> Item {
    Item {
        item: Some(Wish::Link(Link {
            path: path.to_owned(),
            target: target.to_owned(),
            unless_foreign,
            shared: false,
        })),
    }
}

fn absent(path: &str) -> Item {
    Item {
        item: Some(Wish::Absent(Absent {
            path: path.to_owned(),
        })),
    }
}

fn adopted(path: &str) -> Item {
    Item {
        item: Some(Wish::Adopt(Adopt {
            path: path.to_owned(),
            ..Adopt::default()
        })),
    }
}

pub(crate) fn request(owner: &str, items: Vec<Item>) -> EnsureRequest {
    EnsureRequest {
        owner: owner.to_owned(),
        id: format!("id of {owner}"),
        items,
        ..EnsureRequest::default()
    }
}

pub(crate) fn wish(host: &TestHost, owner: &str, items: Vec<Item>) -> Result<Vec<Outcome>, Failed> {
    let response = ensure(host.root(), &request(owner, items), "test")?;
    Ok(response.outcomes().collect())
}

fn kind(result: Result<Vec<Outcome>, Failed>) -> Kind {
    result.expect_err("a failure").0.kind()
}

fn recorded(host: &TestHost, path: &str) -> (String, String) {
    let query = crate::proto::FileQuery {
        path: path.to_owned(),
        content: false,
    };
    let request = ObserveRequest {
        files: vec![query],
        ..ObserveRequest::default()
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let seen = runtime
        .block_on(observe::observe(host.root(), request))
        .expect("facts");
    (
        seen.files[0].sha256.clone(),
        seen.files[0].recorded_sha256.clone(),
    )
}

#[test]
fn says_what_it_did_and_does_nothing_twice() {
    let host = TestHost::new();
    let items = || {
        vec![
            directory("/var/lib/etcd/a", false, true),
            file(CONF, "one"),
            link("/opt/bin/x", "/opt/x/1/x", false),
        ]
    };
    assert_eq!(wish(&host, A, items()).expect("made"), [Outcome::Added; 3]);
    let before = host.read("/var/lib/etcd-node/ledger.json");
    assert_eq!(
        wish(&host, A, items()).expect("there"),
        [Outcome::NotNeeded; 3]
    );
    assert_eq!(host.read("/var/lib/etcd-node/ledger.json"), before);
    let changed = wish(
        &host,
        A,
        vec![file(CONF, "two"), link("/opt/bin/x", "/opt/x/2/x", false)],
    );
    assert_eq!(changed.expect("changed"), [Outcome::Updated; 2]);
    assert_eq!(host.read(CONF), "two");
    let found = fs::metadata(host.root().at(CONF)).expect("a file");
    assert_eq!(found.mode() & 0o7777, 0o640);
    let data = fs::metadata(host.root().at("/var/lib/etcd/a")).expect("a directory");
    assert_eq!(data.mode() & 0o7777, 0o700);
}

#[test]
fn a_mode_that_somebody_changed_is_mended() {
    let host = TestHost::new();
    wish(
        &host,
        A,
        vec![file(CONF, "one"), directory("/srv/a", false, true)],
    )
    .expect("made");
    for path in [CONF, "/srv/a"] {
        fs::set_permissions(host.root().at(path), fs::Permissions::from_mode(0o777))
            .expect("opened");
    }
    let outcomes = wish(
        &host,
        A,
        vec![file(CONF, "one"), directory("/srv/a", false, true)],
    );
    assert_eq!(outcomes.expect("mended"), [Outcome::Updated; 2]);
}

#[test]
fn a_directory_of_others_keeps_its_mode_unless_services_cannot_pass_it() {
    let host = TestHost::new();
    let path = host.root().at("/etc/etcd");
    fs::create_dir(&path).expect("a directory of the host");
    let public = Item {
        item: Some(Wish::Directory(Directory {
            path: "/etc/etcd".to_owned(),
            user: "root".to_owned(),
            group: "root".to_owned(),
            mode: 0o755,
            shared: true,
            data: false,
        })),
    };
    for (before, outcome, after) in [
        (0o775, Outcome::NotNeeded, 0o775),
        (0o700, Outcome::Updated, 0o711),
    ] {
        fs::set_permissions(&path, fs::Permissions::from_mode(before)).expect("set");
        let done = wish(&host, A, vec![public.clone()]);
        assert_eq!(done.expect("entered"), [outcome]);
        assert_eq!(path.metadata().expect("there").mode() & 0o7777, after);
    }
}

#[test]
fn what_the_ledger_does_not_own_is_left_alone() {
    let host = TestHost::new();
    host.write(CONF, "theirs");
    host.write("/srv/full/file", "theirs");
    host.write("/opt/bin/etcdctl", "theirs");
    assert_eq!(
        kind(wish(&host, A, vec![file(CONF, "ours")])),
        Kind::Foreign
    );
    assert_eq!(
        kind(wish(&host, A, vec![file(CONF, "theirs")])),
        Kind::Foreign,
        "the same bytes too"
    );
    assert_eq!(
        kind(wish(&host, A, vec![shared_file(CONF, "ours")])),
        Kind::Foreign
    );
    assert_eq!(
        kind(wish(&host, A, vec![directory("/srv/full", false, false)])),
        Kind::Foreign
    );
    assert_eq!(
        kind(wish(&host, A, vec![directory(CONF, false, false)])),
        Kind::Foreign
    );
    assert_eq!(
        kind(wish(&host, A, vec![link("/opt/bin/etcdctl", "/x", false)])),
        Kind::Foreign
    );
    assert_eq!(kind(wish(&host, A, vec![absent(CONF)])), Kind::Foreign);
    let skipped = wish(&host, A, vec![link("/opt/bin/etcdctl", "/x", true)]).expect("left alone");
    assert_eq!(skipped, [Outcome::NotNeeded]);
    assert_eq!(host.read("/opt/bin/etcdctl"), "theirs");
    assert_eq!(host.read(CONF), "theirs");
}

#[test]
fn what_several_use_is_taken_over_from_a_lost_ledger_if_it_is_the_same() {
    const ROOT: &str = "/etc/etcd/ssl/main-root_ca.crt";
    let host = TestHost::new();
    host.write(ROOT, "the root");
    let entered = wish(&host, A, vec![shared_file(ROOT, "the root")]);
    assert_eq!(entered.expect("taken over"), [Outcome::Updated], "its mode");
    let ledger = Ledger::load(host.root()).expect("a ledger");
    assert_eq!(ledger.standing(ROOT, A), Standing::Shared);
    assert!(!ledger.made(ROOT), "it may be somebody else's, and stays");
}

#[test]
fn a_link_that_leads_where_ours_should_is_taken_over() {
    const WANTS: &str = "/etc/systemd/system/multi-user.target.wants/a.service";
    const UNIT: &str = "/etc/systemd/system/a.service";
    let host = TestHost::new();
    host.write(UNIT, "theirs");
    fs::remove_file(host.root().at(UNIT)).expect("removed");
    let wants = host.root().at(WANTS);
    fs::create_dir_all(wants.parent().expect("a directory")).expect("a directory");
    let lead = |target: &str| {
        let _ = fs::remove_file(&wants);
        std::os::unix::fs::symlink(target, &wants).expect("a link");
    };
    lead("/lib/systemd/system/a.service");
    let entered = || wish(&host, A, vec![link(WANTS, UNIT, false)]);
    assert_eq!(kind(entered()), Kind::Foreign);
    // What `systemctl enable` makes, and what is left of a unit that somebody removed by hand.
    lead(UNIT);
    assert_eq!(entered().expect("ours"), [Outcome::NotNeeded]);
    let ledger = Ledger::load(host.root()).expect("a ledger");
    assert!(ledger.made(WANTS), "it goes with its owner");
}

#[test]
fn one_fault_stops_everything_before_anything_is_touched() {
    let host = TestHost::new();
    host.write("/etc/etcd/b.yaml", "theirs");
    let items = vec![file(CONF, "ours"), file("/etc/etcd/b.yaml", "ours")];
    assert_eq!(kind(wish(&host, A, items)), Kind::Foreign);
    assert!(!host.exists(CONF) && !host.exists("/var/lib/etcd-node/ledger.json"));
}

#[test]
fn an_empty_directory_may_be_used_and_a_mounted_one_too() {
    let host = TestHost::new();
    fs::create_dir_all(host.root().at("/srv/data/lost+found")).expect("a new file system");
    let outcomes = wish(&host, A, vec![directory("/srv/data", false, true)]).expect("used");
    assert_eq!(outcomes, [Outcome::Updated]);
}

#[test]
fn owners_exclude_each_other() {
    let host = TestHost::new();
    wish(
        &host,
        A,
        vec![file(CONF, "a"), directory("/srv/a", false, true)],
    )
    .expect("made");
    assert_eq!(kind(wish(&host, B, vec![file(CONF, "a")])), Kind::Conflict);
    assert_eq!(kind(wish(&host, B, vec![absent(CONF)])), Kind::Conflict);
    assert_eq!(
        kind(wish(&host, B, vec![directory("/srv/a", false, false)])),
        Kind::Conflict
    );
    assert_eq!(kind(wish(&host, B, vec![adopted(CONF)])), Kind::Conflict);
    let twin = EnsureRequest {
        id: "another".to_owned(),
        ..request(A, Vec::new())
    };
    let failed = ensure(host.root(), &twin, "test").expect_err("another of the same name");
    assert_eq!(failed.0.kind(), Kind::Conflict);
}

#[test]
fn a_shared_file_that_another_owner_relies_on_keeps_its_content() {
    let host = TestHost::new();
    let path = "/etc/etcd/ssl/main-root_ca.crt";
    let issuer = "/etc/etcd/issuers/main.json";
    let follows = |content: &str| Item {
        item: Some(Wish::File(File {
            shared: true,
            follows: true,
            ..plain_file(issuer, content)
        })),
    };
    wish(&host, A, vec![shared_file(path, "one"), follows("1")]).expect("made");
    // Alone, it may change its mind.
    wish(&host, A, vec![shared_file(path, "first"), follows("1")]).expect("its own");
    let failed = wish(&host, B, vec![follows("2"), shared_file(path, "second")]);
    let failed = failed.expect_err("A relies on it");
    assert_eq!(failed.0.kind(), Kind::Conflict);
    assert!(failed.0.message.contains(A), "{failed}");
    assert_eq!(host.read(path), "first");
    assert_eq!(host.read(issuer), "1", "nothing of it was done");
    wish(&host, B, vec![shared_file(path, "first"), follows("2")]).expect("the same root");
    assert_eq!(host.read(issuer), "2");
    // Edited by hand, it is mended to what both have.
    host.write(path, "mine");
    wish(&host, A, vec![shared_file(path, "first")]).expect("mended");
    assert_eq!(host.read(path), "first");
}

#[test]
fn shared_files_stay_until_the_last_user_wants_them_no_more() {
    let host = TestHost::new();
    let path = "/etc/etcd/issuers/main.json";
    wish(&host, A, vec![shared_file(path, "{}")]).expect("made");
    assert_eq!(
        wish(&host, B, vec![shared_file(path, "{}")]).expect("there"),
        [Outcome::NotNeeded]
    );
    assert_eq!(
        kind(wish(&host, B, vec![file(path, "{}")])),
        Kind::Conflict,
        "not his alone"
    );
    assert_eq!(
        wish(&host, A, vec![absent(path)]).expect("one less"),
        [Outcome::Updated]
    );
    assert!(host.exists(path));
    assert_eq!(
        wish(&host, A, vec![absent(path)]).expect("again"),
        [Outcome::NotNeeded]
    );
    wish(&host, B, vec![absent(path)]).expect("the last");
    assert!(!host.exists(path));
}

#[test]
fn a_file_that_is_wanted_no_more_goes() {
    let host = TestHost::new();
    wish(&host, A, vec![file(CONF, "a")]).expect("made");
    assert_eq!(
        wish(&host, A, vec![absent(CONF)]).expect("gone"),
        [Outcome::Updated]
    );
    assert!(!host.exists(CONF));
    assert_eq!(
        wish(&host, A, vec![absent(CONF)]).expect("gone"),
        [Outcome::NotNeeded]
    );
    host.write(CONF, "theirs now");
    assert_eq!(kind(wish(&host, A, vec![absent(CONF)])), Kind::Foreign);
}

#[test]
fn what_a_killed_run_wrote_is_ours() {
    let host = TestHost::new();
    wish(&host, A, vec![file(CONF, "one")]).expect("made");
    // Killed between the ledger and the file, and between the file and the ledger.
    for written in [false, true] {
        let mut ledger = Ledger::load(host.root()).expect("a ledger");
        file::enter(
            host.root(),
            &mut ledger,
            A,
            &(&plain_file(CONF, "two")).into(),
        )
        .expect("ours");
        ledger.save(host.root()).expect("saved");
        if written {
            fs::write(host.root().at(CONF), "two").expect("written");
        }
        let (sha256, recorded) = recorded(&host, CONF);
        assert_eq!(
            sha256, recorded,
            "no drift that a person made: written {written}"
        );
    }
    assert_eq!(
        wish(&host, A, vec![file(CONF, "two")]).expect("ours"),
        [Outcome::NotNeeded],
        "it is written; only the ledger has to say so"
    );
    let (sha256, recorded) = recorded(&host, CONF);
    assert_eq!(
        (sha256.as_str(), recorded),
        (digest::bytes(b"two").as_str(), digest::bytes(b"two"))
    );
    fs::write(host.root().at(CONF), "edited").expect("somebody edits it");
    assert_ne!(self::recorded(&host, CONF).0, self::recorded(&host, CONF).1);
}

#[test]
fn a_file_of_another_tool_is_adopted_as_it_is() {
    let host = TestHost::new();
    host.write(CONF, "theirs");
    assert_eq!(
        wish(&host, A, vec![adopted(CONF)]).expect("taken over"),
        [Outcome::Added]
    );
    assert_eq!(host.read(CONF), "theirs");
    let (sha256, recorded) = recorded(&host, CONF);
    assert_eq!(sha256, recorded);
    assert_eq!(
        wish(&host, A, vec![adopted(CONF)]).expect("ours"),
        [Outcome::NotNeeded]
    );
    assert_eq!(
        wish(&host, A, vec![file(CONF, "ours")]).expect("ours"),
        [Outcome::Updated]
    );
    assert_eq!(
        kind(wish(&host, A, vec![adopted("/etc/etcd/none")])),
        Kind::NotFound
    );
}

#[test]
fn the_hash_of_a_secret_cannot_be_guessed_by() {
    let host = TestHost::new();
    let path = "/etc/etcd-node/secrets/a/token";
    wish(&host, A, vec![file(path, "1234")]).expect("made");
    let (sha256, recorded) = recorded(&host, path);
    assert_eq!(sha256, recorded);
    assert_ne!(sha256, digest::bytes(b"1234"));
    assert!(
        !host
            .read("/var/lib/etcd-node/ledger.json")
            .contains(&digest::bytes(b"1234"))
    );
}

#[test]
fn ports_belong_to_one_owner_and_to_nobody_else_who_listens() {
    let host = TestHost::new();
    let claim = |owner: &str, ports: Vec<u32>| {
        let request = EnsureRequest {
            claims_ports: true,
            ports,
            ..request(owner, Vec::new())
        };
        ensure(host.root(), &request, "test").map(|_| Vec::new())
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = u32::from(listener.local_addr().expect("an address").port());
    let failed = claim(A, vec![taken]).expect_err("we listen there");
    assert_eq!(failed.0.kind(), Kind::PortTaken);
    assert!(!failed.0.message.starts_with("another process"), "{failed}");
    // Nothing listens below 1024 here.
    claim(A, vec![1, 2]).expect("free");
    assert_eq!(kind(claim(B, vec![2, 3])), Kind::Conflict);
    claim(A, vec![1]).expect("one is given back");
    claim(B, vec![2, 3]).expect("free now");
    for bad in [0, 65_536] {
        assert_eq!(kind(claim(B, vec![bad])), Kind::InvalidRequest);
    }
}

#[test]
fn paths_that_leave_the_road_are_refused() {
    let host = TestHost::new();
    for path in ["etc/a", "/etc/../root/a", "/etc//a", "/"] {
        for item in [
            file(path, "x"),
            directory(path, false, false),
            link(path, "/x", false),
            absent(path),
        ] {
            assert_eq!(
                kind(wish(&host, A, vec![item])),
                Kind::InvalidRequest,
                "{path}"
            );
        }
    }
    assert_eq!(
        kind(wish(&host, A, vec![Item { item: None }])),
        Kind::InvalidRequest
    );
    assert_eq!(kind(wish(&host, "a", Vec::new())), Kind::InvalidRequest);
}
