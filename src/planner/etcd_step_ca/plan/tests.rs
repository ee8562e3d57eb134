use expect_test::{Expect, expect};

use crate::{
    etcd_step_ca::{
        Observed, Wish, announce_creation,
        fixture::{bare, host, lose_keys, lost, manifest, read, seen, stop, told, wish},
    },
    facts::{HostFacts, JournalFact},
};

/// Drift and plan after a change of facts.
fn check(change: impl Fn(&mut HostFacts), expected: &Expect) {
    let desired = read(&wish());
    let mut host = host(&desired);
    change(&mut host);
    let observed = seen(host);
    let text = told(&desired, &observed);
    assert_eq!(text, told(&desired, &observed));
    expected.assert_eq(&text);
}

fn begin(host: &mut HostFacts, id: &str) {
    host.journal = Some(JournalFact {
        id: id.to_owned(),
        ..JournalFact::default()
    });
}

#[test]
fn plans_nothing_after_an_apply() {
    check(|_| {}, &expect![[""]]);
}

#[test]
fn makes_a_ca_from_nothing_and_goes_on_from_any_point() {
    let desired = read(&wish());
    expect![[r#"
        drift: 1 (10.0.1.10): /etc/step-ca holds no CA
        drift: 1 (10.0.1.10): /etc/systemd/system/step-ca.service is missing
        drift: 1 (10.0.1.10): /opt/step-ca/0.30.2/step-ca is missing
        drift: 1 (10.0.1.10): /opt/step/0.30.2/step is missing
        drift: 1 (10.0.1.10): unit step-ca.service is not enabled
        drift: 1 (10.0.1.10): unit step-ca.service is stopped
        prepare the host of 1
        install step-ca and step on 1
        make keys and configuration of the CA on 1 where they differ
        write the unit on 1
        enable the unit on 1
        start step-ca on 1
        wait until step-ca on 1 answers"#]]
    .assert_eq(&told(&desired, &seen(bare())));
    let mut begun = bare();
    begin(&mut begun, &desired.id);
    begun.owner = Some(manifest(&desired, ""));
    expect![[r#"
        drift: 1 (10.0.1.10): /etc/step-ca holds no CA
        drift: 1 (10.0.1.10): /etc/systemd/system/step-ca.service is missing
        drift: 1 (10.0.1.10): /opt/step-ca/0.30.2/step-ca is missing
        drift: 1 (10.0.1.10): /opt/step/0.30.2/step is missing
        drift: 1 (10.0.1.10): unit step-ca.service is not enabled
        drift: 1 (10.0.1.10): unit step-ca.service is stopped
        install step-ca and step on 1
        make keys and configuration of the CA on 1 where they differ
        write the unit on 1
        enable the unit on 1
        start step-ca on 1
        wait until step-ca on 1 answers
        close the journal of the creation on 1"#]]
    .assert_eq(&told(&desired, &seen(begun)));
    expect![[r#"
        install step-ca 0.30.2 and step 0.30.2 on 1 (10.0.1.10)
        make root, intermediate and provisioner etcd-provisioner there
        start it on port 9000"#]]
    .assert_eq(&announce_creation(&desired).join("\n"));
}

#[test]
fn an_unreachable_host_is_waited_for() {
    let desired = read(&wish());
    expect!["blocked: 1 (10.0.1.10) is unreachable: connection timed out"]
        .assert_eq(&told(&desired, &lost()));
    expect!["blocked: 1 (10.0.1.10) was not looked at"]
        .assert_eq(&told(&desired, &Observed::default()));
}

#[test]
fn mends_what_is_missing_or_edited() {
    let remove = |path: &'static str| {
        move |host: &mut HostFacts| assert!(host.files.remove(path).is_some(), "{path}")
    };
    check(
        remove("/opt/step-ca/0.30.2/step-ca"),
        &expect![[r#"
            drift: 1 (10.0.1.10): /opt/step-ca/0.30.2/step-ca is missing
            install step-ca and step on 1"#]],
    );
    check(
        remove("/opt/step/0.30.2/step"),
        &expect![[r#"
            drift: 1 (10.0.1.10): /opt/step/0.30.2/step is missing
            install step-ca and step on 1"#]],
    );
    check(
        remove("/etc/systemd/system/step-ca.service"),
        &expect![[r#"
            drift: 1 (10.0.1.10): /etc/systemd/system/step-ca.service is missing
            write the unit on 1"#]],
    );
    let edit = |path: &'static str| {
        move |host: &mut HostFacts| {
            "other".clone_into(&mut host.files.get_mut(path).expect(path).sha256);
        }
    };
    check(
        edit("/opt/step-ca/0.30.2/step-ca"),
        &expect![[r#"
        drift: 1 (10.0.1.10): /opt/step-ca/0.30.2/step-ca is another program than the one installed
        install step-ca and step on 1"#]],
    );
    check(
        edit("/etc/systemd/system/step-ca.service"),
        &expect![[r#"
        drift: 1 (10.0.1.10): /etc/systemd/system/step-ca.service was edited
        write the unit on 1"#]],
    );
}

#[test]
fn an_edited_configuration_is_written_and_loaded_anew() {
    let edit = |host: &mut HostFacts| {
        let file = host.files.get_mut("/etc/step-ca/config/ca.json");
        "other".clone_into(&mut file.expect("a file").sha256);
    };
    check(
        edit,
        &expect![[r#"
        drift: 1 (10.0.1.10): /etc/step-ca/config/ca.json was edited
        prepare the host of 1
        make keys and configuration of the CA on 1 where they differ
        restart step-ca on 1; signing pauses for a moment
        wait until step-ca on 1 answers"#]],
    );
    // Killed before the restart: that it is owed stands in the manifest.
    check(
        |host| host.owner = Some(manifest(&read(&wish()), "")),
        &expect![[r#"
            make keys and configuration of the CA on 1 where they differ
            restart step-ca on 1; signing pauses for a moment
            wait until step-ca on 1 answers"#]],
    );
}

#[test]
fn another_wish_is_written_and_loaded() {
    let other = Wish {
        default_lifetime: Some("24h".to_owned()),
        ..wish()
    };
    let host = host(&read(&wish()));
    expect![[r#"
        prepare the host of 1
        make keys and configuration of the CA on 1 where they differ
        restart step-ca on 1; signing pauses for a moment
        wait until step-ca on 1 answers"#]]
    .assert_eq(&told(&read(&other), &seen(host)));
}

#[test]
fn mends_units() {
    check(
        stop,
        &expect![[r#"
        drift: 1 (10.0.1.10): unit step-ca.service is stopped
        start step-ca on 1
        wait until step-ca on 1 answers"#]],
    );
    let disabled = |host: &mut HostFacts| {
        let unit = host.units.values_mut().next().expect("a unit");
        "disabled".clone_into(&mut unit.unit_file_state);
    };
    check(
        disabled,
        &expect![[r#"
        drift: 1 (10.0.1.10): unit step-ca.service is not enabled
        enable the unit on 1"#]],
    );
    let other = |host: &mut HostFacts| {
        let unit = host.units.values_mut().next().expect("a unit");
        "other".clone_into(&mut unit.executable_sha256);
    };
    check(
        other,
        &expect![[r#"
        drift: 1 (10.0.1.10): step-ca.service runs another program than the one installed
        restart step-ca on 1; signing pauses for a moment
        wait until step-ca on 1 answers"#]],
    );
    let silent = |host: &mut HostFacts| host.ca.as_mut().expect("a CA").healthy = false;
    check(
        silent,
        &expect![[r#"
        drift: 1 (10.0.1.10): step-ca.service does not answer
        wait until step-ca on 1 answers"#]],
    );
}

#[test]
fn lost_keys_are_never_made_anew() {
    check(
        lose_keys,
        &expect![[r#"
        drift: 1 (10.0.1.10): /etc/step-ca holds no CA any more
        blocked: on 1 (10.0.1.10) /etc/step-ca holds no CA any more: put it back from a backup, because certificates of a new one would be trusted by nobody (another name makes another CA)"#]],
    );
    check(
        |host| host.ca = None,
        &expect![[r#"
        drift: 1 (10.0.1.10): /etc/step-ca holds no CA any more
        blocked: on 1 (10.0.1.10) /etc/step-ca holds no CA any more: put it back from a backup, because certificates of a new one would be trusted by nobody (another name makes another CA)"#]],
    );
    // Another creation's journal does not make it a new CA.
    let foreign = |host: &mut HostFacts| {
        lose_keys(host);
        begin(host, "another");
    };
    check(
        foreign,
        &expect![[r#"
        drift: 1 (10.0.1.10): /etc/step-ca holds no CA any more
        blocked: on 1 (10.0.1.10) /etc/step-ca holds no CA any more: put it back from a backup, because certificates of a new one would be trusted by nobody (another name makes another CA)"#]],
    );
    let torn = |host: &mut HostFacts| {
        let ca = host.ca.as_mut().expect("a CA");
        ca.lost = vec!["/etc/step-ca/secrets/intermediate_ca_key".to_owned()];
    };
    check(
        torn,
        &expect![[r#"
        drift: 1 (10.0.1.10): /etc/step-ca/secrets/intermediate_ca_key is missing
        blocked: on 1 (10.0.1.10) /etc/step-ca/secrets/intermediate_ca_key is missing: put it back from a backup, because certificates of a new one would be trusted by nobody (another name makes another CA)"#]],
    );
    let begun = |host: &mut HostFacts| {
        torn(host);
        begin(host, &read(&wish()).id);
    };
    check(begun, &expect!["close the journal of the creation on 1"]);
    check(
        |host| host.ca.as_mut().expect("a CA").lacks_provisioner_key = true,
        &expect![[r#"
            drift: 1 (10.0.1.10): /etc/step-ca/secrets/provisioner_key is missing
            prepare the host of 1
            make keys and configuration of the CA on 1 where they differ
            restart step-ca on 1; signing pauses for a moment
            wait until step-ca on 1 answers"#]],
    );
    // The keys are there: only their configuration is made again.
    let unconfigured = |host: &mut HostFacts| {
        host.files.remove("/etc/step-ca/config/ca.json");
        let ca = host.ca.as_mut().expect("a CA");
        (ca.present, ca.healthy) = (false, false);
    };
    check(
        unconfigured,
        &expect![[r#"
        drift: 1 (10.0.1.10): /etc/step-ca/config/ca.json is missing
        drift: 1 (10.0.1.10): step-ca.service does not answer
        make keys and configuration of the CA on 1 where they differ
        wait until step-ca on 1 answers"#]],
    );
}

#[test]
fn closes_only_its_own_journal() {
    check(
        |host| begin(host, "0123456789abcdef"),
        &expect!["close the journal of the creation on 1"],
    );
    check(|host| begin(host, "another"), &expect![[""]]);
}
