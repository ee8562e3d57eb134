//! How to reach hosts and log in, as data. Decides nothing; reads no file and no environment.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{HostKey, Secret};

/// A host and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Name or IP address, as the user wrote it.
    pub host: String,
    /// SSH port.
    pub port: u16,
    /// Wins over the profile's user.
    pub user: Option<String>,
    /// The key that the host must show; the profile's known hosts then do not matter.
    pub host_key: Option<HostKey>,
    /// How to log in.
    pub profile: Arc<Profile>,
}

impl Target {
    /// The user that logs in.
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or(&self.profile.user)
    }
}

/// How to log in to hosts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Profile {
    /// The user that logs in. Any but root needs sudo on the host.
    pub user: String,
    /// Tried certificates first, then keys, agents and passwords, each in the order given.
    pub identities: Vec<Identity>,
    /// Where host keys are looked up; all are read, a revocation in any of them counts.
    pub known_hosts: Vec<KnownHosts>,
    /// The host through which all others are reached.
    pub bastion: Option<Bastion>,
    /// Password for sudo; without it sudo must not ask for one.
    pub sudo_password: Option<Secret>,
    /// Deadlines.
    pub timing: Timing,
}

impl Profile {
    /// A profile that can log in nowhere yet.
    pub fn new(user: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            identities: Vec::new(),
            known_hosts: Vec::new(),
            bastion: None,
            sudo_password: None,
            timing: Timing::default(),
        }
    }
}

/// One way to prove who logs in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A private key in a file.
    KeyFile {
        /// The private key; without a leading `~`.
        path: PathBuf,
        /// Its passphrase.
        passphrase: Option<Secret>,
        /// An SSH certificate on it; `<path>-cert.pub` is taken if it exists.
        certificate_file: Option<PathBuf>,
    },
    /// A private key by value.
    Key {
        /// The private key in PEM.
        pem: Secret,
        /// Its passphrase.
        passphrase: Option<Secret>,
        /// An SSH certificate on it, one line as in `id_ed25519-cert.pub`.
        certificate: Option<String>,
    },
    /// All keys and certificates of an agent.
    Agent {
        /// Socket of the agent, as in `SSH_AUTH_SOCK`.
        socket: PathBuf,
    },
    /// A password, by the method `password` or `keyboard-interactive`.
    Password(Secret),
}

/// A source of known host keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KnownHosts {
    /// A file as OpenSSH keeps it; one that does not exist is empty.
    File(PathBuf),
    /// The text of such a file.
    Text {
        /// What error messages call it, for example the name of an attribute.
        name: String,
        /// Its lines.
        text: String,
    },
}

/// A host through which others are reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bastion {
    /// Name or IP address.
    pub host: String,
    /// SSH port.
    pub port: u16,
    /// The user that logs in there; needs no sudo.
    pub user: String,
    /// As in [`Profile::identities`].
    pub identities: Vec<Identity>,
    /// As in [`Profile::known_hosts`].
    pub known_hosts: Vec<KnownHosts>,
    /// As in [`Target::host_key`].
    pub host_key: Option<HostKey>,
    /// The bastion before this one.
    pub bastion: Option<Box<Self>>,
}

/// Deadlines of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// For name, TCP connection and key exchange of one hop.
    pub connect: Duration,
    /// For the login: agents may ask a person.
    pub login: Duration,
    /// For the first line of the helper, and for each 256 KiB of its upload.
    pub start: Duration,
    /// Time between two signs of life of a connection.
    pub keepalive_interval: Duration,
    /// A connection without a sign of life for so long is dead.
    pub keepalive_timeout: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            login: Duration::from_secs(30),
            start: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(20),
        }
    }
}
