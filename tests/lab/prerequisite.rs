//! What the lab needs of the machine, installed by apt where it is missing.

use crate::command::{self, command};
use crate::home::{self, Home};
use crate::progress;

/// A program by which a package is known to be there, and the package.
type Prerequisite = (&'static str, &'static str);

/// For hosts.
const HOSTS: [Prerequisite; 8] = [
    ("bridge", "iproute2"),
    ("debootstrap", "debootstrap"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mount", "mount"),
    ("nsenter", "util-linux"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("systemd-nspawn", "systemd-container"),
];
/// For building the provider and its helper: a linker and C compiler for the crypto library, and protoc for the
/// build script of etcd-client.
const BUILDS: [Prerequisite; 2] = [("cc", "build-essential"), ("protoc", "protobuf-compiler")];

/// The machine is not one for the lab, or could not be made one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lab's home.
    #[error(transparent)]
    Home(#[from] home::Error),
    /// Containers, bridges and mounts need root.
    #[error("the lab needs root: it boots containers on a bridge (`sudo -E cargo lab …`)")]
    NotRoot,
    /// Programs that apt does not bring.
    #[error("{program} is missing: {hint}")]
    Missing {
        /// The program.
        program: &'static str,
        /// Where to get it.
        hint: &'static str,
    },
    /// No apt here.
    #[error("this machine has no apt-get: install {packages} by its own means")]
    NoApt {
        /// What is missing.
        packages: String,
    },
    /// apt failed.
    #[error("install {packages}")]
    Install {
        /// What was to be installed.
        packages: String,
        /// What failed.
        source: command::Error,
    },
}

/// Makes sure that hosts can be made.
pub fn for_hosts(home: &Home) -> Result<(), Error> {
    install(home, &HOSTS)
}

/// Makes sure that the workspace can be built.
pub fn for_builds(home: &Home) -> Result<(), Error> {
    install(home, &BUILDS)
}

/// Makes sure that the real programs can be built.
pub fn for_programs() -> Result<(), Error> {
    if is_there("go") {
        return Ok(());
    }
    Err(Error::Missing {
        program: "go",
        hint: "the real etcd, step-ca, tofu and others are built from source by Go 1.26 or newer",
    })
}

/// Refuses to go on without root.
pub fn root() -> Result<(), Error> {
    if rustix::process::geteuid().is_root() {
        Ok(())
    } else {
        Err(Error::NotRoot)
    }
}

fn install(home: &Home, prerequisites: &[Prerequisite]) -> Result<(), Error> {
    let missing = || {
        let mut packages: Vec<&str> = prerequisites
            .iter()
            .filter(|(program, _)| !is_there(program))
            .map(|(_, package)| *package)
            .collect();
        packages.dedup();
        packages
    };
    if missing().is_empty() {
        return Ok(());
    }
    let _lock = home.lock("apt")?;
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    let shown = packages.join(" ");
    if !is_there("apt-get") {
        return Err(Error::NoApt { packages: shown });
    }
    progress::say(&format!("installing {shown}"));
    let apt = |arguments: &[&str]| {
        let mut apt = command(&["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]);
        apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        command::long("apt-get", &mut apt).map(drop)
    };
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(packages);
    // A machine's package lists are often current, and updating them takes longer than the rest.
    apt(&install)
        .or_else(|_| apt(&["update"]).and_then(|()| apt(&install)))
        .map_err(|source| Error::Install {
            packages: shown,
            source,
        })
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Root's shells often lack the directories where Debian puts some of these.
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(Into::into))
        .any(|directory| directory.join(program).is_file())
}
