//! What is mounted for one host: an overlay on its base, a disk of its own, restrictions.
//!
//! Layout below the host's directory: `upper`, `work` and `root` of the overlay, `var.img` where the host has a disk of
//! its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::base;
use crate::command::{self, run};
use crate::home::Home;
use crate::package;
use crate::spec::HostSpec;

/// A host's root could not be mounted or unmounted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The base below it.
    #[error(transparent)]
    Base(#[from] base::Error),
    /// A program that mounts or makes what is mounted.
    #[error("{step}")]
    Mount {
        /// What was to be done.
        step: &'static str,
        /// What failed.
        source: command::Error,
    },
    /// A file or directory of the layout.
    #[error("make {}", path.display())]
    Make {
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

/// Directory that a host in `directory` has as `/`.
pub(crate) fn root(directory: &Path) -> PathBuf {
    directory.join("root")
}

/// Mounts the root of a host; all of it or nothing. One that is mounted is fine.
pub(crate) fn mount(home: &Home, spec: &HostSpec, directory: &Path) -> Result<(), Error> {
    if is_mounted(&root(directory))? {
        return Ok(());
    }
    mount_all(home, spec, directory).or_else(|error| {
        unmount(directory)?;
        Err(error)
    })
}

fn mount_all(home: &Home, spec: &HostSpec, directory: &Path) -> Result<(), Error> {
    let root = root(directory);
    let layers = package::ensure(home, spec.release, &spec.with_packages)?;
    let layers: Vec<String> = layers
        .iter()
        .map(|layer| layer.display().to_string())
        .collect();
    for part in ["upper", "work", "root"] {
        let part = directory.join(part);
        fs::create_dir_all(&part).map_err(|source| Error::Make { path: part, source })?;
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        layers.join(":"),
        directory.join("upper").display(),
        directory.join("work").display()
    );
    let mounted = |argv: &[&str]| {
        run(argv).map(drop).map_err(|source| Error::Mount {
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
    let usr = root(directory).join("usr");
    if !spec.has_read_only_usr || is_mounted(&usr)? {
        return Ok(());
    }
    let usr = usr.display().to_string();
    for argv in [
        ["mount", "--bind", &usr, &usr],
        ["mount", "-o", "remount,bind,ro", &usr],
    ] {
        run(&argv).map_err(|source| Error::Mount {
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
            .map_err(|source| Error::Mount { step, source })
    };
    let image = directory.join("var.img");
    let var = root.join("var").display().to_string();
    if !image.exists() {
        let new = directory.join("var.new");
        let aside = directory.join("var");
        let file = fs::File::create(&new).map_err(|source| Error::Make {
            path: new.clone(),
            source,
        })?;
        file.set_len(bytes).map_err(|source| Error::Make {
            path: new.clone(),
            source,
        })?;
        fs::create_dir_all(&aside).map_err(|source| Error::Make {
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
        fs::rename(&new, &image).map_err(|source| Error::Make { path: new, source })?;
    }
    step(
        "mount the disk",
        &["mount", "-o", "loop", &image.display().to_string(), &var],
    )
}
