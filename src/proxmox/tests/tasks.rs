//! Tasks are followed to their end, whatever it is.

use std::time::Duration;

use proxmox::{ContentKind, Kind};
use proxmox_server::{Effect, Fault, TaskEnd};
use tokio::time::Instant;

use crate::support::{Outcome, client, later, server, source, told, until, upload};

const ISO: ContentKind = ContentKind::Iso;

#[tokio::test]
async fn a_task_that_is_unknown_at_first_and_slow_is_followed() -> Outcome {
    let server = server();
    server.hide_tasks(3);
    server.slow_tasks(6);
    client(&server)
        .upload(
            &upload("pve01", "local", "x.iso"),
            &source(b"content"),
            None,
        )
        .await?;
    assert_eq!(server.count("GET", "/status"), 1 + 3 + 6 + 1);
    Ok(())
}

#[tokio::test]
async fn a_task_that_stays_unknown_is_lost() {
    let server = server();
    server.hide_tasks(1000);
    let error = client(&server)
        .upload(
            &upload("pve01", "local", "x.iso"),
            &source(b"content"),
            None,
        )
        .await
        .expect_err("nobody knows it");
    assert!(
        told(&error).contains("does not know the task UPID:pve01:"),
        "{}",
        told(&error)
    );
}

#[tokio::test]
async fn a_failed_task_shows_the_end_of_its_log() -> Outcome {
    let server = server();
    server.put("pve01", "local", "iso", "x.iso", b"old")?;
    server.end_task(
        "imgdel",
        TaskEnd::Late("unlink failed - Operation not permitted".to_owned()),
    );
    let error = client(&server)
        .delete("pve01", "local", ISO, "x.iso", later())
        .await
        .expect_err("it fails");
    let Kind::Task { upid, status, log } = error.kind() else {
        panic!("{}", told(&error));
    };
    assert_eq!((upid.node(), upid.kind()), ("pve01", "imgdel"));
    assert_eq!(status, "unlink failed - Operation not permitted");
    assert_eq!(
        log,
        &[
            "Removed volume 'local:iso/x.iso'",
            "TASK ERROR: unlink failed - Operation not permitted"
        ]
    );
    assert!(
        told(&error).starts_with("remove local:iso/x.iso of node pve01 at https://"),
        "{}",
        told(&error)
    );
    Ok(())
}

#[tokio::test]
async fn warnings_are_no_failure() -> Outcome {
    let server = server();
    server.end_task("imgcopy", TaskEnd::Late("WARNINGS: 1".to_owned()));
    client(&server)
        .upload(
            &upload("pve01", "local", "x.iso"),
            &source(b"content"),
            None,
        )
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_node_that_is_away_for_a_moment_does_not_lose_the_task() -> Outcome {
    let server = server();
    server.slow_tasks(3);
    let answer = Effect::Answer(596, "Connection timed out".to_owned());
    server.fault(Fault::once("/tasks/", answer).times(8));
    client(&server)
        .upload(
            &upload("pve01", "local", "x.iso"),
            &source(b"content"),
            None,
        )
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_deadline_ends_the_waiting_and_says_what_is_not_known() {
    let server = server();
    server.hold_tasks();
    let mut wanted = upload("pve01", "local", "x.iso");
    wanted.deadline = Instant::now() + Duration::from_secs(2);
    let error = client(&server)
        .upload(&wanted, &source(b"content"), None)
        .await
        .expect_err("the task does not end");
    assert!(
        matches!(error.kind(), Kind::Deadline { .. }),
        "{}",
        told(&error)
    );
    assert!(
        told(&error).contains("whether an incomplete file stays at local:iso/x.iso is unknown"),
        "{}",
        told(&error)
    );
}

#[tokio::test]
async fn dropping_the_future_ends_the_waiting_and_not_the_task() -> Outcome {
    let server = server();
    server.hold_tasks();
    let sender = client(&server);
    let waiting = tokio::spawn(async move {
        let wanted = upload("pve01", "local", "x.iso");
        let source = source(b"content");
        sender.upload(&wanted, &source, None).await
    });
    until("the task is looked at", || {
        server.count("GET", "/tasks/") > 0
    })
    .await;
    waiting.abort();
    assert!(waiting.await.is_err());
    server.release_tasks();
    let found = client(&server)
        .read_back("pve01", "local", ISO, "x.iso", Some(7))
        .await?;
    assert_eq!(found.size_bytes, 7);
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_needs_no_removal() -> Outcome {
    let server = server();
    let client = client(&server);
    assert!(
        !client
            .delete("pve01", "local", ISO, "x.iso", later())
            .await?
    );
    assert_eq!(server.count("DELETE", ""), 0);
    server.put("pve01", "local", "iso", "x.iso", b"old")?;
    assert!(
        client
            .delete("pve01", "local", ISO, "x.iso", later())
            .await?
    );
    assert!(server.files().is_empty());
    Ok(())
}
