//! Tokens, tickets, and what becomes of them.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use proxmox::{Client, ContentKind, Credentials, Kind, Secret, Source};
use proxmox_server::{Account, Effect, Fault, ROOT, ROOT_PASSWORD, Server, Spec};

use crate::support::{
    Outcome, client, client_with_token, later, noise, server, settings, sha256, source, spec, told,
    upload,
};

fn with_password(server: &Server, user: &str, password: &str) -> Client {
    let mut settings = settings(server);
    settings.credentials = Credentials::UserPassword {
        user: user.to_owned(),
        password: Secret::new(password.to_owned()),
    };
    Client::new(settings).expect("the settings are good")
}

#[tokio::test]
async fn a_ticket_serves_many_calls_on_all_nodes_and_their_changes() -> Outcome {
    let server = server();
    let client = with_password(&server, ROOT, ROOT_PASSWORD);
    let looks = ["pve01", "pve02", "pve03"].map(|node| client.storage_status(node, "local"));
    for look in futures::future::join_all(looks).await {
        look?;
    }
    // The upload needs no token against forgery, the removal does.
    let source = source(b"content");
    client
        .upload(&upload("pve02", "local", "x.iso"), &source, None)
        .await?;
    let iso = ContentKind::Iso;
    assert!(
        client
            .delete("pve02", "local", iso, "x.iso", later())
            .await?
    );
    assert_eq!(server.count("POST", "/access/ticket"), 1);
    Ok(())
}

#[tokio::test]
async fn an_expired_ticket_is_renewed_for_reading_and_for_sending() -> Outcome {
    let server = server();
    let client = with_password(&server, ROOT, ROOT_PASSWORD);
    client.list("pve01", "local", None).await?;
    server.expire_tickets();
    client.list("pve01", "local", None).await?;
    assert_eq!(server.count("POST", "/access/ticket"), 2);
    // It expires between the looks before an upload and the upload itself.
    let bytes = noise(3 << 20);
    let server = Arc::new(server);
    let opened = Arc::new(AtomicU32::new(0));
    let expiring = Source::new(bytes.len() as u64, sha256(&bytes), {
        let (server, opened) = (Arc::clone(&server), Arc::clone(&opened));
        move || {
            if opened.fetch_add(1, Ordering::SeqCst) == 0 {
                server.expire_tickets();
            }
            let bytes = bytes.clone();
            async move { Ok(std::io::Cursor::new(bytes)) }
        }
    });
    client
        .upload(&upload("pve01", "local", "x.iso"), &expiring, None)
        .await?;
    assert_eq!(opened.load(Ordering::SeqCst), 2);
    assert_eq!(server.count("POST", "/access/ticket"), 3);
    Ok(())
}

#[tokio::test]
async fn a_new_ticket_that_is_refused_as_well_has_expired_for_good() {
    let server = server();
    let refused = Effect::Answer(401, "permission denied - invalid PVE ticket".to_owned());
    server.fault(Fault::once("/content", refused).times(2));
    let error = with_password(&server, ROOT, ROOT_PASSWORD)
        .list("pve01", "local", None)
        .await
        .expect_err("no ticket is taken");
    assert!(
        matches!(error.kind(), Kind::Expired { .. }),
        "{}",
        told(&error)
    );
    assert_eq!(server.count("POST", "/access/ticket"), 2);
}

#[tokio::test]
async fn a_wrong_password_is_refused_once() {
    let server = server();
    let error = with_password(&server, ROOT, "wrong")
        .list("pve01", "local", None)
        .await
        .expect_err("it is wrong");
    assert!(
        matches!(error.kind(), Kind::Unauthorized { .. }),
        "{}",
        told(&error)
    );
    assert!(told(&error).starts_with("log in at"), "{}", told(&error));
    assert!(
        told(&error).contains("authentication failure"),
        "{}",
        told(&error)
    );
    assert!(!told(&error).contains("wrong"), "{}", told(&error));
    assert_eq!(server.count("POST", "/access/ticket"), 1);
}

#[tokio::test]
async fn a_second_factor_is_told() {
    let mut account = Account::new("human@pve").password("secret");
    account.has_second_factor = true;
    let server = spec(Spec {
        accounts: vec![account],
        ..Spec::default()
    });
    let error = with_password(&server, "human@pve", "secret")
        .nodes()
        .await
        .expect_err("a program has none");
    assert!(
        matches!(error.kind(), Kind::SecondFactor),
        "{}",
        told(&error)
    );
    assert!(error.hint().contains("API token"));
}

#[tokio::test]
async fn an_expired_token_is_told_from_a_wrong_one() {
    let server = server();
    let good = client(&server);
    assert!(good.nodes().await.is_ok());
    server.expire_token("root@pam!lab");
    let error = good.nodes().await.expect_err("it has expired");
    assert!(
        matches!(error.kind(), Kind::Expired { .. }),
        "{}",
        told(&error)
    );
    let error = client_with_token(&server, "root@pam!other=secret")
        .nodes()
        .await
        .expect_err("it is wrong");
    assert!(
        matches!(error.kind(), Kind::Unauthorized { .. }),
        "{}",
        told(&error)
    );
    assert!(
        told(&error).contains("no such token 'other'"),
        "{}",
        told(&error)
    );
}

#[tokio::test]
async fn no_secret_is_in_what_is_printed() {
    let server = server();
    let password = with_password(&server, ROOT, "hunter2");
    let token = client_with_token(&server, "root@pam!lab=hunter2");
    for client in [password, token] {
        let error = client.nodes().await.expect_err("it is wrong");
        let printed = format!("{client:?} {error:?} {} {}", told(&error), error.hint());
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
