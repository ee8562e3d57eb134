//! Parts by name: files of a directory, or entries of a tar file, which stay where they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::NoImage;
use crate::{
    content::{Content, PIECE},
    digest::{Digest, Hasher},
};

/// Largest part that is read into memory: a manifest or configuration.
const LARGEST_SMALL: u64 = 8 * 1024 * 1024;
/// First bytes of what gzip, zstd, xz and bzip2 compress.
const MAGIC: [&[u8]; 4] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"BZh"];

/// Where a part lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Place {
    pub(super) fn content(&self) -> Content {
        Content::File {
            path: self.path.clone(),
            offset: self.offset,
        }
    }

    fn reader(&self) -> io::Result<io::Take<File>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(file.take(self.size))
    }
}

/// Parts by name.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) path: PathBuf,
    parts: Parts,
}

#[derive(Debug)]
enum Parts {
    Directory,
    Archive(BTreeMap<String, Entry>),
}

#[derive(Debug)]
enum Entry {
    File {
        offset: u64,
        size: u64,
    },
    /// Another part, by its name.
    Link(String),
}

impl Store {
    pub(super) fn open(path: &Path) -> Result<Self, NoImage> {
        let failed = |source| NoImage::Read {
            path: path.to_owned(),
            source,
        };
        let is_directory = path.metadata().map_err(failed)?.is_dir();
        let parts = if is_directory {
            Parts::Directory
        } else {
            let mut file = File::open(path).map_err(failed)?;
            let mut start = Vec::new();
            (&mut file)
                .take(6)
                .read_to_end(&mut start)
                .map_err(failed)?;
            if MAGIC.iter().any(|magic| start.starts_with(magic)) {
                return Err(NoImage::Compressed {
                    path: path.to_owned(),
                });
            }
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
            Parts::Archive(entries(file).map_err(failed)?)
        };
        Ok(Self {
            path: path.to_owned(),
            parts,
        })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// Where the part `name` lies.
    pub(super) fn place(&self, name: &str) -> Result<Place, NoImage> {
        let missing = || NoImage::Missing {
            path: self.path.clone(),
            name: name.to_owned(),
        };
        match &self.parts {
            Parts::Directory => {
                // The name comes from a file: it must not lead out.
                let is_below = !name.split('/').any(|part| part == "..") && !name.starts_with('/');
                let path = self.path.join(name);
                let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file);
                let size = metadata.filter(|_| is_below).ok_or_else(missing)?.len();
                Ok(Place {
                    path,
                    offset: 0,
                    size,
                })
            }
            Parts::Archive(entries) => {
                let mut seen = BTreeSet::new();
                let mut name = plain(name);
                loop {
                    match entries.get(&name).ok_or_else(missing)? {
                        Entry::File { offset, size } => {
                            return Ok(Place {
                                path: self.path.clone(),
                                offset: *offset,
                                size: *size,
                            });
                        }
                        Entry::Link(target) => {
                            let target = target.clone();
                            if !seen.insert(std::mem::replace(&mut name, target)) {
                                return Err(missing());
                            }
                        }
                    }
                }
            }
        }
    }

    /// The whole of a part that is small by nature.
    pub(super) fn small(&self, name: &str) -> Result<Vec<u8>, NoImage> {
        let place = self.place(name)?;
        if place.size > LARGEST_SMALL {
            return Err(self.part(name, &format!("{} bytes are too many", place.size)));
        }
        let mut bytes = Vec::new();
        place
            .reader()
            .and_then(|mut reader| reader.read_to_end(&mut bytes))
            .map_err(|source| self.failed(source))?;
        Ok(bytes)
    }

    /// Digest of a part and its first bytes, read in pieces.
    pub(super) fn digest(&self, place: &Place) -> Result<(Digest, Vec<u8>), NoImage> {
        let mut reader = place.reader().map_err(|source| self.failed(source))?;
        let mut hasher = Hasher::new();
        let mut piece = vec![0; PIECE];
        let mut start = Vec::new();
        let mut left = place.size;
        loop {
            let read = reader
                .read(&mut piece)
                .map_err(|source| self.failed(source))?;
            if read == 0 {
                break;
            }
            left -= read as u64;
            if start.len() < 6 {
                start.extend_from_slice(&piece[..read.min(6)]);
            }
            hasher.update(&piece[..read]);
        }
        if left > 0 {
            return Err(self.failed(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok((hasher.finish(), start))
    }

    pub(super) fn part(&self, name: &str, why: &dyn std::fmt::Display) -> NoImage {
        NoImage::Part {
            path: self.path.clone(),
            name: name.to_owned(),
            why: why.to_string(),
        }
    }

    fn failed(&self, source: io::Error) -> NoImage {
        NoImage::Read {
            path: self.path.clone(),
            source,
        }
    }
}

/// Name and place of all files and links; what lies between is skipped, not read.
fn entries(file: File) -> io::Result<BTreeMap<String, Entry>> {
    let mut archive = tar::Archive::new(file);
    let mut entries = BTreeMap::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let name = plain(&String::from_utf8_lossy(&entry.path_bytes()));
        let kind = entry.header().entry_type();
        let link = entry
            .link_name_bytes()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let found = match (kind, link) {
            (tar::EntryType::Regular | tar::EntryType::Continuous, _) => Entry::File {
                offset: entry.raw_file_position(),
                size: entry.size(),
            },
            (tar::EntryType::Link, Some(target)) => Entry::Link(plain(&target)),
            (tar::EntryType::Symlink, Some(target)) => Entry::Link(beside(&name, &target)),
            _ => continue,
        };
        entries.insert(name, found);
    }
    Ok(entries)
}

/// A name without `./` before it.
fn plain(name: &str) -> String {
    name.trim_start_matches("./").to_owned()
}

/// What a symbolic link at `name` leads to, within the archive.
fn beside(name: &str, target: &str) -> String {
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::beside;

    #[test]
    fn links_lead_to_other_parts() {
        assert_eq!(beside("a/layer.tar", "../b/layer.tar"), "b/layer.tar");
        assert_eq!(beside("layer.tar", "./b/layer.tar"), "b/layer.tar");
        assert_eq!(beside("a/b/c", "../../../../d"), "d");
    }
}
