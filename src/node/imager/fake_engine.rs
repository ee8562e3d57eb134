//! A host with an engine that does what the test tells it to.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use crate::test_host::TestHost;

/// Where its program lies in the sources: linked and not copied, because a file that is being
/// written cannot be started, and tests start programs side by side.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/imager/fake_engine.sh");

/// A builder that does its work.
pub(super) const GOOD: &str =
    "echo \"profile ready: $*\" >&2\nprintf hello >\"$OUT/nocloud-amd64.iso\"\n";

/// Gives a host an engine under the name of podman.
pub(super) fn install(host: &TestHost) {
    install_as(host, "podman");
}

/// The same under another name.
pub(super) fn install_as(host: &TestHost, name: &str) {
    let directory = host.root().at("/usr/local/bin");
    fs::create_dir_all(&directory).expect("a directory");
    symlink(PROGRAM, directory.join(name)).expect("a link");
    host.write("/engine/calls", "");
    builder(host, GOOD);
}

/// Sets what runs in containers.
pub(super) fn builder(host: &TestHost, text: &str) {
    host.write("/engine/builder", text);
}

/// The calls so far that changed something, by their first word.
pub(super) fn calls(host: &TestHost) -> Vec<String> {
    let first = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    host.read("/engine/calls").lines().map(first).collect()
}

/// A builder that says `ready` and waits until [`open`] before it does `then`.
pub(super) fn gated(host: &TestHost, then: &str) -> PathBuf {
    let gate = host.root().at("/engine/gate");
    if !gate.exists() {
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &gate,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .expect("a pipe");
    }
    let shown = gate.display();
    builder(
        host,
        &format!("echo ready >&2\nread -r go <'{shown}'\n{then}"),
    );
    gate
}

/// Lets a builder that waits go on. Blocks until it does.
pub(super) fn open(gate: PathBuf) {
    fs::write(gate, "go\n").expect("a builder waits");
}
