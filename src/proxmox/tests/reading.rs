//! What is there, what is not, and what cannot be told.

use proxmox::{ContentKind, Kind};
use proxmox_server::{Effect, Fault, Spec};

use crate::support::{Outcome, client, server, spec, told};

#[tokio::test]
async fn tells_what_a_storage_is() -> Outcome {
    let server = server();
    let client = client(&server);
    let local = client.storage_status("pve02", "local").await?;
    assert_eq!(local.kind, "dir");
    assert!(local.is_active && local.is_enabled && !local.is_shared);
    assert!(local.holds(ContentKind::Iso) && local.holds(ContentKind::Import));
    assert!(local.available_bytes > 0 && local.available_bytes <= local.total_bytes);
    let shared = client.storage_status("pve02", "resources").await?;
    assert!(shared.is_shared);
    // It is there, but not for this node.
    let elsewhere = client.storage_status("pve03", "isos").await?;
    assert!(!elsewhere.is_enabled && !elsewhere.is_active);
    let disks = client.storage_status("pve01", "rbd-vm").await?;
    assert!(!disks.holds(ContentKind::Iso));
    assert_eq!(
        client.nodes().await?.into_iter().collect::<Vec<_>>(),
        ["pve01", "pve02", "pve03"]
    );
    Ok(())
}

#[tokio::test]
async fn clusters_are_told_apart_though_their_names_are_alike() -> Outcome {
    let (one, other) = (server(), server());
    let seen = client(&one).cluster_ca().await?.ok_or("a CA")?;
    assert_eq!(client(&one).cluster_ca().await?, Some(seen.clone()));
    assert_ne!(client(&other).cluster_ca().await?, Some(seen));
    Ok(())
}

#[tokio::test]
async fn lists_files_of_one_kind_or_all() -> Outcome {
    let server = server();
    server.put("pve01", "local", "iso", "a.iso", b"iso")?;
    server.put("pve01", "local", "import", "b.qcow2", b"disk")?;
    let client = client(&server);
    let all = client.list("pve01", "local", None).await?;
    let ids: Vec<_> = all.iter().map(|one| one.volume_id.as_str()).collect();
    assert_eq!(ids, ["local:import/b.qcow2", "local:iso/a.iso"]);
    let isos = client
        .list("pve01", "local", Some(ContentKind::Iso))
        .await?;
    assert_eq!(isos.len(), 1);
    assert_eq!((isos[0].size_bytes, isos[0].format.as_str()), (3, "iso"));
    assert!(client.list("pve02", "local", None).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_missing_file_is_none_and_its_path_too() -> Outcome {
    let server = server();
    let path = server.put("pve01", "local", "iso", "a.iso", b"iso")?;
    let client = client(&server);
    let iso = ContentKind::Iso;
    assert!(client.find("pve01", "local", iso, "a.iso").await?.is_some());
    assert_eq!(
        client
            .path("pve01", "local", iso, "a.iso")
            .await?
            .as_deref(),
        path.to_str()
    );
    assert_eq!(client.find("pve01", "local", iso, "x.iso").await?, None);
    assert_eq!(client.path("pve01", "local", iso, "x.iso").await?, None);
    Ok(())
}

#[tokio::test]
async fn unknown_storages_and_nodes_are_not_found() {
    let server = server();
    let client = client(&server);
    for (node, storage) in [("pve01", "nothing"), ("pve09", "local")] {
        let error = client
            .storage_status(node, storage)
            .await
            .expect_err("unknown");
        assert!(error.is_not_found(), "{}", told(&error));
        let error = client.list(node, storage, None).await.expect_err("unknown");
        assert!(error.is_not_found(), "{}", told(&error));
    }
}

#[tokio::test]
async fn a_storage_that_does_not_answer_is_an_error_and_not_an_empty_one() {
    let server = server();
    server.take_offline("resources", &["pve02"]);
    let client = client(&server);
    assert!(client.list("pve01", "resources", None).await.is_ok());
    let error = client
        .find("pve02", "resources", ContentKind::Iso, "x.iso")
        .await
        .expect_err("it is offline");
    assert!(
        matches!(error.kind(), Kind::StorageOff { .. }),
        "{}",
        told(&error)
    );
    assert!(told(&error).contains("storage 'resources' is not online"));
}

#[tokio::test]
async fn the_reason_in_the_status_line_comes_through() {
    for has_message_in_body in [false, true] {
        let server = spec(Spec {
            has_message_in_body,
            ..Spec::default()
        });
        server.change_storage("local", |storage| storage.is_disabled = true);
        let error = client(&server)
            .list("pve01", "local", None)
            .await
            .expect_err("it is disabled");
        assert!(
            told(&error).contains("storage 'local' is disabled"),
            "{}",
            told(&error)
        );
    }
}

#[tokio::test]
async fn reading_is_repeated_while_the_fault_may_go_away() -> Outcome {
    let server = server();
    let client = client(&server);
    for effect in [
        Effect::Answer(595, "Connection refused".to_owned()),
        Effect::Answer(596, "Broken pipe".to_owned()),
        Effect::Answer(503, "Service Unavailable".to_owned()),
        Effect::Answer(500, "got timeout".to_owned()),
        Effect::CutAfter(0),
        Effect::CutAnswer,
    ] {
        server.forget_calls();
        server.fault(Fault::once("/content", effect.clone()).times(2));
        client.list("pve01", "local", None).await?;
        assert_eq!(server.count("GET", "/content"), 3, "{effect:?}");
    }
    Ok(())
}

#[tokio::test]
async fn reading_ends_after_some_attempts_and_is_not_repeated_for_nothing() {
    let server = server();
    let client = client(&server);
    let answer = |status, reason: &str| Effect::Answer(status, reason.to_owned());
    server.fault(Fault::once("/content", answer(596, "Connection timed out")).times(99));
    let error = client
        .list("pve01", "local", None)
        .await
        .expect_err("it stays");
    assert!(
        told(&error).contains("status 596: Connection timed out"),
        "{}",
        told(&error)
    );
    assert_eq!(server.count("GET", "/content"), 5);
    server.mend();
    server.forget_calls();
    server.fault(Fault::once("/content", answer(500, "something is wrong")).times(99));
    let error = client
        .list("pve01", "local", None)
        .await
        .expect_err("it is thrown");
    assert!(matches!(error.kind(), Kind::Server { status: 500, .. }));
    assert_eq!(server.count("GET", "/content"), 1);
}

#[tokio::test]
async fn a_node_that_is_down_is_told_from_another_and_from_itself() {
    let server = server();
    server.stop_node("pve02");
    let direct = client(&server);
    let error = direct
        .list("pve02", "local", None)
        .await
        .expect_err("it is down");
    assert!(
        matches!(
            error.kind(),
            Kind::Unreachable {
                connected: false,
                ..
            }
        ),
        "{}",
        told(&error)
    );
    assert!(error.endpoint().starts_with("https://127.0.0.1:"));
    let mut settings = crate::support::settings(&server);
    settings.node_endpoints.clear();
    let through = proxmox::Client::new(settings).expect("the settings are good");
    let error = through
        .list("pve02", "local", None)
        .await
        .expect_err("it is down");
    assert!(
        matches!(error.kind(), Kind::Server { status: 595, .. }),
        "{}",
        told(&error)
    );
    assert!(through.list("pve03", "local", None).await.is_ok());
}

#[tokio::test]
async fn a_server_that_says_nothing_is_unreachable() {
    let server = server();
    server.fault(Fault::once("/status", Effect::Silence).times(99));
    let mut settings = crate::support::settings(&server);
    settings.answer_timeout = std::time::Duration::from_millis(50);
    let client = proxmox::Client::new(settings).expect("the settings are good");
    let error = client
        .storage_status("pve01", "local")
        .await
        .expect_err("silence");
    assert!(
        matches!(
            error.kind(),
            Kind::Unreachable {
                connected: true,
                ..
            }
        ),
        "{}",
        told(&error)
    );
}

#[tokio::test]
async fn an_answer_that_is_no_json_is_an_error() {
    let server = server();
    server.fault(Fault::once(
        "/content",
        Effect::Answer(200, "OK".to_owned()),
    ));
    let error = client(&server)
        .list("pve01", "local", None)
        .await
        .expect_err("an empty answer");
    assert!(
        matches!(error.kind(), Kind::Answer { .. }),
        "{}",
        told(&error)
    );
}

#[tokio::test]
async fn a_file_of_another_size_is_told_as_such() -> Outcome {
    let server = server();
    server.put("pve01", "local", "iso", "x.iso", b"old")?;
    let error = client(&server)
        .read_back("pve01", "local", ContentKind::Iso, "x.iso", Some(7))
        .await
        .expect_err("it has another size");
    assert!(
        matches!(
            error.kind(),
            Kind::Size {
                found_bytes: 3,
                wanted_bytes: 7,
                ..
            }
        ),
        "{}",
        told(&error)
    );
    Ok(())
}
