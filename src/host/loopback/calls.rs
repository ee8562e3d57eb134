//! Calls over the channel: answers, failures, uploads, cut and stalled lines.

use std::time::Duration;

use aws_lc_rs::digest;
use tokio::io::AsyncReadExt;

use crate::{
    Node, NodeError, NodeErrorKind, Target,
    loopback::{PATIENCE, observe, pool, proxy::Proxy, sshd::Sshd, target, target_with},
    proto,
};

async fn unanswered(node: Node) -> NodeError {
    let request = proto::LockRequest::default();
    let call = node.call(
        "Lock",
        |mut client| async move { client.lock(request).await },
    );
    let answer = tokio::time::timeout(PATIENCE, call)
        .await
        .expect("the end is noticed in time");
    answer.expect_err("the sample never answers")
}

fn through(sshd: &Sshd, proxy: &Proxy) -> Target {
    let mut target = target_with(sshd, |profile| {
        profile.timing.connect = Duration::from_secs(5);
        profile.timing.keepalive_interval = Duration::from_millis(200);
        profile.timing.keepalive_timeout = Duration::from_millis(400);
        let text = format!("* {}", sshd.host_key("ed25519"));
        profile.known_hosts = vec![crate::KnownHosts::Text {
            name: "text".into(),
            text,
        }];
    });
    target.port = proxy.port();
    target
}

#[tokio::test]
async fn a_failure_is_typed_and_says_what_to_do() {
    let sshd = Sshd::start().await;
    let node = pool(&sshd).node(&target(&sshd)).await.expect("a helper");
    let request = proto::UnlockRequest {
        name: "etcd_cluster/k8s".into(),
        token: String::new(),
    };
    let call = node.call("Unlock", |mut client| async move {
        client.unlock(request).await
    });
    let error = call.await.expect_err("it is held");
    let failure = error.failure().expect("the helper's account");
    assert_eq!(failure.kind(), proto::failure::Kind::Locked);
    assert_eq!(
        error.to_string(),
        "Unlock on 127.0.0.1: the lock is held (etcd_cluster/k8s)"
    );
    assert_eq!(error.hint(), "wait for somebody to finish.");
    assert!(error.is_transient() && !error.is_lost());

    let request = proto::RemoveRequest::default();
    let call = node.call("Remove", |mut client| async move {
        client.remove(request).await
    });
    let error = call.await.expect_err("the sample has no such call");
    assert!(matches!(error.kind, NodeErrorKind::Status(_)), "{error:?}");
}

#[tokio::test]
async fn an_archive_arrives_whole() {
    let sshd = Sshd::start().await;
    let node = pool(&sshd).node(&target(&sshd)).await.expect("a helper");
    let archive: Vec<u8> = (0..5_000_000_u32)
        .map(|index| (index % 251) as u8)
        .collect();
    let header = proto::InstallHeader {
        directory: "/opt/x".into(),
        ..Default::default()
    };
    let answer = node
        .install(header, &archive[..])
        .await
        .expect("it is taken");
    let expected = hex::encode(digest::digest(&digest::SHA256, &archive));
    assert_eq!(answer.programs[0].sha256, expected);
    assert_eq!(
        answer.programs[0].path, "/opt/x in 21",
        "the header and pieces of 256 KiB"
    );
}

#[tokio::test]
async fn an_archive_that_cannot_be_read_is_not_laid_down() {
    let sshd = Sshd::start().await;
    let node = pool(&sshd).node(&target(&sshd)).await.expect("a helper");
    let begun = vec![1; 300_000];
    let broken = (&begun[..]).chain(Broken);
    let error = node.install(proto::InstallHeader::default(), broken).await;
    let error = error.expect_err("the archive is broken");
    assert!(matches!(error.kind, NodeErrorKind::Archive(_)), "{error:?}");
    observe(&node).await;
}

/// A file on a disk that fails.
struct Broken;

impl tokio::io::AsyncRead for Broken {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Err(std::io::Error::other("the disk is broken")))
    }
}

#[tokio::test]
async fn a_line_cut_in_mid_call_is_noticed_and_the_next_use_connects_anew() {
    let sshd = Sshd::start().await;
    let proxy = Proxy::start(sshd.port()).await;
    let (pool, target) = (pool(&sshd), through(&sshd, &proxy));
    let node = pool.node(&target).await.expect("a helper");
    let call = tokio::spawn(unanswered(node));
    proxy.cut();
    let error = call.await.expect("no panic");
    assert!(error.is_lost() && error.is_transient(), "{error:?}");
    proxy.mend();
    let node = pool.node(&target).await.expect("another connection");
    observe(&node).await;
}

#[tokio::test]
async fn a_line_that_stalls_in_mid_call_is_given_up() {
    let sshd = Sshd::start().await;
    let proxy = Proxy::start(sshd.port()).await;
    let (pool, target) = (pool(&sshd), through(&sshd, &proxy));
    let call = tokio::spawn(unanswered(pool.node(&target).await.expect("a helper")));
    proxy.stall();
    let error = call.await.expect("no panic");
    assert!(error.is_lost(), "{error:?}");
    proxy.mend();
    observe(&pool.node(&target).await.expect("another connection")).await;
}

#[tokio::test]
async fn an_idle_connection_that_died_unnoticed_is_found_by_its_next_user() {
    let sshd = Sshd::start().await;
    let proxy = Proxy::start(sshd.port()).await;
    let mut target = through(&sshd, &proxy);
    let mut profile = (*target.profile).clone();
    // Timers stand still while a machine sleeps: those of this connection never fire in this test.
    profile.timing.keepalive_interval = Duration::from_hours(1);
    profile.timing.keepalive_timeout = Duration::from_hours(2);
    target.profile = profile.into();
    let pool = pool(&sshd);
    let node = pool.node(&target).await.expect("a helper");
    proxy.stall();
    node.sleep_for(Duration::from_hours(2));
    proxy.mend();
    let node = pool.node(&target).await.expect("another connection");
    observe(&node).await;
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 2);
}
