//! Where builds lie, and what is known of each.
//!
//! `<id>/attempt-<word>/` is the builder's /out while it runs, and `attempt.json` says since when and
//! by which engine. `<id>/<output>` and `manifest.json` are there together once the build is finished:
//! without the manifest, which is written last, nothing counts. `used` carries the locks of those who
//! read it, and when it was last asked for.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::request::{BuildId, Wish};
use crate::{
    atomic, clock,
    digest::{self, Identity},
    failure::Failed,
    ledger, lock,
    proto::{BuiltImage, failure::Kind},
    record,
    root::Root,
};

/// All builds.
pub(super) const DIRECTORY: &str = "/var/lib/etcd-node/builds";

const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
const ATTEMPT: &str = "attempt.json";
const USED: &str = "used";

/// Names that no output may have.
pub(super) const OWN_FILES: [&str; 3] = [MANIFEST, ATTEMPT, USED];

/// What is known of a finished build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    written_by: String,
    build_id: String,
    pub(super) output: String,
    pub(super) size_bytes: u64,
    pub(super) sha256: String,
    /// The file that has this hash, so that hundreds of megabytes are not hashed in each apply.
    identity: Identity,
    engine: String,
    engine_version: String,
    image: String,
    image_id: String,
    pub(super) built_by: String,
    pub(super) built_ms: i64,
}

/// A build that was begun.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Attempt {
    format: u32,
    written_by: String,
    pub(super) engine: String,
    by: String,
    started_ms: i64,
}

/// How the builder was run.
pub(super) struct Made<'a> {
    pub(super) engine: &'a super::engine::Engine,
    pub(super) image_id: String,
    pub(super) operator: &'a str,
}

/// The directory of one build.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(super) id: BuildId,
    directory: PathBuf,
}

impl Place {
    pub(super) fn new(root: &Root, id: BuildId) -> Self {
        let directory = root.at(DIRECTORY).join(id.as_str());
        Self { id, directory }
    }

    /// All that are there, in any state.
    pub(super) fn all(root: &Root) -> Result<Vec<Self>, Failed> {
        let directory = root.at(DIRECTORY);
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Failed::io("reading", &directory, &error)),
        };
        let mut found: Vec<Self> = entries
            .flatten()
            .filter_map(|entry| BuildId::new(&entry.file_name().to_string_lossy()).ok())
            .map(|id| Self::new(root, id))
            .collect();
        found.sort_by(|left, right| left.id.cmp(&right.id));
        Ok(found)
    }

    pub(super) fn exists(&self) -> bool {
        self.directory.is_dir()
    }

    /// The finished build as its manifest has it, without a look at the file.
    pub(super) fn manifest(&self) -> Result<Option<Manifest>, Failed> {
        record::read(&self.directory.join(MANIFEST), FORMAT)
    }

    /// The build that was begun last.
    pub(super) fn attempt(&self) -> Result<Option<Attempt>, Failed> {
        record::read(&self.directory.join(ATTEMPT), FORMAT)
    }

    pub(super) fn output(&self, manifest: &Manifest) -> PathBuf {
        self.directory.join(&manifest.output)
    }

    /// The finished build, if its file is still the one that was hashed. The caller holds the build's
    /// lock.
    pub(super) fn finished(&self) -> Result<Option<Manifest>, Failed> {
        let Some(mut manifest) = self.manifest()? else {
            return Ok(None);
        };
        let path = self.output(&manifest);
        let Ok(identity) = Identity::of(&path) else {
            return Ok(None);
        };
        if identity != manifest.identity {
            // Moved with its file system, restored, or changed.
            let sha256 =
                digest::file(&path).map_err(|error| Failed::io("reading", &path, &error))?;
            if sha256 != manifest.sha256 {
                return Ok(None);
            }
            manifest.identity = identity;
            record::write(&self.directory.join(MANIFEST), &manifest)?;
        }
        Ok(Some(manifest))
    }

    /// Makes a place for a builder, with the directory that it gets as /out.
    pub(super) fn begin(
        &self,
        root: &Root,
        engine: &str,
        operator: &str,
    ) -> Result<PathBuf, Failed> {
        let made = |path: &Path, result: io::Result<()>| {
            result.map_err(|error| Failed::io("making", path, &error))
        };
        {
            // Whoever leaves the host takes our home with him, and looks for builds before.
            let _lock = lock::host(root, operator)?;
            let home = root.at(ledger::HOME);
            made(&home, fs::create_dir_all(&home))?;
            let builds = root.at(DIRECTORY);
            for directory in [&builds, &self.directory] {
                made(directory, private_directory(directory))?;
            }
        }
        record::write(
            &self.directory.join(ATTEMPT),
            &Attempt {
                format: FORMAT,
                written_by: record::VERSION.to_owned(),
                engine: engine.to_owned(),
                by: operator.to_owned(),
                started_ms: clock::now_ms(),
            },
        )?;
        // A name of its own: a container that outlived its build by a moment writes nowhere.
        let mut word = [0; 8];
        aws_lc_rs::rand::fill(&mut word).expect("the kernel gives random bytes");
        let out = self
            .directory
            .join(format!("attempt-{}", hex::encode(word)));
        // Root in a container may be another user here (user namespaces); nobody else comes as far
        // as this directory.
        let open = fs::create_dir(&out)
            .and_then(|()| fs::set_permissions(&out, Permissions::from_mode(0o777)));
        made(&out, open)?;
        Ok(out)
    }

    /// Makes what a builder left in `out` the finished build.
    pub(super) fn finish(
        &self,
        wish: &Wish,
        out: &Path,
        made: &Made<'_>,
    ) -> Result<Manifest, Failed> {
        let left = out.join(&wish.output);
        // Not what a link in it points to: the builder's root is not the host's.
        let is_file = fs::symlink_metadata(&left).is_ok_and(|found| found.is_file());
        if !is_file {
            return Err(missing(wish, out));
        }
        atomic::protect_file(&left, record::root_ids(), 0o600)?;
        let size_bytes = File::open(&left)
            .and_then(|file| {
                file.sync_all()?;
                Ok(file.metadata()?.len())
            })
            .map_err(|error| Failed::io("syncing", &left, &error))?;
        let sha256 = digest::file(&left).map_err(|error| Failed::io("reading", &left, &error))?;
        let path = self.directory.join(&wish.output);
        let identity = fs::rename(&left, &path)
            .and_then(|()| atomic::sync_directory(&self.directory))
            .and_then(|()| Identity::of(&path))
            .map_err(|error| Failed::io("keeping", &path, &error))?;
        let manifest = Manifest {
            format: FORMAT,
            written_by: record::VERSION.to_owned(),
            build_id: self.id.as_str().to_owned(),
            output: wish.output.clone(),
            size_bytes,
            sha256,
            identity,
            engine: made.engine.name.to_owned(),
            engine_version: made.engine.version.clone(),
            image: wish.image.clone(),
            image_id: made.image_id.clone(),
            built_by: made.operator.to_owned(),
            built_ms: clock::now_ms(),
        };
        record::write(&self.directory.join(MANIFEST), &manifest)?;
        self.clear_attempts()?;
        Ok(manifest)
    }

    /// Removes what attempts left; a finished build stays.
    pub(super) fn clear_attempts(&self) -> Result<(), Failed> {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return Ok(());
        };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with("attempt-") {
                let path = entry.path();
                fs::remove_dir_all(&path).map_err(|error| Failed::io("removing", &path, &error))?;
            }
        }
        // Last: it says by which engine a container has to be looked for.
        gone(&self.directory.join(ATTEMPT), fs::remove_file)
    }

    /// Removes all of it.
    pub(super) fn remove(&self) -> Result<(), Failed> {
        // First: what is half removed is no build.
        gone(&self.directory.join(MANIFEST), fs::remove_file)?;
        gone(&self.directory, fs::remove_dir_all)
    }

    /// The file with the locks of those who read the build.
    pub(super) fn use_file(&self) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.directory.join(USED))
    }

    /// When it was last asked for.
    pub(super) fn last_used(&self) -> SystemTime {
        fs::metadata(self.directory.join(USED))
            .and_then(|found| found.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }

    pub(super) fn built(&self, manifest: Manifest, found: bool) -> BuiltImage {
        BuiltImage {
            path: self.output(&manifest).display().to_string(),
            build_id: manifest.build_id,
            output: manifest.output,
            size_bytes: manifest.size_bytes,
            sha256: manifest.sha256,
            found,
            engine: manifest.engine,
            engine_version: manifest.engine_version,
            image_id: manifest.image_id,
            built_by: manifest.built_by,
            built_ms: manifest.built_ms,
        }
    }
}

fn private_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

fn gone(path: &Path, remove: fn(PathBuf) -> io::Result<()>) -> Result<(), Failed> {
    match remove(path.to_owned()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failed::io("removing", path, &error))
        }
        _ => Ok(()),
    }
}

/// The builder was content, and its file is not there: which are?
fn missing(wish: &Wish, out: &Path) -> Failed {
    let mut names: Vec<String> = fs::read_dir(out)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let there = if names.is_empty() {
        "it made nothing".to_owned()
    } else {
        format!("it made {}", names.join(", "))
    };
    let output = &wish.output;
    Failed::new(
        Kind::OutputMissing,
        output,
        format!("{} ended well but made no {output}: {there}", wish.image),
    )
    .hint("Check platform, architecture and output kind in the builder's arguments.")
    .output(&names.join("\n"))
}
