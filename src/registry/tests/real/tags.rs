//! Tags: made, adopted, refused, replaced.

use registry::{
    Body, Descriptor, Digest, Error, Image, Outcome, Platform, Progress, Pushed, media_type,
};

use crate::site::{Archive, anonymous, layers, open, pulled, repository, tag};

#[tokio::test]
async fn puts_an_archive_as_it_is() {
    let server = open().await;
    let registries = anonymous();
    let image = Archive::of("one");
    let image = image.image().await;
    let to = tag(server.host(), "x/installer:v1.11.5");
    assert_eq!(registries.look(&to).await.expect("an answer"), None);
    assert_eq!(
        registries
            .tags(to.repository())
            .await
            .expect("an empty list"),
        Vec::<String>::new()
    );
    let pushed = registries
        .push(&image, &to, false, &Progress::silent())
        .await
        .expect("made");
    assert_eq!(pushed.outcome, Outcome::Made);
    assert_eq!(pushed.digest, image.digest());
    let found = registries.look(&to).await.expect("an answer");
    let found = found.expect("it is there");
    assert_eq!(found.digest, pushed.digest);
    assert_eq!(found.media_type.as_deref(), Some(media_type::MANIFEST));
    let manifest = registries.read(&to).await.expect("an answer");
    let manifest = manifest.expect("it is there");
    assert_eq!(&manifest, image.manifest());
    let Body::Image(body) = &manifest.body else {
        panic!("it is one image");
    };
    for (descriptor, layer) in body.layers.iter().zip(layers("one")) {
        let bytes = pulled(&registries, to.repository(), descriptor).await;
        assert_eq!(bytes, layer.compressed);
    }
    let tags = registries.tags(to.repository()).await;
    assert_eq!(tags.expect("a list"), ["v1.11.5"]);
}

#[tokio::test]
async fn adopts_the_same_and_refuses_the_other() {
    let server = open().await;
    let registries = anonymous();
    let (one, other) = (Archive::of("one"), Archive::of("other"));
    let (one, other) = (one.image().await, other.image().await);
    let to = tag(server.host(), "x/installer:v1");
    let silent = Progress::silent();
    registries
        .push(&one, &to, false, &silent)
        .await
        .expect("made");
    let again = registries
        .push(&one, &to, false, &silent)
        .await
        .expect("there");
    assert_eq!(again.outcome, Outcome::Adopted);
    let stored = server.stored_bytes();
    let error = registries
        .push(&other, &to, false, &silent)
        .await
        .expect_err("other content");
    let Error::OtherContent { found, wanted, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!((*found, *wanted), (one.digest(), other.digest()));
    assert!(error.hint().expect("a hint").contains("another tag"));
    assert_eq!(server.stored_bytes(), stored, "nothing was sent");
    let replaced = registries
        .push(&other, &to, true, &silent)
        .await
        .expect("allowed");
    assert_eq!(
        replaced,
        Pushed {
            digest: other.digest(),
            outcome: Outcome::Replaced(one.digest())
        }
    );
    let at = to.repository().at(one.digest());
    let old = registries.look(&at).await.expect("an answer");
    assert!(old.is_some(), "by digest the old one is still there");
}

#[tokio::test]
async fn adopts_what_another_tool_pushed_from_the_same_archive() {
    let server = open().await;
    let registries = anonymous();
    let archive = Archive::of("one");
    let image = archive.image().await;
    let to = tag(server.host(), "x/installer:v1");
    let silent = Progress::silent();
    let first = tag(server.host(), "x/installer:by-us");
    registries
        .push(&image, &first, false, &silent)
        .await
        .expect("made");
    // The same configuration and layers, with the types that docker's own tools write.
    let ours = String::from_utf8(image.manifest().bytes.clone()).expect("JSON is text");
    let theirs = ours
        .replace(media_type::MANIFEST, media_type::DOCKER_MANIFEST)
        .replace(
            media_type::LAYER_GZIP,
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        )
        .replace(
            media_type::CONFIG,
            "application/vnd.docker.container.image.v1+json",
        );
    let url = format!("http://{}/v2/x/installer/manifests/v1", server.host());
    let put = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
        .put(url)
        .header("content-type", media_type::DOCKER_MANIFEST)
        .body(theirs.clone())
        .send()
        .await
        .expect("an answer");
    assert!(put.status().is_success());
    let adopted = registries
        .push(&image, &to, false, &silent)
        .await
        .expect("the same");
    assert_eq!(
        adopted,
        Pushed {
            digest: Digest::of(theirs.as_bytes()),
            outcome: Outcome::Adopted
        }
    );
}

#[tokio::test]
async fn puts_a_layout_of_several_platforms() {
    let server = open().await;
    let registries = anonymous();
    let directory = tempfile::tempdir().expect("a directory");
    let (amd64, arm64) = (layers("amd64"), layers("arm64"));
    registries::layout(directory.path(), &[("amd64", &amd64), ("arm64", &arm64)]);
    let image = Image::open(directory.path()).await.expect("our own layout");
    assert_eq!(image.platforms(), ["linux/amd64", "linux/arm64"]);
    let to = tag(server.host(), "x/installer:v1");
    let pushed = registries
        .push(&image, &to, false, &Progress::silent())
        .await
        .expect("made");
    let index = registries.read(&to).await.expect("an answer");
    let index = index.expect("it is there");
    assert_eq!(index.digest(), pushed.digest);
    let Body::Index(index) = index.body else {
        panic!("it is an index");
    };
    let platforms: Vec<Option<Platform>> = index
        .manifests
        .iter()
        .map(|descriptor| descriptor.platform.clone())
        .collect();
    let platform = |architecture: &str| {
        Some(Platform {
            architecture: architecture.into(),
            os: "linux".into(),
            variant: None,
        })
    };
    assert_eq!(platforms, [platform("amd64"), platform("arm64")]);
    let again = registries
        .push(&image, &to, false, &Progress::silent())
        .await;
    assert_eq!(again.expect("there").outcome, Outcome::Adopted);
}

#[tokio::test]
async fn tells_absent_from_failed() {
    let mut server = open().await;
    let registries = anonymous();
    let to = tag(server.host(), "x/installer:v1");
    assert_eq!(registries.look(&to).await.expect("an answer"), None);
    assert!(registries.read(&to).await.expect("an answer").is_none());
    let nothing = Descriptor::of("x", b"nothing");
    let error = registries
        .pull_blob(
            &repository(server.host(), "x/installer"),
            &nothing,
            &mut Vec::new(),
            &Progress::silent(),
        )
        .await
        .expect_err("it is not there");
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    server.stop().await;
    let error = registries.look(&to).await.expect_err("nobody answers");
    assert!(error.is_unreachable() && error.is_transient(), "{error}");
    assert!(error.to_string().contains(server.host()), "{error}");
}
