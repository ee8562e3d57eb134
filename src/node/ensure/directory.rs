//! Directories with owner and mode.

use std::{
    fs::{self, DirBuilder, Metadata},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::Path,
};

use super::content;
use crate::{
    account::{self, Ids},
    atomic,
    failure::Failed,
    ledger::{ItemKind, Ledger, SharedKind, Standing},
    proto::{Directory, Outcome},
    root::Root,
};

/// User that etcd and the renewals of its certificates run as.
const SERVICE: &str = "etcd";

/// What a new file system has of its own: a directory that holds nothing else is empty.
const LOST_AND_FOUND: &str = "lost+found";

pub(super) fn enter(
    root: &Root,
    ledger: &mut Ledger,
    owner: &str,
    wish: &Directory,
) -> Result<(), Failed> {
    let path = root.wanted(&wish.path)?;
    let found = fs::symlink_metadata(&path).ok();
    if found.as_ref().is_some_and(|found| !found.is_dir()) {
        return Err(Failed::foreign(&wish.path));
    }
    match ledger.standing(&wish.path, owner) {
        Standing::Other(other) => Err(Failed::conflict(&wish.path, other)),
        Standing::Own | Standing::Unknown | Standing::Shared if wish.shared => {
            ledger.share(root, owner, &wish.path, SharedKind::Directory, None);
            Ok(())
        }
        Standing::Shared => Err(Failed::conflict(&wish.path, "several owners")),
        Standing::Unknown if found.is_some() && is_populated(&path) => {
            Err(Failed::foreign(&wish.path))
        }
        Standing::Own | Standing::Unknown => {
            let kind = if wish.data {
                ItemKind::Data
            } else {
                ItemKind::Directory
            };
            ledger.enter(root, owner, &wish.path, kind, None);
            Ok(())
        }
    }
}

/// Whether a directory holds anything but what its file system came with.
pub(crate) fn is_populated(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name() != LOST_AND_FOUND)
    })
}

pub(super) fn make(root: &Root, ledger: &Ledger, wish: &Directory) -> Result<Outcome, Failed> {
    let path = root.at(&wish.path);
    let ids = account::ids(root, &wish.user, &wish.group)?;
    let Ok(found) = fs::symlink_metadata(&path) else {
        make_parents(&path)?;
        // Closed until it has its owner.
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| Failed::io("making", &path, &error))?;
        atomic::protect_directory(&path, ids, wish.mode)?;
        return Ok(Outcome::Added);
    };
    // What somebody put back as root cannot be written by the service.
    let content_was_given = wish.data && content::give(&path, ids)?;
    let was_there_before_us = ledger
        .shared
        .get(&wish.path)
        .is_some_and(|shared| !shared.made);
    if ids_of(&found) == ids && found.mode() & 0o7777 == wish.mode {
        return Ok(if content_was_given {
            Outcome::Updated
        } else {
            Outcome::NotNeeded
        });
    }
    if was_there_before_us {
        return let_through(root, &path, &found);
    }
    atomic::protect_directory(&path, ids, wish.mode)?;
    Ok(Outcome::Updated)
}

fn ids_of(found: &Metadata) -> Ids {
    Ids {
        uid: found.uid(),
        gid: found.gid(),
    }
}

/// A directory that others made, and use too, keeps its owner and mode, unless etcd could not pass
/// through it.
pub(crate) fn let_through(root: &Root, path: &Path, found: &Metadata) -> Result<Outcome, Failed> {
    let mode = found.mode() & 0o7777;
    let passes = mode & 0o001 != 0
        || account::ids(root, SERVICE, SERVICE).is_ok_and(|service| {
            found.uid() == service.uid || (found.gid() == service.gid && mode & 0o010 != 0)
        });
    if passes {
        return Ok(Outcome::NotNeeded);
    }
    atomic::protect_directory(path, ids_of(found), mode | 0o111)?;
    Ok(Outcome::Updated)
}

/// Makes the directories on the way to a path, root's and readable by all.
pub(super) fn make_parents(path: &Path) -> Result<(), Failed> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    if parent.is_dir() {
        return Ok(());
    }
    make_parents(parent)?;
    DirBuilder::new()
        .mode(0o755)
        .create(parent)
        .and_then(|()| {
            use std::os::unix::fs::PermissionsExt;
            // Whatever umask sudo left us.
            fs::set_permissions(parent, fs::Permissions::from_mode(0o755))
        })
        .map_err(|error| Failed::io("making", parent, &error))
}
