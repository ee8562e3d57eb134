//! Files are sent, put in place, and read back.

use std::sync::{Arc, Mutex};

use proxmox::{ContentKind, Kind, Progress, Source, Watch};
use proxmox_server::Spec;

use crate::support::{
    Outcome, client, noise, read, server, settings, sha256, source, spec, told, upload,
};

#[tokio::test]
async fn a_file_arrives_as_it_is_and_nothing_else_stays() -> Outcome {
    let server = server();
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("image");
    let bytes = noise((4 << 20) + 17);
    std::fs::write(&path, &bytes)?;
    let source = Source::file(&path, sha256(&bytes)).await?;
    assert_eq!(source.sha256(), sha256(&bytes));
    let volume = client(&server)
        .upload(&upload("pve02", "local", "talos.iso"), &source, None)
        .await?;
    assert_eq!(volume.volume_id, "local:iso/talos.iso");
    assert_eq!(volume.size_bytes, bytes.len() as u64);
    let there = server.path("pve02", "local", "iso", "talos.iso");
    assert!(read(&there) == bytes);
    assert_eq!(server.files().len(), 1);
    Ok(())
}

#[tokio::test]
async fn bytes_that_look_like_the_form_are_content() -> Outcome {
    let server = server();
    let tail = b"\r\n--upload\r\n\r\n--\r\nContent-Disposition: form-data\r\n\r\n--";
    for bytes in [&b""[..], b"\r\n", b"\n", b"x\r\n\r\n", tail] {
        let mut wanted = upload("pve01", "local", "x.iso");
        wanted.is_replacing = true;
        client(&server)
            .upload(&wanted, &source(bytes), None)
            .await?;
        assert_eq!(read(&server.path("pve01", "local", "iso", "x.iso")), bytes);
    }
    Ok(())
}

#[tokio::test]
async fn a_name_is_sent_as_the_server_keeps_it() -> Outcome {
    let server = server();
    let volume = client(&server)
        .upload(
            &upload("pve01", "local", "dir/größe \"1\".ISO"),
            &source(b"content"),
            None,
        )
        .await?;
    assert_eq!(volume.volume_id, "local:iso/gr__e__1_.ISO");
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_not_taken_costs_no_call() {
    let server = server();
    let error = client(&server)
        .upload(
            &upload("pve01", "local", "image.raw.xz"),
            &source(b"content"),
            None,
        )
        .await
        .expect_err("it is no boot image");
    assert!(
        matches!(error.kind(), Kind::Name { .. }),
        "{}",
        told(&error)
    );
    assert!(server.calls().is_empty());
}

#[tokio::test]
async fn disk_images_are_sent_too() -> Outcome {
    let server = server();
    let mut wanted = upload("pve01", "resources", "disk.qcow2");
    wanted.content = ContentKind::Import;
    let volume = client(&server)
        .upload(&wanted, &source(b"disk"), None)
        .await?;
    assert_eq!(
        (volume.volume_id.as_str(), volume.format.as_str()),
        ("resources:import/disk.qcow2", "qcow2")
    );
    Ok(())
}

#[tokio::test]
async fn an_existing_file_is_refused_unless_it_may_be_replaced() -> Outcome {
    let server = server();
    let path = server.put("pve01", "local", "iso", "x.iso", b"old")?;
    let client = client(&server);
    let mut wanted = upload("pve01", "local", "x.iso");
    let error = client
        .upload(&wanted, &source(b"content"), None)
        .await
        .expect_err("it exists");
    assert!(
        matches!(
            error.kind(),
            Kind::Exists {
                size_bytes: Some(3),
                ..
            }
        ),
        "{}",
        told(&error)
    );
    assert_eq!(read(&path), b"old");
    assert_eq!(server.count("POST", "/upload"), 0);
    wanted.is_replacing = true;
    client.upload(&wanted, &source(b"content"), None).await?;
    assert_eq!(read(&path), b"content");
    Ok(())
}

#[tokio::test]
async fn through_another_node_it_arrives_as_well() -> Outcome {
    let server = server();
    let mut settings = settings(&server);
    settings.node_endpoints.clear();
    let client = proxmox::Client::new(settings)?;
    client
        .upload(
            &upload("pve03", "local", "x.iso"),
            &source(b"content"),
            None,
        )
        .await?;
    assert_eq!(
        read(&server.path("pve03", "local", "iso", "x.iso")),
        b"content"
    );
    assert!(server.calls().iter().all(|call| call.node == "pve01"));
    Ok(())
}

#[tokio::test]
async fn to_the_node_itself_where_that_is_configured() -> Outcome {
    let server = server();
    client(&server)
        .upload(
            &upload("pve03", "local", "x.iso"),
            &source(b"content"),
            None,
        )
        .await?;
    assert!(server.calls().iter().all(|call| call.node == "pve03"));
    Ok(())
}

#[tokio::test]
async fn a_storage_that_lists_late_is_waited_for() -> Outcome {
    let server = server();
    server.lag_listings(5);
    client(&server)
        .upload(
            &upload("pve01", "resources", "x.iso"),
            &source(b"content"),
            None,
        )
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_storage_that_never_lists_it_is_told() {
    let server = server();
    server.lag_listings(1000);
    let error = client(&server)
        .upload(
            &upload("pve01", "resources", "x.iso"),
            &source(b"content"),
            None,
        )
        .await
        .expect_err("it is not listed");
    assert!(
        matches!(error.kind(), Kind::NotListed { volume_id } if volume_id == "resources:iso/x.iso"),
        "{}",
        told(&error)
    );
}

#[tokio::test]
async fn the_watcher_hears_of_all_bytes() -> Outcome {
    let server = server();
    let heard: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let watch: Watch = {
        let heard = Arc::clone(&heard);
        Arc::new(move |progress| heard.lock().expect("one watcher").push(progress))
    };
    let bytes = noise(2 << 20);
    client(&server)
        .upload(
            &upload("pve01", "local", "x.iso"),
            &source(&bytes),
            Some(watch),
        )
        .await?;
    let heard = heard.lock().expect("one watcher");
    let last = heard.last().expect("something");
    assert_eq!((last.done_bytes, last.total_bytes), (2 << 20, 2 << 20));
    assert_eq!(
        (last.node.as_str(), last.storage.as_str()),
        ("pve01", "local")
    );
    assert!(heard.is_sorted_by_key(|progress| progress.done_bytes));
    Ok(())
}

#[tokio::test]
async fn a_storage_that_cannot_take_it_is_told_before_a_byte_is_sent() {
    let server = server();
    server.set_available("local", 3);
    server.take_offline("isos", &[]);
    let client = client(&server);
    for (storage, content, wanted) in [
        (
            "local",
            ContentKind::Iso,
            "7 bytes are needed on storage local of node pve01, 3 are free",
        ),
        (
            "isos",
            ContentKind::Iso,
            "storage isos of node pve01 cannot be used: it is not active",
        ),
        (
            "isos",
            ContentKind::Import,
            "storage isos does not hold content of type import",
        ),
        (
            "rbd-vm",
            ContentKind::Iso,
            "storage rbd-vm does not hold content of type iso",
        ),
        ("nothing", ContentKind::Iso, "there is no storage nothing"),
    ] {
        let mut upload = upload("pve01", storage, "x.iso");
        if content == ContentKind::Import {
            upload.file_name = "x.qcow2".to_owned();
        }
        upload.content = content;
        let error = client
            .upload(&upload, &source(b"content"), None)
            .await
            .expect_err("it cannot take it");
        assert!(told(&error).contains(wanted), "{}", told(&error));
        assert!(told(&error).starts_with("upload x."), "{}", told(&error));
    }
    assert_eq!(server.received_bytes(), 0);
}

type Change = fn(&proxmox_server::Server);

#[tokio::test]
async fn what_the_server_finds_out_itself_has_the_same_kinds() {
    let server = spec(Spec {
        has_message_in_body: true,
        ..Spec::default()
    });
    // Between the look and the upload, things change: the source is opened just before.
    let server = Arc::new(server);
    let cases: [(Change, &str); 4] = [
        (
            |server| server.change_storage("local", |storage| storage.is_disabled = true),
            "storage local of node pve01 cannot be used: storage 'local' is disabled",
        ),
        (
            |server| {
                server.change_storage("local", |storage| {
                    storage.contents.retain(|kind| kind != "iso");
                });
            },
            "storage local does not hold content of type iso: storage 'local' does not support 'iso' content",
        ),
        (
            |server| server.change_storage("local", |storage| storage.kind = "rbd".to_owned()),
            "can't upload to storage type 'rbd'",
        ),
        (
            |server| server.set_upload_space("pve01", 3),
            "no space: write to temporary file failed - No space left on device",
        ),
    ];
    for (change, wanted) in cases {
        let kept = Arc::clone(&server);
        let source = Source::new(7, sha256(b"content"), move || {
            change(&kept);
            async { Ok(std::io::Cursor::new(b"content")) }
        });
        let error = client(&server)
            .upload(&upload("pve01", "local", "x.iso"), &source, None)
            .await
            .expect_err("it cannot take it");
        assert!(told(&error).contains(wanted), "{}", told(&error));
        server.change_storage("local", |storage| {
            *storage = proxmox_server::Storage::new("local", "dir", &["iso", "import"]);
        });
    }
}
