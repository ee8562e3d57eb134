//! What makes a root directory the root of one host: its address, its name and keys, who logs in.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::base::Release;
use crate::bridge::{Family, Network};
use crate::command::{self, run};
use crate::home::Home;
use crate::overlay;
use crate::spec::{Access, HostSpec};

/// File on every host that says that it is a test host, and which; acceptance tests refuse hosts without it.
pub const MARKER: &str = "/etc/etcd-lab-host";
/// The kernel's random numbers.
const RANDOM_UUID: &str = "/proc/sys/kernel/random/uuid";

/// A host's root could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The mounts below it.
    #[error(transparent)]
    Overlay(#[from] overlay::Error),
    /// A program that changes the root.
    #[error("{step}")]
    Run {
        /// What was to be done.
        step: &'static str,
        /// What failed.
        source: command::Error,
    },
    /// A file of the root.
    #[error("write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What a root is made for.
pub(crate) struct Wish<'a> {
    pub(crate) spec: &'a HostSpec,
    /// Directory of the host.
    pub(crate) directory: &'a Path,
    /// Content of [`MARKER`].
    pub(crate) marker: &'a str,
    pub(crate) host_name: &'a str,
    pub(crate) network: Network,
    pub(crate) number: u8,
    /// Public key that may log in.
    pub(crate) public_key: &'a str,
    /// Password of the user, where its sudo asks for one.
    pub(crate) password_file: &'a Path,
}

/// Makes the root and mounts it.
pub(crate) fn make(home: &Home, wish: &Wish<'_>) -> Result<(), Error> {
    overlay::mount(home, wish.spec, wish.directory)?;
    let root = overlay::root(wish.directory);
    network(&root, wish)?;
    identity(&root, wish)?;
    login(&root, wish)?;
    for package in &wish.spec.without_packages {
        inside(
            &root,
            "remove a package",
            &["dpkg", "--purge", "--force-depends", package],
        )?;
    }
    Ok(())
}

fn network(root: &Path, wish: &Wish<'_>) -> Result<(), Error> {
    let address = wish.network.host(wish.spec.family, wish.number);
    let length = Network::prefix_length(wish.spec.family);
    // Duplicate address detection would hold an IPv6 address back for a second or two; the lab gives each out once.
    let (link_local, detection) = match wish.spec.family {
        Family::V4 => ("no", ""),
        Family::V6 => ("ipv6", "DuplicateAddressDetection=none\n"),
    };
    write(
        root,
        "etc/systemd/network/10-lab.network",
        0o644,
        &format!(
            "[Match]\nName=host0\n\n[Network]\nLinkLocalAddressing={link_local}\nIPv6AcceptRA=no\nLLMNR=no\n\n\
             [Address]\nAddress={address}/{length}\n{detection}"
        ),
    )?;
    if wish.spec.is_noexec && wish.spec.release == Release::Trixie {
        // Debian 13 puts a tmpfs on /tmp, which would hide the noexec one.
        let unit = root.join("etc/systemd/system/tmp.mount");
        symlink("/dev/null", &unit).map_err(|source| Error::Write { path: unit, source })?;
    }
    Ok(())
}

fn identity(root: &Path, wish: &Wish<'_>) -> Result<(), Error> {
    // Left to itself, systemd takes it from the hardware, which all hosts share.
    let random = fs::read_to_string(RANDOM_UUID).map_err(|source| Error::Write {
        path: PathBuf::from(RANDOM_UUID),
        source,
    })?;
    write(root, "etc/machine-id", 0o444, &random.replace('-', ""))?;
    write(
        root,
        "etc/hostname",
        0o644,
        &format!("{}\n", wish.host_name),
    )?;
    write(
        root,
        "etc/hosts",
        0o644,
        &format!(
            "127.0.0.1 localhost\n::1 localhost ip6-localhost\n{} {}\n",
            wish.network.host(wish.spec.family, wish.number),
            wish.host_name
        ),
    )?;
    write(root, MARKER.trim_start_matches('/'), 0o644, wish.marker)?;
    let key = root
        .join("etc/ssh/ssh_host_ed25519_key")
        .display()
        .to_string();
    run(&[
        "ssh-keygen",
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-C",
        wish.host_name,
        "-f",
        &key,
    ])
    .map_err(|source| Error::Run {
        step: "make the host key",
        source,
    })?;
    Ok(())
}

fn login(root: &Path, wish: &Wish<'_>) -> Result<(), Error> {
    let access = &wish.spec.access;
    let user = access.user();
    if *access != Access::Root {
        inside(
            root,
            "add the user",
            &["useradd", "--create-home", "--shell", "/bin/bash", user],
        )?;
    }
    let home = if *access == Access::Root {
        "root".to_owned()
    } else {
        format!("home/{user}")
    };
    let ssh = root.join(&home).join(".ssh");
    fs::create_dir_all(&ssh).map_err(|source| Error::Write {
        path: ssh.clone(),
        source,
    })?;
    fs::set_permissions(&ssh, Permissions::from_mode(0o700))
        .map_err(|source| Error::Write { path: ssh, source })?;
    write(
        root,
        &format!("{home}/.ssh/authorized_keys"),
        0o600,
        wish.public_key,
    )?;
    let owner = format!("{user}:{user}");
    inside(
        root,
        "give the user its key",
        &["chown", "-R", &owner, &format!("/{home}/.ssh")],
    )?;
    match access {
        Access::Root | Access::WithoutSudo(_) => {}
        Access::Sudo(_) => {
            write(
                root,
                "etc/sudoers.d/lab",
                0o440,
                &format!("{user} ALL=(ALL:ALL) NOPASSWD: ALL\n"),
            )?;
        }
        Access::SudoWithPassword(_) => {
            write(
                root,
                "etc/sudoers.d/lab",
                0o440,
                &format!("{user} ALL=(ALL:ALL) ALL\n"),
            )?;
            set_password(root, user, wish)?;
        }
    }
    Ok(())
}

/// The password goes from its file to chpasswd by standard input: argument lists are readable by everybody.
fn set_password(root: &Path, user: &str, wish: &Wish<'_>) -> Result<(), Error> {
    let line = wish.directory.join("chpasswd");
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Write { path, source }
    };
    let password = fs::read_to_string(wish.password_file).map_err(failed(wish.password_file))?;
    write_file(&line, 0o600, &format!("{user}:{}\n", password.trim_end()))?;
    let input = fs::File::open(&line).map_err(failed(&line))?;
    fs::remove_file(&line).map_err(failed(&line))?;
    let mut chpasswd = command::command(&["chroot", &root.display().to_string(), "chpasswd"]);
    command::output(chpasswd.stdin(input)).map_err(|source| Error::Run {
        step: "set the password",
        source,
    })?;
    Ok(())
}

fn inside(root: &Path, step: &'static str, argv: &[&str]) -> Result<(), Error> {
    let root = root.display().to_string();
    let mut whole = vec!["chroot", &root];
    whole.extend(argv);
    run(&whole)
        .map(drop)
        .map_err(|source| Error::Run { step, source })
}

fn write(root: &Path, path: &str, mode: u32, text: &str) -> Result<(), Error> {
    let file = root.join(path);
    let parent = file.parent().expect("a file in the root has a directory");
    fs::create_dir_all(parent).map_err(|source| Error::Write {
        path: parent.to_owned(),
        source,
    })?;
    write_file(&file, mode, text)
}

/// Writes a file that nobody else could read meanwhile.
pub(crate) fn write_file(path: &Path, mode: u32, text: &str) -> Result<(), Error> {
    let failed = |source| Error::Write {
        path: path.to_owned(),
        source,
    };
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .map_err(failed)?;
    file.set_permissions(Permissions::from_mode(mode))
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
