//! Files with owner, mode and content.

use std::{fs, os::unix::fs::MetadataExt};

use super::directory::make_parents;
use crate::{
    account::{self, Ids},
    atomic,
    failure::Failed,
    ledger::{ItemKind, Ledger, SharedKind, Standing},
    proto::{File, Outcome},
    root::Root,
};

/// Who has a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tenure {
    Own(ItemKind),
    /// `follows`: its other users take new bytes over.
    Shared {
        kind: SharedKind,
        follows: bool,
    },
}

/// A file as it should be.
pub(crate) struct FileWish<'a> {
    pub(crate) path: &'a str,
    pub(crate) user: &'a str,
    pub(crate) group: &'a str,
    pub(crate) mode: u32,
    pub(crate) content: &'a [u8],
    pub(crate) tenure: Tenure,
    /// It changes only by us, so a hash tells whether somebody else did it. A certificate renews
    /// itself.
    pub(crate) is_hashed: bool,
}

impl<'a> From<&'a File> for FileWish<'a> {
    fn from(file: &'a File) -> Self {
        let tenure = match (file.shared, file.unit) {
            (true, unit) => Tenure::Shared {
                kind: if unit {
                    SharedKind::Unit
                } else {
                    SharedKind::File
                },
                follows: file.follows,
            },
            (false, true) => Tenure::Own(ItemKind::Unit),
            (false, false) => Tenure::Own(ItemKind::File),
        };
        Self {
            path: &file.path,
            user: &file.user,
            group: &file.group,
            mode: file.mode,
            content: &file.content,
            tenure,
            is_hashed: true,
        }
    }
}

pub(super) fn enter(
    root: &Root,
    ledger: &mut Ledger,
    owner: &str,
    wish: &FileWish<'_>,
) -> Result<(), Failed> {
    let found = fs::symlink_metadata(root.wanted(wish.path)?).ok();
    match (ledger.standing(wish.path, owner), wish.tenure) {
        (Standing::Other(other), _) => return Err(Failed::conflict(wish.path, other)),
        (Standing::Shared, Tenure::Own(_)) => {
            return Err(Failed::conflict(wish.path, "several owners"));
        }
        (Standing::Own, Tenure::Shared { .. }) => {
            return Err(Failed::conflict(wish.path, &format!("{owner} alone")));
        }
        (Standing::Unknown, Tenure::Own(_)) if found.is_some() => {
            return Err(Failed::foreign(wish.path));
        }
        // A ledger that was lost knew it: what several use, the root of a CA say, is the same for all.
        (Standing::Unknown, Tenure::Shared { .. }) if found.is_some() && !holds(root, wish) => {
            return Err(Failed::foreign(wish.path));
        }
        _ if found.is_some_and(|found| found.is_dir()) => return Err(Failed::foreign(wish.path)),
        _ => {}
    }
    let sha256 = wish
        .is_hashed
        .then(|| ledger.fingerprint(wish.path, wish.content));
    match wish.tenure {
        Tenure::Own(kind) => ledger.enter(root, owner, wish.path, kind, sha256),
        Tenure::Shared { kind, follows } => {
            if !follows && let Some(other) = relying(ledger, owner, wish.path, sha256.as_deref()) {
                return Err(Failed::relied_upon(wish.path, other));
            }
            ledger.share(root, owner, wish.path, kind, sha256);
        }
    }
    Ok(())
}

/// Whether a file holds what is wished already.
fn holds(root: &Root, wish: &FileWish<'_>) -> bool {
    let path = root.at(wish.path);
    let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
    is_file && fs::read(&path).is_ok_and(|content| content == wish.content)
}

/// Another owner that has a shared file with other bytes than those of `sha256`: they may be what it
/// trusts.
fn relying<'a>(
    ledger: &'a Ledger,
    owner: &str,
    path: &str,
    sha256: Option<&str>,
) -> Option<&'a str> {
    let shared = ledger.shared.get(path)?;
    let recorded = shared.pending.as_deref().unwrap_or(&shared.sha256);
    let other = shared.owners.iter().find(|other| *other != owner)?;
    (Some(recorded) != sha256).then_some(other.as_str())
}

pub(super) fn write(root: &Root, wish: &FileWish<'_>) -> Result<Outcome, Failed> {
    let path = root.at(wish.path);
    let ids = account::ids(root, wish.user, wish.group)?;
    let found = fs::symlink_metadata(&path).ok();
    let is_right = found.as_ref().is_some_and(|found| {
        found.is_file()
            && found.mode() & 0o7777 == wish.mode
            && Ids {
                uid: found.uid(),
                gid: found.gid(),
            } == ids
            && found.len() == wish.content.len() as u64
            && fs::read(&path).is_ok_and(|content| content == wish.content)
    });
    if is_right {
        return Ok(Outcome::NotNeeded);
    }
    make_parents(&path)?;
    atomic::write(&path, wish.content, ids, wish.mode)?;
    Ok(if found.is_some() {
        Outcome::Updated
    } else {
        Outcome::Added
    })
}
