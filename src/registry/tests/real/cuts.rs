//! Connections that break.

use std::fs;

use registries::Cut;
use registry::{Artifact, Error, Progress, Registries, Settings, hash};

use crate::site::{anonymous, open, pulled, settings, tag};

/// Bytes of a file that does not fit into the buffers on its way.
const SIZE: u64 = 64 << 20;

fn artifact(path: &std::path::Path) -> Artifact {
    Artifact {
        path: path.to_owned(),
        known: None,
        artifact_type: "application/vnd.example.boot-image.v1".to_owned(),
        media_type: "application/octet-stream".to_owned(),
        file_name: "x.raw".to_owned(),
        annotations: std::collections::BTreeMap::new(),
    }
}

#[tokio::test]
async fn an_upload_goes_on_where_it_broke() {
    let server = open().await;
    let cut = Cut::to(server.host()).await;
    let registries = anonymous();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("x.raw");
    let file = fs::File::create(&path).expect("a file");
    file.set_len(SIZE).expect("a hole");
    let to = tag(&cut.host(), "x/images:v1");
    cut.after_sending(40 << 20);
    registries
        .push_artifact(&artifact(&path), &to, false, &Progress::silent())
        .await
        .expect("taken up again");
    assert_eq!(cut.breaks(), 1);
    assert!(
        cut.sent() < SIZE + SIZE / 2,
        "{} bytes went over the way: it began anew",
        cut.sent()
    );
    let direct = tag(server.host(), "x/images:v1");
    let found = registries.find_artifact(&direct).await.expect("an answer");
    assert_eq!(found.expect("it is there").file.size, SIZE);
}

#[tokio::test]
async fn a_download_goes_on_where_it_broke() {
    let server = open().await;
    let cut = Cut::to(server.host()).await;
    let registries = anonymous();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("x.raw");
    let content: Vec<u8> = (0..SIZE / 8).flat_map(u64::to_le_bytes).collect();
    fs::write(&path, &content).expect("written");
    let direct = tag(server.host(), "x/images:v1");
    registries
        .push_artifact(&artifact(&path), &direct, false, &Progress::silent())
        .await
        .expect("made");
    let found = registries.find_artifact(&direct).await.expect("an answer");
    let file = found.expect("it is there").file;
    cut.after_receiving(40 << 20);
    let by_cut = tag(&cut.host(), "x/images:v1");
    let bytes = pulled(&registries, by_cut.repository(), &file).await;
    assert_eq!(cut.breaks(), 1);
    assert!(bytes == content, "the content is whole");
}

#[tokio::test]
async fn a_way_that_never_holds_is_an_error_and_leaves_no_tag() {
    let server = open().await;
    let cut = Cut::to(server.host()).await;
    let registries = Registries::new(Settings {
        retries: 1,
        ..settings()
    })
    .expect("the settings are right");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("x.raw");
    let file = fs::File::create(&path).expect("a file");
    file.set_len(SIZE).expect("a hole");
    let known = hash(&path, &Progress::silent()).await.expect("read");
    let artifact = Artifact {
        known: Some(known),
        ..artifact(&path)
    };
    let to = tag(&cut.host(), "x/images:v1");
    cut.always_after_sending(3000);
    let error = registries
        .push_artifact(&artifact, &to, false, &Progress::silent())
        .await
        .expect_err("it always breaks");
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    let direct = tag(server.host(), "x/images:v1");
    let look = anonymous().look(&direct).await;
    assert_eq!(look.expect("an answer"), None);
    // The next try completes.
    anonymous()
        .push_artifact(&artifact, &direct, false, &Progress::silent())
        .await
        .expect("made");
}
