//! Transfers that break off, and what they leave behind.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use proxmox::{Kind, Left, Source};
use proxmox_server::{Effect, Fault, Spec, TaskEnd};
use tokio::io::AsyncReadExt as _;

use crate::support::{
    Outcome, client, noise, read, server, sha256, source, spec, told, until, upload,
};

const SIZE: usize = 6 << 20;

#[tokio::test]
async fn a_cut_in_the_middle_is_told_and_leaves_nothing() -> Outcome {
    let server = server();
    server.fault(Fault::once("/upload", Effect::CutAfter(1 << 20)));
    let error = client(&server)
        .upload(
            &upload("pve01", "local", "x.iso"),
            &source(&noise(SIZE)),
            None,
        )
        .await
        .expect_err("it is cut");
    let Kind::Cut {
        sent_bytes,
        total_bytes,
        ..
    } = error.kind()
    else {
        panic!("{}", told(&error));
    };
    assert!(*sent_bytes >= 1 << 19 && *total_bytes == SIZE as u64);
    assert_eq!(*error.left(), Left::Nothing);
    until("the server has cleaned up", || server.open_uploads() == 0).await;
    assert!(server.files().is_empty(), "{:?}", server.files());
    Ok(())
}

#[tokio::test]
async fn a_cut_transfer_is_begun_anew_as_often_as_asked() -> Outcome {
    let server = server();
    let bytes = noise(SIZE);
    server.fault(Fault::once("/upload", Effect::CutAfter(1 << 20)).times(2));
    let mut wanted = upload("pve01", "local", "x.iso");
    wanted.restarts = 2;
    client(&server)
        .upload(&wanted, &source(&bytes), None)
        .await?;
    assert_eq!(server.count("POST", "/upload"), 3);
    assert!(read(&server.path("pve01", "local", "iso", "x.iso")) == bytes);
    until("the server has cleaned up", || server.files().len() == 1).await;

    server.forget_calls();
    server.fault(Fault::once("/upload", Effect::CutAfter(1 << 20)).times(99));
    wanted.file_name = "y.iso".to_owned();
    let error = client(&server)
        .upload(&wanted, &source(&bytes), None)
        .await
        .expect_err("it is cut each time");
    assert!(matches!(error.kind(), Kind::Cut { .. }), "{}", told(&error));
    assert_eq!(server.count("POST", "/upload"), 3);
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_begins_anew_only_when_the_first_copy_has_ended() -> Outcome {
    let server = server();
    server.slow_tasks(3);
    server.fault(Fault::once("/upload", Effect::CutAnswer));
    let mut wanted = upload("pve01", "local", "x.iso");
    wanted.restarts = 1;
    let bytes = noise(SIZE);
    client(&server)
        .upload(&wanted, &source(&bytes), None)
        .await?;
    assert!(read(&server.path("pve01", "local", "iso", "x.iso")) == bytes);
    let calls = server.calls();
    let place = |method: &str, path: &str| {
        calls
            .iter()
            .position(|call| call.method == method && call.path.contains(path))
    };
    assert!(place("GET", "/cluster/tasks") > place("POST", "/upload"));
    assert_eq!(server.count("POST", "/upload"), 2);
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_without_another_try_says_what_is_there() {
    let server = server();
    server.fault(Fault::once("/upload", Effect::CutAnswer));
    let error = client(&server)
        .upload(
            &upload("pve01", "local", "x.iso"),
            &source(b"content"),
            None,
        )
        .await
        .expect_err("the answer is lost");
    assert!(matches!(error.kind(), Kind::Cut { .. }), "{}", told(&error));
    // The copy may have ended by now, or not have begun: it is never taken for nothing.
    let whole = Left::Remains("local:iso/x.iso".to_owned());
    assert!(
        [whole, Left::Nothing].contains(error.left()),
        "{}",
        told(&error)
    );
}

#[tokio::test]
async fn a_copy_that_fails_halfway_leaves_nothing_on_newer_versions() {
    let server = server();
    server.end_task(
        "imgcopy",
        TaskEnd::Halfway("cp: error writing: Input/output error".to_owned()),
    );
    let error = client(&server)
        .upload(
            &upload("pve01", "local", "x.iso"),
            &source(&noise(SIZE)),
            None,
        )
        .await
        .expect_err("it fails");
    let Kind::Task { status, log, .. } = error.kind() else {
        panic!("{}", told(&error));
    };
    assert_eq!(
        status,
        "import failed: cp: error writing: Input/output error"
    );
    assert!(
        log.iter()
            .any(|line| line == "calculating checksum...OK, checksum verified")
    );
    assert_eq!(*error.left(), Left::Nothing);
    assert!(server.files().is_empty());
}

#[tokio::test]
async fn a_copy_that_fails_halfway_is_removed_on_older_versions() -> Outcome {
    let server = spec(Spec {
        is_removing_failed_copies: false,
        ..Spec::default()
    });
    let halfway = || TaskEnd::Halfway("cp: error writing: Input/output error".to_owned());
    server.end_task("imgcopy", halfway());
    let client = client(&server);
    let error = client
        .upload(
            &upload("pve01", "local", "x.iso"),
            &source(&noise(SIZE)),
            None,
        )
        .await
        .expect_err("it fails");
    assert_eq!(*error.left(), Left::Removed("local:iso/x.iso".to_owned()));
    assert!(told(&error).contains("the part that lay at local:iso/x.iso is removed"));
    assert!(server.files().is_empty());

    // What replaced an older file cannot be taken back.
    server.put("pve01", "local", "iso", "old.iso", b"old")?;
    server.end_task("imgcopy", halfway());
    let mut wanted = upload("pve01", "local", "old.iso");
    wanted.is_replacing = true;
    let error = client
        .upload(&wanted, &source(&noise(SIZE)), None)
        .await
        .expect_err("it fails");
    assert_eq!(*error.left(), Left::Remains("local:iso/old.iso".to_owned()));
    assert_eq!(
        read(&server.path("pve01", "local", "iso", "old.iso")).len(),
        SIZE / 2
    );
    Ok(())
}

#[tokio::test]
async fn a_replaced_file_that_a_failed_copy_took_with_it_is_told() -> Outcome {
    let server = server();
    server.put("pve01", "local", "iso", "x.iso", b"old")?;
    server.end_task(
        "imgcopy",
        TaskEnd::Halfway("cp: error writing: Input/output error".to_owned()),
    );
    let mut wanted = upload("pve01", "local", "x.iso");
    wanted.is_replacing = true;
    let error = client(&server)
        .upload(&wanted, &source(&noise(SIZE)), None)
        .await
        .expect_err("it fails");
    assert_eq!(*error.left(), Left::Lost("local:iso/x.iso".to_owned()));
    Ok(())
}

#[tokio::test]
async fn other_bytes_than_announced_never_reach_the_storage() -> Outcome {
    let server = server();
    let path = server.put("pve01", "local", "iso", "x.iso", b"old")?;
    let lying = Source::new(7, sha256(b"content"), || async {
        Ok(io::Cursor::new(b"CONTENT"))
    });
    let mut wanted = upload("pve01", "local", "x.iso");
    wanted.is_replacing = true;
    let error = client(&server)
        .upload(&wanted, &lying, None)
        .await
        .expect_err("they are others");
    let Kind::Checksum { got, wanted } = error.kind() else {
        panic!("{}", told(&error));
    };
    assert_eq!((got, wanted), (&sha256(b"CONTENT"), &sha256(b"content")));
    assert_eq!(*error.left(), Left::Nothing);
    assert_eq!(read(&path), b"old");
    assert_eq!(server.files().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_disk_that_fills_up_during_the_copy_is_told() {
    let server = server();
    let client = client(&server);
    let kept = Arc::new(server);
    let filling = Arc::clone(&kept);
    let source = Source::new(7, sha256(b"content"), move || {
        filling.set_available("local", 3);
        async { Ok(io::Cursor::new(b"content")) }
    });
    let error = client
        .upload(&upload("pve01", "local", "x.iso"), &source, None)
        .await
        .expect_err("it is full");
    assert!(
        matches!(error.kind(), Kind::NoSpace { .. }),
        "{}",
        told(&error)
    );
    assert!(error.hint().contains("/var/tmp"));
}

#[tokio::test]
async fn a_file_that_ends_early_or_cannot_be_read_is_the_callers_fault() {
    let server = server();
    let client = client(&server);
    let early = Source::new(SIZE as u64, "00".repeat(32), || async {
        Ok(tokio::io::repeat(0).take(1 << 20))
    });
    let error = client
        .upload(&upload("pve01", "local", "x.iso"), &early, None)
        .await
        .expect_err("it ends early");
    assert!(
        matches!(error.kind(), Kind::Source { .. }),
        "{}",
        told(&error)
    );
    let Kind::Source { source } = error.kind() else {
        unreachable!("it was just seen");
    };
    assert_eq!(
        source.to_string(),
        format!("it ends {} bytes early", SIZE - (1 << 20))
    );
    let opened = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&opened);
    let gone = Source::new(7, "00".repeat(32), move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Err::<tokio::io::Empty, _>(io::Error::from(io::ErrorKind::NotFound)) }
    });
    let mut wanted = upload("pve01", "local", "x.iso");
    wanted.restarts = 3;
    let error = client
        .upload(&wanted, &Source::clone(&gone), None)
        .await
        .expect_err("it is gone");
    assert!(
        matches!(error.kind(), Kind::Source { .. }),
        "{}",
        told(&error)
    );
    assert_eq!(opened.load(Ordering::SeqCst), 1);
    until("the server has cleaned up", || server.files().is_empty()).await;
}

#[tokio::test]
async fn a_server_that_takes_no_more_bytes_is_given_up() {
    let server = server();
    server.fault(Fault::once("/upload", Effect::Silence));
    let mut settings = crate::support::settings(&server);
    settings.stall_timeout = std::time::Duration::from_millis(100);
    let client = proxmox::Client::new(settings).expect("the settings are good");
    let error = client
        .upload(
            &upload("pve01", "local", "x.iso"),
            &source(&noise(32 << 20)),
            None,
        )
        .await
        .expect_err("nobody reads");
    let Kind::Cut {
        sent_bytes,
        total_bytes,
        said,
    } = error.kind()
    else {
        panic!("{}", told(&error));
    };
    assert!(sent_bytes < total_bytes, "{said}");
}

#[tokio::test]
async fn dropping_an_upload_leaves_nothing() {
    let server = server();
    let sender = client(&server);
    let endless = Source::new(8 << 30, "00".repeat(32), || async {
        Ok(tokio::io::repeat(7))
    });
    let sending = tokio::spawn(async move {
        sender
            .upload(&upload("pve01", "local", "x.iso"), &endless, None)
            .await
    });
    until("bytes come in", || server.received_bytes() > 1 << 20).await;
    sending.abort();
    drop(sending.await);
    until("the server has cleaned up", || {
        server.open_uploads() == 0 && server.files().is_empty()
    })
    .await;
}
