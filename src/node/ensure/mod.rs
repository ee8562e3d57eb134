//! Users, directories, files and links brought to the wished state, and entered in the ledger.
//!
//! All items are checked and entered before the first is touched, and confirmed when all are done: a
//! run that is killed in between is recognised as ours by the next one.

mod absent;
mod content;
mod directory;
mod file;
mod link;
mod port;
mod timer_helper;

use crate::{
    account,
    failure::Failed,
    ledger::{ItemKind, Ledger, SharedKind, Standing},
    lock,
    proto::{Adopt, EnsureRequest, EnsureResponse, Item, Outcome, item::Item as Wish},
    root::Root,
    unit,
};

pub(crate) use content::stranger;
pub(crate) use directory::{is_populated, let_through};
pub(crate) use file::{FileWish, Tenure};
pub(crate) use link::{enter as enter_link, make as make_link};
pub(crate) use timer_helper::{CURRENT, version as timer_helper_version};

pub(crate) fn ensure(
    root: &Root,
    request: &EnsureRequest,
    operator: &str,
) -> Result<EnsureResponse, Failed> {
    let _lock = lock::host(root, operator)?;
    let mut ledger = Ledger::load(root)?;
    let before = ledger.clone();
    ledger.owner_mut(&request.owner, &request.id)?;
    if request.claims_ports {
        port::claim(&mut ledger, &request.owner, &request.id, &request.ports)?;
    }
    for item in &request.items {
        enter(root, &mut ledger, &request.owner, item)?;
    }
    if let Some(manifest) = &request.manifest {
        manifest.clone_into(&mut ledger.owner_mut(&request.owner, &request.id)?.manifest);
    }
    if ledger != before {
        ledger.save(root)?;
    }
    let entered = ledger.clone();
    let mut outcomes = Vec::new();
    let mut units_changed = false;
    for item in &request.items {
        let outcome = apply(root, &mut ledger, &request.owner, item, units_changed)?;
        units_changed |= outcome != Outcome::NotNeeded && is_unit(&entered, &request.owner, item);
        outcomes.push(outcome.into());
    }
    if ledger != entered {
        ledger.save(root)?;
    }
    Ok(EnsureResponse { outcomes })
}

/// What an item is about, for the log.
pub(crate) fn label(item: &Item) -> &str {
    match &item.item {
        Some(Wish::User(user)) => &user.name,
        Some(Wish::Directory(directory)) => &directory.path,
        Some(Wish::File(file)) => &file.path,
        Some(Wish::Link(link)) => &link.path,
        Some(Wish::Absent(absent)) => &absent.path,
        Some(Wish::Adopt(adopt)) => &adopt.path,
        Some(Wish::TimerHelper(_)) => CURRENT,
        Some(Wish::Reload(_)) => "systemd",
        None => "nothing",
    }
}

/// Whether a path is an owner's alone.
pub(crate) fn is_own(root: &Root, owner: &str, path: &str) -> Result<bool, Failed> {
    Ok(Ledger::load(root)?.standing(path, owner) == Standing::Own)
}

/// Puts one file of an owner in place, with everything that [`ensure`] does for it.
pub(crate) fn one_file(
    root: &Root,
    owner: &str,
    id: &str,
    wish: &FileWish<'_>,
    operator: &str,
) -> Result<Outcome, Failed> {
    let _lock = lock::host(root, operator)?;
    let mut ledger = Ledger::load(root)?;
    let before = ledger.clone();
    ledger.owner_mut(owner, id)?;
    file::enter(root, &mut ledger, owner, wish)?;
    if ledger != before {
        ledger.save(root)?;
    }
    let outcome = file::write(root, wish)?;
    let entered = ledger.clone();
    ledger.confirm(owner, wish.path);
    if ledger != entered {
        ledger.save(root)?;
    }
    Ok(outcome)
}

fn is_unit(ledger: &Ledger, owner: &str, item: &Item) -> bool {
    match &item.item {
        Some(Wish::File(file)) => file.unit,
        Some(Wish::Absent(absent)) => {
            let name = absent.path.rsplit('/').next();
            ledger.units(owner).any(|unit| Some(unit) == name)
        }
        _ => false,
    }
}

/// Refuses what is not ours, and enters what is about to be.
fn enter(root: &Root, ledger: &mut Ledger, owner: &str, item: &Item) -> Result<(), Failed> {
    match &item.item {
        Some(Wish::User(user)) => {
            let made = account::user(root, &user.name).is_none();
            ledger.share_key(
                owner,
                &format!("user:{}", user.name),
                SharedKind::User,
                made,
                None,
            );
            Ok(())
        }
        Some(Wish::Directory(wish)) => directory::enter(root, ledger, owner, wish),
        Some(Wish::File(wish)) => file::enter(root, ledger, owner, &wish.into()),
        Some(Wish::Link(wish)) => link::enter(root, ledger, owner, wish).map(|_| ()),
        Some(Wish::Absent(wish)) => absent::check(root, ledger, owner, &wish.path),
        Some(Wish::Adopt(wish)) => check_adoption(root, ledger, owner, wish),
        Some(Wish::TimerHelper(_) | Wish::Reload(_)) => Ok(()),
        None => Err(Failed::invalid(owner, "an item is empty")),
    }
}

fn apply(
    root: &Root,
    ledger: &mut Ledger,
    owner: &str,
    item: &Item,
    units_changed: bool,
) -> Result<Outcome, Failed> {
    match &item.item {
        Some(Wish::User(user)) => account::create(root, user),
        Some(Wish::Directory(wish)) => directory::make(root, ledger, wish),
        Some(Wish::File(wish)) => {
            let outcome = file::write(root, &wish.into())?;
            ledger.confirm(owner, &wish.path);
            Ok(outcome)
        }
        Some(Wish::Link(wish)) => {
            // One that is somebody else's was not entered.
            match ledger.standing(&wish.path, owner) {
                Standing::Own | Standing::Shared => link::make(root, wish),
                Standing::Unknown | Standing::Other(_) => Ok(Outcome::NotNeeded),
            }
        }
        Some(Wish::TimerHelper(_)) => timer_helper::point(root),
        Some(Wish::Reload(_)) => reload(ledger, owner, units_changed),
        Some(Wish::Absent(wish)) => absent::remove(root, ledger, owner, &wish.path),
        Some(Wish::Adopt(wish)) => adopt(root, ledger, owner, wish),
        None => Ok(Outcome::NotNeeded),
    }
}

/// A run that was killed before its reload left files that systemd has not read.
fn reload(ledger: &Ledger, owner: &str, units_changed: bool) -> Result<Outcome, Failed> {
    if !units_changed {
        let units: Vec<String> = ledger.units(owner).map(str::to_owned).collect();
        if !unit::facts(&units)?.iter().any(|fact| fact.needs_reload) {
            return Ok(Outcome::NotNeeded);
        }
    }
    unit::reload()?;
    Ok(Outcome::Updated)
}

fn check_adoption(root: &Root, ledger: &Ledger, owner: &str, wish: &Adopt) -> Result<(), Failed> {
    let path = root.wanted(&wish.path)?;
    match ledger.standing(&wish.path, owner) {
        Standing::Other(other) => Err(Failed::conflict(&wish.path, other)),
        Standing::Shared => Err(Failed::conflict(&wish.path, "several others")),
        Standing::Own | Standing::Unknown => std::fs::symlink_metadata(&path)
            .map(|_| ())
            .map_err(|error| Failed::io("looking at", &path, &error)),
    }
}

/// Takes over what another tool made, as it is now.
fn adopt(root: &Root, ledger: &mut Ledger, owner: &str, wish: &Adopt) -> Result<Outcome, Failed> {
    if ledger.standing(&wish.path, owner) == Standing::Own {
        return Ok(Outcome::NotNeeded);
    }
    let path = root.at(&wish.path);
    let failed = |error: &std::io::Error| Failed::io("reading", &path, error);
    let found = std::fs::symlink_metadata(&path).map_err(|error| failed(&error))?;
    let kind = match (found.is_dir(), found.is_symlink()) {
        (true, _) if wish.data => ItemKind::Data,
        (true, _) => ItemKind::Directory,
        (_, true) => ItemKind::Link,
        _ if wish.unit => ItemKind::Unit,
        _ if wish.key => ItemKind::Key,
        _ => ItemKind::File,
    };
    let content = match kind {
        ItemKind::File | ItemKind::Unit => {
            Some(std::fs::read(&path).map_err(|error| failed(&error))?)
        }
        ItemKind::Key | ItemKind::Directory | ItemKind::Data | ItemKind::Link => None,
    };
    let sha256 = content.map(|content| ledger.fingerprint(&wish.path, &content));
    ledger.enter(root, owner, &wish.path, kind, sha256);
    ledger.confirm(owner, &wish.path);
    if let Some(item) = ledger
        .owners
        .get_mut(owner)
        .and_then(|entry| entry.items.get_mut(&wish.path))
    {
        item.made = true;
    }
    Ok(Outcome::Added)
}

#[cfg(test)]
pub(crate) mod tests;
