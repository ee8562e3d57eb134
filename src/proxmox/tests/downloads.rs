//! Files that a node fetches by itself.

use std::{
    io::Write as _,
    sync::{Arc, Mutex},
};

use proxmox::{Client, Compression, ContentKind, Download, Error, Kind, Volume, Watch};
use proxmox_server::{Files, TaskEnd};

use crate::support::{Outcome, client, later, noise, read, server, sha256, told};

fn download(url: String) -> Download {
    Download {
        node: "pve02".to_owned(),
        storage: "local".to_owned(),
        content: ContentKind::Iso,
        file_name: "x.iso".to_owned(),
        url,
        sha256: None,
        compression: None,
        is_certificate_verified: true,
        size_bytes: None,
        deadline: later(),
    }
}

async fn fetch(client: &Client, wanted: &Download) -> Result<Volume, Error> {
    client.download_url(wanted, None).await
}

#[tokio::test]
async fn a_node_fetches_checks_and_tells_how_far_it_is() -> Outcome {
    let server = server();
    server.slow_tasks(3);
    let bytes = noise(1 << 20);
    let files = Files::new(&bytes).await?;
    let mut wanted = download(files.url("x.iso"));
    wanted.sha256 = Some(sha256(&bytes));
    wanted.size_bytes = Some(bytes.len() as u64);
    let heard: Arc<Mutex<Vec<u64>>> = Arc::default();
    let watch: Watch = {
        let heard = Arc::clone(&heard);
        Arc::new(move |progress| heard.lock().expect("one watcher").push(progress.done_bytes))
    };
    let volume = client(&server).download_url(&wanted, Some(watch)).await?;
    assert_eq!(volume.volume_id, "local:iso/x.iso");
    assert!(read(&server.path("pve02", "local", "iso", "x.iso")) == bytes);
    let heard = heard.lock().expect("one watcher");
    assert!(
        heard.iter().all(|done| *done <= bytes.len() as u64),
        "{heard:?}"
    );
    Ok(())
}

#[tokio::test]
async fn the_same_file_is_kept_and_another_refused() -> Outcome {
    let server = server();
    let client = client(&server);
    let path = server.put("pve02", "local", "iso", "x.iso", b"content")?;
    let files = Files::new(b"CONTENT").await?;
    let mut wanted = download(files.url("x.iso"));
    wanted.sha256 = Some(sha256(b"content"));
    fetch(&client, &wanted).await?;
    assert_eq!(read(&path), b"content");
    for sha256 in [None, Some(sha256(b"CONTENT"))] {
        wanted.sha256 = sha256;
        let error = fetch(&client, &wanted)
            .await
            .expect_err("another file is there");
        assert!(
            matches!(error.kind(), Kind::Exists { volume_id, .. } if volume_id == "local:iso/x.iso"),
            "{}",
            told(&error)
        );
        assert!(
            told(&error).starts_with("have node pve02 fetch x.iso"),
            "{}",
            told(&error)
        );
        assert_eq!(read(&path), b"content");
    }
    Ok(())
}

#[tokio::test]
async fn other_bytes_than_wanted_are_not_kept() -> Outcome {
    let server = server();
    let files = Files::new(b"CONTENT").await?;
    let mut wanted = download(files.url("x.iso"));
    wanted.sha256 = Some(sha256(b"content"));
    let error = fetch(&client(&server), &wanted)
        .await
        .expect_err("they are others");
    assert!(
        matches!(error.kind(), Kind::Checksum { .. }),
        "{}",
        told(&error)
    );
    assert!(server.files().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_url_that_gives_nothing_is_told_with_the_log() -> Outcome {
    let server = server();
    let files = Files::new(b"").await?;
    let error = fetch(&client(&server), &download(files.url("missing")))
        .await
        .expect_err("nothing is there");
    assert!(
        told(&error).contains("download failed: ERROR 404: Not Found."),
        "{}",
        told(&error)
    );
    let mut wanted = download(files.url("x"));
    wanted.url = "ftp://127.0.0.1/x".to_owned();
    let error = fetch(&client(&server), &wanted)
        .await
        .expect_err("it is no such URL");
    let Kind::Parameter { fields, .. } = error.kind() else {
        panic!("{}", told(&error));
    };
    assert!(fields.contains_key("url"));
    Ok(())
}

#[tokio::test]
async fn a_download_that_breaks_leaves_nothing() -> Outcome {
    let server = server();
    let files = Files::new(&noise(1 << 20)).await?;
    server.end_task(
        "download",
        TaskEnd::Halfway("Read error at byte 524288".to_owned()),
    );
    let error = fetch(&client(&server), &download(files.url("x.iso")))
        .await
        .expect_err("it breaks");
    assert!(
        matches!(error.kind(), Kind::Task { .. }),
        "{}",
        told(&error)
    );
    assert!(server.files().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_packed_image_is_unpacked_on_the_node() -> Outcome {
    let server = server();
    let packed = pack(b"content")?;
    let files = Files::new(&packed).await?;
    let mut wanted = download(files.url("x.img.gz"));
    wanted.file_name = "x.img".to_owned();
    wanted.sha256 = Some(sha256(&packed));
    wanted.compression = Some(Compression::Gzip);
    fetch(&client(&server), &wanted).await?;
    assert_eq!(
        read(&server.path("pve02", "local", "iso", "x.img")),
        b"content"
    );
    Ok(())
}

fn pack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes)?;
    packer.finish()
}
