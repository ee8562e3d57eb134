//! Removing, and registries that do not let anything be written.

use registries::{Options, RegistryServer};
use registry::{Deleted, Digest, Error, Progress};

use crate::site::{Archive, anonymous, open, tag};

#[tokio::test]
async fn removes_a_tag_and_leaves_its_neighbour() {
    let options = Options {
        allows_delete: true,
        ..Options::default()
    };
    let server = RegistryServer::start(options).await;
    let registries = anonymous();
    let archive = Archive::of("one");
    let image = archive.image().await;
    let (one, neighbour) = (
        tag(server.host(), "x/installer:v1"),
        tag(server.host(), "x/installer:v1-too"),
    );
    for to in [&one, &neighbour] {
        registries
            .push(&image, to, false, &Progress::silent())
            .await
            .expect("made");
    }
    let other = Digest::of(b"another");
    let deleted = registries.delete(&one, Some(other)).await;
    assert_eq!(deleted.expect("an answer"), Deleted::Moved(image.digest()));
    let deleted = registries.delete(&one, Some(image.digest())).await;
    assert_eq!(deleted.expect("an answer"), Deleted::Done);
    let deleted = registries.delete(&one, None).await;
    assert_eq!(deleted.expect("an answer"), Deleted::Absent);
    assert_eq!(registries.look(&one).await.expect("an answer"), None);
    let found = registries.look(&neighbour).await.expect("an answer");
    assert!(found.is_some(), "the neighbour keeps the content");
    let at = one.repository().at(image.digest());
    let deleted = registries.delete(&at, None).await;
    assert_eq!(deleted.expect("an answer"), Deleted::Done);
    let found = registries.look(&neighbour).await.expect("an answer");
    assert_eq!(found, None, "by digest all tags go");
}

#[tokio::test]
async fn says_that_nothing_is_removed_here() {
    let server = open().await;
    let registries = anonymous();
    let archive = Archive::of("one");
    let image = archive.image().await;
    let to = tag(server.host(), "x/installer:v1");
    registries
        .push(&image, &to, false, &Progress::silent())
        .await
        .expect("made");
    for reference in [to.clone(), to.repository().at(image.digest())] {
        let deleted = registries.delete(&reference, None).await;
        let deleted = deleted.expect("an answer");
        assert!(matches!(deleted, Deleted::Disabled(_)), "{deleted:?}");
    }
    assert!(registries.look(&to).await.expect("an answer").is_some());
}

#[tokio::test]
async fn says_that_nothing_is_written_here() {
    let server = open().await;
    let registries = anonymous();
    let archive = Archive::of("one");
    let image = archive.image().await;
    let to = tag(server.host(), "x/installer:v1");
    let silent = Progress::silent();
    registries
        .push(&image, &to, false, &silent)
        .await
        .expect("made");
    let read_only = Options {
        is_read_only: true,
        ..Options::default()
    };
    let server = server.restart(read_only).await;
    let again = registries.push(&image, &to, false, &silent).await;
    again.expect("what is there is adopted also here");
    let to = tag(server.host(), "x/installer:v2");
    let error = registries
        .push(&image, &to, false, &silent)
        .await
        .expect_err("nothing is written");
    assert!(
        matches!(error, Error::Refused { status: 405, .. }),
        "{error}"
    );
    assert!(error.to_string().contains(server.host()), "{error}");
}
