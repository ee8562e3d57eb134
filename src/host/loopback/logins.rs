//! Ways to log in at a real server, and through one.

use std::{fs, process::Stdio};

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{
    Bastion, Error, HostKeyError, Identity, KnownHosts, Secret,
    loopback::{
        observe, pool, profile,
        sshd::{self, KINDS, Sshd, command, keygen, run},
        target, target_with,
    },
};

fn file(path: std::path::PathBuf) -> Identity {
    Identity::KeyFile {
        path,
        passphrase: None,
        certificate_file: None,
    }
}

#[tokio::test]
async fn keys_of_each_type_let_in_by_file_and_by_value() {
    let sshd = Sshd::start().await;
    for kind in KINDS {
        let path = sshd.client_key(kind);
        let pem = Secret::new(fs::read_to_string(&path).expect("a key"));
        let by_value = Identity::Key {
            pem,
            passphrase: None,
            certificate: None,
        };
        for identity in [file(path), by_value] {
            let target = target_with(&sshd, |profile| profile.identities = vec![identity]);
            let node = pool(&sshd)
                .node(&target)
                .await
                .unwrap_or_else(|error| panic!("{kind}: {error}"));
            assert_eq!(observe(&node).await, "the tests");
        }
    }
}

#[tokio::test]
async fn a_key_with_a_passphrase_needs_the_right_one() {
    let sshd = Sshd::start().await;
    let path = sshd.path().join("locked");
    let line = keygen("ed25519", &path, "open sesame");
    fs::write(sshd.path().join("authorized_keys"), line).expect("a writable directory");
    let with = |passphrase: Option<&str>| {
        target_with(&sshd, |profile| {
            profile.identities = vec![Identity::KeyFile {
                path: path.clone(),
                passphrase: passphrase.map(|text| Secret::new(text.to_owned())),
                certificate_file: None,
            }];
        })
    };
    pool(&sshd)
        .node(&with(Some("open sesame")))
        .await
        .expect("the passphrase is right");
    for (passphrase, expected) in [(None, "needs a passphrase"), (Some("no"), "may be wrong")] {
        let error = pool(&sshd)
            .node(&with(passphrase))
            .await
            .expect_err("the key stays shut");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_certificate_lets_in_where_its_bare_key_does_not() {
    let sshd =
        Sshd::with(|path| format!("TrustedUserCAKeys {}", path.join("authority.pub").display()))
            .await;
    fs::write(sshd.path().join("authorized_keys"), "").expect("a writable directory");
    let authority = sshd.path().join("authority");
    keygen("ed25519", &authority, "");
    for kind in KINDS {
        let path = sshd.client_key(kind);
        let target = target_with(&sshd, |profile| {
            profile.identities = vec![file(path.clone())];
        });
        pool(&sshd)
            .node(&target)
            .await
            .expect_err("the bare key is not enough");
        let public = path.with_extension("pub");
        let (authority, public) = (
            authority.to_str().expect("UTF-8"),
            public.to_str().expect("UTF-8"),
        );
        run(
            "ssh-keygen",
            &[
                "-q",
                "-s",
                authority,
                "-I",
                "test",
                "-n",
                &sshd::user(),
                public,
            ],
        );
        pool(&sshd)
            .node(&target)
            .await
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}

#[tokio::test]
async fn an_agent_lets_in_with_keys_of_each_type() {
    let sshd = Sshd::start().await;
    let socket = sshd.path().join("agent");
    let mut agent = tokio::process::Command::new("ssh-agent")
        .args(["-D", "-a"])
        .arg(&socket)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("ssh-agent is installed");
    // It prints its variables when it listens.
    let stdout = agent.stdout.take().expect("it is piped");
    BufReader::new(stdout)
        .lines()
        .next_line()
        .await
        .expect("ssh-agent starts");
    let identities = vec![Identity::Agent {
        socket: socket.clone(),
    }];
    let target = target_with(&sshd, |profile| profile.identities = identities);
    let error = pool(&sshd)
        .node(&target)
        .await
        .expect_err("the agent is empty");
    assert!(error.to_string().contains("it holds no key"), "{error}");
    for kind in KINDS {
        let add = |arguments: &[&str]| {
            let status = command("ssh-add")
                .env("SSH_AUTH_SOCK", &socket)
                .args(arguments)
                .status();
            assert!(status.expect("ssh-add is installed").success());
        };
        add(&["-q", sshd.client_key(kind).to_str().expect("UTF-8")]);
        pool(&sshd)
            .node(&target)
            .await
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
        add(&["-q", "-D"]);
    }
}

#[tokio::test]
async fn a_refused_login_tells_what_was_tried_and_shows_no_secret() {
    let sshd = Sshd::with(|_| "PasswordAuthentication yes".to_owned()).await;
    let stranger = sshd.path().join("stranger");
    keygen("ed25519", &stranger, "");
    let target = target_with(&sshd, |profile| {
        profile.identities = vec![
            Identity::Password(Secret::new("hunter2".into())),
            file(sshd.path().join("absent")),
            file(stranger.clone()),
            Identity::Agent {
                socket: sshd.path().join("no-agent"),
            },
        ];
    });
    let error = pool(&sshd)
        .node(&target)
        .await
        .expect_err("nobody is let in");
    let Error::Login {
        tried, accepted, ..
    } = &error
    else {
        panic!("{error:?}")
    };
    let shown = tried.join("\n");
    for expected in [
        "absent: No such file",
        "stranger: refused",
        "no-agent",
        "password: refused",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    assert_eq!(accepted[..], ["publickey", "password"]);
    assert!(!format!("{error:?} {error} {} {target:?}", error.hint()).contains("hunter2"));
}

fn bastion(sshd: &Sshd) -> Bastion {
    let profile = profile(sshd);
    Bastion {
        host: "127.0.0.1".to_owned(),
        port: sshd.port(),
        user: profile.user,
        identities: profile.identities,
        known_hosts: profile.known_hosts,
        host_key: None,
        bastion: None,
    }
}

#[tokio::test]
async fn a_host_is_reached_through_two_bastions() {
    let (outer, inner, last) = (
        Sshd::start().await,
        Sshd::start().await,
        Sshd::start().await,
    );
    let target = target_with(&last, |profile| {
        let outer = Some(Box::new(bastion(&outer)));
        profile.bastion = Some(Bastion {
            bastion: outer,
            ..bastion(&inner)
        });
    });
    let node = pool(&last).node(&target).await.expect("a way through");
    observe(&node).await;
    for sshd in [outer, inner, last] {
        assert!(sshd.log().contains("Accepted publickey"), "{}", sshd.log());
    }
}

#[tokio::test]
async fn a_failing_bastion_is_named() {
    let (hop, last) = (Sshd::start().await, Sshd::start().await);
    let through = |change: fn(&mut Bastion)| {
        target_with(&last, |profile| {
            let mut hop = bastion(&hop);
            change(&mut hop);
            profile.bastion = Some(hop);
        })
    };
    let untrusted = through(|hop| {
        hop.host = "localhost".into();
        hop.known_hosts = vec![KnownHosts::Text {
            name: "none".into(),
            text: String::new(),
        }];
    });
    let error = pool(&last)
        .node(&untrusted)
        .await
        .expect_err("the bastion is not trusted");
    let Error::Bastion {
        bastion,
        host,
        source,
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(
        (bastion.as_str(), host.as_str()),
        ("localhost", "127.0.0.1")
    );
    assert!(
        matches!(&**source, Error::HostKey(key) if matches!(**key, HostKeyError::Unknown { .. }))
    );

    let mut nowhere = through(|_| {});
    nowhere.port = 1;
    let error = pool(&last)
        .node(&nowhere)
        .await
        .expect_err("nothing listens there");
    assert!(
        matches!(&error, Error::Forward { bastion, port: 1, .. } if bastion == "127.0.0.1"),
        "{error:?}"
    );
    assert!(error.is_unreachable());

    let closed = Sshd::with(|_| "AllowTcpForwarding no".to_owned()).await;
    let mut target = target(&last);
    let mut profile = (*target.profile).clone();
    profile.bastion = Some(self::bastion(&closed));
    target.profile = profile.into();
    let error = pool(&last)
        .node(&target)
        .await
        .expect_err("forwarding is forbidden");
    assert!(
        matches!(&error, Error::Forward { why, .. } if why.contains("forbidden")),
        "{error:?}"
    );
}
