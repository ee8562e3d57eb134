//! A certificate renews itself with the names it has, and stays as it is where it cannot.

use lab::Release;
use serde_json::json;

use crate::{
    authority::{CLUSTER, CLUSTER_ID, KEY, OWNER, PORT, ROOT, UNIT, fact, request, start},
    proto::{
        CertificateFact, CertificateQuery, File, InstallCertificateRequest, ObserveRequest,
        Outcome, RenewCertificateRequest, control_unit_request::Verb, failure::Kind,
        item::Item as Wish,
    },
    station::{HELPER, Station, plain_file, refused},
};

const PATH: &str = "/etc/etcd/ssl/etcd-k8s-1-peer.crt";
const ISSUER: &str = "/etc/etcd/issuers/main.json";

/// The certificate on the host, after the real step has found it good.
async fn certificate(station: &mut Station) -> CertificateFact {
    station.root(&[
        "/opt/bin/step",
        "certificate",
        "verify",
        PATH,
        "--roots",
        ROOT,
    ]);
    let query = CertificateQuery {
        path: PATH.to_owned(),
        key_path: KEY.to_owned(),
        ..CertificateQuery::default()
    };
    let request = ObserveRequest {
        certificates: vec![query],
        ..ObserveRequest::default()
    };
    let seen = station.node.observe(request).await.expect("facts");
    let seen = seen.into_inner().certificates.remove(0);
    assert!(seen.key_matches && seen.error.is_empty(), "{seen:?}");
    seen
}

fn names(fact: &CertificateFact) -> (&str, &[String], &[String]) {
    (&fact.common_name, &fact.dns_names, &fact.ip_addresses)
}

/// Has the CA sign and puts the chain beside its key.
async fn issue(station: &mut Station) {
    let wish = request(station).await;
    let signed = station.node.sign(wish).await.expect("signed").into_inner();
    let request = InstallCertificateRequest {
        owner: CLUSTER.to_owned(),
        id: CLUSTER_ID.to_owned(),
        path: PATH.to_owned(),
        key_path: KEY.to_owned(),
        chain_pem: signed.chain_pem,
        user: "root".to_owned(),
        group: "root".to_owned(),
        mode: 0o444,
    };
    let installed = station.node.install_certificate(request.clone()).await;
    assert_eq!(
        installed.expect("installed").into_inner().outcome(),
        Outcome::Added
    );
    let again = station.node.install_certificate(request).await;
    assert_eq!(
        again.expect("there").into_inner().outcome(),
        Outcome::NotNeeded
    );
}

/// Writes the issuer file: the first URL is of a node where nothing listens.
async fn trust(station: &mut Station, fingerprint: &str, root_pem: &str) {
    let address = station.address();
    let issuer = json!({
        "format": 1,
        "name": "main",
        "urls": [format!("https://{address}:1"), format!("https://{address}:{PORT}")],
        "fingerprint": fingerprint,
        "root_pem": root_pem,
    });
    let file = File {
        path: ISSUER.to_owned(),
        content: issuer.to_string().into_bytes(),
        ..plain_file()
    };
    station
        .ensure(CLUSTER, CLUSTER_ID, [Wish::File(file)])
        .await;
}

#[tokio::test]
async fn a_certificate_is_renewed_with_the_same_key_and_names_by_whichever_node_answers() {
    let mut station = Station::up("renewal", Release::Trixie).await;
    start(&mut station).await;
    issue(&mut station).await;
    let ca = fact(&mut station).await;
    trust(&mut station, &ca.root_fingerprint, &ca.root_pem).await;
    let first = certificate(&mut station).await;
    let renew = |force| RenewCertificateRequest {
        path: PATH.to_owned(),
        key_path: KEY.to_owned(),
        issuer_path: ISSUER.to_owned(),
        force,
    };

    let early = station.node.renew_certificate(renew(false)).await;
    assert_eq!(
        early.expect("not due").into_inner().outcome(),
        Outcome::NotNeeded
    );
    assert_eq!(certificate(&mut station).await, first);
    let renewed = station.node.renew_certificate(renew(true)).await;
    assert_eq!(
        renewed.expect("renewed").into_inner().outcome(),
        Outcome::Updated
    );
    let second = certificate(&mut station).await;
    assert_ne!(second.fingerprint, first.fingerprint);
    assert_eq!(second.chain_fingerprint, first.chain_fingerprint);
    assert_eq!(names(&second), names(&first));
    assert_eq!(
        station.root(&["stat", "--format", "%a %U:%G", PATH]),
        "444 root:root"
    );
    let good = station.root(&["cat", "/var/lib/etcd-node/renew/main.json"]);
    assert!(good.contains(&format!(":{PORT}\"")), "{good}");

    // As a timer does it.
    let command = [
        HELPER,
        "renew",
        "--certificate",
        PATH,
        "--key",
        KEY,
        "--issuer",
        ISSUER,
    ];
    assert_eq!(station.root(&command), "", "not due");
    let said = station.root(&[&command[..], &["--force"]].concat());
    assert!(said.starts_with(&format!("renewed {PATH}")), "{said}");
    let third = certificate(&mut station).await;
    assert_ne!(third.fingerprint, second.fingerprint);
    assert_eq!(names(&third), names(&first));

    // Whoever answers under the CA's address with another root is not trusted.
    let other = "/tmp/other.crt";
    station.root(&[
        "/opt/bin/step",
        "certificate",
        "create",
        "Other",
        other,
        "/tmp/other.key",
        "--profile",
        "root-ca",
        "--no-password",
        "--insecure",
    ]);
    let other_pem = station.root(&["cat", other]);
    let other_sum = station.root(&["/opt/bin/step", "certificate", "fingerprint", other]);
    trust(&mut station, &other_sum, &other_pem).await;
    refused(
        Kind::CaUnavailable,
        station.node.renew_certificate(renew(true)).await,
    );
    trust(&mut station, &ca.root_fingerprint, &other_pem).await;
    refused(
        Kind::ChecksumMismatch,
        station.node.renew_certificate(renew(true)).await,
    );
    trust(&mut station, &ca.root_fingerprint, &ca.root_pem).await;
    station.control(OWNER, UNIT, Verb::Stop).await;
    let failure = refused(
        Kind::CaUnavailable,
        station.node.renew_certificate(renew(true)).await,
    );
    assert!(failure.hint.contains("hours"), "{failure:?}");
    assert_eq!(certificate(&mut station).await, third, "kept");
    station.down();
}
