//! One container: starts it so that it outlives this process, waits until it is up, ends it.

use std::fs;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use crate::cgroup;
use crate::command::{self, command, run};
use crate::overlay;
use crate::process::{self, Process};
use crate::root::MARKER;

/// Time for a host to come up. It takes 2 s alone and 7 s beside others on a busy machine.
const UP_WITHIN: Duration = Duration::from_secs(90);
/// Time for the container's keeper to appear.
const STARTED_WITHIN: Duration = Duration::from_secs(10);
/// Time for a killed process to be gone; the kernel first ends everything in its namespace.
pub(crate) const GONE_WITHIN: Duration = Duration::from_secs(20);
/// Pause between two looks at a condition that cannot be waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Leaves the caller's session and control groups, says its number, and keeps the container running through reboots.
/// `$1` console, `$2` file for the number, then control groups up to `--`, then the command of the container.
const KEEP: &str = r#"
exec </dev/null >>"$1" 2>&1
echo $$ >"$2.new"
mv "$2.new" "$2"
shift 2
for group in "$@"; do
    [ "$group" != -- ] || break
    mkdir -p "$group/keeper"
    echo $$ >"$group/keeper/cgroup.procs"
done
while :; do
    status=0
    sh -ceu '
        while [ "$1" != -- ]; do
            echo $$ >"$1/cgroup.procs"
            shift
        done
        shift
        exec "$@"
    ' sh "$@" || status=$?
    # How systemd-nspawn says that the container wants to be started again.
    [ "$status" = 133 ] || exit "$status"
done
"#;

/// A container could not be started, reached or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its control groups.
    #[error(transparent)]
    ControlGroup(#[from] cgroup::Error),
    /// Its keeper could not be started.
    #[error("start machine {machine}")]
    Start {
        /// Its name.
        machine: String,
        /// What failed.
        source: command::Error,
    },
    /// A file of the machine's directory.
    #[error("use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its keeper ended by itself.
    #[error("machine {machine} ended while it was starting; its console says: {console}")]
    Ended {
        /// Its name.
        machine: String,
        /// The end of its console.
        console: String,
    },
    /// It did not come up in time.
    #[error("machine {machine} is not up after {} s ({seen}); its console says: {console}", UP_WITHIN.as_secs())]
    NotUp {
        /// Its name.
        machine: String,
        /// What it looked like last.
        seen: String,
        /// The end of its console.
        console: String,
    },
    /// It is not running.
    #[error("machine {machine} is off")]
    Off {
        /// Its name.
        machine: String,
    },
    /// A program inside could not be run.
    #[error("run inside machine {machine}")]
    Inside {
        /// Its name.
        machine: String,
        /// Why.
        source: io::Error,
    },
    /// It could not be ended.
    #[error("end machine {machine}")]
    Kill {
        /// Its name.
        machine: String,
        /// What failed.
        source: process::Error,
    },
}

/// When a host counts as up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// systemd has started everything.
    Settled,
    /// People can log in. What was installed on the host since may still wait for other hosts.
    Logins,
}

/// A container's place: what is the same whether it runs or not.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// Name for systemd-nspawn.
    pub(crate) name: String,
    /// Name that the host calls itself.
    pub(crate) host_name: String,
    pub(crate) bridge: String,
    pub(crate) address: IpAddr,
    /// Directory of the host.
    pub(crate) directory: PathBuf,
    /// Content of [`MARKER`], by which a process is known to be inside this host.
    pub(crate) marker: String,
}

impl Machine {
    /// Starts the container; gives its keeper.
    pub(crate) fn start(&self) -> Result<Process, Error> {
        let groups = cgroup::make(&self.name)?;
        let console = self.console();
        let pid_file = self.directory.join("pid");
        match fs::remove_file(&pid_file) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(Error::File {
                    path: pid_file,
                    source,
                });
            }
            _ => {}
        }
        // The kernel takes the link of a container that was killed down some time later.
        let link = format!("vb-{}", self.name);
        if Path::new("/sys/class/net").join(&link).exists() {
            // Gone by itself in the meantime is as good.
            let _ = run(&["ip", "link", "delete", "dev", &link]);
        }
        // Forked once more by setsid: the container becomes nobody's child, so that a test process need not reap it.
        let mut start = command(&["setsid", "--fork", "sh", "-ceu", KEEP, "sh"]);
        start.arg(&console).arg(&pid_file).args(&groups).arg("--");
        start.arg("systemd-nspawn").arg(format!(
            "--directory={}",
            overlay::root(&self.directory).display()
        ));
        start
            .arg(format!("--machine={}", self.name))
            .arg(format!("--hostname={}", self.host_name));
        start.arg(format!("--network-bridge={}", self.bridge));
        start.args([
            "--boot",
            "--quiet",
            "--register=no",
            "--settings=no",
            "--console=read-only",
        ]);
        start.args(["--link-journal=no", "--resolv-conf=off", "--timezone=off"]);
        if !cgroup::machine_has_systemd() {
            start.arg("--keep-unit");
        }
        // Nothing of the caller's environment, which may hold secrets, reaches a host.
        start.env_clear().env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        command::output(&mut start).map_err(|source| Error::Start {
            machine: self.name.clone(),
            source,
        })?;
        let end = Instant::now() + STARTED_WITHIN;
        while Instant::now() < end {
            if let Ok(text) = fs::read_to_string(&pid_file)
                && let Ok(pid) = text.trim().parse()
            {
                return Process::of(pid).ok_or_else(|| self.ended());
            }
            thread::sleep(LOOK_AGAIN);
        }
        Err(self.not_up("its keeper has not said its number"))
    }

    /// The container's keeper, if it runs.
    pub(crate) fn keeper(&self) -> Option<Process> {
        let pid = fs::read_to_string(self.directory.join("pid"))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        let process = Process::of(pid)?;
        // The number may belong to another process by now: only ours names the host's directory in its arguments.
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let directory = format!("{}/", self.directory.display());
        String::from_utf8_lossy(&arguments)
            .contains(&directory)
            .then_some(process)
    }

    /// Waits until sshd answers and `goal` is reached.
    ///
    /// `before` is the init process of an earlier start, which does not count.
    pub(crate) fn wait_up(
        &self,
        keeper: &Process,
        before: Option<&Process>,
        goal: Goal,
    ) -> Result<(), Error> {
        let end = Instant::now() + UP_WITHIN;
        let mut seen = "its init has not started".to_owned();
        while Instant::now() < end {
            if !keeper.is_alive() {
                return Err(self.ended());
            }
            if let Some(init) = self.init(keeper).filter(|init| Some(init) != before) {
                let output = self.inside(&init, &["systemctl", "is-system-running"])?;
                let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                let is_settled = matches!(state.as_str(), "running" | "degraded");
                if is_settled || (goal == Goal::Logins && self.takes_logins(&init)?) {
                    if answers_ssh(self.address, end) {
                        return Ok(());
                    }
                    seen = format!(
                        "systemd says {state}, but no SSH server answers at {}",
                        self.address
                    );
                } else if !state.is_empty() {
                    seen = format!("systemd says {state}");
                }
            }
            thread::sleep(LOOK_AGAIN);
        }
        Err(self.not_up(&seen))
    }

    fn takes_logins(&self, init: &Process) -> Result<bool, Error> {
        let argv = [
            "systemctl",
            "is-active",
            "ssh.service",
            "systemd-user-sessions.service",
        ];
        Ok(self.inside(init, &argv)?.status.success())
    }

    /// The first process inside the container, once the container has its own root.
    pub(crate) fn init(&self, keeper: &Process) -> Option<Process> {
        let init = keeper.only_child()?.only_child()?;
        // Before it has changed its root, the child sees this machine: the marker tells the two apart.
        let marker = fs::read_to_string(format!("/proc/{}/root{MARKER}", init.pid())).ok()?;
        (marker == self.marker && init.is_alive()).then_some(init)
    }

    /// Runs `argv` as root inside the container, without SSH.
    pub(crate) fn inside(&self, init: &Process, argv: &[&str]) -> Result<Output, Error> {
        let mut enter = command(&["nsenter", "--target", &init.pid().to_string()]);
        enter
            .args([
                "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--",
            ])
            .args(argv)
            .env_clear();
        enter
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", "/root");
        enter.env("LANG", "C.UTF-8");
        enter.output().map_err(|source| Error::Inside {
            machine: self.name.clone(),
            source,
        })
    }

    /// Ends the container as a power failure does, and removes its control groups.
    pub(crate) fn kill(&self, keeper: &Process) -> Result<(), Error> {
        let failed = |source| Error::Kill {
            machine: self.name.clone(),
            source,
        };
        // The keeper first, so that it does not start the container again as after a reboot.
        let supervisor = keeper.only_child();
        let init = supervisor.as_ref().and_then(Process::only_child);
        for process in [Some(keeper), supervisor.as_ref(), init.as_ref()]
            .into_iter()
            .flatten()
        {
            process.kill(GONE_WITHIN).map_err(failed)?;
        }
        cgroup::remove(&self.name)?;
        Ok(())
    }

    /// The error for a container that does not run.
    pub(crate) fn off(&self) -> Error {
        Error::Off {
            machine: self.name.clone(),
        }
    }

    /// File that holds what the container printed.
    pub(crate) fn console(&self) -> PathBuf {
        self.directory.join("console")
    }

    fn ended(&self) -> Error {
        Error::Ended {
            machine: self.name.clone(),
            console: last_of(&self.console()),
        }
    }

    fn not_up(&self, seen: &str) -> Error {
        Error::NotUp {
            machine: self.name.clone(),
            seen: seen.to_owned(),
            console: last_of(&self.console()),
        }
    }
}

fn last_of(console: &Path) -> String {
    fs::read(console).map_or_else(
        |error| format!("(unreadable: {error})"),
        |text| command::tail(&String::from_utf8_lossy(&text)),
    )
}

/// Whether a server that begins as SSH does (RFC 4253, section 4.2) answers before `end`.
fn answers_ssh(address: IpAddr, end: Instant) -> bool {
    while let Some(left) = end
        .checked_duration_since(Instant::now())
        .filter(|left| !left.is_zero())
    {
        let attempt = left.min(Duration::from_secs(1));
        if let Ok(mut stream) = TcpStream::connect_timeout(&SocketAddr::new(address, 22), attempt) {
            let mut greeting = [0; 4];
            if stream.set_read_timeout(Some(attempt)).is_ok()
                && stream.read_exact(&mut greeting).is_ok()
                && &greeting == b"SSH-"
            {
                return true;
            }
        }
        thread::sleep(LOOK_AGAIN);
    }
    false
}
