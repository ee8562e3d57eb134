//! Who is let in: by name and password, by token, by identity token, over TLS.

use std::fs;

use registries::{IDENTITY, Login, Options, PASSWORD, RegistryServer, USER};
use registry::{Credentials, Error, Keychain, Outcome, Progress, Registries, Secret, Settings};

use crate::site::{Archive, settings, tag};

fn as_user(password: &str) -> Credentials {
    Credentials::Basic {
        user: USER.to_owned(),
        password: Secret::new(password),
    }
}

fn client(host: &str, credentials: Credentials) -> Registries {
    let keychain = Keychain::anonymous().with(host, credentials);
    let settings = Settings {
        keychain,
        ..settings()
    };
    Registries::new(settings).expect("the settings are right")
}

async fn wanting(login: Login) -> RegistryServer {
    let options = Options {
        login,
        ..Options::default()
    };
    RegistryServer::start(options).await
}

async fn lets_in(login: Login) {
    let server = wanting(login).await;
    let archive = Archive::of("one");
    let image = archive.image().await;
    let to = tag(server.host(), "x/installer:v1");
    let silent = Progress::silent();
    let registries = client(server.host(), as_user(PASSWORD));
    let pushed = registries.push(&image, &to, false, &silent).await;
    assert_eq!(pushed.expect("let in").outcome, Outcome::Made);

    let stranger = client(server.host(), as_user("wrong"));
    let error = stranger.look(&to).await.expect_err("a wrong password");
    assert!(matches!(error, Error::Unauthorised { .. }), "{error}");
    assert!(error.to_string().contains("user \"ops\""), "{error}");
    assert!(error.hint().expect("a hint").contains("docker login"));
    let shown = format!("{error:?} {error}");
    assert!(!shown.contains("wrong\""), "{shown}");

    let nobody = client("another.example", as_user(PASSWORD));
    let error = nobody.look(&to).await.expect_err("no credentials");
    assert!(matches!(error, Error::Unauthorised { .. }), "{error}");
    assert!(error.to_string().contains("no credentials"), "{error}");
}

#[tokio::test]
async fn by_name_and_password() {
    lets_in(Login::Basic).await;
}

#[tokio::test]
async fn by_a_token_for_name_and_password() {
    lets_in(Login::Bearer).await;
}

#[tokio::test]
async fn by_an_identity_token() {
    let server = wanting(Login::Bearer).await;
    let archive = Archive::of("one");
    let image = archive.image().await;
    let to = tag(server.host(), "x/installer:v1");
    let identity = Credentials::Identity(Secret::new(IDENTITY));
    let registries = client(server.host(), identity);
    registries
        .push(&image, &to, false, &Progress::silent())
        .await
        .expect("let in");
    assert_eq!(server.tokens_given(), 1, "one token for all of it");
    let other = Credentials::Identity(Secret::new("another"));
    let error = client(server.host(), other).look(&to).await;
    let error = error.expect_err("another identity");
    assert!(matches!(error, Error::Unauthorised { .. }), "{error}");
}

#[tokio::test]
async fn by_the_file_that_docker_writes() {
    let server = wanting(Login::Basic).await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.json");
    let auth = "b3BzOmNvcnJlY3QgaG9yc2U6IGJhdHRlcnk=";
    let text = format!(
        r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#,
        server.host()
    );
    fs::write(&path, text).expect("written");
    let settings = Settings {
        keychain: Keychain::file(&path),
        ..settings()
    };
    let registries = Registries::new(settings).expect("the settings are right");
    let to = tag(server.host(), "x/installer:v1");
    assert_eq!(registries.look(&to).await.expect("let in"), None);
}

#[tokio::test]
async fn over_tls_with_a_ca_of_ones_own() {
    let options = Options {
        has_tls: true,
        ..Options::default()
    };
    let server = RegistryServer::start(options).await;
    let to = tag(server.host(), "x/installer:v1");
    let error = Registries::new(settings())
        .expect("the settings are right")
        .look(&to)
        .await
        .expect_err("the CA is not trusted");
    assert!(!error.is_transient(), "{error}");
    assert!(error.hint().expect("a hint").contains("CA file"), "{error}");
    let ca_pem = server.ca_pem().expect("it speaks TLS").as_bytes().to_vec();
    let trusting = Settings {
        ca_pem: Some(ca_pem),
        ..settings()
    };
    let registries = Registries::new(trusting).expect("the settings are right");
    let archive = Archive::of("one");
    let image = archive.image().await;
    registries
        .push(&image, &to, false, &Progress::silent())
        .await
        .expect("the CA is trusted");
}
