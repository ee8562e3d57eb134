//! Tests against a real sshd on loopback, with a sample in the place of the helper.
//!
//! Needs `sshd`, `ssh-keygen`, `ssh-agent` and `ssh-add` (openssh-server, openssh-client), and
//! fails without them. Writes below temporary directories only. sudo, mounts and reboots are the
//! matter of `tests/lab_hosts.rs`.

mod calls;
mod host_keys;
mod logins;
mod proxy;
mod sshd;
mod starts;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    HelperSource, Identity, KnownHosts, Pool, Profile, Target, loopback::sshd::Sshd, proto,
};

/// Longest wait for anything on loopback.
const PATIENCE: Duration = Duration::from_secs(20);

/// The sample helper, as a script that any architecture runs.
fn helpers() -> HelperSource {
    let this = std::env::current_exe().expect("the path of this test");
    let release = this.ancestors().nth(2).expect("a target directory");
    let sample: PathBuf = release.join("examples/sample_helper");
    assert!(
        sample.exists(),
        "{} is missing: cargo build --release -p host --examples",
        sample.display()
    );
    HelperSource::script_for_this_machine(&format!("#!/bin/sh\nexec {} \"$@\"\n", sample.display()))
}

/// A pool that keeps the helper in the server's directory.
fn pool(sshd: &Sshd) -> Pool {
    Pool::with_cache(helpers(), "the tests", &sshd.cache())
}

/// The profile that every server here lets in.
fn profile(sshd: &Sshd) -> Profile {
    let mut profile = Profile::new(sshd::user());
    profile.identities.push(Identity::KeyFile {
        path: sshd.client_key("ed25519"),
        passphrase: None,
        certificate_file: None,
    });
    profile
        .known_hosts
        .push(KnownHosts::File(sshd.known_hosts()));
    // Asked for by the sudo of the server's directory only when root does not run the tests.
    profile
}

fn target_with(sshd: &Sshd, change: impl FnOnce(&mut Profile)) -> Target {
    let mut profile = profile(sshd);
    change(&mut profile);
    Target {
        host: "127.0.0.1".to_owned(),
        port: sshd.port(),
        user: None,
        host_key: None,
        profile: Arc::new(profile),
    }
}

fn target(sshd: &Sshd) -> Target {
    target_with(sshd, |_| {})
}

/// The operator, as the sample helper heard it.
async fn observe(node: &crate::Node) -> String {
    let call = node.call("Observe", |mut client| async move {
        client.observe(proto::ObserveRequest::default()).await
    });
    call.await
        .expect("an answer")
        .host
        .expect("the host")
        .hostname
}

/// Waits until `is_so`, or fails after [`PATIENCE`].
async fn wait_until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "not so in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
