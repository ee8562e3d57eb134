//! Known, unknown, changed, revoked, pinned and certified host keys of a real server.

use std::{fs, sync::Arc};

use crate::{
    Error, HostKey, HostKeyError, KnownHosts, Target,
    loopback::{
        observe, pool,
        sshd::{KINDS, Sshd, keygen, run},
        target, target_with,
    },
};

fn knowing(sshd: &Sshd, text: String) -> Target {
    target_with(sshd, |profile| {
        profile.known_hosts = vec![KnownHosts::Text {
            name: "known_hosts".into(),
            text,
        }];
    })
}

async fn refused(sshd: &Sshd, target: &Target) -> Arc<HostKeyError> {
    let error = pool(sshd)
        .node(target)
        .await
        .expect_err("a refused host key");
    assert!(
        !error.is_transient() && !error.is_unreachable(),
        "{error:?}"
    );
    let Error::HostKey(error) = error else {
        panic!("{error:?}")
    };
    assert!(
        !sshd.log().contains("Accepted"),
        "nobody logs in at a host that is not trusted"
    );
    error
}

#[tokio::test]
async fn an_unknown_key_is_refused_with_the_line_that_makes_it_known() {
    let sshd = Sshd::start().await;
    let target = target_with(&sshd, |profile| {
        profile.known_hosts = vec![KnownHosts::File(sshd.path().join("absent"))];
    });
    let error = refused(&sshd, &target).await;
    let HostKeyError::Unknown {
        host,
        fingerprint,
        line,
        kind,
        ..
    } = &*error
    else {
        panic!("{error:?}")
    };
    assert_eq!(
        (host.as_str(), kind.as_str()),
        (sshd.name().as_str(), "ssh-ed25519")
    );
    assert!(fingerprint.starts_with("SHA256:") && error.to_string().contains(fingerprint));
    assert!(
        error.hint().contains(line) && error.hint().contains("absent"),
        "{}",
        error.hint()
    );
    assert_eq!(
        *line,
        format!("{} {}", sshd.name(), sshd.host_key("ed25519"))
    );
    pool(&sshd)
        .node(&knowing(&sshd, line.clone()))
        .await
        .expect("the line makes it known");
}

#[tokio::test]
async fn any_one_known_type_of_key_is_enough() {
    let sshd = Sshd::start().await;
    for kind in KINDS {
        let known = format!("{} {}\n", sshd.name(), sshd.host_key(kind));
        pool(&sshd)
            .node(&knowing(&sshd, known))
            .await
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}

#[tokio::test]
async fn a_changed_key_is_refused_with_its_line() {
    let sshd = Sshd::start().await;
    let other = keygen("ed25519", &sshd.path().join("other"), "");
    let known = format!("# first\n{} {other}\n", sshd.name());
    let error = refused(&sshd, &knowing(&sshd, known)).await;
    let HostKeyError::Changed { place, line, .. } = &*error else {
        panic!("{error:?}")
    };
    assert_eq!((place.source.as_str(), place.line), ("known_hosts", 2));
    assert!(line.contains(&sshd.host_key("ed25519")));
}

#[tokio::test]
async fn a_revoked_key_is_refused_though_it_is_known() {
    let sshd = Sshd::start().await;
    let key = sshd.host_key("ed25519");
    let known = format!("{} {key}\n@revoked * {key}\n", sshd.name());
    let error = refused(&sshd, &knowing(&sshd, known)).await;
    assert!(
        matches!(&*error, HostKeyError::Revoked { place, .. } if place.line == 2),
        "{error:?}"
    );
}

#[tokio::test]
async fn names_hashed_by_ssh_keygen_are_found() {
    let sshd = Sshd::start().await;
    let file = sshd.known_hosts();
    run("ssh-keygen", &["-H", "-f", file.to_str().expect("UTF-8")]);
    let text = fs::read_to_string(&file).expect("known hosts");
    assert!(
        text.starts_with("|1|") && !text.contains("127.0.0.1"),
        "{text}"
    );
    pool(&sshd)
        .node(&target(&sshd))
        .await
        .expect("a known host");
}

#[tokio::test]
async fn a_pinned_key_or_fingerprint_of_any_type_is_enough() {
    let sshd = Sshd::start().await;
    for kind in KINDS {
        let key: HostKey = sshd.host_key(kind).parse().expect("a key");
        let HostKey::Key(public) = &key else {
            panic!("{key:?}")
        };
        let fingerprint = crate::host_key::fingerprint(public)
            .parse()
            .expect("a fingerprint");
        for pinned in [key, fingerprint] {
            let mut target = knowing(&sshd, String::new());
            target.host_key = Some(pinned.clone());
            let node = pool(&sshd).node(&target).await;
            node.unwrap_or_else(|error| panic!("{pinned}: {error}"));
        }
    }
}

#[tokio::test]
async fn a_pin_wins_over_known_hosts() {
    let sshd = Sshd::start().await;
    let other = keygen("ed25519", &sshd.path().join("other"), "");
    let HostKey::Key(public) = other.parse::<HostKey>().expect("a key") else {
        panic!("{other}")
    };
    let fingerprint = crate::host_key::fingerprint(&public);
    for pinned in [other, fingerprint] {
        let mut target = target(&sshd);
        target.host_key = Some(pinned.parse().expect("a pin"));
        let error = refused(&sshd, &target).await;
        let HostKeyError::NotPinned { kind, key, .. } = &*error else {
            panic!("{error:?}")
        };
        assert_eq!(
            (kind.as_str(), key),
            ("ssh-ed25519", &sshd.host_key("ed25519")),
            "the first shown"
        );
    }
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_enough_if_it_is_for_the_host() {
    let sshd = Sshd::with(|path| {
        format!(
            "HostCertificate {}",
            path.join("host_ed25519-cert.pub").display()
        )
    })
    .await;
    let authority = sshd.path().join("authority");
    let line = keygen("ed25519", &authority, "");
    let known = || knowing(&sshd, format!("@cert-authority [127.0.0.1]:* {line}\n"));
    let sign = |principals: &str, validity: &str, more: &[&str]| {
        let key = sshd.path().join("host_ed25519.pub");
        let (authority, key) = (
            authority.to_str().expect("UTF-8"),
            key.to_str().expect("UTF-8"),
        );
        let mut arguments = vec![
            "-q", "-s", authority, "-I", "test", "-n", principals, "-V", validity,
        ];
        arguments.extend(more);
        arguments.push(key);
        run("ssh-keygen", &arguments);
    };
    // A server reads its certificate when it starts, and so at each connection, as it starts anew.
    let why = async || {
        let error = refused(&sshd, &known()).await;
        let HostKeyError::Certificate { why, .. } = &*error else {
            panic!("{error:?}")
        };
        why.clone()
    };
    sign("other.example", "+1d", &["-h"]);
    assert!(why().await.contains("other.example"));
    sign("127.0.0.1", "20200101:20200201", &["-h"]);
    assert!(why().await.contains("not valid now"));
    sign("other.example,127.0.0.1", "+1d", &["-h"]);
    let node = pool(&sshd).node(&known()).await.expect("a certified host");
    observe(&node).await;
}
