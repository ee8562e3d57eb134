//! A host of a lab, as tests and people use it.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::{Deserialize, Serialize};

use crate::bridge::{self, Network};
use crate::command::{self, command};
use crate::credentials;
use crate::home::Home;
use crate::machine::{self, Goal, Machine};
use crate::overlay;
use crate::process::Process;
use crate::root;
use crate::spec::{Access, HostSpec};

/// File with which [`Host::fill_disk`] takes the space.
const FILLER: &str = "/var/lab-filler";
/// `$1` bytes to leave, `$2` the file.
const FILL: &str =
    r#"fallocate --length "$(( $(stat --file-system --format '%a * %S' /var) - $1 ))" "$2""#;

/// Something could not be done to a host.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its container.
    #[error(transparent)]
    Machine(#[from] machine::Error),
    /// Its root.
    #[error("root of host {host}")]
    Root {
        /// The host.
        host: String,
        /// What failed.
        source: root::Error,
    },
    /// The mounts of its root.
    #[error("mounts of host {host}")]
    Mount {
        /// The host.
        host: String,
        /// What failed.
        source: overlay::Error,
    },
    /// Its network.
    #[error(transparent)]
    Bridge(#[from] bridge::Error),
    /// It runs already.
    #[error("host {host} runs already")]
    IsOn {
        /// The host.
        host: String,
    },
    /// A program inside ended with a failure.
    #[error("`{argv}` on host {host} ended with {status}: {output}")]
    Failed {
        /// The host.
        host: String,
        /// The program and its arguments.
        argv: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of what it printed.
        output: String,
    },
    /// Filling the disk of a host whose disk is the machine's.
    #[error("host {host} shares the machine's disk; only one with a disk of its own can be filled")]
    SharesDisk {
        /// The host.
        host: String,
    },
}

/// What is kept of a host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// From 1.
    pub(crate) number: u8,
    pub(crate) spec: HostSpec,
}

/// A host. It may be off: everything but [`Host::boot`] and the getters then fails.
#[derive(Debug, Clone)]
pub struct Host {
    home: Home,
    record: Record,
    network: Network,
    owner: String,
    lab_directory: PathBuf,
    machine: Machine,
}

impl Host {
    pub(crate) fn new(
        home: &Home,
        lab: &str,
        lab_directory: &Path,
        network: Network,
        record: Record,
    ) -> Self {
        let host_name = format!("{lab}-{}", record.number);
        let directory = lab_directory.join("hosts").join(record.number.to_string());
        let machine = Machine {
            name: network.machine(record.number),
            marker: format!("{}\n", directory.display()),
            host_name,
            bridge: network.bridge(),
            address: network.host(record.spec.family, record.number),
            directory,
        };
        Self {
            home: home.clone(),
            owner: lab_directory.display().to_string(),
            lab_directory: lab_directory.to_owned(),
            record,
            network,
            machine,
        }
    }

    /// Its name within the lab: its number, from 1.
    pub fn name(&self) -> String {
        self.record.number.to_string()
    }

    /// What it was asked to be.
    pub fn spec(&self) -> &HostSpec {
        &self.record.spec
    }

    /// Name that it calls itself: the lab's name and its own.
    pub fn host_name(&self) -> &str {
        &self.machine.host_name
    }

    /// Its only address.
    pub fn address(&self) -> IpAddr {
        self.machine.address
    }

    /// Who logs in.
    pub fn user(&self) -> &str {
        self.record.spec.access.user()
    }

    /// Key that logs in; the same for all hosts of a lab.
    pub fn private_key_file(&self) -> PathBuf {
        credentials::key_file(&self.lab_directory)
    }

    /// Host keys of all hosts of the lab, read from their roots and not from the network.
    pub fn known_hosts_file(&self) -> PathBuf {
        self.lab_directory.join("known_hosts")
    }

    /// File with the password that the user's sudo asks for, if it does.
    pub fn sudo_password_file(&self) -> Option<PathBuf> {
        matches!(self.record.spec.access, Access::SudoWithPassword(_)).then(|| self.password_file())
    }

    /// Its root directory as this machine sees it. Mounted while the host is on.
    pub fn root_directory(&self) -> PathBuf {
        overlay::root(&self.machine.directory)
    }

    /// What it printed while starting.
    pub fn console(&self) -> PathBuf {
        self.machine.console()
    }

    /// Whether its container runs.
    pub fn is_on(&self) -> bool {
        self.keeper().is_some()
    }

    /// Runs `argv` as root on the host without SSH, whatever its outcome.
    pub fn root(&self, argv: &[&str]) -> Result<Output, Error> {
        Ok(self.machine.inside(&self.init()?, argv)?)
    }

    /// Runs `argv` as root on the host without SSH and gives what it printed, without the last line end.
    ///
    /// # Errors
    /// [`Error::Failed`] with the end of the output if the program fails.
    pub fn root_text(&self, argv: &[&str]) -> Result<String, Error> {
        let output = self.root(argv)?;
        let stdout = String::from_utf8_lossy(&output.stdout)
            .trim_end_matches('\n')
            .to_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        Err(Error::Failed {
            host: self.host_name().to_owned(),
            argv: argv.join(" "),
            status: output.status,
            output: command::tail(if stderr.trim().is_empty() {
                &stdout
            } else {
                &stderr
            }),
        })
    }

    /// The ssh command that logs in as the host's user; arguments may be added.
    pub fn ssh(&self) -> Command {
        let mut ssh = command(&[
            "ssh",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "StrictHostKeyChecking=yes",
        ]);
        ssh.arg("-i").arg(self.private_key_file());
        ssh.arg("-o").arg(format!(
            "UserKnownHostsFile={}",
            self.known_hosts_file().display()
        ));
        ssh.arg("-l")
            .arg(self.user())
            .arg(self.address().to_string());
        ssh
    }

    /// Ends the host as a power failure does. What it had written is kept; one that is off is fine.
    pub fn kill(&self) -> Result<(), Error> {
        if let Some(keeper) = self.keeper() {
            self.machine.kill(&keeper)?;
        }
        Ok(())
    }

    /// Starts a host that is off and waits until people can log in.
    pub fn boot(&self) -> Result<(), Error> {
        self.start(Goal::Logins)
    }

    fn start(&self, goal: Goal) -> Result<(), Error> {
        if self.is_on() {
            return Err(Error::IsOn {
                host: self.host_name().to_owned(),
            });
        }
        let failed = |source| Error::Mount {
            host: self.host_name().to_owned(),
            source,
        };
        self.network.restore(&self.owner)?;
        overlay::mount(&self.home, &self.record.spec, &self.machine.directory).map_err(failed)?;
        overlay::seal(&self.record.spec, &self.machine.directory).map_err(failed)?;
        let keeper = self.machine.start()?;
        Ok(self.machine.wait_up(&keeper, None, goal)?)
    }

    /// Shuts the host down in order, and waits until it is up again.
    pub fn reboot(&self) -> Result<(), Error> {
        let keeper = self.keeper().ok_or_else(|| self.machine.off())?;
        let before = self.init()?;
        self.root_text(&["systemctl", "--no-block", "reboot"])?;
        Ok(self.machine.wait_up(&keeper, Some(&before), Goal::Logins)?)
    }

    /// Drops all frames from and to the host in silence; its link stays up.
    pub fn cut_network(&self) -> Result<(), Error> {
        Ok(self.network.set_port(self.record.number, false)?)
    }

    /// Undoes [`Host::cut_network`].
    pub fn join_network(&self) -> Result<(), Error> {
        Ok(self.network.set_port(self.record.number, true)?)
    }

    /// Takes the space on the host's own disk until `free_bytes` are left.
    ///
    /// # Errors
    /// [`Error::SharesDisk`] if the host has no disk of its own.
    pub fn fill_disk(&self, free_bytes: u64) -> Result<(), Error> {
        if self.record.spec.disk_bytes.is_none() {
            return Err(Error::SharesDisk {
                host: self.host_name().to_owned(),
            });
        }
        self.free_disk()?;
        self.root_text(&["sh", "-ceu", FILL, "sh", &free_bytes.to_string(), FILLER])?;
        Ok(())
    }

    /// Undoes [`Host::fill_disk`].
    pub fn free_disk(&self) -> Result<(), Error> {
        self.root_text(&["rm", "-f", FILLER])?;
        Ok(())
    }

    /// Makes the root and starts the host.
    pub(crate) fn make(&self, public_key: &str) -> Result<(), Error> {
        let wish = root::Wish {
            spec: &self.record.spec,
            directory: &self.machine.directory,
            marker: &self.machine.marker,
            host_name: self.host_name(),
            network: self.network,
            number: self.record.number,
            public_key,
            password_file: &self.password_file(),
        };
        root::make(&self.home, &wish).map_err(|source| Error::Root {
            host: self.host_name().to_owned(),
            source,
        })?;
        self.start(Goal::Settled)
    }

    /// Ends the host and unmounts its root; its files stay.
    pub(crate) fn end(&self) -> Result<(), Error> {
        self.kill()?;
        overlay::unmount(&self.machine.directory).map_err(|source| Error::Mount {
            host: self.host_name().to_owned(),
            source,
        })
    }

    /// The host's line for `known_hosts`.
    pub(crate) fn known_host(&self) -> Result<String, Error> {
        let path = self
            .root_directory()
            .join("etc/ssh/ssh_host_ed25519_key.pub");
        let key =
            fs::read_to_string(&path).map_err(|source| machine::Error::File { path, source })?;
        let words: Vec<&str> = key.split_whitespace().take(2).collect();
        Ok(format!("{} {}\n", self.address(), words.join(" ")))
    }

    fn password_file(&self) -> PathBuf {
        credentials::password_file(&self.lab_directory)
    }

    fn keeper(&self) -> Option<Process> {
        self.machine.keeper()
    }

    fn init(&self) -> Result<Process, Error> {
        Ok(self
            .keeper()
            .and_then(|keeper| self.machine.init(&keeper))
            .ok_or_else(|| self.machine.off())?)
    }
}
