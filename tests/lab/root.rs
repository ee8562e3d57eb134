//! The root directory of one host: an overlay on its base with what makes it this host.
//!
//! Layout below the host's directory: `upper`, `work` and `root` of the overlay, `var.img` where the host has a disk of
//! its own, `console` with what it printed while starting.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::base::{self, Release};
use crate::bridge::{Family, Network};
use crate::command::{self, run};
use crate::home::Home;
use crate::spec::{Access, HostSpec};

/// File on every host that says that it is a test host, and which; acceptance tests refuse hosts without it.
pub const MARKER: &str = "/etc/etcd-lab-host";

/// A host's root could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The base below it.
    #[error("base of the host")]
    Base(#[from] base::Error),
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
    /// A mount below a host's directory could not be undone.
    #[error("unmount {}", path.display())]
    Unmount {
        /// Where it is mounted.
        path: PathBuf,
        /// What failed.
        source: command::Error,
    },
    /// The list of mounts.
    #[error("read /proc/self/mountinfo")]
    Mounts {
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

/// Directory that a host in `directory` has as `/`.
pub(crate) fn path(directory: &Path) -> PathBuf {
    directory.join("root")
}

/// Makes the root and mounts it.
pub(crate) fn make(home: &Home, wish: &Wish<'_>) -> Result<(), Error> {
    mount(home, wish.spec, wish.directory)?;
    let root = path(wish.directory);
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

/// Mounts a root that was made before, as after a restart of the machine.
pub(crate) fn mount(home: &Home, spec: &HostSpec, directory: &Path) -> Result<(), Error> {
    let root = path(directory);
    if is_mounted(&root)? {
        return Ok(());
    }
    let [prepared, plain] = base::ensure(home, spec.release)?;
    for part in ["upper", "work", "root"] {
        let part = directory.join(part);
        fs::create_dir_all(&part).map_err(|source| Error::Write { path: part, source })?;
    }
    let options = format!(
        "lowerdir={}:{},upperdir={},workdir={}",
        prepared.display(),
        plain.display(),
        directory.join("upper").display(),
        directory.join("work").display()
    );
    let mounted = |argv: &[&str]| {
        run(argv).map(drop).map_err(|source| Error::Run {
            step: "mount the root",
            source,
        })
    };
    let at = |inner: &str| root.join(inner).display().to_string();
    mounted(&[
        "mount",
        "-t",
        "overlay",
        "etcd-lab",
        "-o",
        &options,
        &root.display().to_string(),
    ])?;
    if let Some(bytes) = spec.disk_bytes {
        disk(directory, &root, bytes)?;
    }
    if spec.is_noexec {
        for inner in ["tmp", "home", "var/tmp"] {
            mounted(&["mount", "--bind", &at(inner), &at(inner)])?;
            mounted(&["mount", "-o", "remount,bind,noexec", &at(inner)])?;
        }
    }
    Ok(())
}

/// Makes `/usr` read-only; called last, because everything before may write there.
pub(crate) fn seal(spec: &HostSpec, directory: &Path) -> Result<(), Error> {
    let usr = path(directory).join("usr");
    if !spec.has_read_only_usr || is_mounted(&usr)? {
        return Ok(());
    }
    let usr = usr.display().to_string();
    for argv in [
        ["mount", "--bind", &usr, &usr],
        ["mount", "-o", "remount,bind,ro", &usr],
    ] {
        run(&argv).map_err(|source| Error::Run {
            step: "make /usr read-only",
            source,
        })?;
    }
    Ok(())
}

/// Unmounts everything at and below the host's directory.
pub(crate) fn unmount(directory: &Path) -> Result<(), Error> {
    let mut mounts = mounts()?;
    mounts.retain(|mount| mount.starts_with(directory));
    // Later mounts lie on earlier ones.
    for path in mounts.into_iter().rev() {
        let shown = path.display().to_string();
        run(&["umount", &shown])
            // Something looks into it still (a person's shell, perhaps): detached now, gone when that ends.
            .or_else(|_| run(&["umount", "--lazy", &shown]))
            .map_err(|source| Error::Unmount { path, source })?;
    }
    Ok(())
}

fn is_mounted(path: &Path) -> Result<bool, Error> {
    Ok(mounts()?.iter().any(|mount| mount == path))
}

/// Mount points of this machine, in the order of mounting.
fn mounts() -> Result<Vec<PathBuf>, Error> {
    let text =
        fs::read_to_string("/proc/self/mountinfo").map_err(|source| Error::Mounts { source })?;
    // Field 5 is the mount point (proc(5)). The lab's own paths have no character that the kernel would escape.
    Ok(text
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .collect())
}

/// A disk of its own for `/var`, with the base's content.
fn disk(directory: &Path, root: &Path, bytes: u64) -> Result<(), Error> {
    let step = |step: &'static str, argv: &[&str]| {
        run(argv)
            .map(drop)
            .map_err(|source| Error::Run { step, source })
    };
    let image = directory.join("var.img");
    let var = root.join("var").display().to_string();
    if !image.exists() {
        let new = directory.join("var.new");
        let aside = directory.join("var");
        let file = fs::File::create(&new).map_err(|source| Error::Write {
            path: new.clone(),
            source,
        })?;
        file.set_len(bytes).map_err(|source| Error::Write {
            path: new.clone(),
            source,
        })?;
        fs::create_dir_all(&aside).map_err(|source| Error::Write {
            path: aside.clone(),
            source,
        })?;
        let aside = aside.display().to_string();
        let shown = new.display().to_string();
        // No blocks kept for root: what is said to be full is full for etcd too.
        step(
            "format the disk",
            &[
                "mkfs.ext4",
                "-q",
                "-F",
                "-m",
                "0",
                "-E",
                "lazy_itable_init=1,nodiscard",
                &shown,
            ],
        )?;
        step(
            "mount the new disk",
            &["mount", "-o", "loop", &shown, &aside],
        )?;
        step(
            "copy /var to the disk",
            &["cp", "-a", &format!("{var}/."), &aside],
        )?;
        step("unmount the new disk", &["umount", &aside])?;
        fs::rename(&new, &image).map_err(|source| Error::Write { path: new, source })?;
    }
    step(
        "mount the disk",
        &["mount", "-o", "loop", &image.display().to_string(), &var],
    )
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
            set_password(root, user, wish.password_file)?;
        }
    }
    Ok(())
}

/// The password goes from its file to chpasswd by standard input: argument lists are readable by everybody.
fn set_password(root: &Path, user: &str, password_file: &Path) -> Result<(), Error> {
    let failed = |source| Error::Write {
        path: password_file.to_owned(),
        source,
    };
    let password = fs::read_to_string(password_file).map_err(failed)?;
    let line = password_file.with_extension("chpasswd");
    write_file(&line, 0o600, &format!("{user}:{}\n", password.trim_end()))?;
    let input = fs::File::open(&line).map_err(failed)?;
    fs::remove_file(&line).map_err(failed)?;
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
