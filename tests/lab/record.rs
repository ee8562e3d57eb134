//! What is kept of a lab in its directory: enough for another process to use it or to remove it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bridge::Network;
use crate::host;
use crate::process::Process;

const FILE: &str = "lab.json";
/// Layout of the record and the directory. A directory of another format is removed by the lab that made it.
pub(crate) const FORMAT: u32 = 1;

/// The record could not be read, written or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the lab's directory.
    #[error("use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The record is not one.
    #[error("read the record {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) format: u32,
    /// Process with which the lab ends; `None` for one that stays.
    pub(crate) owner: Option<Process>,
    /// Process that is making the lab; `None` when it is complete.
    pub(crate) maker: Option<Process>,
    pub(crate) network: Option<Network>,
    pub(crate) hosts: Vec<host::Record>,
}

impl Record {
    pub(crate) fn new(owner: Option<Process>, maker: Option<Process>) -> Self {
        Self {
            format: FORMAT,
            owner,
            maker,
            network: None,
            hosts: Vec::new(),
        }
    }

    /// The record in `directory`; `None` if there is none.
    pub(crate) fn load(directory: &Path) -> Result<Option<Self>, Error> {
        let path = directory.join(FILE);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|source| Error::Parse { path, source }),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::File { path, source }),
        }
    }

    pub(crate) fn save(&self, directory: &Path) -> Result<(), Error> {
        let path = directory.join(FILE);
        let text = serde_json::to_vec_pretty(self).map_err(|source| Error::Parse {
            path: path.clone(),
            source,
        })?;
        write_whole(&path, &text)
    }

    /// Removes `directory`, its record first: without it the rest is a leftover that the next sweep removes.
    pub(crate) fn remove(directory: &Path) -> Result<(), Error> {
        for result in [
            fs::remove_file(directory.join(FILE)),
            fs::remove_dir_all(directory),
        ] {
            match result {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::File {
                        path: directory.to_owned(),
                        source,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the process that the lab depends on has ended.
    pub(crate) fn is_leftover(&self) -> bool {
        [&self.owner, &self.maker]
            .into_iter()
            .flatten()
            .any(|process| !process.is_alive())
    }
}

/// Writes a file so that readers see the old one or the new one.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<(), Error> {
    let new = path.with_extension("new");
    fs::write(&new, content)
        .and_then(|()| fs::rename(&new, path))
        .map_err(|source| Error::File {
            path: path.to_owned(),
            source,
        })
}
