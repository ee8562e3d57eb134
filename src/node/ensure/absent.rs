//! Files of an owner that are not wanted any more.

use std::{fs, io};

use crate::{
    atomic,
    failure::Failed,
    ledger::{ItemKind, Ledger, Standing},
    proto::Outcome,
    root::Root,
};

/// Only what the owner has may go.
pub(super) fn check(root: &Root, ledger: &Ledger, owner: &str, path: &str) -> Result<(), Failed> {
    let there = fs::symlink_metadata(root.wanted(path)?).is_ok();
    match ledger.standing(path, owner) {
        Standing::Other(other) => Err(Failed::conflict(path, other)),
        Standing::Unknown if there => Err(Failed::foreign(path)),
        Standing::Unknown | Standing::Shared => Ok(()),
        Standing::Own => {
            let kind = ledger
                .owners
                .get(owner)
                .and_then(|entry| entry.items.get(path))
                .map(|item| item.kind);
            match kind {
                Some(ItemKind::Directory | ItemKind::Data) => Err(Failed::invalid(
                    path,
                    format!("{path} is a directory; it goes with its owner"),
                )),
                _ => Ok(()),
            }
        }
    }
}

/// Removes it, and then its entry: a run that is killed in between does it again.
pub(super) fn remove(
    root: &Root,
    ledger: &mut Ledger,
    owner: &str,
    path: &str,
) -> Result<Outcome, Failed> {
    if let Some(shared) = ledger.shared.get_mut(path) {
        let was_user = shared.owners.remove(owner);
        if !shared.owners.is_empty() || !shared.made {
            return Ok(if was_user {
                Outcome::Updated
            } else {
                Outcome::NotNeeded
            });
        }
        ledger.shared.remove(path);
    } else if let Some(entry) = ledger.owners.get_mut(owner) {
        entry.items.remove(path);
    }
    let place = root.at(path);
    atomic::sweep(&place);
    match fs::remove_file(&place) {
        Ok(()) => Ok(Outcome::Updated),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Outcome::NotNeeded),
        Err(error) => Err(Failed::io("removing", &place, &error)),
    }
}
