//! Archives that are whole, broken, foreign, and sent twice.

use std::{
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use flate2::{Compression, write::GzEncoder};
use prost::bytes::Bytes;

use super::*;
use crate::{
    proto::{InstallProgram, failure::Kind},
    test_host::TestHost,
};

fn archive(members: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder
            .append_data(&mut header, path, content.as_bytes())
            .expect("a member");
    }
    builder.into_inner().expect("tar").finish().expect("gzip")
}

fn release() -> Vec<u8> {
    archive(&[
        ("etcd-v3.5.35-linux-amd64/README.md", "read me"),
        ("etcd-v3.5.35-linux-amd64/etcd", "the server"),
        ("etcd-v3.5.35-linux-amd64/etcdctl", "the client"),
    ])
}

fn header(archive: &[u8], owner: &str) -> InstallHeader {
    let program = |name: &str| InstallProgram {
        member: format!("etcd-v3.5.35-linux-amd64/{name}"),
        name: name.to_owned(),
        links: vec![Link {
            path: format!("/opt/bin/{name}-3.5.35"),
            target: format!("/opt/etcd/3.5.35/{name}"),
            ..Link::default()
        }],
    };
    InstallHeader {
        owner: owner.to_owned(),
        id: "1".to_owned(),
        directory: "/opt/etcd/3.5.35".to_owned(),
        archive_sha256: digest::bytes(archive),
        programs: vec![program("etcd"), program("etcdctl")],
    }
}

fn send(
    host: &TestHost,
    header: &InstallHeader,
    archive: &[u8],
) -> Result<InstallResponse, Failed> {
    let (sender, pieces) = channel();
    let sent = archive.to_vec();
    let pump = std::thread::spawn(move || {
        for piece in sent.chunks(100) {
            if sender
                .blocking_send(Ok(Bytes::copy_from_slice(piece)))
                .is_err()
            {
                return;
            }
        }
    });
    let result = install(host.root(), header, pieces, "test");
    pump.join().expect("no panic");
    result
}

#[test]
fn lays_programs_down_once_for_all_owners() {
    let host = TestHost::new();
    let archive = release();
    let first = send(&host, &header(&archive, "etcd_cluster/a"), &archive).expect("installed");
    assert_eq!(first.outcome(), Outcome::Added);
    assert_eq!(first.programs[0].path, "/opt/etcd/3.5.35/etcd");
    assert_eq!(first.programs[0].sha256, digest::bytes(b"the server"));
    assert_eq!(host.read("/opt/etcd/3.5.35/etcd"), "the server");
    assert!(!host.exists("/opt/etcd/3.5.35/README.md"));
    assert!(host.exists("/opt/bin/etcdctl-3.5.35"));
    let ledger = Ledger::load(host.root()).expect("a ledger");
    let etcd = &ledger.shared["/opt/etcd/3.5.35/etcd"];
    let there = Identity::of(&host.root().at("/opt/etcd/3.5.35/etcd")).expect("a file");
    assert_eq!(etcd.identity.as_ref(), Some(&there));
    let second = send(&host, &header(&archive, "etcd_cluster/b"), &archive).expect("there");
    assert_eq!(second.outcome(), Outcome::NotNeeded);
    assert_eq!(second.programs, first.programs);
    let ledger = Ledger::load(host.root()).expect("a ledger");
    assert_eq!(ledger.shared["/opt/etcd/3.5.35"].owners.len(), 2);
    assert_eq!(ledger.shared["/opt/bin"].owners.len(), 2);
    assert!(ledger.shared["/opt/etcd/3.5.35"].pending.is_none());
}

#[test]
fn a_program_that_somebody_changed_is_mended() {
    let host = TestHost::new();
    let archive = release();
    let header = header(&archive, "etcd_cluster/a");
    send(&host, &header, &archive).expect("installed");
    host.write("/opt/etcd/3.5.35/etcd", "something else");
    assert_eq!(
        send(&host, &header, &archive).expect("mended").outcome(),
        Outcome::Updated
    );
    assert_eq!(host.read("/opt/etcd/3.5.35/etcd"), "the server");
}

#[test]
fn programs_and_their_directories_are_opened_for_their_service() {
    let host = TestHost::new();
    fs::create_dir(host.root().at("/opt")).expect("one of the host");
    let archive = release();
    let header = header(&archive, "etcd_cluster/a");
    send(&host, &header, &archive).expect("installed");
    let set = |path, mode| {
        fs::set_permissions(host.root().at(path), fs::Permissions::from_mode(mode)).expect("set");
    };
    let shut = [
        ("/opt/etcd", 0o700),
        ("/opt/etcd/3.5.35", 0o750),
        ("/opt/etcd/3.5.35/etcd", 0o600),
    ];
    for (path, mode) in shut.into_iter().chain([("/opt", 0o711)]) {
        set(path, mode);
    }
    let mended = send(&host, &header, &archive).expect("mended");
    assert_eq!(mended.outcome(), Outcome::Updated);
    let mode = |path| host.root().at(path).metadata().expect("there").mode() & 0o7777;
    for (path, _) in shut {
        assert_eq!(mode(path), 0o755, "{path}");
    }
    assert_eq!(mode("/opt"), 0o711, "not made by us");
    let again = send(&host, &header, &archive).expect("there");
    assert_eq!(again.outcome(), Outcome::NotNeeded);
}

#[test]
fn nothing_is_left_of_an_archive_with_another_checksum() {
    let host = TestHost::new();
    let archive = release();
    let header = header(&archive, "etcd_cluster/a");
    let mut flipped = archive.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let mut longer = archive.clone();
    longer.write_all(b"more").expect("memory");
    for bad in [
        flipped,
        longer,
        archive[..archive.len() - 9].to_vec(),
        Vec::new(),
    ] {
        let failed = send(&host, &header, &bad).expect_err("another checksum");
        assert_eq!(failed.0.kind(), Kind::ChecksumMismatch, "{failed}");
        assert!(!host.exists("/opt"), "something was left");
    }
}

#[test]
fn a_connection_that_is_cut_leaves_nothing() {
    let host = TestHost::new();
    let archive = release();
    let (sender, pieces) = channel();
    sender
        .blocking_send(Ok(Bytes::copy_from_slice(&archive[..50])))
        .expect("room");
    sender
        .blocking_send(Err(std::io::ErrorKind::ConnectionAborted.into()))
        .expect("room");
    drop(sender);
    let failed = install(
        host.root(),
        &header(&archive, "etcd_cluster/a"),
        pieces,
        "test",
    );
    assert_eq!(failed.expect_err("cut").0.kind(), Kind::Internal);
    assert!(!host.exists("/opt"));
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let host = TestHost::new();
    host.write("/opt/etcd/3.5.35/etcd", "theirs");
    let archive = release();
    let failed = send(&host, &header(&archive, "etcd_cluster/a"), &archive).expect_err("foreign");
    assert_eq!(failed.0.kind(), Kind::Foreign);
    assert_eq!(host.read("/opt/etcd/3.5.35/etcd"), "theirs");
}

#[test]
fn a_member_may_lie_in_a_directory_or_not() {
    let host = TestHost::new();
    let flat = archive(&[("./etcd", "the server"), ("etcdctl", "the client")]);
    send(&host, &header(&flat, "etcd_cluster/a"), &flat).expect("flat");
    assert_eq!(host.read("/opt/etcd/3.5.35/etcd"), "the server");
    let host = TestHost::new();
    let both = archive(&[
        ("docs/etcd", "a picture"),
        ("etcd-v3.5.35-linux-amd64/etcd", "the server"),
        ("other/etcd", "another"),
        ("etcdctl", "the client"),
    ]);
    send(&host, &header(&both, "etcd_cluster/a"), &both).expect("the exact path wins");
    assert_eq!(host.read("/opt/etcd/3.5.35/etcd"), "the server");
    let lacking = archive(&[("etcd", "the server")]);
    let failed =
        send(&host, &header(&lacking, "etcd_cluster/a"), &lacking).expect_err("no etcdctl");
    assert_eq!(failed.0.kind(), Kind::NotFound);
}

#[test]
fn what_another_owner_runs_is_not_exchanged() {
    let host = TestHost::new();
    let archive = release();
    send(&host, &header(&archive, "etcd_cluster/a"), &archive).expect("installed");
    let other = self::archive(&[("etcd", "another server"), ("etcdctl", "the client")]);
    let failed = send(&host, &header(&other, "etcd_cluster/b"), &other).expect_err("a runs it");
    assert_eq!(failed.0.kind(), Kind::Conflict);
    assert_eq!(host.read("/opt/etcd/3.5.35/etcd"), "the server");
}
