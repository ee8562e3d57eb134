//! Images on this machine on their way from a factory to storages: fetched once, whoever wants them,
//! unpacked where needed, and gone when they have arrived.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io::{self, BufReader, BufWriter, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use planner::talos_artifact::Begun;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::factory::Fetched;
use crate::download;

/// Why an image cannot be kept here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No place is known.
    #[error("no directory for images is known: neither XDG_CACHE_HOME nor HOME is set")]
    NoPlace,
    /// The system refuses.
    #[error("using {path} failed", path = path.display())]
    File { path: PathBuf, source: io::Error },
    /// Another process has it in hand.
    #[error("{by} works with the same image on this machine")]
    Busy {
        /// Who.
        by: String,
    },
    /// The bytes are not those that were wanted.
    #[error("SHA-256 of {place} is {found}, wanted {wanted}")]
    Checksum {
        place: String,
        found: String,
        wanted: String,
    },
}

impl Error {
    /// What to do next, as a sentence.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NoPlace => "set XDG_CACHE_HOME to a directory with space for images.".to_owned(),
            Self::File { path, .. } => format!(
                "see that there is space and permission at {}; XDG_CACHE_HOME names another place.",
                path.display()
            ),
            Self::Busy { .. } => "wait until that is done, or end it.".to_owned(),
            Self::Checksum { place, .. } => {
                format!(
                    "do not use {place} before you know why it was changed since it was recorded. If a \
                     factory has built it anew, have its artifact recorded again: apply \
                     -replace=ADDRESS."
                )
            }
        }
    }
}

/// Name of the notes of files that were begun, a line each.
const BEGUN: &str = "begun";

/// Where an image lies while it is on its way.
fn directory(content: &str) -> Option<PathBuf> {
    let key = hex::encode(Sha256::digest(content.as_bytes()));
    Some(
        download::default_directory()?
            .join("images")
            .join(&key[..32]),
    )
}

/// That a file on a storage was begun.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Note {
    /// Which Proxmox cluster has the storage, if it told.
    #[serde(default)]
    pub(super) cluster: Option<String>,
    #[serde(flatten)]
    pub(super) file: Begun,
}

/// Files of this content that a process on this machine began to write to this Proxmox cluster, and
/// never finished with.
pub(super) fn begun(content: &str, cluster: Option<&str>) -> BTreeSet<Begun> {
    let notes = directory(content).map_or_else(BTreeSet::new, |directory| notes_in(&directory));
    let of_cluster = notes
        .into_iter()
        .filter(|note| note.cluster.as_deref() == cluster);
    of_cluster.map(|note| note.file).collect()
}

/// Images of wishes that were given up go after so long.
const ABANDONED: Duration = Duration::from_hours(7 * 24);

/// Clears away what nobody has had in hand for long. That something stays is no fault of who comes now.
fn prune(images: &Path) {
    let is_old = |path: &Path| {
        let age = fs::metadata(path).and_then(|lock| lock.modified());
        let age = age.ok().and_then(|modified| modified.elapsed().ok());
        age.is_some_and(|age| age > ABANDONED)
    };
    for entry in fs::read_dir(images).into_iter().flatten().flatten() {
        let path = entry.path().join("lock");
        let lock = File::open(&path).ok().filter(|_| is_old(&path));
        if lock.is_some_and(|lock| lock.try_lock().is_ok()) {
            // Its files were written when it was in hand.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether something of this content is kept on this machine.
pub(super) fn has(content: &str) -> bool {
    directory(content).is_some_and(|directory| directory.exists())
}

fn notes_in(directory: &Path) -> BTreeSet<Note> {
    let text = fs::read_to_string(directory.join(BEGUN)).unwrap_or_default();
    // A line that was cut off was not synchronised, so nothing was begun after it.
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// What is written beside a whole image.
#[derive(Serialize, Deserialize)]
struct Record {
    sha256: String,
    size_bytes: u64,
}

/// The place of one image, held by one process at a time.
#[derive(Debug)]
pub(super) struct Slot {
    directory: PathBuf,
    // Closing the file gives the lock back, however this process ends.
    _lock: File,
}

impl Slot {
    /// Takes the place of this content for `operator`.
    ///
    /// # Errors
    /// [`Error::Busy`] while another process has it.
    pub(super) async fn lock(content: &str, operator: &str) -> Result<Self, Error> {
        let directory = directory(content).ok_or(Error::NoPlace)?;
        if let Some(all) = directory.parent().map(Path::to_owned) {
            tokio::task::spawn_blocking(move || prune(&all));
        }
        Self::lock_in(directory, operator.to_owned()).await
    }

    async fn lock_in(directory: PathBuf, operator: String) -> Result<Self, Error> {
        blocking(move || {
            let failed = |source| Error::File {
                path: directory.clone(),
                source,
            };
            loop {
                fs::create_dir_all(&directory).map_err(failed)?;
                let path = directory.join("lock");
                let opened = File::options()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(&path);
                let mut lock = match opened {
                    Ok(lock) => lock,
                    // Its former holder was just clearing it away.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(failed(error)),
                };
                match lock.try_lock() {
                    Ok(()) => {}
                    Err(TryLockError::WouldBlock) => {
                        let by = fs::read_to_string(&path).unwrap_or_default();
                        let by = if by.is_empty() {
                            "somebody else".to_owned()
                        } else {
                            by
                        };
                        return Err(Error::Busy { by });
                    }
                    Err(TryLockError::Error(error)) => return Err(failed(error)),
                }
                if is_same(&lock, &path) {
                    lock.set_len(0).map_err(failed)?;
                    lock.write_all(operator.as_bytes()).map_err(failed)?;
                    return Ok(Self {
                        directory: directory.clone(),
                        _lock: lock,
                    });
                }
            }
        })
        .await
    }

    /// Where the image is written before it is whole.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.directory.join("unfinished")
    }

    /// Where the whole image is.
    pub(super) fn image(&self) -> PathBuf {
        self.directory.join("image")
    }

    /// Notes that a file on a storage is being written, before it is: if this process dies, the next
    /// one knows whose that file is.
    pub(super) async fn note(&self, note: &Note) -> Result<(), Error> {
        let path = self.directory.join(BEGUN);
        let line = line(note);
        blocking(move || {
            let failed = |source| Error::File {
                path: path.clone(),
                source,
            };
            let mut options = File::options();
            let mut file = options
                .create(true)
                .append(true)
                .open(&path)
                .map_err(failed)?;
            file.write_all(&line).map_err(failed)?;
            file.sync_data().map_err(failed)
        })
        .await
    }

    fn record(&self) -> PathBuf {
        self.directory.join("image.json")
    }

    /// The image, if a former run got it here whole and it is still that: one that was damaged since
    /// would be refused by each storage, and never be fetched anew.
    pub(super) async fn found(&self) -> Option<Fetched> {
        let text = fs::read(self.record()).ok()?;
        let record: Record = serde_json::from_slice(&text).ok()?;
        let found = look(self.image()).await.ok()??;
        (found.size_bytes == record.size_bytes && found.sha256 == record.sha256).then_some(found)
    }

    /// Takes what was written as the image, unpacked if it is packed with zstd.
    pub(super) async fn finish(&self, fetched: Fetched, is_packed: bool) -> Result<Fetched, Error> {
        let (from, to, record) = (self.unfinished(), self.image(), self.record());
        blocking(move || {
            let image = if is_packed {
                let plain = from.with_extension("plain");
                let image = unpack(&from, &plain).map_err(|source| Error::File {
                    path: plain.clone(),
                    source,
                })?;
                let _ = fs::remove_file(&from);
                rename(&plain, &to)?;
                image
            } else {
                rename(&from, &to)?;
                fetched
            };
            let text = serde_json::to_vec(&Record {
                sha256: image.sha256.clone(),
                size_bytes: image.size_bytes,
            })
            .expect("a record is JSON");
            fs::write(&record, text).map_err(|source| Error::File {
                path: record.clone(),
                source,
            })?;
            Ok(image)
        })
        .await
    }

    /// Clears the image away with the notes of these files, because it has arrived there. What others
    /// began and were killed over stays, with the image that they go on with.
    pub(super) fn clear(self, settled: &BTreeSet<Note>) {
        let notes = notes_in(&self.directory);
        let left: BTreeSet<_> = notes.difference(settled).collect();
        let cleared = if left.is_empty() {
            fs::remove_dir_all(&self.directory)
        } else {
            let text: Vec<u8> = left.into_iter().flat_map(line).collect();
            fs::write(self.directory.join(BEGUN), text)
        };
        if let Err(error) = cleared {
            tracing::warn!(path = %self.directory.display(), error = %error, "an image stays in the cache");
        }
    }
}

fn line(note: &Note) -> Vec<u8> {
    let mut line = serde_json::to_vec(note).expect("texts are JSON");
    line.push(b'\n');
    line
}

/// Whether a lock file is still the one at its path.
fn is_same(lock: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (lock.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(there)) => (held.dev(), held.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|source| Error::File {
        path: to.to_owned(),
        source,
    })
}

/// Hashes what it passes on.
pub(super) struct Hashing<W> {
    inner: W,
    digest: Sha256,
    size_bytes: u64,
}

impl<W> Hashing<W> {
    pub(super) fn new(inner: W) -> Self {
        Self {
            inner,
            digest: Sha256::new(),
            size_bytes: 0,
        }
    }

    /// Size and hash of all that was written.
    pub(super) fn end(self) -> Fetched {
        Fetched {
            size_bytes: self.size_bytes,
            sha256: hex::encode(self.digest.finalize()),
        }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.digest.update(&buffer[..count]);
        self.size_bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn unpack(from: &Path, to: &Path) -> io::Result<Fetched> {
    let file = BufWriter::with_capacity(256 * 1024, File::create(to)?);
    let mut writer = Hashing::new(file);
    zstd::stream::copy_decode(BufReader::new(File::open(from)?), &mut writer)?;
    writer.flush()?;
    Ok(writer.end())
}

/// Copies an image to a path of the user's, replacing what is there at once.
pub(super) async fn copy(image: PathBuf, to: PathBuf) -> Result<(), Error> {
    blocking(move || {
        let failed = |source| Error::File {
            path: to.clone(),
            source,
        };
        let directory = to
            .parent()
            .filter(|directory| !directory.as_os_str().is_empty())
            .unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(directory).map_err(failed)?;
        // As any program writes files: what others may read of it, the umask says.
        let mut file = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o644))
            .tempfile_in(directory)
            .map_err(failed)?;
        let mut source = File::open(&image).map_err(failed)?;
        io::copy(&mut source, file.as_file_mut()).map_err(failed)?;
        file.persist(&to).map_err(|error| failed(error.error))?;
        Ok(())
    })
    .await
}

/// Size and SHA-256 of a file; `None` if it is not there.
pub(super) async fn look(path: PathBuf) -> Result<Option<Fetched>, Error> {
    blocking(move || {
        let failed = |source| Error::File {
            path: path.clone(),
            source,
        };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut writer = Hashing::new(io::sink());
        io::copy(&mut file, &mut writer).map_err(failed)?;
        Ok(Some(writer.end()))
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .expect("work on files does not panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn slot(directory: &Path) -> Slot {
        Slot::lock_in(directory.join("images/1"), "one".to_owned())
            .await
            .expect("a slot")
    }

    #[tokio::test]
    async fn an_image_is_found_again_until_it_is_cleared_away() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = slot(directory.path()).await;
        assert_eq!(first.found().await, None);
        fs::write(
            first.unfinished(),
            zstd::encode_all(&b"image"[..], 3).expect("packed"),
        )
        .expect("a file");
        let packed = Fetched {
            size_bytes: 0,
            sha256: String::new(),
        };
        let image = first.finish(packed, true).await.expect("an image");
        assert_eq!(image.size_bytes, 5);
        assert_eq!(image.sha256, hex::encode(Sha256::digest(b"image")));
        drop(first);
        let second = slot(directory.path()).await;
        assert_eq!(second.found().await, Some(image.clone()));
        let place = directory.path().join("out/x.raw");
        copy(second.image(), place.clone()).await.expect("a copy");
        let mode = fs::metadata(&place).expect("a file").permissions().mode();
        let umask = mode & 0o077;
        let plain = directory.path().join("plain");
        fs::write(&plain, "").expect("a file");
        let usual = fs::metadata(&plain).expect("a file").permissions().mode();
        assert_eq!(umask, usual & 0o077, "{mode:o} {usual:o}");
        assert_eq!(look(place).await.expect("looked"), Some(image));
        second.clear(&BTreeSet::new());
        assert_eq!(slot(directory.path()).await.found().await, None);
    }

    #[tokio::test]
    async fn images_that_nobody_wants_any_more_go_in_the_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let images = directory.path().join("images");
        let held = slot(directory.path()).await;
        let lock = File::options()
            .write(true)
            .open(held.directory.join("lock"))
            .expect("it is there");
        let then = std::time::SystemTime::now() - 2 * ABANDONED;
        lock.set_modified(then).expect("it is ours");
        prune(&images);
        assert!(held.directory.exists(), "it is in hand");
        let place = held.directory.clone();
        drop(held);
        prune(&images);
        assert!(!place.exists());
        let fresh = slot(directory.path()).await.directory;
        prune(&images);
        assert!(fresh.exists());
    }

    #[tokio::test]
    async fn who_has_an_image_in_hand_is_told_to_others() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = slot(directory.path()).await;
        let place = directory.path().join("images/1");
        let second = Slot::lock_in(place.clone(), "two".to_owned()).await;
        assert!(matches!(second, Err(Error::Busy { by }) if by == "one"));
        drop(first);
        assert!(Slot::lock_in(place, "two".to_owned()).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_cut_off_is_not_an_image() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = slot(directory.path()).await;
        fs::write(first.unfinished(), "image").expect("a file");
        let image = Fetched {
            size_bytes: 5,
            sha256: String::new(),
        };
        first.finish(image, false).await.expect("an image");
        fs::write(first.image(), "im").expect("a file");
        assert_eq!(first.found().await, None);
    }

    #[tokio::test]
    async fn what_was_begun_is_known_until_the_image_has_arrived() {
        let directory = tempfile::tempdir().expect("a directory");
        let begun = |node: &str| Note {
            cluster: Some("AB:CD".to_owned()),
            file: Begun {
                storage: "local".to_owned(),
                node: node.to_owned(),
                volume: "iso/x.iso".to_owned(),
            },
        };
        let first = slot(directory.path()).await;
        let place = first.directory.clone();
        for node in ["pve01", "pve02", "pve01"] {
            first.note(&begun(node)).await.expect("noted");
        }
        drop(first);
        assert_eq!(notes_in(&place), [begun("pve01"), begun("pve02")].into());
        // Another artifact of the same content arrived at its own place.
        let mut elsewhere = begun("pve02");
        elsewhere.cluster = None;
        let settled = [begun("pve01"), begun("pve03"), elsewhere].into();
        slot(directory.path()).await.clear(&settled);
        assert_eq!(notes_in(&place), [begun("pve02")].into());
        let settled = [begun("pve02")].into();
        slot(directory.path()).await.clear(&settled);
        assert!(!place.exists());
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_no_error() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(
            look(directory.path().join("x")).await.expect("looked"),
            None
        );
    }
}
