//! Where the lab keeps what it makes, and the locks that let several labs work at once.
//!
//! Everything lies under one directory, so that removing it (after `cargo lab down --all`) leaves nothing behind.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Environment variable that moves the lab's home.
pub const HOME_VARIABLE: &str = "ETCD_LAB_HOME";
const DEFAULT_HOME: &str = "/var/lib/etcd-lab";

/// What can go wrong with the lab's own directory.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory could not be made.
    #[error("make directory {}", path.display())]
    MakeDirectory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A lock file could not be opened or locked.
    #[error("lock {}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The lab's directory: `$ETCD_LAB_HOME`, by default `/var/lib/etcd-lab`.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
}

/// A lock across processes, held until it is dropped or its process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Home {
    /// Opens the home, making it where it is missing.
    pub fn open() -> Result<Self, Error> {
        let root = std::env::var_os(HOME_VARIABLE)
            .map_or_else(|| PathBuf::from(DEFAULT_HOME), PathBuf::from);
        let home = Self { root };
        for directory in ["bases", "labs", "locks", "programs", "tools"] {
            make_directory(&home.root.join(directory))?;
        }
        Ok(home)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Base roots, one directory per Debian release and recipe.
    pub fn bases(&self) -> PathBuf {
        self.root.join("bases")
    }

    /// Built programs, one directory per program, version and source hash.
    pub fn programs(&self) -> PathBuf {
        self.root.join("programs")
    }

    /// Labs that are up, one directory each.
    pub fn labs(&self) -> PathBuf {
        self.root.join("labs")
    }

    /// Release archives as upstream lays them out: what `download` of the provider points at.
    pub fn archives(&self) -> PathBuf {
        self.root.join("archives")
    }

    /// Built providers as filesystem mirrors, one directory per content.
    pub fn providers(&self) -> PathBuf {
        self.root.join("providers")
    }

    /// Providers of others as a filesystem mirror, built from their sources.
    pub fn upstream_providers(&self) -> PathBuf {
        self.root.join("upstream-providers")
    }

    /// Tools that `cargo install` put here.
    pub fn tools(&self) -> PathBuf {
        self.root.join("tools")
    }

    /// Working directory of the demo's configuration and state.
    pub fn demo(&self) -> PathBuf {
        self.root.join("demo")
    }

    /// Takes the lock `name`, waiting for whoever holds it.
    pub fn lock(&self, name: &str) -> Result<Lock, Error> {
        let path = self.root.join("locks").join(name);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|source| Error::Lock {
                path: path.clone(),
                source,
            })?;
        flock(&file, FlockOperation::LockExclusive).map_err(|source| Error::Lock {
            path,
            source: source.into(),
        })?;
        Ok(Lock { _file: file })
    }
}

/// Makes `path` and its parents; an existing directory is fine.
pub(crate) fn make_directory(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(|source| Error::MakeDirectory {
        path: path.to_owned(),
        source,
    })
}
