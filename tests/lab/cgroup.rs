//! A control group of its own for each host.
//!
//! Without it all containers started from one group share `payload` below it, and systemd in one host ends the
//! processes of a unit of the same name in another. Where systemd runs the machine, it gives each container a scope and
//! there is nothing to do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const MOUNT: &str = "/sys/fs/cgroup";
const OURS: &str = "etcd-lab";

/// A control group could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory of the group.
    #[error("make control group {}", path.display())]
    Make {
        /// Its directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The group has processes still, or the kernel refused.
    #[error("remove control group {}", path.display())]
    Remove {
        /// Its directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Whether systemd runs this machine (`sd_booted(3)`).
pub(crate) fn machine_has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Makes the groups of the machine `name`, one in each tree that systemd in a container uses, and gives their directories.
pub(crate) fn make(name: &str) -> Result<Vec<PathBuf>, Error> {
    if machine_has_systemd() {
        return Ok(Vec::new());
    }
    let groups = directories(name);
    for path in &groups {
        fs::create_dir_all(path).map_err(|source| Error::Make {
            path: path.clone(),
            source,
        })?;
    }
    Ok(groups)
}

/// Removes the groups of the machine `name`, whose processes have ended.
pub(crate) fn remove(name: &str) -> Result<(), Error> {
    for path in directories(name) {
        remove_tree(&path)?;
    }
    Ok(())
}

fn directories(name: &str) -> Vec<PathBuf> {
    let mount = Path::new(MOUNT);
    let trees = if mount.join("cgroup.controllers").exists() {
        vec![mount.to_owned()]
    } else {
        vec![mount.join("systemd"), mount.join("unified")]
    };
    trees
        .into_iter()
        .filter(|tree| tree.is_dir())
        .map(|tree| tree.join(OURS).join(name))
        .collect()
}

/// Control groups are removed from the leaves up: their files cannot be removed, only whole directories.
fn remove_tree(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Remove {
        path: path.to_owned(),
        source,
    };
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed(source)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed(source)),
        _ => Ok(()),
    }
}
