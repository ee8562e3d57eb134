use expect_test::{Expect, expect};

use super::*;
use crate::{
    etcd_cluster::{
        drift as sentences,
        fixture::{
            NOW_MS, desired, edit, file_mut, host_mut, lose, lose_data, observed, relist, silence,
            stop, unit_mut, unlist, without_quorum,
        },
        names,
    },
    facts::{EtcdFact, JournalFact},
};

const CONFIGURATION: &str = "/etc/etcd/etcd-k8s-2-conf.yaml";
const UNIT: &str = "/etc/systemd/system/etcd-k8s-2.service";
const PEER: &str = "/etc/etcd/ssl/etcd-k8s-2-peer.crt";

/// Drift of three members after a change of facts.
fn check(change: impl Fn(&mut Observed), expected: &Expect) {
    let desired = desired(3);
    let mut observed = observed(&desired);
    change(&mut observed);
    let drift = sentences(&desired, &observed);
    assert_eq!(drift, sentences(&desired, &observed));
    assert!(drift.is_sorted());
    // Every sentence has a step, or a reason why there is none.
    let plan = crate::etcd_cluster::plan(&desired, &observed);
    assert!(drift.is_empty() || !plan.steps.is_empty() || !plan.blocked.is_empty());
    expected.assert_eq(&drift.join("\n"));
}

fn remove(path: &'static str) -> impl Fn(&mut Observed) {
    move |seen| {
        let host = host_mut(seen, "2");
        assert!(host.files.remove(path).is_some(), "{path}");
    }
}

#[test]
fn finds_nothing_after_an_apply() {
    for members in [1, 3, 5] {
        let desired = desired(members);
        let observed = observed(&desired);
        assert_eq!(sentences(&desired, &observed), Vec::<String>::new());
        let plan = crate::etcd_cluster::plan(&desired, &observed);
        assert_eq!(plan, crate::etcd_cluster::Plan::default());
    }
}

#[test]
fn time_alone_changes_no_sentence() {
    let desired = desired(3);
    let mut one = observed(&desired);
    let mut other = observed(&desired);
    for seen in [&mut one, &mut other] {
        stop(seen, "2");
        edit(seen, "3", "/etc/etcd/etcd-k8s-3-conf.yaml", "250", "251");
        host_mut(seen, "1").users.clear();
    }
    for node in ["1", "2", "3"] {
        let host = host_mut(&mut other, node);
        host.now_ms += 3_600_000;
        host.files
            .values_mut()
            .for_each(|file| file.modified_ms += 60_000);
        host.units
            .values_mut()
            .for_each(|unit| unit.active_since_ms += 1);
    }
    let drift = sentences(&desired, &one);
    assert!(!drift.is_empty());
    assert_eq!(drift, sentences(&desired, &other));
}

#[test]
fn an_unreachable_host_is_no_drift() {
    check(|seen| lose(seen, "2"), &expect![[""]]);
    let most = |seen: &mut Observed| {
        lose(seen, "2");
        lose(seen, "3");
        without_quorum(seen);
    };
    check(most, &expect![[""]]);
}

#[test]
fn finds_the_root_of_another_ca_of_the_same_name() {
    let desired = desired(3);
    let mut seen = observed(&desired);
    let path = desired.issuer.root_path();
    // All that our last write recorded is as it was: the other one's root came by a write of ours too.
    for node in ["1", "2", "3"] {
        let host = host_mut(&mut seen, node);
        let root = host.certificates.get_mut(&path).expect("a root");
        root.fingerprint = "f".repeat(64);
        silence(&mut seen, node);
    }
    let drift = sentences(&desired, &seen);
    expect![[r#"
        1 (10.0.1.11): /etc/etcd/ssl/main-root_ca.crt is the root ffffffffffffffff, and that of the CA main is 4813494d137e1631
        1 (10.0.1.11): etcd-k8s-1 does not answer
        2 (10.0.1.12): /etc/etcd/ssl/main-root_ca.crt is the root ffffffffffffffff, and that of the CA main is 4813494d137e1631
        2 (10.0.1.12): etcd-k8s-2 does not answer
        3 (10.0.1.13): /etc/etcd/ssl/main-root_ca.crt is the root ffffffffffffffff, and that of the CA main is 4813494d137e1631
        3 (10.0.1.13): etcd-k8s-3 does not answer"#]].assert_eq(&drift.join("\n"));
    expect![[r#"
        prepare the host of 1
        prepare the host of 2
        prepare the host of 3
        wait until 1, 2, 3 are healthy
    "#]]
    .assert_eq(&crate::etcd_cluster::fixture::planned(&desired, &seen));
    // A CA whose root is not known yet is no other one.
    let mut unknown = desired.clone();
    unknown.issuer.fingerprint = None;
    assert!(
        !sentences(&unknown, &seen)
            .iter()
            .any(|line| line.contains("root"))
    );
}

#[test]
fn finds_what_the_members_service_can_not_run_or_pass() {
    let program = format!("{}/etcd", names::programs(&desired(3).version));
    check(
        |seen| file_mut(seen, "2", &program).mode = 0,
        &expect![
            "2 (10.0.1.12): /opt/etcd/3.5.35/etcd has mode 0000 and owner root, wanted 0755 and root"
        ],
    );
    check(
        |seen| file_mut(seen, "2", "/opt/etcd").mode = 0o700,
        &expect!["2 (10.0.1.12): /opt/etcd has mode 0700 and owner root, wanted 0755 and root"],
    );
    let unlinked = |seen: &mut Observed| {
        let (link, _) = names::link(&desired(3).version);
        "/bin/true".clone_into(&mut file_mut(seen, "2", &link).link_target);
        assert!(host_mut(seen, "3").files.remove(&link).is_some());
    };
    check(
        unlinked,
        &expect![[r#"
        2 (10.0.1.12): /opt/bin/etcd-3.5.35 does not lead to /opt/etcd/3.5.35/etcd
        3 (10.0.1.13): /opt/bin/etcd-3.5.35 is missing"#]],
    );
    let shut = |seen: &mut Observed| {
        for path in ["/etc/etcd", "/etc/etcd/ssl", "/var/lib/etcd"] {
            file_mut(seen, "2", path).mode = 0o750;
        }
        // That of an administrator, which is no tighter than it may be.
        let issuers = file_mut(seen, "2", "/etc/etcd/issuers");
        (issuers.made, issuers.mode) = (false, 0o775);
        let opt = file_mut(seen, "2", "/opt");
        (opt.made, opt.mode) = (false, 0o700);
    };
    check(
        shut,
        &expect![[r#"
            2 (10.0.1.12): /etc/etcd has mode 0750 and owner root, wanted 0755 and root
            2 (10.0.1.12): /etc/etcd/ssl has mode 0750 and owner root, wanted 0755 and root
            2 (10.0.1.12): /opt has mode 0700: only root can pass it
            2 (10.0.1.12): /var/lib/etcd has mode 0750 and owner etcd, wanted 0700 and etcd"#]],
    );
    // Nothing is known of directories from an older build.
    let older = |seen: &mut Observed| {
        let directories = names::DIRECTORIES.map(str::to_owned).into_iter();
        let host = host_mut(seen, "2");
        for path in directories.chain(names::program_directories(&desired(3).version)) {
            assert!(host.files.remove(&path).is_some(), "{path}");
        }
    };
    check(older, &expect![[""]]);
}

#[test]
fn who_uses_programs_is_written_down() {
    // They were there already, for another cluster: without an entry they go with that one.
    let desired = desired(3);
    let mut seen = observed(&desired);
    for file in host_mut(&mut seen, "2").files.values_mut() {
        if file.sha256 == crate::rendered::sha256(b"etcd") {
            "etcd_cluster/other".clone_into(&mut file.owner);
        }
    }
    assert_eq!(sentences(&desired, &seen), [""; 0]);
    expect!["install etcd 3.5.35 on 2\n"]
        .assert_eq(&crate::etcd_cluster::fixture::planned(&desired, &seen));
}

#[test]
fn finds_what_the_host_lacks() {
    check(
        |seen| host_mut(seen, "2").users.clear(),
        &expect!["2 (10.0.1.12): user etcd is missing"],
    );
    check(
        remove("/etc/etcd/ssl/main-root_ca.crt"),
        &expect!["2 (10.0.1.12): /etc/etcd/ssl/main-root_ca.crt is missing"],
    );
    check(
        remove("/etc/etcd/issuers/main.json"),
        &expect!["2 (10.0.1.12): /etc/etcd/issuers/main.json is missing"],
    );
    let edited = |seen: &mut Observed| {
        "other".clone_into(&mut file_mut(seen, "2", "/etc/etcd/issuers/main.json").sha256);
    };
    check(
        edited,
        &expect!["2 (10.0.1.12): /etc/etcd/issuers/main.json was edited"],
    );
    let opened = |seen: &mut Observed| {
        file_mut(seen, "2", "/var/lib/etcd/etcd-k8s-2").mode = 0o755;
    };
    check(
        opened,
        &expect![
            "2 (10.0.1.12): /var/lib/etcd/etcd-k8s-2 has mode 0755 and owner etcd, wanted 0700 and etcd"
        ],
    );
    let closed = |seen: &mut Observed| {
        let root = file_mut(seen, "2", "/etc/etcd/ssl/main-root_ca.crt");
        (root.mode, root.user) = (0o600, "nobody".to_owned());
        file_mut(seen, "2", "/etc/etcd/issuers/main.json").mode = 0;
    };
    check(
        closed,
        &expect![[r#"
        2 (10.0.1.12): /etc/etcd/issuers/main.json has mode 0000 and owner root, wanted 0644 and root
        2 (10.0.1.12): /etc/etcd/ssl/main-root_ca.crt has mode 0600 and owner nobody, wanted 0644 and root"#]],
    );
    check(
        |seen| host_mut(seen, "2").timer_helper = Some(false),
        &expect![
            "2 (10.0.1.12): /opt/etcd-node/current/etcd-node, which renews certificates, is missing or does not start"
        ],
    );
    let directory = |seen: &mut Observed| {
        remove("/var/lib/etcd/etcd-k8s-2")(seen);
        remove("/var/lib/etcd/etcd-k8s-2/member/wal")(seen);
        stop(seen, "2");
    };
    check(
        directory,
        &expect![[r#"
        2 (10.0.1.12): /var/lib/etcd/etcd-k8s-2/member/wal is missing: its disk is not mounted, or the data is lost
        2 (10.0.1.12): data directory /var/lib/etcd/etcd-k8s-2 is missing"#]],
    );
}

#[test]
fn finds_programs() {
    check(
        remove("/opt/etcd/3.5.35/etcdctl"),
        &expect!["2 (10.0.1.12): /opt/etcd/3.5.35/etcdctl is missing"],
    );
    check(
        remove("/opt/step/0.30.2/step"),
        &expect!["2 (10.0.1.12): /opt/step/0.30.2/step is missing"],
    );
    let changed = |seen: &mut Observed| {
        "other".clone_into(&mut file_mut(seen, "2", "/opt/etcd/3.5.35/etcd").sha256);
    };
    check(
        changed,
        &expect!["2 (10.0.1.12): /opt/etcd/3.5.35/etcd is another program than the one installed"],
    );
    let other = |seen: &mut Observed| {
        "other".clone_into(&mut unit_mut(seen, "2").executable_sha256);
    };
    check(
        other,
        &expect!["2 (10.0.1.12): etcd-k8s-2.service runs another program than the one installed"],
    );
}

#[test]
fn finds_certificates() {
    let certificate = |change: fn(&mut crate::facts::CertificateFact)| {
        move |seen: &mut Observed| {
            change(host_mut(seen, "2").certificates.get_mut(PEER).expect(PEER));
        }
    };
    check(
        certificate(|fact| fact.present = false),
        &expect!["2 (10.0.1.12): peer certificate is missing"],
    );
    let torn = |fact: &mut crate::facts::CertificateFact| "not PEM".clone_into(&mut fact.error);
    check(
        certificate(torn),
        &expect!["2 (10.0.1.12): /etc/etcd/ssl/etcd-k8s-2-peer.crt is not a certificate"],
    );
    check(
        certificate(|fact| fact.key_matches = false),
        &expect![
            "2 (10.0.1.12): peer certificate and /etc/etcd/ssl/etcd-k8s-2-peer.key do not belong together"
        ],
    );
    check(
        certificate(|fact| fact.key_mode = 0o640),
        &expect![
            "2 (10.0.1.12): /etc/etcd/ssl/etcd-k8s-2-peer.key has mode 0640 and owner etcd, wanted 0400 and etcd"
        ],
    );
    let root = |fact: &mut crate::facts::CertificateFact| "root".clone_into(&mut fact.key_user);
    check(
        certificate(root),
        &expect![
            "2 (10.0.1.12): /etc/etcd/ssl/etcd-k8s-2-peer.key has mode 0400 and owner root, wanted 0400 and etcd"
        ],
    );
    check(
        certificate(|fact| fact.key_mode = 0),
        &expect![
            "2 (10.0.1.12): /etc/etcd/ssl/etcd-k8s-2-peer.key has mode 0000 and owner etcd, wanted 0400 and etcd"
        ],
    );
    let foreign = |fact: &mut crate::facts::CertificateFact| {
        "CN=x is not signed by CN=main Root CA".clone_into(&mut fact.chain_error);
    };
    check(
        certificate(foreign),
        &expect!["2 (10.0.1.12): /etc/etcd/ssl/etcd-k8s-2-peer.crt was not issued by main"],
    );
    check(
        certificate(|fact| fact.mode = 0),
        &expect![
            "2 (10.0.1.12): /etc/etcd/ssl/etcd-k8s-2-peer.crt has mode 0000 and owner etcd, wanted 0644 and etcd"
        ],
    );
    let owned = |fact: &mut crate::facts::CertificateFact| "root".clone_into(&mut fact.user);
    check(
        certificate(owned),
        &expect![
            "2 (10.0.1.12): /etc/etcd/ssl/etcd-k8s-2-peer.crt has mode 0644 and owner root, wanted 0644 and etcd"
        ],
    );
    // Two thirds and a day of two years; a minute before it is no drift yet.
    let late = |fact: &mut crate::facts::CertificateFact| {
        let life = fact.not_after_ms - fact.not_before_ms;
        fact.not_before_ms = NOW_MS - life / 3 * 2 - 24 * 3_600_000 - 1;
        fact.not_after_ms = fact.not_before_ms + life;
    };
    check(
        certificate(late),
        &expect!["2 (10.0.1.12): renewal of the peer certificate is overdue"],
    );
    let soon = |fact: &mut crate::facts::CertificateFact| {
        let life = fact.not_after_ms - fact.not_before_ms;
        fact.not_before_ms = NOW_MS - life / 3 * 2 - 24 * 3_600_000;
        fact.not_after_ms = fact.not_before_ms + life;
    };
    check(certificate(soon), &expect![[""]]);
}

#[test]
fn finds_edits_and_says_which_options() {
    let options = |seen: &mut Observed| {
        edit(
            seen,
            "2",
            CONFIGURATION,
            "heartbeat-interval: 250",
            "heartbeat-interval: 500",
        );
        edit(seen, "2", CONFIGURATION, "pre-vote: true\n", "");
        edit(
            seen,
            "2",
            CONFIGURATION,
            "logger: zap",
            "logger: zap\ndebug: true",
        );
    };
    check(
        options,
        &expect![
            "2 (10.0.1.12): /etc/etcd/etcd-k8s-2-conf.yaml was edited: debug is true, wanted nothing, heartbeat-interval is 500, wanted 250, pre-vote is missing, wanted true"
        ],
    );
    let block = |seen: &mut Observed| {
        edit(
            seen,
            "2",
            CONFIGURATION,
            "  client-cert-auth: true",
            "  client-cert-auth: false",
        );
    };
    check(
        block,
        &expect![
            "2 (10.0.1.12): /etc/etcd/etcd-k8s-2-conf.yaml was edited: client-transport-security.client-cert-auth is false, wanted true, peer-transport-security.client-cert-auth is false, wanted true"
        ],
    );
    let comment = |seen: &mut Observed| {
        edit(seen, "2", CONFIGURATION, "# Written", "# Rewritten");
        edit(seen, "2", CONFIGURATION, "\"etcd-k8s-2\"", "etcd-k8s-2");
    };
    check(
        comment,
        &expect!["2 (10.0.1.12): /etc/etcd/etcd-k8s-2-conf.yaml was edited, no option differs"],
    );
    let binary = |seen: &mut Observed| {
        let file = file_mut(seen, "2", CONFIGURATION);
        "other".clone_into(&mut file.sha256);
        file.content = None;
    };
    check(
        binary,
        &expect![
            "2 (10.0.1.12): /etc/etcd/etcd-k8s-2-conf.yaml was edited and is no text any more"
        ],
    );
    check(
        remove(CONFIGURATION),
        &expect!["2 (10.0.1.12): /etc/etcd/etcd-k8s-2-conf.yaml is missing"],
    );
    check(
        |seen| file_mut(seen, "2", CONFIGURATION).mode = 0o600,
        &expect![
            "2 (10.0.1.12): /etc/etcd/etcd-k8s-2-conf.yaml has mode 0600 and owner root, wanted 0640 and root"
        ],
    );
    check(
        |seen| "root".clone_into(&mut file_mut(seen, "2", CONFIGURATION).group),
        &expect!["2 (10.0.1.12): /etc/etcd/etcd-k8s-2-conf.yaml has group root, wanted etcd"],
    );
    check(
        |seen| edit(seen, "2", UNIT, "Nice=-5", "Nice=5"),
        &expect!["2 (10.0.1.12): /etc/systemd/system/etcd-k8s-2.service was edited"],
    );
    check(
        remove("/etc/systemd/system/step-renew-k8s-peer.timer"),
        &expect!["2 (10.0.1.12): /etc/systemd/system/step-renew-k8s-peer.timer is missing"],
    );
}

#[test]
fn finds_units() {
    check(
        |seen| stop(seen, "2"),
        &expect!["2 (10.0.1.12): unit etcd-k8s-2.service is stopped"],
    );
    let disabled = |seen: &mut Observed| {
        "disabled".clone_into(&mut unit_mut(seen, "2").unit_file_state);
    };
    check(
        disabled,
        &expect!["2 (10.0.1.12): unit etcd-k8s-2.service is disabled"],
    );
    let timer = |seen: &mut Observed| {
        let units = &mut host_mut(seen, "2").units;
        let timer = units.get_mut("step-renew-k8s-peer.timer").expect("a timer");
        timer.unit_file_state.clear();
        "inactive".clone_into(&mut timer.active_state);
    };
    check(
        timer,
        &expect![[r#"
        2 (10.0.1.12): timer step-renew-k8s-peer.timer is stopped
        2 (10.0.1.12): unit step-renew-k8s-peer.timer is not enabled"#]],
    );
}

#[test]
fn finds_members_that_do_not_take_part() {
    check(
        |seen| silence(seen, "2"),
        &expect!["2 (10.0.1.12): etcd-k8s-2 does not answer"],
    );
    let absent = |seen: &mut Observed| {
        stop(seen, "2");
        unlist(seen, "2");
    };
    check(
        absent,
        &expect!["2 (10.0.1.12): etcd-k8s-2 is not in the member list"],
    );
    let learner = |seen: &mut Observed| {
        relist(seen, |members| members[1].is_learner = true);
    };
    check(
        learner,
        &expect!["2 (10.0.1.12): etcd-k8s-2 is a learner and does not vote"],
    );
    check(
        |seen| lose_data(&desired(3), seen, "2"),
        &expect![
            "2 (10.0.1.12): /var/lib/etcd/etcd-k8s-2/member/wal is missing: its disk is not mounted, or the data is lost"
        ],
    );
    let joining = |seen: &mut Observed| {
        let host = host_mut(seen, "2");
        let file = host.files[CONFIGURATION].clone();
        host.files
            .insert("/etc/etcd/etcd-k8s-2-joins".to_owned(), file);
    };
    check(
        joining,
        &expect![
            "2 (10.0.1.12): /etc/etcd/etcd-k8s-2-joins lets etcd-k8s-2.service start without its data"
        ],
    );
}

#[test]
fn without_a_quorum_those_who_do_not_answer_are_named_only_if_all_were_seen() {
    let all = |seen: &mut Observed| {
        silence(seen, "2");
        silence(seen, "3");
        without_quorum(seen);
    };
    check(
        all,
        &expect![[r#"
            1 (10.0.1.11): etcd-k8s-1 sees no quorum
            2 (10.0.1.12): etcd-k8s-2 does not answer
            3 (10.0.1.13): etcd-k8s-3 does not answer"#]],
    );
    let some = |seen: &mut Observed| {
        silence(seen, "2");
        lose(seen, "3");
        without_quorum(seen);
    };
    check(some, &expect![[""]]);
}

#[test]
fn facts_that_older_builds_did_not_keep_are_no_drift() {
    let older = |seen: &mut Observed| {
        let host = host_mut(seen, "2");
        host.timer_helper = None;
        for file in host.files.values_mut() {
            file.group.clear();
        }
        for fact in host.certificates.values_mut() {
            (fact.mode, fact.user) = (0, String::new());
        }
        for unit in host.units.values_mut() {
            (unit.exec_start, unit.user) = (Vec::new(), String::new());
            unit.drop_ins = vec!["/etc/systemd/system/a.service.d/a.conf".to_owned()];
        }
    };
    check(older, &expect![[""]]);
}

#[test]
fn a_drop_in_is_no_drift_and_a_restart_does_not_help_against_it() {
    let sleeps = |seen: &mut Observed| {
        silence(seen, "2");
        let unit = unit_mut(seen, "2");
        unit.drop_ins = vec!["/etc/systemd/system/etcd-k8s-2.service.d/a.conf".to_owned()];
        unit.exec_start = vec!["/bin/sleep 1000".to_owned()];
        "other".clone_into(&mut unit.executable_sha256);
    };
    check(sleeps, &expect![[""]]);
}

#[test]
fn a_cluster_that_is_being_made_has_no_drift() {
    let new = |seen: &mut Observed| {
        for node in ["1", "2", "3"] {
            let host = host_mut(seen, node);
            host.owner = None;
            host.files.clear();
            host.etcd = Some(EtcdFact::default());
        }
    };
    check(new, &expect![[""]]);
}

#[test]
fn closes_only_its_own_journal() {
    let desired = desired(1);
    let mut seen = observed(&desired);
    let claims = |seen: &Observed| {
        let all = all(&desired, seen);
        let mut found = all.iter().flat_map(|(_, found)| found);
        found.any(|finding| finding.remedy == Remedy::Claim)
    };
    assert!(!claims(&seen));
    let journal = |id: &str| JournalFact {
        id: id.to_owned(),
        ..JournalFact::default()
    };
    host_mut(&mut seen, "1").journal = Some(journal("another"));
    assert!(!claims(&seen));
    host_mut(&mut seen, "1").journal = Some(journal(&desired.id));
    assert!(claims(&seen));
}
