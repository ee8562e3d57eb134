//! Undoes what was made for an owner, and for the host when the last owner goes.
//!
//! The owner's own things go first and without a lock, the shared ones under it, the entry in the
//! ledger last: a run that is cut off is done again from the start.

mod by_hand;

use std::{
    fs, io,
    os::unix::fs::lchown,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    account, atomic, clock, ensure,
    failure::Failed,
    imager, journal,
    ledger::{self, Item, ItemKind, Ledger, Owner, SharedKind, check_owner, has_extension},
    lock, program,
    proto::{Outcome, RemoveRequest, RemoveResponse, control_unit_request::Verb, failure::Kind},
    record,
    root::{Root, parents},
    unit,
};

pub use by_hand::leave;

/// `TimeoutStopSec` of members is 90 s.
const STOP: Duration = Duration::from_mins(2);

/// Where systemd remembers when a timer with `Persistent=` ran last.
const STAMPS: &str = "/var/lib/systemd/timers";

/// Where data is kept beside the directory that it was in.
const KEPT: &str = "deleted";

pub(crate) fn remove(
    root: &Root,
    request: &RemoveRequest,
    operator: &str,
) -> Result<RemoveResponse, Failed> {
    check_owner(&request.owner)?;
    let ledger = Ledger::load(root)?;
    let Some(owner) = ledger.owners.get(&request.owner) else {
        let outcome = journal::clear(root, &request.owner, &request.id)?;
        let _lock = lock::host(root, operator)?;
        let host_clean = leave_if_last(root, &Ledger::load(root)?)?;
        return Ok(RemoveResponse {
            outcome: outcome.into(),
            kept: Vec::new(),
            host_clean,
        });
    };
    if !request.id.is_empty() && owner.id != request.id {
        return Err(Failed::new(
            Kind::Conflict,
            &request.owner,
            format!(
                "{} on this host was made under the id {}",
                request.owner, owner.id
            ),
        ));
    }
    let units: Vec<String> = ledger.units(&request.owner).map(str::to_owned).collect();
    stop_units(root, owner, units, request.delete_data)?;
    let kept = remove_items(root, owner, request)?;
    let _lock = lock::host(root, operator)?;
    let mut ledger = Ledger::load(root)?;
    release_shared(root, &mut ledger, &request.owner)?;
    ledger.owners.remove(&request.owner);
    ledger.save(root)?;
    journal::clear(root, &request.owner, "")?;
    let host_clean = leave_if_last(root, &ledger)?;
    Ok(RemoveResponse {
        outcome: Outcome::Updated.into(),
        kept,
        host_clean,
    })
}

/// Stops and disables, and makes systemd forget. Shared units go with their last user.
///
/// A member whose data goes too has nothing to end in order: without its peers it would wait for a
/// new leader until its own time is over.
fn stop_units(
    root: &Root,
    owner: &Owner,
    mut units: Vec<String>,
    at_once: bool,
) -> Result<(), Failed> {
    let paths: Vec<&String> = owner
        .items
        .iter()
        .filter(|(_, item)| item.kind == ItemKind::Unit)
        .map(|(path, _)| path)
        .collect();
    units.retain(|unit| {
        paths
            .iter()
            .any(|path| path.rsplit('/').next() == Some(unit))
    });
    if units.is_empty() {
        return Ok(());
    }
    // Timers first, or they start their services again.
    units.sort_by_key(|name| !has_extension(name, "timer"));
    for name in &units {
        unit::order(name, Verb::Disable, false, STOP)?;
        if at_once && has_extension(name, "service") {
            unit::order(name, Verb::Stop, true, STOP)?;
            // One that runs no more needs no signal.
            let _ = program::run("systemctl", &["kill", "--signal=KILL", "--", name]);
        }
        unit::order(name, Verb::Stop, false, STOP)?;
    }
    for path in paths {
        remove_file(&root.at(path))?;
        remove_wants(root, path);
    }
    for timer in units.iter().filter(|name| has_extension(name, "timer")) {
        remove_file(&root.at(&format!("{STAMPS}/stamp-{timer}")))?;
    }
    unit::reload()?;
    for name in &units {
        // Only units that failed have something to forget.
        let _ = program::run("systemctl", &["reset-failed", "--", name]);
    }
    Ok(())
}

/// Links to a unit whose file somebody removed before it was disabled.
fn remove_wants(root: &Root, unit_path: &str) {
    let Some((directory, name)) = unit_path.rsplit_once('/') else {
        return;
    };
    for entry in fs::read_dir(root.at(directory))
        .into_iter()
        .flatten()
        .flatten()
    {
        let link = entry.path().join(name);
        let is_wants = entry
            .path()
            .extension()
            .is_some_and(|end| end == "wants" || end == "requires");
        if is_wants && fs::read_link(&link).is_ok_and(|target| target == Path::new(unit_path)) {
            let _ = fs::remove_file(&link);
            // One that systemd made for this link alone.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn remove_items(
    root: &Root,
    owner: &Owner,
    request: &RemoveRequest,
) -> Result<Vec<String>, Failed> {
    let is_in_data = |path: &str| {
        parents(path).any(|parent| {
            owner
                .items
                .get(parent)
                .is_some_and(|item| item.kind == ItemKind::Data)
        })
    };
    for (path, item) in &owner.items {
        let is_file = !matches!(item.kind, ItemKind::Directory | ItemKind::Data);
        // What lies in a data directory is kept or goes with it; keys never stay.
        if is_file && (!is_in_data(path) || item.kind == ItemKind::Key) {
            remove_file(&root.at(path))?;
        }
    }
    let mut kept = Vec::new();
    // Deepest first: a directory in a directory.
    for (path, item) in owner.items.iter().rev() {
        match item.kind {
            ItemKind::Data if !request.delete_data => {
                match set_aside(root, path, item.made, request.now_ms)? {
                    Some(place) => kept.push(place),
                    None if item.made => remove_if_empty(&root.at(path))?,
                    None => {}
                }
            }
            ItemKind::Data | ItemKind::Directory => remove_directory(&root.at(path), item)?,
            ItemKind::File | ItemKind::Unit | ItemKind::Key | ItemKind::Link => {}
        }
    }
    kept.sort();
    Ok(kept)
}

/// Moves a directory to `<parent>/deleted/<name>-<UTC time>`, root's alone. One that was there
/// before us, or has a file system of its own, stays and its content is moved below itself. Answers
/// where to; `None` if there is nothing to keep.
pub(crate) fn set_aside(
    root: &Root,
    path: &str,
    made: bool,
    now_ms: i64,
) -> Result<Option<String>, Failed> {
    let place = root.at(path);
    if !ensure::is_populated(&place) {
        return Ok(None);
    }
    let failed = |error: &io::Error| Failed::io("moving aside", &place, error);
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let target = format!("{parent}/{KEPT}/{name}-{}", clock::stamp(now_ms));
    if made {
        let to = unused(root, &target);
        close(&root.at(&format!("{parent}/{KEPT}")))?;
        match fs::rename(&place, root.at(&to)) {
            Ok(()) => {
                account::give_to_root(&root.at(&to))?;
                return Ok(Some(to));
            }
            // A file system of its own.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices
                ) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    let kept = format!("{path}/{KEPT}");
    let to = unused(root, &format!("{kept}/{name}-{}", clock::stamp(now_ms)));
    let inside: Vec<PathBuf> = fs::read_dir(&place)
        .map_err(|error| failed(&error))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| !path.ends_with(KEPT) && !path.ends_with("lost+found"))
        .collect();
    if inside.is_empty() {
        return Ok(None);
    }
    close(&root.at(&kept))?;
    close(&root.at(&to))?;
    for path in inside {
        let name = path.file_name().unwrap_or_default();
        fs::rename(&path, root.at(&to).join(name)).map_err(|error| failed(&error))?;
    }
    account::give_to_root(&root.at(&to))?;
    Ok(Some(to))
}

/// A name that nothing has yet: two in one second are two.
fn unused(root: &Root, target: &str) -> String {
    let mut name = target.to_owned();
    let mut count = 1;
    while fs::symlink_metadata(root.at(&name)).is_ok() {
        count += 1;
        name = format!("{target}-{count}");
    }
    name
}

/// Makes a directory that is root's alone.
fn close(path: &Path) -> Result<(), Failed> {
    use std::os::unix::fs::DirBuilderExt;
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Failed::io("making", path, &error))
        }
        _ => Ok(()),
    }
}

fn release_shared(root: &Root, ledger: &mut Ledger, owner: &str) -> Result<(), Failed> {
    let mut unused = Vec::new();
    for (key, shared) in &mut ledger.shared {
        if shared.owners.remove(owner) && shared.owners.is_empty() {
            unused.push((shared.kind, std::cmp::Reverse(key.len()), key.clone()));
        }
    }
    // Units, links and files before the directories that hold them, the deepest first; users last.
    unused.sort();
    let mut units_changed = false;
    for (_, _, key) in unused {
        let Some(shared) = ledger.shared.remove(&key).filter(|shared| shared.made) else {
            continue;
        };
        let place = root.at(&key);
        match shared.kind {
            SharedKind::Unit => {
                let name = key.rsplit('/').next().unwrap_or_default();
                unit::order(name, Verb::Disable, false, STOP)?;
                unit::order(name, Verb::Stop, false, STOP)?;
                remove_file(&place)?;
                units_changed = true;
            }
            SharedKind::Link | SharedKind::File => remove_file(&place)?,
            SharedKind::Programs | SharedKind::Directory => leave_directory(&place)?,
            SharedKind::User => account::remove(root, key.trim_start_matches("user:"))?,
        }
    }
    mend_links(root, ledger)?;
    if units_changed {
        unit::reload()
    } else {
        Ok(())
    }
}

/// Links that others use too, such as /opt/bin/etcdctl, and that led to programs which are gone: they
/// lead to the same program of another version that is still there.
fn mend_links(root: &Root, ledger: &Ledger) -> Result<(), Failed> {
    let of_kind = |kind| {
        let shared = ledger.shared.iter();
        shared
            .filter(move |(_, shared)| shared.kind == kind)
            .map(|(path, _)| path)
    };
    for path in of_kind(SharedKind::Link) {
        let place = root.at(path);
        let Ok(target) = fs::read_link(&place) else {
            continue;
        };
        let is_there = root.at(&target.to_string_lossy()).exists();
        let (Some(name), Some(home)) = (target.file_name(), target.ancestors().nth(2)) else {
            continue;
        };
        let others =
            of_kind(SharedKind::Programs).filter(|other| Path::new(other).parent() == Some(home));
        let mut other = others
            .map(|other| Path::new(other).join(name))
            .filter(|program| root.at(&program.to_string_lossy()).exists());
        if let (false, Some(program)) = (is_there, other.next_back()) {
            atomic::link(&place, &program.to_string_lossy())?;
        }
    }
    Ok(())
}

/// One that holds something by now, such as data that is kept, stays and is root's: its user may go.
fn leave_directory(path: &Path) -> Result<(), Failed> {
    let root = record::root_ids();
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            lchown(path, Some(root.uid), Some(root.gid))
                .map_err(|error| Failed::io("changing the owner of", path, &error))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failed::io("removing", path, &error))
        }
        _ => Ok(()),
    }
}

/// When no owner, no unfinished creation and no build is left: the host as it was, but for what a
/// person's data is. The caller holds the host's lock.
pub(crate) fn leave_if_last(root: &Root, ledger: &Ledger) -> Result<bool, Failed> {
    if !ledger.owners.is_empty() || !journal::all(root)?.is_empty() || imager::any(root)? {
        return Ok(false);
    }
    for path in ["/opt/etcd-node", ledger::HOME, "/etc/etcd-node"] {
        remove_tree(&root.at(path))?;
    }
    lock::leave(root);
    Ok(true)
}

fn remove_file(path: &Path) -> Result<(), Failed> {
    atomic::sweep(path);
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failed::io("removing", path, &error))
        }
        _ => Ok(()),
    }
}

/// A directory that was there before us stays, empty.
fn remove_directory(path: &Path, item: &Item) -> Result<(), Failed> {
    if item.made {
        match remove_tree(path) {
            // A file system of its own.
            Err(_) if path.is_dir() && !ensure::is_populated(path) => return Ok(()),
            result => return result,
        }
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_name() != "lost+found" {
            if entry.path().is_dir() && !entry.path().is_symlink() {
                remove_tree(&entry.path())?;
            } else {
                remove_file(&entry.path())?;
            }
        }
    }
    Ok(())
}

/// One that holds what was set aside before, or is a file system, stays.
fn remove_if_empty(path: &Path) -> Result<(), Failed> {
    match fs::remove_dir(path) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::DirectoryNotEmpty
                    | io::ErrorKind::ResourceBusy
            ) =>
        {
            Err(Failed::io("removing", path, &error))
        }
        _ => Ok(()),
    }
}

fn remove_tree(path: &Path) -> Result<(), Failed> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failed::io("removing", path, &error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
