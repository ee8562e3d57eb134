//! What a login lacks is known before, and told after.

use proxmox::{Action, ContentKind, Kind, Missing};
use proxmox_server::{Account, Grant, Spec, Token};

use crate::support::{
    Outcome, client, client_with_token, later, noise, source, spec, told, upload,
};

const ALL: [Action; 4] = [
    Action::List,
    Action::Upload,
    Action::Download,
    Action::Delete,
];

fn account() -> Account {
    Account::new("ci@pve")
        .grant(
            "/storage/resources",
            &["Datastore.Audit", "Datastore.AllocateTemplate"],
        )
        .token("main", "secret")
}

#[tokio::test]
async fn says_what_lacks_for_each_action() -> Outcome {
    let server = spec(Spec {
        accounts: vec![account()],
        ..Spec::default()
    });
    let client = client_with_token(&server, "ci@pve!main=secret");
    let missing = client.missing("pve01", "resources", &ALL).await?;
    let told: Vec<_> = missing.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "Sys.AccessNetwork on /nodes/pve01",
            "Datastore.Allocate on /storage/resources",
        ]
    );
    assert_eq!(
        client
            .missing("pve01", "local", &[Action::List])
            .await?
            .len(),
        1
    );
    Ok(())
}

#[tokio::test]
async fn nothing_lacks_for_root_and_the_older_pair_is_as_good() -> Outcome {
    let server = spec(Spec {
        accounts: vec![
            Account::new("old@pve")
                .grant("/", &["Sys.Audit", "Sys.Modify"])
                .grant("/storage/local", &["Datastore.AllocateTemplate"])
                .token("main", "secret"),
        ],
        ..Spec::default()
    });
    let old = client_with_token(&server, "old@pve!main=secret");
    assert!(
        old.missing("pve01", "local", &[Action::Download])
            .await?
            .is_empty()
    );
    let server = crate::support::server();
    assert!(
        client(&server)
            .missing("pve01", "local", &ALL)
            .await?
            .is_empty()
    );
    Ok(())
}

#[tokio::test]
async fn a_token_of_its_own_needs_the_privilege_as_well_as_its_user() -> Outcome {
    let mut account = account();
    account.tokens.push(Token {
        id: "small".to_owned(),
        secret: "secret".to_owned(),
        grants: Some(vec![Grant::new(
            "/storage/resources",
            &["Datastore.Audit", "Sys.Audit"],
        )]),
    });
    let server = spec(Spec {
        accounts: vec![account],
        ..Spec::default()
    });
    let client = client_with_token(&server, "ci@pve!small=secret");
    assert_eq!(
        client.privileges("/storage/resources").await?,
        ["Datastore.Audit"]
    );
    Ok(())
}

#[tokio::test]
async fn a_refusal_names_privilege_and_object_and_nothing_is_sent() -> Outcome {
    let server = spec(Spec {
        accounts: vec![
            Account::new("reader@pve")
                .grant("/storage", &["Datastore.Audit"])
                .token("main", "secret"),
        ],
        ..Spec::default()
    });
    server.put("pve01", "resources", "iso", "old.iso", b"old")?;
    let client = client_with_token(&server, "reader@pve!main=secret");
    let error = client
        .upload(
            &upload("pve01", "resources", "x.iso"),
            &source(b"content"),
            None,
        )
        .await
        .expect_err("it may only look");
    let Kind::Forbidden(Missing { privileges, path }) = error.kind() else {
        panic!("{}", told(&error));
    };
    assert_eq!(privileges, &["Datastore.AllocateTemplate"]);
    assert_eq!(path, "/storage/resources");
    assert!(
        error
            .hint()
            .contains("grant Datastore.AllocateTemplate on /storage/resources")
    );
    let error = client
        .delete("pve01", "resources", ContentKind::Iso, "old.iso", later())
        .await
        .expect_err("it may only look");
    assert!(
        told(&error).contains("lacks Datastore.Allocate on /storage/resources"),
        "{}",
        told(&error)
    );
    assert_eq!(server.files().len(), 1);
    // A refusal in the middle of many bytes may get lost with the connection; it is found out.
    let error = client
        .upload(
            &upload("pve01", "resources", "x.iso"),
            &source(&noise(32 << 20)),
            None,
        )
        .await
        .expect_err("it may only look");
    assert!(
        matches!(error.kind(), Kind::Forbidden(Missing { privileges, .. }) if privileges == &["Datastore.AllocateTemplate"]),
        "{}",
        told(&error)
    );
    Ok(())
}
