//! Files that are seen old or new, never half.
//!
//! Owner and mode are changed on open files only: in a directory of the service user, a name may
//! point elsewhere by the time it is used.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown, symlink},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::fs::OFlags;

use crate::{account::Ids, failure::Failed};

/// Ends the names of files that are not complete yet.
const UNFINISHED: &str = ".etcd-node-new";

/// Writes `content` to `path` by rename in the same directory; owner and mode are right before the
/// name is, so nobody ever reads a key that is not yet theirs alone.
pub(crate) fn write(path: &Path, content: &[u8], ids: Ids, mode: u32) -> Result<(), Failed> {
    replace(path, |temporary| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(temporary)?;
        file.write_all(content)?;
        fchown(&file, Some(ids.uid), Some(ids.gid))?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()
    })
    .map_err(|error| Failed::io("writing", path, &error))
}

/// Points `path` to `target`, in place of the link that is there.
pub(crate) fn link(path: &Path, target: &str) -> Result<(), Failed> {
    replace(path, |temporary| symlink(target, temporary))
        .map_err(|error| Failed::io("linking", path, &error))
}

/// Makes something under another name and renames it to `path`.
fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (directory, name) = split(path)?;
    sweep(path);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let temporary = directory.join(format!(".{name}.{}.{count}{UNFINISHED}", process::id()));
    let result = make(&temporary)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| sync_directory(directory));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn split(path: &Path) -> io::Result<(&Path, String)> {
    match (path.parent(), path.file_name()) {
        (Some(directory), Some(name)) => Ok((directory, name.to_string_lossy().into_owned())),
        _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
    }
}

/// Removes what killed runs left beside a path; what a living process writes just now stays.
pub(crate) fn sweep(path: &Path) {
    let Ok((directory, name)) = split(path) else {
        return;
    };
    let start = format!(".{name}.");
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let found = entry.file_name().to_string_lossy().into_owned();
        let writer = found
            .strip_prefix(&start)
            .and_then(|rest| rest.strip_suffix(UNFINISHED))
            .and_then(|middle| middle.split('.').next())
            .and_then(|pid| pid.parse::<u32>().ok());
        if writer.is_some_and(|pid| !PathBuf::from(format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes renames in a directory last.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Gives an existing directory owner and mode, refusing a link in its place.
pub(crate) fn protect_directory(path: &Path, ids: Ids, mode: u32) -> Result<(), Failed> {
    open_without_links(path, OFlags::DIRECTORY)
        .and_then(|directory| protect(&directory, ids, mode))
        .map_err(|error| Failed::io("protecting", path, &error))
}

/// Gives an existing file owner and mode, refusing a link in its place.
pub(crate) fn protect_file(path: &Path, ids: Ids, mode: u32) -> Result<(), Failed> {
    open_without_links(path, OFlags::empty())
        .and_then(|file| protect(&file, ids, mode))
        .map_err(|error| Failed::io("protecting", path, &error))
}

fn open_without_links(path: &Path, more: OFlags) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | more)
        .bits()
        .cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn protect(file: &File, ids: Ids, mode: u32) -> io::Result<()> {
    fchown(file, Some(ids.uid), Some(ids.gid))?;
    file.set_permissions(Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn own() -> Ids {
        let own = fs::metadata("/proc/self").expect("our own process");
        Ids {
            uid: own.uid(),
            gid: own.gid(),
        }
    }

    #[test]
    fn replaces_a_file_whole_and_leaves_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("conf");
        write(&path, b"one", own(), 0o640).expect("written");
        write(&path, b"two", own(), 0o400).expect("written over a file that we may not write to");
        assert_eq!(fs::read(&path).expect("a file"), b"two");
        assert_eq!(fs::metadata(&path).expect("a file").mode() & 0o7777, 0o400);
        assert_eq!(
            fs::read_dir(directory.path()).expect("a directory").count(),
            1
        );
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("taken");
        fs::create_dir(&path).expect("a directory in the way");
        assert!(write(&path, b"x", own(), 0o600).is_err());
        assert!(path.is_dir());
        assert_eq!(
            fs::read_dir(directory.path()).expect("a directory").count(),
            1
        );
    }

    #[test]
    fn sweeps_what_dead_writers_left_and_only_that() {
        let directory = tempfile::tempdir().expect("a directory");
        // No process has a number above the kernel's limit of 2^22.
        let dead = directory
            .path()
            .join(format!(".conf.4194305.0{UNFINISHED}"));
        let living = directory
            .path()
            .join(format!(".conf.{}.9{UNFINISHED}", process::id()));
        let other = directory.path().join(".conf.swp");
        for path in [&dead, &living, &other] {
            fs::write(path, "").expect("a file");
        }
        write(&directory.path().join("conf"), b"x", own(), 0o600).expect("written");
        assert!(!dead.exists() && living.exists() && other.exists());
    }

    #[test]
    fn a_link_is_never_protected_in_place_of_a_directory() {
        let directory = tempfile::tempdir().expect("a directory");
        let (target, name) = (
            directory.path().join("target"),
            directory.path().join("data"),
        );
        fs::create_dir(&target).expect("a directory");
        symlink(&target, &name).expect("a link");
        assert!(protect_directory(&name, own(), 0o700).is_err());
        assert_ne!(
            fs::metadata(&target).expect("untouched").mode() & 0o7777,
            0o700
        );
    }
}
