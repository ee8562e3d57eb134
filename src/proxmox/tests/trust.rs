//! Whom the client talks to.

use proxmox::{Client, Kind, Trust};
use proxmox_server::Server;

use crate::support::{Outcome, fingerprint, server, settings, told};

fn trusting(server: &Server, trust: Trust) -> Client {
    let mut settings = settings(server);
    settings.trust = trust;
    Client::new(settings).expect("the settings are good")
}

#[tokio::test]
async fn trusts_a_ca_the_right_fingerprints_or_anybody() -> Outcome {
    let server = server();
    let pins = ["pve01", "pve02", "pve03"].map(|node| fingerprint(&server, node));
    for trust in [
        Trust::CaPem(server.ca_pem().to_owned()),
        Trust::Fingerprints(pins.to_vec()),
        Trust::Insecure,
    ] {
        let client = trusting(&server, trust);
        for node in ["pve01", "pve02", "pve03"] {
            client.storage_status(node, "local").await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn another_fingerprint_is_told_with_the_one_seen_and_not_asked_again() {
    let server = server();
    let client = trusting(
        &server,
        Trust::Fingerprints(vec![fingerprint(&server, "pve02")]),
    );
    let error = client
        .storage_status("pve01", "local")
        .await
        .expect_err("it is another");
    let seen = fingerprint(&server, "pve01");
    assert!(
        matches!(error.kind(), Kind::Fingerprint { seen: found } if *found == seen),
        "{}",
        told(&error)
    );
    assert!(told(&error).contains(server.fingerprint("pve01")));
    assert!(!error.is_transient());
    assert!(server.calls().is_empty());
}

#[tokio::test]
async fn a_certificate_of_an_unknown_ca_is_told_with_its_fingerprint() {
    let server = server();
    let other = crate::support::server();
    for trust in [Trust::SystemRoots, Trust::CaPem(other.ca_pem().to_owned())] {
        let error = trusting(&server, trust)
            .nodes()
            .await
            .expect_err("nobody vouches for it");
        let seen = fingerprint(&server, "pve01");
        assert!(
            matches!(error.kind(), Kind::Certificate { seen: found, .. } if *found == seen),
            "{}",
            told(&error)
        );
        assert!(error.hint().contains("/etc/pve/pve-root-ca.pem"));
    }
}

#[test]
fn settings_that_cannot_work_are_told_at_once() {
    let server = server();
    let settings = settings(&server);
    let refused = |change: &dyn Fn(&mut proxmox::Settings)| {
        let mut settings = settings.clone();
        change(&mut settings);
        let error = Client::new(settings).expect_err("it cannot work");
        assert!(
            matches!(error.kind(), Kind::Settings { .. }),
            "{}",
            told(&error)
        );
        told(&error)
    };
    assert!(refused(&|settings| settings.endpoint = "pve01:8006".to_owned()).contains("https://"));
    assert!(
        refused(&|settings| settings.endpoint = "http://pve01".to_owned()).contains("https://")
    );
    assert!(refused(&|settings| settings.trust = Trust::CaPem("x".to_owned())).contains("PEM"));
    refused(&|settings| settings.trust = Trust::Fingerprints(Vec::new()));
}

#[tokio::test]
async fn an_endpoint_may_have_a_path_and_a_slash() -> Outcome {
    let server = server();
    let mut settings = settings(&server);
    settings.endpoint = format!("{}/api2/json/", server.endpoint("pve01"));
    settings.node_endpoints.clear();
    Client::new(settings)?.nodes().await?;
    assert_eq!(server.calls()[0].path, "/nodes");
    Ok(())
}
