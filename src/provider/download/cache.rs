//! Archives kept on the controller, by hash; locked across processes while one is fetched.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use reqwest::Method;
use sha2::{Digest, Sha256};

use super::{Archive, Error, Wanted, patience::Patience, source};

/// `$XDG_CACHE_HOME/terraform-provider-etcd`, or the same below `~/.cache`.
pub(crate) fn default_directory() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    set("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache")))
        .map(|base| base.join("terraform-provider-etcd"))
}

/// SHA-256 of a file, lower-case hex.
pub(super) fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(hex::encode(hasher.finalize()));
        }
        hasher.update(&buffer[..count]);
    }
}

/// The place of one archive in the cache, held by one process at a time.
#[derive(Debug)]
pub(super) struct Slot {
    path: PathBuf,
    // Closing the file gives the lock back, however this process ends.
    _lock: File,
}

impl Slot {
    /// Waits for other processes that fetch the same archive.
    pub(super) async fn lock(directory: &Path, sha256: &str, name: &str) -> Result<Self, Error> {
        let directory = directory.join(sha256);
        let path = directory.join(name);
        tokio::task::spawn_blocking(move || {
            let failed = |source| Error::File {
                path: directory.clone(),
                source,
            };
            std::fs::create_dir_all(&directory).map_err(failed)?;
            let lock = File::create(directory.join("lock")).map_err(failed)?;
            lock.lock().map_err(failed)?;
            Ok(Self { path, _lock: lock })
        })
        .await
        .expect("taking a lock does not panic")
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fetches `url` into the slot; only bytes with the wanted hash stay.
    pub(super) async fn fill(
        &self,
        client: &reqwest::Client,
        url: &str,
        wanted: &Wanted,
    ) -> Result<Archive, Error> {
        let mut patience = Patience::new();
        loop {
            match self.try_fill(client, url, wanted).await {
                Err(error) => patience.bear(error).await?,
                filled => return filled,
            }
        }
    }

    async fn try_fill(
        &self,
        client: &reqwest::Client,
        url: &str,
        wanted: &Wanted,
    ) -> Result<Archive, Error> {
        let failed = |source| Error::File {
            path: self.path.clone(),
            source,
        };
        let mut response = source::ask(client, Method::GET, url).await?;
        let directory = self.path.parent().expect("a slot lies in a directory");
        let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
        let mut hasher = Sha256::new();
        let cut = |error| source::failed(url, error);
        while let Some(chunk) = response.chunk().await.map_err(cut)? {
            hasher.update(&chunk);
            file.write_all(&chunk).map_err(failed)?;
        }
        let found = hex::encode(hasher.finalize());
        if found != wanted.sha256 {
            return Err(Error::Checksum {
                place: url.to_owned(),
                found,
                wanted: wanted.sha256.clone(),
                origin: wanted.origin,
            });
        }
        file.persist(&self.path)
            .map_err(|error| failed(error.error))?;
        Ok(Archive {
            path: self.path.clone(),
            sha256: found,
        })
    }
}
