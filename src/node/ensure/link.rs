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
        Standing::Unknown if there && !points_there(root, wish) => {
            return Err(Failed::foreign(&wish.path));
        }
        Standing::Shared if !wish.shared => {
            return Err(Failed::conflict(&wish.path, "several owners"));
        }
        Standing::Own | Standing::Shared | Standing::Unknown => {}
    }
    // What leads to a thing of ours is ours, whoever made it: alone it would lead nowhere.
    let is_new = ledger.standing(&wish.path, owner) == Standing::Unknown;
    if wish.shared {
        ledger.share(root, owner, &wish.path, SharedKind::Link, None);
        if let Some(link) = ledger.shared.get_mut(&wish.path).filter(|_| is_new) {
            link.made = true;
        }
    } else {
        ledger.enter(root, owner, &wish.path, ItemKind::Link, None);
        let items = ledger.owners.get_mut(owner).map(|entry| &mut entry.items);
        if let Some(link) = items
            .and_then(|items| items.get_mut(&wish.path))
            .filter(|_| is_new)
        {
            link.made = true;
        }
    }
    Ok(true)
}

fn points_there(root: &Root, wish: &Link) -> bool {
    fs::read_link(root.at(&wish.path)).is_ok_and(|target| target == Path::new(&wish.target))
}

pub(crate) fn make(root: &Root, wish: &Link) -> Result<Outcome, Failed> {
    let path = root.at(&wish.path);
    let found = fs::symlink_metadata(&path).is_ok();
    if points_there(root, wish) {
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
