//! Copies from one registry to another, and within one.

use registries::{Catalog, Factory};
use registry::{Body, Error, Image, Outcome, Progress};

use crate::site::{anonymous, layers, open, pulled, tag};

#[tokio::test]
async fn an_index_comes_over_with_all_its_platforms() {
    let (one, other) = (open().await, open().await);
    let registries = anonymous();
    let directory = tempfile::tempdir().expect("a directory");
    let (amd64, arm64) = (layers("amd64"), layers("arm64"));
    registries::layout(directory.path(), &[("amd64", &amd64), ("arm64", &arm64)]);
    let image = Image::open(directory.path()).await.expect("our own layout");
    let from = tag(one.host(), "siderolabs/installer:v1");
    let silent = Progress::silent();
    registries
        .push(&image, &from, false, &silent)
        .await
        .expect("made");
    let to = tag(other.host(), "x/installer:mine");
    let copied = registries
        .copy(&from, &to, false, &silent)
        .await
        .expect("copied");
    assert_eq!(
        (copied.digest, copied.outcome),
        (image.digest(), Outcome::Made)
    );
    let index = registries.read(&to).await.expect("an answer");
    let Body::Index(index) = index.expect("it is there").body else {
        panic!("it is an index");
    };
    let arm64_at = to.repository().at(index.manifests[1].digest);
    let manifest = registries.read(&arm64_at).await.expect("an answer");
    let Body::Image(manifest) = manifest.expect("it is there").body else {
        panic!("it is an image");
    };
    let bytes = pulled(&registries, to.repository(), &manifest.layers[1]).await;
    assert_eq!(bytes, arm64[1].compressed);
    let by_digest = from.repository().at(image.digest());
    let again = registries.copy(&by_digest, &to, false, &silent).await;
    assert_eq!(again.expect("there").outcome, Outcome::Adopted);
}

#[tokio::test]
async fn within_a_registry_nothing_is_sent() {
    let server = open().await;
    let registries = anonymous();
    let directory = tempfile::tempdir().expect("a directory");
    registries::layout(directory.path(), &[("amd64", &layers("amd64"))]);
    let image = Image::open(directory.path()).await.expect("our own layout");
    let from = tag(server.host(), "x/one:v1");
    let silent = Progress::silent();
    registries
        .push(&image, &from, false, &silent)
        .await
        .expect("made");
    let to = tag(server.host(), "x/two:v1");
    let before = server.said_lines("PATCH");
    registries
        .copy(&from, &to, false, &silent)
        .await
        .expect("copied");
    assert_eq!(server.said_lines("PATCH"), before, "blobs were mounted");
    assert!(registries.look(&to).await.expect("an answer").is_some());
}

#[tokio::test]
async fn a_factorys_installer_comes_into_ones_own_registry() {
    let factory = Factory::start(&Catalog::default()).await;
    let own = open().await;
    let registries = anonymous();
    let url = format!("{}/schematics", factory.url());
    let client = reqwest::Client::builder().no_proxy().build();
    let post = client.expect("a client").post(url);
    let said = post.body("customization: {}\n").send().await;
    assert!(said.expect("an answer").status().is_success());
    let id = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";
    let from = tag(&factory.host(), &format!("nocloud-installer/{id}:v1.11.5"));
    let to = tag(own.host(), "x/installer:v1.11.5");
    let copied = registries
        .copy(&from, &to, false, &Progress::silent())
        .await
        .expect("copied");
    let there = registries.look(&from).await.expect("an answer");
    assert_eq!(Some(copied.digest), there.map(|found| found.digest));
    let unknown = tag(&factory.host(), &format!("nocloud-installer/{id}:v1.9.9"));
    let error = registries
        .copy(&unknown, &to, false, &Progress::silent())
        .await
        .expect_err("no such version");
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}
