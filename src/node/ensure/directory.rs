//! Directories with owner and mode.

use std::{
    fs::{self, DirBuilder, Metadata},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::Path,
};

use crate::{
    account::{self, Ids},
    atomic,
    failure::Failed,
    ledger::{ItemKind, Ledger, SharedKind, Standing},
    proto::{Directory, Outcome},
    record,
    root::Root,
};

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
    let was_there_before_us = ledger
        .shared
        .get(&wish.path)
        .is_some_and(|shared| !shared.made);
    let is_right = Ids {
        uid: found.uid(),
        gid: found.gid(),
    } == ids
        && found.mode() & 0o7777 == wish.mode;
    if is_right {
        return Ok(Outcome::NotNeeded);
    }
    if was_there_before_us {
        return let_through(&path, &found);
    }
    atomic::protect_directory(&path, ids, wish.mode)?;
    Ok(Outcome::Updated)
}

/// A directory that others made, and use too, keeps its owner and mode, unless root alone could pass
/// through one that services must pass.
pub(crate) fn let_through(path: &Path, found: &Metadata) -> Result<Outcome, Failed> {
    let own = record::root_ids();
    let is_roots = Ids {
        uid: found.uid(),
        gid: found.gid(),
    } == own;
    let missing = 0o111 & !found.mode();
    if !is_roots || missing == 0 {
        return Ok(Outcome::NotNeeded);
    }
    atomic::protect_directory(path, own, found.mode() & 0o7777 | missing)?;
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
