//! Programs that everybody may run, in directories that everybody may pass.

use std::{fs, os::unix::fs::MetadataExt};

use super::path_of;
use crate::{
    account::Ids,
    atomic,
    failure::Failed,
    ledger::Ledger,
    proto::InstallHeader,
    record,
    root::{Root, parents},
};

/// Mode of programs and of the directories on the way to them.
const MODE: u32 = 0o755;

/// Gives programs and the directories that we made for them back to root and opens them for all;
/// answers whether that was needed. A service of another user could not be started else.
pub(super) fn open(root: &Root, header: &InstallHeader) -> Result<bool, Failed> {
    let ledger = Ledger::load(root)?;
    let ids = record::root_ids();
    let mut opened = false;
    let above = parents(&header.directory).filter(|path| ledger.made(path));
    for directory in std::iter::once(header.directory.as_str()).chain(above) {
        let path = root.at(directory);
        if is_shut(&path, ids)? {
            atomic::protect_directory(&path, ids, MODE)?;
            opened = true;
        }
    }
    for program in &header.programs {
        let path = root.at(&path_of(header, &program.name));
        if is_shut(&path, ids)? {
            atomic::protect_file(&path, ids, MODE)?;
            opened = true;
        }
    }
    Ok(opened)
}

fn is_shut(path: &std::path::Path, ids: Ids) -> Result<bool, Failed> {
    let found =
        fs::symlink_metadata(path).map_err(|error| Failed::io("looking at", path, &error))?;
    let owner = Ids {
        uid: found.uid(),
        gid: found.gid(),
    };
    Ok(owner != ids || found.mode() & 0o7777 != MODE)
}
