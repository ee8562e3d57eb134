//! A real sshd on loopback, with keys and a home of its own.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{Mutex, PoisonError},
};

use tempfile::TempDir;

use super::wait_until;

/// Types of keys that each server and each client has here.
pub(super) const KINDS: [&str; 3] = ["ed25519", "ecdsa", "rsa"];

pub(super) struct Sshd {
    directory: TempDir,
    child: Child,
    port: u16,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command with its output kept away from the test's.
#[expect(
    clippy::disallowed_methods,
    reason = "short programs of a test's preparation"
)]
pub(super) fn command(program: &str) -> std::process::Command {
    let mut command = std::process::Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Runs a program that must succeed.
pub(super) fn run(program: &str, arguments: &[&str]) {
    let status = command(program).args(arguments).status();
    let status = status.unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    assert!(status.success(), "{program} {arguments:?}");
}

/// Makes a key and returns its public line.
pub(super) fn keygen(kind: &str, path: &Path, passphrase: &str) -> String {
    let file = path.to_str().expect("UTF-8");
    run(
        "ssh-keygen",
        &["-q", "-t", kind, "-N", passphrase, "-C", kind, "-f", file],
    );
    fs::read_to_string(path.with_extension("pub"))
        .expect("a public key")
        .trim()
        .to_owned()
}

/// Puts a copy of a key at `path`, one and the same for each name, and returns its public line. Only
/// the first server of the process waits for keys to be made.
fn place(path: &Path) -> String {
    type Keys = BTreeMap<OsString, (String, String)>;
    static KEYS: Mutex<Keys> = Mutex::new(BTreeMap::new());
    let name = path.file_name().expect("a name").to_owned();
    let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    let (private, public) = keys.entry(name).or_insert_with_key(|name| {
        let kind = name
            .to_str()
            .and_then(|name| name.split('_').nth(1))
            .expect("the type");
        let public = keygen(kind, path, "");
        (fs::read_to_string(path).expect("a private key"), public)
    });
    fs::write(path, private).expect("a writable directory");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("our own file");
    fs::write(path.with_extension("pub"), &public).expect("a writable directory");
    public.clone()
}

/// Who runs the tests, and so logs in.
pub(super) fn user() -> String {
    let output = command("id")
        .arg("-un")
        .stdout(Stdio::piped())
        .output()
        .expect("id runs");
    String::from_utf8(output.stdout)
        .expect("UTF-8")
        .trim()
        .to_owned()
}

impl Sshd {
    /// A server with host keys of all [`KINDS`] that lets all client keys in.
    pub(super) async fn start() -> Self {
        Self::with(|_| String::new()).await
    }

    /// The same with more lines of configuration, made from its directory.
    pub(super) async fn with(lines: impl FnOnce(&Path) -> String) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        let (mut host_keys, mut authorized) = (String::new(), String::new());
        for kind in KINDS {
            let key = path.join(format!("host_{kind}"));
            place(&key);
            writeln!(host_keys, "HostKey {}", key.display()).expect("a string takes all");
            authorized.push_str(&place(&path.join(format!("client_{kind}"))));
            authorized.push('\n');
        }
        fs::write(path.join("authorized_keys"), authorized).expect("a writable directory");
        let bin = path.join("bin");
        fs::create_dir(&bin).expect("a writable directory");
        // For those who are not root: sudo that changes nobody's identity.
        let sudo = bin.join("sudo");
        fs::write(
            &sudo,
            "#!/bin/sh\nwhile [ $1 != -- ]; do shift; done; shift; exec \"$@\"\n",
        )
        .expect("a writable directory");
        fs::set_permissions(&sudo, fs::Permissions::from_mode(0o755)).expect("our own file");
        let lines = lines(path);
        // What sshd started by root insists on; it is left there, as openssh-server would.
        if user() == "root" {
            fs::create_dir_all("/run/sshd").expect("root may write /run");
        }
        loop {
            let (mut child, port) = spawn(path, &host_keys, &bin, &lines);
            let mut has_ended = false;
            let log = || fs::read_to_string(path.join("log")).unwrap_or_default();
            // Who answers on the port may be another test's, which took it in between.
            wait_until("sshd listens", async || {
                has_ended = child.try_wait().expect("our own child").is_some();
                has_ended || log().contains("Server listening on 127.0.0.1")
            })
            .await;
            if !has_ended {
                let sshd = Self {
                    directory,
                    child,
                    port,
                };
                sshd.trust_all();
                return sshd;
            }
            let log = log();
            assert!(log.contains("Address already in use"), "sshd ended: {log}");
        }
    }

    /// Puts all host keys into the known hosts file.
    fn trust_all(&self) {
        let lines = KINDS
            .map(|kind| format!("{} {}\n", self.name(), self.host_key(kind)))
            .concat();
        fs::write(self.known_hosts(), lines).expect("a writable directory");
    }

    /// As in known hosts.
    pub(super) fn name(&self) -> String {
        format!("[127.0.0.1]:{}", self.port)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn cache(&self) -> String {
        self.path().join("cache").display().to_string()
    }

    pub(super) fn known_hosts(&self) -> PathBuf {
        self.path().join("known_hosts")
    }

    pub(super) fn client_key(&self, kind: &str) -> PathBuf {
        self.path().join(format!("client_{kind}"))
    }

    /// Type and key of a host key, without comment.
    pub(super) fn host_key(&self, kind: &str) -> String {
        let line = fs::read_to_string(self.path().join(format!("host_{kind}.pub"))).expect("a key");
        line.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// What sshd has logged so far.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).expect("sshd logs")
    }
}

fn spawn(path: &Path, host_keys: &str, bin: &Path, lines: &str) -> (Child, u16) {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let inherited = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned());
    // The first word about a thing counts, so the test's lines stand first.
    let text = format!(
        "{lines}\nPort {port}\nListenAddress 127.0.0.1\n{host_keys}AuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 100\nSetEnv PATH={}:{inherited}\nLogLevel VERBOSE\n",
        path.join("authorized_keys").display(),
        bin.display(),
    );
    let configuration = path.join("sshd_config");
    fs::write(&configuration, text).expect("a writable directory");
    let log = fs::File::create(path.join("log")).expect("a writable directory");
    // sshd starts itself anew by its absolute path.
    let child = command("/usr/sbin/sshd")
        .args(["-D", "-e", "-f"])
        .arg(&configuration)
        .stderr(log)
        .spawn()
        .expect("sshd is installed (openssh-server)");
    (child, port)
}
