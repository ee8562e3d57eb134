//! Symbolic links.

use std::{fs, path::Path};

use super::directory::make_parents;
use crate::{
    atomic,
    failure::Failed,
    ledger::{ItemKind, Ledger, SharedKind, Standing},
    proto::{Link, Outcome},
    root::Root,
};

/// Whether the link is ours to make.
pub(crate) fn enter(
    root: &Root,
    ledger: &mut Ledger,
    owner: &str,
    wish: &Link,
) -> Result<bool, Failed> {
    let there = fs::symlink_metadata(root.wanted(&wish.path)?).is_ok();
    if wish.target.is_empty() {
        return Err(Failed::invalid(
            &wish.path,
            format!("the link {} points nowhere", wish.path),
        ));
    }
    match ledger.standing(&wish.path, owner) {
        Standing::Other(_) | Standing::Unknown if wish.unless_foreign && there => return Ok(false),
        Standing::Other(other) => return Err(Failed::conflict(&wish.path, other)),
        Standing::Unknown if there => return Err(Failed::foreign(&wish.path)),
        Standing::Shared if !wish.shared => {
            return Err(Failed::conflict(&wish.path, "several owners"));
        }
        Standing::Own | Standing::Shared | Standing::Unknown => {}
    }
    if wish.shared {
        ledger.share(root, owner, &wish.path, SharedKind::Link, None);
    } else {
        ledger.enter(root, owner, &wish.path, ItemKind::Link, None);
    }
    Ok(true)
}

pub(crate) fn make(root: &Root, wish: &Link) -> Result<Outcome, Failed> {
    let path = root.at(&wish.path);
    let found = fs::symlink_metadata(&path).is_ok();
    if fs::read_link(&path).is_ok_and(|target| target == Path::new(&wish.target)) {
        return Ok(Outcome::NotNeeded);
    }
    make_parents(&path)?;
    atomic::link(&path, &wish.target)?;
    Ok(if found {
        Outcome::Updated
    } else {
        Outcome::Added
    })
}
