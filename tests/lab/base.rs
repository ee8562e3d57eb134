//! Base roots: a Debian release as a directory, made once and shared by all hosts through overlay mounts.
//!
//! Two layers: what debootstrap made, and over it a thin one with what makes it a host's root, so that a change of the
//! latter costs no download. Hosts with more packages have a third one (`package.rs`).

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::command::{self, command, run};
use crate::home::{self, Home};
use crate::progress;

/// Environment variable that names the Debian mirror to take releases from, for machines whose own sources are not Debian's.
pub const MIRROR_VARIABLE: &str = "ETCD_LAB_MIRROR";

/// What a small server has before anybody prepared it for etcd. A change needs the bases removed by hand.
const PACKAGES: &str =
    "systemd,systemd-sysv,dbus,openssh-server,iproute2,sudo,ca-certificates,curl";
/// Changes when `prepare` does, so that a layer of another recipe is not taken for this one.
const RECIPE: &str = "1";
/// Units that slow the start or change the host behind a test's back.
const MASKED: [&str; 10] = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "systemd-networkd-wait-online.service",
    "systemd-random-seed.service",
];

/// A base root could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lab's home.
    #[error(transparent)]
    Home(#[from] home::Error),
    /// The name is not one of the releases.
    #[error("unknown release {name:?}: bullseye, bookworm or trixie")]
    UnknownRelease {
        /// The name.
        name: String,
    },
    /// apt could not be asked.
    #[error("find a Debian mirror in this machine's apt sources (or set {MIRROR_VARIABLE})")]
    FindMirror {
        /// What failed.
        source: command::Error,
    },
    /// No source of apt is a Debian one.
    #[error("this machine's apt sources name no mirror: set {MIRROR_VARIABLE}")]
    NoMirror,
    /// debootstrap failed.
    #[error("debootstrap {release}")]
    Debootstrap {
        /// The release.
        release: Release,
        /// What failed.
        source: command::Error,
    },
    /// Packages that a host has more than the base.
    #[error("install {packages} over the base of {release}")]
    Packages {
        /// The release.
        release: Release,
        /// Their names.
        packages: String,
        /// What failed.
        source: command::Error,
    },
    /// The overlay in which a base is prepared.
    #[error("mount or unmount the layers of {release}")]
    Mount {
        /// The release.
        release: Release,
        /// What failed.
        source: command::Error,
    },
    /// A step after debootstrap.
    #[error("prepare the base of {release}: {step}")]
    Prepare {
        /// The release.
        release: Release,
        /// What was to be done.
        step: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// A Debian release that hosts can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Release {
    /// Debian 11: systemd 247, glibc 2.31.
    Bullseye,
    /// Debian 12: systemd 252.
    Bookworm,
    /// Debian 13: systemd 257, OpenSSH 10.
    Trixie,
}

impl Release {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::Bullseye, Self::Bookworm, Self::Trixie];

    /// Debian's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bullseye => "bullseye",
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Release {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|release| release.name() == name)
            .ok_or_else(|| Error::UnknownRelease {
                name: name.to_owned(),
            })
    }
}

/// The read-only layers of the base root of `release`, uppermost first, made where they are missing.
pub fn ensure(home: &Home, release: Release) -> Result<[PathBuf; 2], Error> {
    let plain = home.bases().join(release.name());
    let prepared = home.bases().join(format!("{release}-host-{}", recipe()));
    let layers = [prepared, plain];
    if layers.iter().all(|layer| layer.is_dir()) {
        return Ok(layers);
    }
    let _lock = home.lock(&format!("base-{release}"))?;
    let [prepared, plain] = &layers;
    if !plain.is_dir() {
        bootstrap(home, release, plain)?;
    }
    if !prepared.is_dir() {
        prepare_layer(home, release, plain, prepared)?;
    }
    Ok(layers)
}

fn bootstrap(home: &Home, release: Release, plain: &Path) -> Result<(), Error> {
    let mirror = mirror()?;
    progress::say(&format!(
        "making the base of Debian {release} (once, about a minute)"
    ));
    let unfinished = home.bases().join(format!("{release}.unfinished"));
    clear(release, &unfinished)?;
    let mut debootstrap = command(&["debootstrap", "--variant=minbase"]);
    debootstrap
        .arg(format!("--include={PACKAGES}"))
        .arg(release.name())
        .arg(&unfinished)
        .arg(mirror);
    command::long(&format!("base of {release}"), &mut debootstrap)
        .map_err(|source| Error::Debootstrap { release, source })?;
    into_place(release, &unfinished, plain)
}

fn prepare_layer(
    home: &Home,
    release: Release,
    plain: &Path,
    prepared: &Path,
) -> Result<(), Error> {
    let unfinished = home.bases().join(format!("{release}-host.unfinished"));
    layer(release, &unfinished, &[plain], prepared, |root| {
        prepare(release, root)
    })
}

/// Makes a layer of what `work` changes in a root of the layers `below`, uppermost first. The lock of what is made is
/// held.
pub(crate) fn layer(
    release: Release,
    unfinished: &Path,
    below: &[&Path],
    finished: &Path,
    work: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<(), Error> {
    let root = unfinished.join("root");
    // A killed run's mount, if there is one, is undone before its files are removed.
    if run(&["mountpoint", "-q", &root.display().to_string()]).is_ok() {
        unmount(release, &root)?;
    }
    clear(release, unfinished)?;
    for part in ["upper", "work", "root"] {
        home::make_directory(&unfinished.join(part))?;
    }
    let below: Vec<String> = below
        .iter()
        .map(|layer| layer.display().to_string())
        .collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        below.join(":"),
        unfinished.join("upper").display(),
        unfinished.join("work").display()
    );
    run(&[
        "mount",
        "-t",
        "overlay",
        "etcd-lab",
        "-o",
        &options,
        &root.display().to_string(),
    ])
    .map_err(|source| Error::Mount { release, source })?;
    let result = work(&root);
    unmount(release, &root)?;
    result?;
    into_place(release, &unfinished.join("upper"), finished)?;
    clear(release, unfinished)
}

fn unmount(release: Release, root: &Path) -> Result<(), Error> {
    run(&["umount", &root.display().to_string()])
        .map(drop)
        .map_err(|source| Error::Mount { release, source })
}

/// Removes what a run that did not end well left; the release's lock is held.
fn clear(release: Release, path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Prepare {
            release,
            step: format!("remove {}", path.display()),
            source,
        }),
        _ => Ok(()),
    }
}

fn into_place(release: Release, from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|source| Error::Prepare {
        release,
        step: "rename into place".to_owned(),
        source,
    })
}

/// Short hash of what the prepared layer is made from.
fn recipe() -> String {
    let mut hash = Sha256::new();
    hash.update(RECIPE);
    hash.update(MASKED.join(","));
    hex::encode(hash.finalize())[..8].to_owned()
}

/// The mirror that this machine's own apt uses.
fn mirror() -> Result<String, Error> {
    if let Ok(mirror) = std::env::var(MIRROR_VARIABLE) {
        return Ok(mirror);
    }
    let targets = run(&[
        "apt-get",
        "indextargets",
        "--format",
        "$(REPO_URI) $(RELEASE)",
        "Created-By: Packages",
    ])
    .map_err(|source| Error::FindMirror { source })?;
    targets
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(_, release)| !release.contains('-'))
        .map(|(mirror, _)| mirror.to_owned())
        .ok_or(Error::NoMirror)
}

/// Makes a fresh root a host's root: no keys and no identity of its own, no passwords, nothing that works by itself.
fn prepare(release: Release, root: &Path) -> Result<(), Error> {
    let write = |path: &str, text: &str| {
        let file = root.join(path);
        fs::create_dir_all(file.parent().expect("a file in the root has a directory"))
            .and_then(|()| fs::write(&file, text))
            .map_err(|source| Error::Prepare {
                release,
                step: format!("write {path}"),
                source,
            })
    };
    let remove = |path: &Path| {
        fs::remove_file(path).map_err(|source| Error::Prepare {
            release,
            step: format!("remove {}", path.display()),
            source,
        })
    };
    let link = |target: &str, path: &str| {
        let file = root.join(path);
        fs::create_dir_all(file.parent().expect("a link in the root has a directory"))
            .and_then(|()| match fs::remove_file(&file) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => Err(source),
                _ => Ok(()),
            })
            .and_then(|()| std::os::unix::fs::symlink(target, &file))
            .map_err(|source| Error::Prepare {
                release,
                step: format!("link {path}"),
                source,
            })
    };
    for entry in fs::read_dir(root.join("etc/ssh"))
        .map_err(|source| Error::Prepare {
            release,
            step: "list etc/ssh".to_owned(),
            source,
        })?
        .flatten()
    {
        if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
            remove(&entry.path())?;
        }
    }
    write("etc/machine-id", "")?;
    write("etc/hostname", "")?;
    write("etc/resolv.conf", "")?;
    write(
        "etc/ssh/sshd_config.d/lab.conf",
        "PasswordAuthentication no\nHostKey /etc/ssh/ssh_host_ed25519_key\n",
    )?;
    write(
        "etc/systemd/journald.conf.d/lab.conf",
        "[Journal]\nStorage=volatile\nRuntimeMaxUse=32M\n",
    )?;
    link(
        "/lib/systemd/system/systemd-networkd.service",
        "etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
    )?;
    link(
        "/lib/systemd/system/systemd-networkd.socket",
        "etc/systemd/system/sockets.target.wants/systemd-networkd.socket",
    )?;
    for unit in MASKED {
        link("/dev/null", &format!("etc/systemd/system/{unit}"))?;
    }
    // Hundreds of megabytes that no host looks at.
    for directory in ["var/cache/apt/archives", "var/lib/apt/lists"] {
        let path = root.join(directory);
        fs::remove_dir_all(&path)
            .and_then(|()| fs::create_dir_all(path.join("partial")))
            .map_err(|source| Error::Prepare {
                release,
                step: format!("empty {directory}"),
                source,
            })?;
    }
    Ok(())
}
