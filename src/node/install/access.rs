//! Programs that everybody may run, in directories that everybody may pass.

use std::{
    collections::BTreeSet,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
};

use super::path_of;
use crate::{
    account::Ids,
    atomic, ensure,
    failure::Failed,
    ledger::Ledger,
    proto::{InstallHeader, Outcome},
    record,
    root::{Root, parents},
};

/// Mode of programs and of the directories on the way to them.
const MODE: u32 = 0o755;

/// Gives programs and the directories that we made for them back to root and opens them for all, those of
/// others as far as only root can pass; answers whether that was needed. A service of another user could
/// not be started else.
pub(super) fn open(root: &Root, header: &InstallHeader) -> Result<bool, Failed> {
    let ledger = Ledger::load(root)?;
    let ids = record::root_ids();
    let links = header.programs.iter().flat_map(|program| &program.links);
    let above = links.flat_map(|link| parents(&link.path));
    let directories: BTreeSet<&str> = above
        .chain(parents(&header.directory))
        .chain([header.directory.as_str()])
        .collect();
    let mut opened = false;
    for directory in directories {
        let path = root.at(directory);
        let Ok(found) = fs::symlink_metadata(&path) else {
            continue;
        };
        if !ledger.made(directory) {
            opened |= ensure::let_through(root, &path, &found)? != Outcome::NotNeeded;
        } else if is_shut(&found, ids) {
            atomic::protect_directory(&path, ids, MODE)?;
            opened = true;
        }
    }
    for program in &header.programs {
        let path = root.at(&path_of(header, &program.name));
        let found =
            fs::symlink_metadata(&path).map_err(|error| Failed::io("looking at", &path, &error))?;
        if is_shut(&found, ids) {
            atomic::protect_file(&path, ids, MODE)?;
            opened = true;
        }
    }
    Ok(opened)
}

fn is_shut(found: &Metadata, ids: Ids) -> bool {
    let owner = Ids {
        uid: found.uid(),
        gid: found.gid(),
    };
    owner != ids || found.mode() & 0o7777 != MODE
}
