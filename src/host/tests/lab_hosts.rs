//! Reaching real hosts: real sshd, sudo, mounts and power cuts.
//!
//! Needs root, the lab and a built helper (`cargo build --release -p node`, or another one named by
//! `ETCD_NODE_PATH`). Fails without them. Each test has hosts of its own.

#![expect(
    clippy::print_stdout,
    reason = "with --nocapture it shows what people read and how long they wait"
)]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use host::{
    Architecture, Error, Helper, HelperSource, Identity, KnownHosts, Node, Pool, Profile, Refusal,
    Secret, Target, proto,
};
use lab::{Access, Home, HostSpec, Lab, Release, Spec};

/// Longest wait for anything that a lab host does by itself.
const PATIENCE: Duration = Duration::from_secs(30);

fn helper_path() -> PathBuf {
    if let Some(path) = std::env::var_os("ETCD_NODE_PATH") {
        return path.into();
    }
    let this = std::env::current_exe().expect("the path of this test");
    let path = this
        .ancestors()
        .nth(2)
        .expect("a target directory")
        .join("etcd-node");
    assert!(
        path.exists(),
        "{} is missing: cargo build --release -p node",
        path.display()
    );
    path
}

fn helpers() -> HelperSource {
    HelperSource::new(vec![
        Helper::read(&helper_path()).expect("a helper program"),
    ])
}

fn up(name: &str, hosts: Vec<HostSpec>) -> Lab {
    let home = Home::open().expect("the lab needs root and a place for its files");
    Lab::up(&home, &Spec::ephemeral(&format!("host-{name}"), hosts)).expect("the lab comes up")
}

fn with(release: Release, access: Access) -> HostSpec {
    HostSpec::new(release).access(access)
}

fn ops() -> Access {
    Access::Sudo("ops".to_owned())
}

/// How to reach a host of the lab; `change` makes it awkward.
fn target(host: &lab::Host, change: impl FnOnce(&mut Profile)) -> Target {
    let mut profile = Profile::new(host.user());
    profile.identities.push(Identity::KeyFile {
        path: host.private_key_file(),
        passphrase: None,
        certificate_file: None,
    });
    profile
        .known_hosts
        .push(KnownHosts::File(host.known_hosts_file()));
    profile.sudo_password = host.sudo_password_file().map(|file| {
        let password = std::fs::read_to_string(file).expect("the lab's sudo password");
        Secret::new(password.trim_end().to_owned())
    });
    change(&mut profile);
    Target {
        host: host.address().to_string(),
        port: 22,
        user: None,
        host_key: None,
        profile: Arc::new(profile),
    }
}

/// Takes the lab down; one that failed stays until the next lab command, to be looked at.
fn down(lab: Lab) {
    lab.down().expect("the lab goes down");
}

fn plain(host: &lab::Host) -> Target {
    target(host, |_| {})
}

fn pool() -> Pool {
    Pool::new(helpers(), "the tests of host")
}

async fn observe(node: &Node) -> proto::Host {
    let call = node.call("Observe", |mut client| async move {
        client.observe(proto::ObserveRequest::default()).await
    });
    call.await
        .expect("facts about the host")
        .host
        .expect("the host itself")
}

/// Runs a command as root on the host, which must succeed.
fn root(host: &lab::Host, script: &str) -> String {
    host.root_text(&["sh", "-c", script])
        .expect("the command succeeds")
}

/// The refusal that starting the helper ends with; checks what all have in common.
async fn refusal(target: &Target, helpers: HelperSource) -> Refusal {
    let error = Pool::new(helpers, "the tests of host")
        .node(target)
        .await
        .expect_err("a refusal");
    let Error::Start { host, refusal, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*host, target.host);
    assert!(!error.hint().is_empty() && !error.holds().is_empty());
    println!(
        "{refusal:?}: {error}. {} Hint: {}",
        error.holds(),
        error.hint()
    );
    *refusal
}

/// Waits until `is_so` or fails after [`PATIENCE`].
async fn wait_until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "not so in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn serves_root_and_users_with_sudo_on_each_release() {
    let lab = up(
        "serves",
        vec![
            with(Release::Bookworm, Access::Root),
            with(Release::Bullseye, ops()),
            with(Release::Trixie, Access::SudoWithPassword("ops".to_owned())),
            with(Release::Bookworm, ops()).v6(),
        ],
    );
    for host in lab.hosts() {
        let target = plain(host);
        let began = Instant::now();
        let node = pool()
            .node(&target)
            .await
            .unwrap_or_else(|error| panic!("{error:?}"));
        let first = began.elapsed();
        let facts = observe(&node).await;
        assert_eq!(facts.init, "systemd");

        let pool = pool();
        let began = Instant::now();
        let node = pool
            .node(&target)
            .await
            .expect("the helper is there by now");
        let again = began.elapsed();
        let began = Instant::now();
        observe(&node).await;
        println!(
            "{} as {}: first {first:?}, again {again:?}, one call {:?}",
            host.name(),
            host.user(),
            began.elapsed()
        );
        let files = root(
            host,
            "find /opt/etcd-node/cache -type f; stat -c %a:%U /opt/etcd-node/cache/*/etcd-node",
        );
        assert_eq!(
            files.lines().count(),
            2,
            "one file and nothing left over: {files}"
        );
        assert!(files.contains("755:root"), "{files}");
    }
    down(lab);
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_the_helper_when_the_connection_is_closed() {
    let lab = up("ends", vec![with(Release::Bookworm, ops())]);
    let host = &lab.hosts()[0];
    let running = || {
        root(host, "pgrep -c -x etcd-node || true")
            .trim()
            .to_owned()
    };
    let pool = pool();
    let _node = pool.node(&plain(host)).await.expect("a helper");
    assert_eq!(running(), "1");
    pool.close().await;
    wait_until("the helper is gone", async || running() == "0").await;
    down(lab);
}

#[tokio::test(flavor = "multi_thread")]
async fn recognises_what_sudo_says() {
    let password = Access::SudoWithPassword("ops".to_owned());
    let lab = up(
        "sudo",
        vec![
            with(Release::Bookworm, password.clone()),
            with(Release::Trixie, password),
            with(Release::Bookworm, Access::WithoutSudo("ops".to_owned())),
            with(Release::Bullseye, ops()),
        ],
    );
    let wrong = |profile: &mut Profile| profile.sudo_password = Some(Secret::new("wrong".into()));
    for host in &lab.hosts()[..2] {
        let without = target(host, |profile| profile.sudo_password = None);
        assert_eq!(
            refusal(&without, helpers()).await,
            Refusal::SudoPasswordNeeded
        );
        assert_eq!(
            refusal(&target(host, wrong), helpers()).await,
            Refusal::SudoPasswordWrong
        );
    }
    let outsider = &lab.hosts()[2];
    let refused = refusal(&plain(outsider), helpers()).await;
    // sudo asks who it is before it says who may.
    assert!(
        matches!(
            refused,
            Refusal::SudoPasswordNeeded | Refusal::SudoNotAllowed
        ),
        "{refused:?}"
    );
    root(
        outsider,
        "echo 'ops ALL=(root) NOPASSWD: /bin/true' >/etc/sudoers.d/only-true",
    );
    let refused = refusal(&plain(outsider), helpers()).await;
    assert!(
        matches!(
            refused,
            Refusal::SudoPasswordNeeded | Refusal::SudoNotAllowed
        ),
        "{refused:?}"
    );

    let host = &lab.hosts()[3];
    // A password that sudo does not ask for goes nowhere.
    pool()
        .node(&target(host, wrong))
        .await
        .expect("NOPASSWD needs none");
    root(host, "echo 'Defaults:ops requiretty' >/etc/sudoers.d/tty");
    assert_eq!(
        refusal(&plain(host), helpers()).await,
        Refusal::SudoRequiresTty
    );
    root(
        host,
        "rm /etc/sudoers.d/tty; sed -i 's/NOPASSWD:/NOPASSWD: NOEXEC:/' /etc/sudoers.d/*",
    );
    assert_eq!(refusal(&plain(host), helpers()).await, Refusal::Noexec);
    root(
        host,
        "sed -i 's/NOEXEC://' /etc/sudoers.d/*; chmod u-s /usr/bin/sudo",
    );
    assert_eq!(refusal(&plain(host), helpers()).await, Refusal::SudoBroken);
    root(host, "mv /usr/bin/sudo /usr/bin/sudo-away");
    assert_eq!(refusal(&plain(host), helpers()).await, Refusal::SudoMissing);
    down(lab);
}

#[tokio::test(flavor = "multi_thread")]
async fn recognises_what_the_host_lacks() {
    let lab = up(
        "lacks",
        vec![
            with(Release::Bookworm, ops()),
            with(Release::Bullseye, Access::Root),
        ],
    );
    for host in lab.hosts() {
        let target = plain(host);
        root(host, "mount -t tmpfs -o size=1m tmpfs /opt");
        assert_eq!(refusal(&target, helpers()).await, Refusal::DiskFull);
        assert_eq!(
            root(host, "find /opt -type f").trim(),
            "",
            "what was sent is removed"
        );
        root(host, "umount /opt; mount -t tmpfs -o ro tmpfs /opt");
        assert_eq!(refusal(&target, helpers()).await, Refusal::ReadOnly);
        root(host, "umount /opt; mount -t tmpfs -o noexec tmpfs /opt");
        assert_eq!(refusal(&target, helpers()).await, Refusal::Noexec);
        assert_eq!(
            refusal(&target, helpers()).await,
            Refusal::Noexec,
            "and again with the file there"
        );
        root(host, "umount /opt; mv /usr/bin/sha256sum /usr/bin/away");
        assert_eq!(refusal(&target, helpers()).await, Refusal::ToolMissing);
        root(host, "mv /usr/bin/away /usr/bin/sha256sum");

        let other = Helper::embedded(Architecture::Arm64, b"", &"0".repeat(64));
        let error = Pool::new(HelperSource::new(vec![other]), "tests")
            .node(&target)
            .await;
        let error = error.expect_err("no helper for this machine");
        assert!(
            matches!(&error, Error::NoHelper { machine, .. } if machine == "x86_64"),
            "{error:?}"
        );
        pool().node(&target).await.expect("all is well again");
    }
    down(lab);
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_a_helper_that_was_damaged_again() {
    let lab = up("damaged", vec![with(Release::Bookworm, ops())]);
    let host = &lab.hosts()[0];
    let target = plain(host);
    pool().node(&target).await.expect("the helper is sent");
    let helper = "/opt/etcd-node/cache/*/etcd-node";
    let whole = root(host, &format!("sha256sum {helper}"));
    for damage in [
        "chmod 0644 $f",
        "truncate -s 100000 $f",
        "truncate -s 0 $f; truncate -s 10000000 $f",
        "printf '#!/bin/sh\\nexit 0\\n' >$f",
        "printf '#!/bin/sh\\nkill -9 $$\\n' >$f",
        "rm $f; ln -s /nowhere $f",
    ] {
        // Not in place: the program of a session that still ends is busy.
        let damage =
            format!("f=$(echo {helper}); cp -p $f /root/new; mv -f /root/new $f; {damage}");
        root(host, &damage);
        let node = pool().node(&target).await;
        node.unwrap_or_else(|error| panic!("after {damage}: {error:?}"));
        let found = root(host, &format!("sha256sum {helper}"));
        assert_eq!(found, whole, "after {damage}");
    }
    down(lab);
}

#[tokio::test(flavor = "multi_thread")]
async fn recognises_logins_without_a_shell_and_talks_past_chatty_ones() {
    let lab = up("shells", vec![with(Release::Bookworm, ops())]);
    let host = &lab.hosts()[0];
    let target = plain(host);
    let bashrc = |text: &str| {
        root(
            host,
            &format!("usermod -s /bin/bash ops; printf '%s\\n' '{text}' >/home/ops/.bashrc"),
        );
    };
    bashrc("echo welcome to the machine; echo and to stderr >&2; printf \"no line end\"");
    pool().node(&target).await.expect("a banner is skipped");
    bashrc("head -c 100000 /dev/zero | tr \"\\0\" x");
    assert_eq!(refusal(&target, helpers()).await, Refusal::Chatty);
    bashrc("echo not today; exit 1");
    assert_eq!(refusal(&target, helpers()).await, Refusal::NoShell);
    bashrc("exec cat");
    let hurried = self::target(host, |profile| {
        profile.timing.start = Duration::from_millis(500);
    });
    assert_eq!(refusal(&hurried, helpers()).await, Refusal::Silent);
    for shell in ["/usr/sbin/nologin", "/bin/false"] {
        root(host, &format!("usermod -s {shell} ops"));
        assert_eq!(
            refusal(&target, helpers()).await,
            Refusal::NoShell,
            "{shell}"
        );
    }
    root(
        host,
        "usermod -s /bin/dash ops; sed -i 's/^/command=\"uptime\" /' /home/ops/.ssh/authorized_keys",
    );
    let refused = refusal(&target, helpers()).await;
    assert!(matches!(refused, Refusal::NoShell), "{refused:?}");
    down(lab);
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_a_host_that_is_cut_off_in_mid_call_and_comes_back_to_it() {
    let lab = up("cut", vec![with(Release::Bookworm, ops())]);
    let host = &lab.hosts()[0];
    let target = target(host, |profile| {
        profile.timing.connect = Duration::from_secs(2);
        profile.timing.keepalive_interval = Duration::from_millis(500);
        profile.timing.keepalive_timeout = Duration::from_secs(1);
    });
    let pool = pool();
    let holder = pool.node(&target).await.expect("a helper");
    let lock = |wait_ms| proto::LockRequest {
        name: "etcd_cluster/test".into(),
        holder: "test".into(),
        wait_ms,
        token: String::new(),
    };
    let taken = holder.call(
        "Lock",
        |mut client| async move { client.lock(lock(0)).await },
    );
    taken.await.expect("the lock is free");

    // Another helper waits for the lock when the line is cut.
    let other = self::pool();
    let waiter = other.node(&target).await.expect("another helper");
    let waiting = tokio::spawn(async move {
        waiter
            .call("Lock", |mut client| async move {
                client.lock(lock(60_000)).await
            })
            .await
    });
    host.cut_network().expect("the network can be cut");
    let began = Instant::now();
    let error = waiting
        .await
        .expect("no panic")
        .expect_err("the line is cut");
    assert!(error.is_lost() && error.is_transient(), "{error}");
    println!("noticed after {:?}: {error}", began.elapsed());
    let error = other.node(&target).await.expect_err("nobody answers");
    assert!(error.is_unreachable() && error.is_transient(), "{error:?}");

    host.join_network().expect("the network comes back");
    let again = other.node(&target).await.expect("a connection of its own");
    observe(&again).await;
    down(lab);
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_a_killed_helper_and_a_reboot() {
    let lab = up("killed", vec![with(Release::Trixie, ops())]);
    let host = &lab.hosts()[0];
    let target = plain(host);
    let pool = pool();
    let node = pool.node(&target).await.expect("a helper");
    root(host, "pkill -KILL -x etcd-node");
    let call = node.call("Observe", |mut client| async move {
        client.observe(proto::ObserveRequest::default()).await
    });
    let error = call.await.expect_err("it was killed");
    assert!(error.is_lost(), "{error}");
    println!("{error}");
    let node = pool.node(&target).await.expect("another helper");
    observe(&node).await;

    host.kill().expect("the power can be cut");
    host.boot().expect("the host boots");
    wait_until("the host serves again", async || {
        match pool.node(&target).await {
            Ok(node) => observe(&node).await.init == "systemd",
            Err(error) => {
                assert!(error.is_unreachable(), "{error:?}");
                false
            }
        }
    })
    .await;
    down(lab);
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_three_helpers_and_the_one_that_timers_use() {
    let lab = up("cache", vec![with(Release::Bullseye, ops())]);
    let host = &lab.hosts()[0];
    let cache = Path::new("/opt/etcd-node/cache");
    for (index, digit) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let directory = cache.join(digit.repeat(64));
        root(
            host,
            &format!(
                "mkdir -p {0} && touch -d '{1} days ago' {0}",
                directory.display(),
                9 - index
            ),
        );
    }
    root(
        host,
        &format!("ln -s cache/{} /opt/etcd-node/current", "a".repeat(64)),
    );
    pool().node(&plain(host)).await.expect("a helper");
    let helpers = helpers();
    let ours = helpers
        .get(Architecture::Amd64)
        .expect("one for this machine")
        .sha256();
    let left = root(host, &format!("ls {}", cache.display()));
    // The kept ones are named by one digit, ours may begin with any.
    let left: Vec<_> = left
        .lines()
        .filter(|name| *name != ours)
        .map(|name| &name[..1])
        .collect();
    assert_eq!(left, ["a", "c", "d"], "b is the oldest that nobody uses");
    down(lab);
}
