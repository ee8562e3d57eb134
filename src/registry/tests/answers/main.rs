//! What no registry at hand answers on demand: limits, immutable tags, redirects, odd and hostile answers.

mod server;

use std::time::Duration;

use registry::{
    Credentials, Deleted, Descriptor, Digest, Error, Keychain, Progress, Reference, Registries,
    Repository, Secret, Settings,
};
use server::{Answer, Server};

fn client(host: &str) -> Registries {
    let credentials = Credentials::Basic {
        user: "ops".to_owned(),
        password: Secret::new("hunter2"),
    };
    Registries::new(Settings {
        keychain: Keychain::anonymous().with(host, credentials),
        retries: 2,
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_secs(1),
        patience: Duration::from_secs(2),
        ..Settings::default()
    })
    .expect("the settings are right")
}

fn tag(host: &str) -> Reference {
    format!("{host}/x/y:v1").parse().expect("a reference")
}

fn repository(host: &str) -> Repository {
    format!("{host}/x/y").parse().expect("a repository")
}

/// The answer to a look at a tag that is there.
fn found(content: &str) -> Answer {
    Answer::status(200).header("docker-content-digest", &Digest::of(content.as_bytes()))
}

async fn artifact(host: &str, path: &std::path::Path) -> Result<registry::Pushed, Error> {
    let artifact = registry::Artifact {
        path: path.to_owned(),
        known: None,
        artifact_type: "application/vnd.example.x".to_owned(),
        media_type: "application/octet-stream".to_owned(),
        file_name: "x".to_owned(),
        annotations: std::collections::BTreeMap::new(),
    };
    client(host)
        .push_artifact(&artifact, &tag(host), false, &Progress::silent())
        .await
}

#[tokio::test]
async fn waits_as_long_as_it_is_asked_to() {
    let busy = || Answer::status(429).header("retry-after", &0);
    let server = Server::of([busy(), busy(), found("a")]).await;
    let look = client(&server.host()).look(&tag(&server.host())).await;
    assert_eq!(
        look.expect("after two pauses").map(|found| found.digest),
        Some(Digest::of(b"a"))
    );
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn does_not_wait_for_an_hour() {
    let server = Server::of([Answer::status(429).header("retry-after", &3600)]).await;
    let error = client(&server.host()).look(&tag(&server.host())).await;
    let error = error.expect_err("too long");
    assert!(
        matches!(error, Error::RateLimited { retry_after: Some(pause), .. } if pause.as_secs() == 3600),
        "{error}"
    );
    assert!(error.to_string().contains("3600 s"), "{error}");
}

#[tokio::test]
async fn a_fault_that_stays_is_told() {
    let server = Server::of([502, 503, 500].map(Answer::status)).await;
    let error = client(&server.host()).look(&tag(&server.host())).await;
    let error = error.expect_err("three faults");
    assert!(matches!(error, Error::Fault { status: 500, .. }), "{error}");
    assert!(error.is_unreachable() && error.is_transient());
}

#[tokio::test]
async fn a_server_that_says_nothing_is_silent() {
    let server = Server::of([Answer::silence()]).await;
    let registries = Registries::new(Settings {
        keychain: Keychain::anonymous(),
        retries: 0,
        patience: Duration::from_millis(200),
        ..Settings::default()
    });
    let registries = registries.expect("the settings are right");
    let error = registries.look(&tag(&server.host())).await;
    let error = error.expect_err("nothing comes");
    assert!(matches!(error, Error::Silent { .. }), "{error}");
}

#[tokio::test]
async fn a_tag_that_may_not_be_moved_is_told_apart_from_one_that_we_may_not_write() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("x");
    std::fs::write(&path, b"content").expect("written");
    let before = |last: Answer| {
        vec![
            // The tag, both blobs, the tag again.
            Answer::status(404),
            Answer::status(200),
            Answer::status(200),
            Answer::status(404),
            last,
        ]
    };
    let immutable = r#"{"errors":[{"code":"PRECONDITION","message":"configured as immutable"}]}"#;
    let server = Server::of(before(Answer::status(412).body(immutable))).await;
    let error = artifact(&server.host(), &path).await;
    let error = error.expect_err("it may not be moved");
    assert!(matches!(error, Error::Immutable { .. }), "{error}");
    assert!(error.hint().expect("a hint").contains("another tag"));
    let denied = r#"{"errors":[{"code":"DENIED","message":"requested access is denied"}]}"#;
    let server = Server::of(before(Answer::status(403).body(denied))).await;
    let error = artifact(&server.host(), &path).await;
    let error = error.expect_err("we may not");
    assert!(matches!(error, Error::Denied { .. }), "{error}");
    let last = server.requests().pop().expect("five requests");
    assert!(last.starts_with("PUT /v2/x/y/manifests/v1 "), "{last}");
}

#[tokio::test]
async fn a_second_writer_is_seen_before_the_tag_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("x");
    std::fs::write(&path, b"content").expect("written");
    let other = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let index = "application/vnd.oci.image.index.v1+json";
    let server = Server::of([
        Answer::status(404),
        Answer::status(200),
        Answer::status(200),
        found(other),
        Answer::status(200)
            .header("content-type", &index)
            .body(other),
    ])
    .await;
    let error = artifact(&server.host(), &path).await;
    let error = error.expect_err("somebody was quicker");
    assert!(matches!(error, Error::OtherContent { .. }), "{error}");
    let requests = server.requests();
    assert!(!requests.iter().any(|request| request.starts_with("PUT")));
}

#[tokio::test]
async fn what_is_secret_to_the_registry_is_told_to_nobody_else() {
    let store = Server::of([Answer::status(200).body("content")]).await;
    let basic = Answer::status(401).header("www-authenticate", &"Basic realm=\"x\"");
    let place = format!("http://{}/stored", store.host());
    let server = Server::of([basic, Answer::status(307).header("location", &place)]).await;
    let mut bytes = Vec::new();
    let descriptor = Descriptor::of("x", b"content");
    client(&server.host())
        .pull_blob(
            &repository(&server.host()),
            &descriptor,
            &mut bytes,
            &Progress::silent(),
        )
        .await
        .expect("it is where the registry says");
    assert_eq!(bytes, b"content");
    let asked = server.requests();
    assert!(!asked[0].contains("authorization"), "{}", asked[0]);
    let shown = "authorization: Basic b3BzOmh1bnRlcjI=";
    assert!(asked[1].contains(shown), "{}", asked[1]);
    let stored = store.requests();
    assert!(!stored[0].contains("authorization"), "{}", stored[0]);
}

#[tokio::test]
async fn an_upload_that_goes_elsewhere_goes_without_our_credentials() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("x");
    std::fs::write(&path, b"content").expect("written");
    let store = Server::of([]).await;
    let place = format!("http://{}/upload?state=a%2Fb", store.host());
    store.then([
        Answer::status(202).header("location", &place),
        Answer::status(201),
        Answer::status(202).header("location", &place),
        Answer::status(201),
    ]);
    let basic = Answer::status(401).header("www-authenticate", &"Basic realm=\"x\"");
    let begun = || Answer::status(202).header("location", &place);
    let server = Server::of([
        basic,
        Answer::status(404),
        Answer::status(404),
        begun(),
        Answer::status(404),
        begun(),
        Answer::status(404),
        Answer::status(201),
    ])
    .await;
    artifact(&server.host(), &path).await.expect("made");
    let stored = store.requests();
    assert!(stored[0].starts_with("PATCH /upload?state=a%2Fb "));
    assert!(stored[1].starts_with("PUT /upload?state=a%2Fb&digest=sha256%3A"));
    let shown = stored
        .iter()
        .any(|request| request.contains("authorization"));
    assert!(!shown, "{stored:?}");
}

#[tokio::test]
async fn a_stranger_that_we_are_sent_to_does_not_get_to_ask_who_we_are() {
    let wants = "Bearer realm=\"http://127.0.0.1:1/token\"";
    let stranger = Server::of([Answer::status(401).header("www-authenticate", &wants)]).await;
    let place = format!("http://{}/x", stranger.host());
    let server = Server::of([Answer::status(307).header("location", &place)]).await;
    let error = client(&server.host()).read(&tag(&server.host())).await;
    let error = error.expect_err("not let in");
    assert!(matches!(error, Error::Unauthorised { .. }), "{error}");
}

#[tokio::test]
async fn content_that_is_not_what_was_asked_for_is_found() {
    let wrong = || Answer::status(200).body("c0ntent");
    let server = Server::of([wrong()]).await;
    let registries = client(&server.host());
    let descriptor = Descriptor::of("x", b"content");
    let error = registries
        .pull_blob(
            &repository(&server.host()),
            &descriptor,
            &mut Vec::new(),
            &Progress::silent(),
        )
        .await
        .expect_err("another content");
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    server.then([Answer::status(200).body("content and more")]);
    let error = registries
        .pull_blob(
            &repository(&server.host()),
            &descriptor,
            &mut Vec::new(),
            &Progress::silent(),
        )
        .await
        .expect_err("too much");
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    server.then([found("another")]);
    let at = repository(&server.host()).at(Digest::of(b"content"));
    let error = registries.look(&at).await.expect_err("another digest");
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
}

#[tokio::test]
async fn a_registry_that_does_not_say_the_digest_is_read() {
    let text = r#"{"schemaVersion":2,"manifests":[]}"#;
    let server = Server::of([Answer::status(200), Answer::status(200).body(text)]).await;
    let look = client(&server.host()).look(&tag(&server.host())).await;
    let found = look.expect("an answer").expect("it is there");
    assert_eq!(found.digest, Digest::of(text.as_bytes()));
}

#[tokio::test]
async fn a_registry_that_cannot_remove_a_tag_alone_keeps_it() {
    let no = r#"{"errors":[{"code":"UNSUPPORTED","message":"The operation is unsupported."}]}"#;
    let server = Server::of([found("a"), Answer::status(400).body(no)]).await;
    let deleted = client(&server.host())
        .delete(&tag(&server.host()), None)
        .await
        .expect("an answer");
    let Deleted::Disabled(says) = deleted else {
        panic!("{deleted:?}");
    };
    assert!(says.contains("unsupported"), "{says}");
    assert_eq!(server.requests().len(), 2, "nothing is removed by digest");
}

#[tokio::test]
async fn what_is_no_registry_is_told() {
    let page = || Answer::status(200).body("<html>welcome</html>");
    let server = Server::of([page()]).await;
    let error = client(&server.host()).read(&tag(&server.host())).await;
    let error = error.expect_err("a page");
    assert!(matches!(error, Error::Manifest { .. }), "{error}");
    server.then([page()]);
    let registries = client(&server.host());
    let error = registries.tags(&repository(&server.host())).await;
    let error = error.expect_err("a page");
    assert!(error.to_string().contains("no list of tags"), "{error}");
}
