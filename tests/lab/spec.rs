//! What a lab's user asks for.

use serde::{Deserialize, Serialize};

use crate::base::Release;
use crate::bridge::Family;

/// Name of the lab when none is given.
pub const DEFAULT_LAB: &str = "demo";

/// A lab to bring up.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its name: `[a-z0-9-]{1,32}`.
    pub name: String,
    /// Its hosts, named `1`, `2` … in this order.
    pub hosts: Vec<HostSpec>,
    /// Whether the lab ends with the process that asked for it: any later run of the lab then removes it.
    /// Otherwise it stays until somebody takes it down.
    pub is_ephemeral: bool,
}

impl Spec {
    /// A lab of `hosts` that ends with this process.
    pub fn ephemeral(name: &str, hosts: Vec<HostSpec>) -> Self {
        Self {
            name: name.to_owned(),
            hosts,
            is_ephemeral: true,
        }
    }
}

/// How the lab's key gets onto a host and what it may do there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "login", content = "user")]
pub enum Access {
    /// As root.
    Root,
    /// As this user, who may run everything by sudo without a password.
    Sudo(String),
    /// As this user, whose sudo asks for a password.
    SudoWithPassword(String),
    /// As this user, whom sudo does not know.
    WithoutSudo(String),
}

impl Access {
    /// Name to log in with.
    pub fn user(&self) -> &str {
        match self {
            Self::Root => "root",
            Self::Sudo(user) | Self::SudoWithPassword(user) | Self::WithoutSudo(user) => user,
        }
    }
}

/// One host to bring up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostSpec {
    /// Its Debian release.
    pub release: Release,
    /// Its addresses.
    pub family: Family,
    /// Who logs in.
    pub access: Access,
    /// Size of a disk of its own for `/var` in bytes; `None` shares the machine's disk, which cannot be filled.
    pub disk_bytes: Option<u64>,
    /// `/tmp`, `/var/tmp` and `/home` are mounted noexec.
    pub is_noexec: bool,
    /// `/usr` is mounted read-only.
    pub has_read_only_usr: bool,
    /// Packages of the base that are removed, by Debian name.
    pub without_packages: Vec<String>,
    /// Packages that it has more than the base, by Debian name.
    #[serde(default)]
    pub with_packages: Vec<String>,
}

impl HostSpec {
    /// A host of `release` with an IPv4 address, a shared disk and root's login.
    pub fn new(release: Release) -> Self {
        Self {
            release,
            family: Family::V4,
            access: Access::Root,
            disk_bytes: None,
            is_noexec: false,
            has_read_only_usr: false,
            without_packages: Vec::new(),
            with_packages: Vec::new(),
        }
    }

    /// The same host with an IPv6 address only.
    #[must_use]
    pub fn v6(self) -> Self {
        Self {
            family: Family::V6,
            ..self
        }
    }

    /// The same host with another login.
    #[must_use]
    pub fn access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// The same host with more packages, by Debian name.
    #[must_use]
    pub fn with_packages(self, packages: &[&str]) -> Self {
        let with_packages = packages.iter().map(|name| (*name).to_owned()).collect();
        Self {
            with_packages,
            ..self
        }
    }

    /// The same host with a disk of its own for `/var`.
    #[must_use]
    pub fn disk(self, bytes: u64) -> Self {
        Self {
            disk_bytes: Some(bytes),
            ..self
        }
    }
}
