//! Release archives on the controller: fetched once, checked, kept, shared by all processes.
//!
//! Decides where an archive comes from (a directory, a mirror, upstream) and whether its bytes are
//! the right ones. Sending it to hosts is the executor's work.

mod cache;
mod patience;
mod release;
mod source;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::{Mutex, OnceCell};

use crate::http;

pub(crate) use cache::default_directory;
pub(crate) use release::{Architecture, Program, Release};
pub(crate) use source::Source;

/// An archive that was checked against its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Archive {
    /// Where it lies on the controller.
    pub(crate) path: PathBuf,
    /// SHA-256 of its bytes, lower-case hex.
    pub(crate) sha256: String,
}

/// Why an archive cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// The source has no such release.
    #[error("{place} does not exist")]
    NoSuchRelease {
        /// Path or URL that was asked for.
        place: String,
    },
    /// The source does not answer.
    #[error("fetching {place} failed")]
    Fetch {
        /// URL.
        place: String,
        /// What the HTTP client says.
        source: reqwest::Error,
    },
    /// Nothing can be fetched at all.
    #[error(transparent)]
    Client(http::Error),
    /// The source answers with something else than the file.
    #[error("fetching {place} was answered with status {status}")]
    Status {
        /// URL.
        place: String,
        /// HTTP status code.
        status: u16,
    },
    /// The checksum file does not name the archive.
    #[error("{place} has no line for {file}")]
    NoChecksum {
        /// Path or URL of the checksum file.
        place: String,
        /// Name of the archive.
        file: String,
    },
    /// The bytes are not those that were wanted.
    #[error("SHA-256 of {place} is {found}, wanted {wanted} ({origin})")]
    Checksum {
        /// Path or URL of the archive.
        place: String,
        /// What its bytes hash to.
        found: String,
        /// What they should hash to.
        wanted: String,
        /// Who says so: the configuration, the state, or the release's checksum file.
        origin: &'static str,
    },
    /// A file of the cache or of the source directory cannot be used.
    #[error("using {path} failed", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// No directory to keep archives in is known.
    #[error("no directory for archives is known: neither XDG_CACHE_HOME nor HOME is set")]
    NoCache,
}

impl Error {
    /// What to do next, as a sentence.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NoSuchRelease { .. } => {
                "see that the version exists and that the mirror has it.".to_owned()
            }
            Self::Fetch { .. } | Self::Status { .. } => {
                "see that this machine reaches it, or set download { mirror = … } to a copy."
                    .to_owned()
            }
            Self::NoChecksum { .. } => {
                "put the release's checksum file beside its archives.".to_owned()
            }
            Self::Checksum { place, .. } => format!(
                "do not use {place}: fetch the archive anew, and compare with what the project publishes."
            ),
            Self::File { .. } | Self::Client(_) => String::new(),
            Self::NoCache => "set download { cache = … }.".to_owned(),
        }
    }
}

/// Who says what an archive's SHA-256 must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Lower-case hex.
    pub(crate) sha256: String,
    /// For the error text: "the configuration", "the state".
    pub(crate) origin: &'static str,
}

/// Fetches archives; one for each provider process.
#[derive(Debug)]
pub(crate) struct Downloads {
    source: Source,
    cache: Option<PathBuf>,
    client: OnceCell<reqwest::Client>,
    // One entry for each archive in use, so that ten resources that want the same one wait for one
    // transfer and one hash.
    known: Mutex<BTreeMap<String, Arc<OnceCell<Archive>>>>,
}

impl Downloads {
    /// Takes archives from `source`; keeps what it fetched below `cache` (the user's cache
    /// directory if `None`).
    pub(crate) fn new(source: Source, cache: Option<PathBuf>) -> Self {
        Self {
            source,
            cache: cache.or_else(default_directory),
            client: OnceCell::new(),
            known: Mutex::default(),
        }
    }

    /// The archive of `release`, fetched if it is not there yet.
    ///
    /// # Errors
    /// [`Error`]; nothing wrong is left in the cache.
    pub(crate) async fn archive(
        &self,
        release: &Release,
        wanted: Option<&Wanted>,
    ) -> Result<Archive, Error> {
        let cell = {
            let mut known = self.known.lock().await;
            Arc::clone(known.entry(release.file_name()).or_default())
        };
        let archive = cell
            .get_or_try_init(|| self.obtain(release, wanted))
            .await?;
        match wanted {
            Some(wanted) if wanted.sha256 != archive.sha256 => Err(Error::Checksum {
                place: archive.path.display().to_string(),
                found: archive.sha256.clone(),
                wanted: wanted.sha256.clone(),
                origin: wanted.origin,
            }),
            _ => Ok(archive.clone()),
        }
    }

    /// Whether the source offers `release`; cheap enough for a plan.
    ///
    /// # Errors
    /// [`Error::NoSuchRelease`] if it does not; other errors if it cannot be told.
    pub(crate) async fn offers(&self, release: &Release) -> Result<(), Error> {
        match &self.source {
            Source::Directory(directory) => {
                let path = directory.join(release.mirror_path());
                match tokio::fs::metadata(&path).await {
                    Ok(_) => Ok(()),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                        Err(Error::NoSuchRelease {
                            place: path.display().to_string(),
                        })
                    }
                    Err(source) => Err(Error::File { path, source }),
                }
            }
            source => source::head(self.client().await?, &source.url(release)).await,
        }
    }

    async fn obtain(&self, release: &Release, wanted: Option<&Wanted>) -> Result<Archive, Error> {
        if let Source::Directory(directory) = &self.source {
            let path = directory.join(release.mirror_path());
            let wanted = if let Some(wanted) = wanted {
                wanted.clone()
            } else {
                let checksums = directory.join(release.mirror_checksum_path());
                let text = read(&checksums).await?;
                checksum(&text, release, &checksums.display().to_string())?
            };
            return check(path, &wanted).await;
        }
        let client = self.client().await?;
        let wanted = if let Some(wanted) = wanted {
            wanted.clone()
        } else {
            let url = self.source.checksum_url(release);
            let text = source::text(client, &url).await?;
            checksum(&text, release, &url)?
        };
        let directory = self.cache.as_deref().ok_or(Error::NoCache)?;
        let slot = cache::Slot::lock(directory, &wanted.sha256, &release.file_name()).await?;
        if let Ok(archive) = check(slot.path().to_owned(), &wanted).await {
            return Ok(archive);
        }
        let url = self.source.url(release);
        slot.fill(client, &url, &wanted).await
    }

    async fn client(&self) -> Result<&reqwest::Client, Error> {
        self.client
            .get_or_try_init(|| async { source::client().map_err(Error::Client) })
            .await
    }
}

/// The line of a `sha256sum` file that names the archive.
fn checksum(text: &str, release: &Release, place: &str) -> Result<Wanted, Error> {
    let file = release.file_name();
    text.lines()
        .filter_map(|line| line.split_once(char::is_whitespace))
        .find(|(_, name)| name.trim().trim_start_matches('*') == file)
        .map(|(sha256, _)| Wanted {
            sha256: sha256.to_ascii_lowercase(),
            origin: "the release's checksum file",
        })
        .ok_or_else(|| Error::NoChecksum {
            place: place.to_owned(),
            file,
        })
}

async fn read(path: &Path) -> Result<String, Error> {
    tokio::fs::read_to_string(path)
        .await
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::NoSuchRelease {
                place: path.display().to_string(),
            },
            _ => Error::File {
                path: path.to_owned(),
                source,
            },
        })
}

async fn check(path: PathBuf, wanted: &Wanted) -> Result<Archive, Error> {
    let (path, found) = tokio::task::spawn_blocking(move || {
        let found = cache::sha256(&path);
        (path, found)
    })
    .await
    .expect("hashing a file does not panic");
    let found = found.map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::NoSuchRelease {
            place: path.display().to_string(),
        },
        _ => Error::File {
            path: path.clone(),
            source,
        },
    })?;
    if found == wanted.sha256 {
        Ok(Archive {
            path,
            sha256: found,
        })
    } else {
        Err(Error::Checksum {
            place: path.display().to_string(),
            found,
            wanted: wanted.sha256.clone(),
            origin: wanted.origin,
        })
    }
}

#[cfg(test)]
mod tests;
