//! What nothing on the same machine can go below.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::{Error, timed};
use crate::command::{self, command};
use crate::home::{self, Home};
use crate::lab::Lab;
use crate::program::Program;
use crate::provider::{Cli, Provider};

/// Time for etcd alone to become healthy; it takes about 2 s.
const HEALTHY_WITHIN: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The line of etcd that users get by default.
const ETCD: &str = "3.5.35";

/// Seconds of one SSH login.
pub(super) fn login(lab: &Lab) -> Result<f64, Error> {
    let what = "an SSH login";
    let mut ssh = lab.hosts()[0].ssh();
    ssh.arg("true");
    timed(|| {
        command::output(&mut ssh)
            .map(drop)
            .map_err(|source| Error::Measure { what, source })
    })
}

/// Seconds of a plain copy of the archives to all hosts at once: etcd to each, step-ca and step to the first.
pub(super) fn copy(lab: &Lab, archives: &Path) -> Result<f64, Error> {
    let what = "a copy of the archives";
    timed(|| {
        let results: Vec<Result<(), Error>> = thread::scope(|scope| {
            let copies: Vec<_> = lab
                .hosts()
                .iter()
                .enumerate()
                .map(|(number, host)| {
                    scope.spawn(move || {
                        let mut scp = command(&["scp", "-q", "-r", "-o", "IdentitiesOnly=yes"]);
                        scp.arg("-o").arg(format!(
                            "UserKnownHostsFile={}",
                            host.known_hosts_file().display()
                        ));
                        scp.arg("-i")
                            .arg(host.private_key_file())
                            .arg(archives.join(format!("etcd/v{ETCD}")));
                        if number == 0 {
                            scp.arg(archives.join("step-ca")).arg(archives.join("step"));
                        }
                        scp.arg(format!("{}@{}:/root/", host.user(), host.address()));
                        command::output(&mut scp)
                            .map(drop)
                            .map_err(|source| Error::Measure { what, source })
                    })
                })
                .collect();
            copies
                .into_iter()
                .map(|copy| copy.join().expect("a copy does not panic"))
                .collect()
        });
        results.into_iter().collect()
    })
}

/// Seconds from the start of three members, without TLS, until a write goes through.
pub(super) fn etcd_alone(home: &Home, lab: &Lab) -> Result<f64, Error> {
    let what = "etcd alone";
    let programs = Program::named("etcd")?;
    let program = programs
        .iter()
        .find(|program| program.version == ETCD)
        .unwrap_or(&programs[0]);
    let binaries = program.ensure(home)?;
    let initial: Vec<String> = lab
        .hosts()
        .iter()
        .map(|host| format!("{}=http://{}:3380", host.name(), host.address()))
        .collect();
    for host in lab.hosts() {
        for binary in ["etcd", "etcdctl"] {
            let to = host.root_directory().join("root").join(binary);
            fs::copy(binaries.join(binary), &to)
                .map_err(|source| Error::File { path: to, source })?;
        }
    }
    let seconds = timed(|| {
        for host in lab.hosts() {
            let [peer, client] =
                [3380, 3379].map(|port| format!("http://{}:{port}", host.address()));
            host.root_text(&[
                "systemd-run",
                "--unit=floor",
                "--quiet",
                "/root/etcd",
                "--name",
                &host.name(),
                "--data-dir=/root/floor",
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
                "--initial-cluster",
                &initial.join(","),
                "--heartbeat-interval=250",
                "--election-timeout=5000",
            ])?;
        }
        let endpoint = format!("--endpoints=http://{}:3379", lab.hosts()[0].address());
        let end = Instant::now() + HEALTHY_WITHIN;
        while Instant::now() < end {
            if lab.hosts()[0]
                .root(&["/root/etcdctl", &endpoint, "put", "floor", "reached"])?
                .status
                .success()
            {
                return Ok(());
            }
            thread::sleep(LOOK_AGAIN);
        }
        Err(Error::TooLong {
            what,
            deadline: HEALTHY_WITHIN,
        })
    })?;
    for host in lab.hosts() {
        host.root_text(&["systemctl", "stop", "floor"])?;
        host.root_text(&["sh", "-c", "rm -rf /root/*"])?;
    }
    Ok(seconds)
}

/// Seconds of a plan of an empty configuration.
pub(super) fn plan_of_nothing(home: &Home, provider: &Provider, lab: &Lab) -> Result<f64, Error> {
    let what = "a plan of nothing";
    let directory = lab.directory().join("nothing");
    home::make_directory(&directory)?;
    let path = directory.join("main.tf");
    fs::write(&path, "").map_err(|source| Error::File { path, source })?;
    let mut tofu = provider.command(home, Cli::Tofu, &directory)?;
    tofu.args(["plan", "-input=false"]);
    timed(|| {
        command::output(&mut tofu)
            .map(drop)
            .map_err(|source| Error::Measure { what, source })
    })
}
