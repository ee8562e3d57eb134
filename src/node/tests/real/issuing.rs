//! A CA is made once, and signs exactly what may be signed.

use lab::Release;

use crate::{
    authority::{
        DIRECTORY, OWNER, ROOT, UNIT, consumer, fact, programs, request, serve, start, wish,
    },
    proto::{
        ForgetConsumerRequest, Outcome, SignRequest, control_unit_request::Verb, failure::Kind,
    },
    station::{Station, refused},
};

#[tokio::test]
async fn a_ca_is_made_once_and_its_secrets_are_roots_alone() {
    let mut station = Station::up("made", Release::Bookworm).await;
    programs(&mut station).await;
    let wish = wish(&station);
    let made = station.node.initialise_ca(wish.clone()).await;
    let made = made.expect("made").into_inner();
    assert_eq!(made.outcome(), Outcome::Added);
    assert!(made.configuration_changed);
    let again = station.node.initialise_ca(wish.clone()).await;
    let again = again.expect("there").into_inner();
    assert_eq!(again.outcome(), Outcome::NotNeeded);
    assert!(!again.configuration_changed);
    assert_eq!(again.root_pem, made.root_pem);
    let fingerprint = station.root(&["/opt/bin/step", "certificate", "fingerprint", ROOT]);
    assert_eq!(made.root_fingerprint, fingerprint);
    let intermediate = format!("{DIRECTORY}/certs/intermediate_ca.crt");
    station.root(&[
        "/opt/bin/step",
        "certificate",
        "verify",
        &intermediate,
        "--roots",
        ROOT,
    ]);
    let secrets = format!("{DIRECTORY}/secrets");
    let open = station.root(&[
        "find", &secrets, "!", "-type", "d", "(", "!", "-perm", "400", "-o", "!", "-user", "root",
        ")",
    ]);
    assert_eq!(open, "", "closed for all but root");

    // A new name is served after a restart; root and keys stay.
    let mut more = wish;
    more.dns_names.push("ca.example".to_owned());
    let changed = station.node.initialise_ca(more).await;
    let changed = changed.expect("changed").into_inner();
    assert_eq!(changed.outcome(), Outcome::Updated);
    assert!(changed.configuration_changed);
    assert_eq!(changed.root_pem, made.root_pem);
    serve(&mut station).await;
    let seen = fact(&mut station).await;
    assert_eq!(seen.root_fingerprint, fingerprint);
    assert_eq!(seen.provisioners, ["etcd-provisioner"]);
    assert!(
        seen.intermediate_not_after_ms < seen.root_not_after_ms,
        "{seen:?}"
    );
    station.down();
}

#[tokio::test]
async fn a_ca_signs_what_was_announced_for_whom_it_knows_and_nothing_else() {
    let mut station = Station::up("signs", Release::Bullseye).await;
    start(&mut station).await;
    let good = request(&mut station).await;

    // Refused before anything is entered.
    for bad in [
        SignRequest {
            dns_names: vec!["k8s.peer.etcd.internal".to_owned()],
            ..good.clone()
        },
        SignRequest {
            common_name: "etcd-k8s-1".to_owned(),
            ..good.clone()
        },
        SignRequest {
            consumer: Some(consumer("other", "2")),
            ..good.clone()
        },
    ] {
        refused(Kind::NamesRefused, station.node.sign(bad).await);
    }
    assert_eq!(fact(&mut station).await.consumers, []);

    let signed = station.node.sign(good.clone()).await;
    let signed = signed.expect("signed").into_inner();
    assert_eq!(signed.chain_pem.matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(signed.root_pem, station.root(&["cat", ROOT]) + "\n");
    assert_eq!(
        fact(&mut station).await.consumers,
        [consumer("k8s", "k8s-1")]
    );
    // Tokens are used once, requests as often as somebody asks.
    station.node.sign(good.clone()).await.expect("again");

    let other = SignRequest {
        consumer: Some(consumer("k8s", "k8s-2")),
        ..good.clone()
    };
    let failure = refused(Kind::Conflict, station.node.sign(other.clone()).await);
    assert!(failure.message.contains("k8s-1"), "{failure:?}");
    let forget = ForgetConsumerRequest {
        ca_directory: DIRECTORY.to_owned(),
        consumer: good.consumer.clone(),
    };
    let forgotten = station.node.forget_consumer(forget).await;
    assert_eq!(
        forgotten.expect("forgotten").into_inner().outcome(),
        Outcome::Updated
    );
    station.node.sign(other.clone()).await.expect("free now");

    let long = SignRequest {
        lifetime_seconds: 10 * 24 * 3600,
        ..other.clone()
    };
    let failure = refused(Kind::CaRefused, station.node.sign(long).await);
    assert!(failure.message.contains("more than"), "{failure:?}");

    let elsewhere = SignRequest {
        ca_directory: "/etc/step-ca-other".to_owned(),
        ..other.clone()
    };
    let failure = refused(Kind::CaUnavailable, station.node.sign(elsewhere).await);
    assert_eq!(failure.subject, "/etc/step-ca-other");
    station.control(OWNER, UNIT, Verb::Stop).await;
    let failure = refused(Kind::CaUnavailable, station.node.sign(other.clone()).await);
    assert!(failure.message.contains("refused"), "{failure:?}");

    expire_intermediate(&station);
    station.control(OWNER, UNIT, Verb::Start).await;
    let failure = refused(Kind::CaUnavailable, station.node.sign(other).await);
    assert!(failure.message.contains("expired"), "{failure:?}");
    station.down();
}

/// Replaces the intermediate by one for the same key whose time is over.
fn expire_intermediate(station: &Station) {
    let script = format!(
        "cd {DIRECTORY} && /opt/bin/step certificate create 'Main Intermediate CA' /tmp/expired.crt \
         --key secrets/intermediate_ca_key --password-file secrets/intermediate_password \
         --profile intermediate-ca --ca certs/root_ca.crt --ca-key secrets/root_ca_key \
         --ca-password-file secrets/root_password --not-before=-48h --not-after=-24h \
         && cat /tmp/expired.crt >certs/intermediate_ca.crt"
    );
    station.root(&["sh", "-ceu", &script]);
}
