//! Users, directories, files and links brought to the wished state, and written down.
//!
//! All items are checked before the first is touched; then the ledger is saved, then the work is
//! done. A run that is killed in between is recognised as ours by the next one.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use crate::{
    atomic,
    failure::Failed,
    ledger::{Item as Entry, Kind2, Ledger, SharedKind},
    lock, observe,
    proto::{
        Absent, Directory, EnsureRequest, EnsureResponse, File, Item, Link, Outcome, User,
        failure::Kind, item::Item as Wish,
    },
    system, unit,
};

pub(crate) fn ensure(request: EnsureRequest, operator: &str) -> Result<EnsureResponse, Failed> {
    let _lock = lock::host(operator)?;
    let mut ledger = Ledger::load()?;
    let before = ledger.clone();
    ledger.owner_mut(&request.owner, &request.id)?;
    if request.claims_ports {
        claim(&mut ledger, &request)?;
    }
    for item in &request.items {
        register(&mut ledger, &request.owner, item)?;
    }
    let entry = ledger.owner_mut(&request.owner, &request.id)?;
    if let Some(manifest) = &request.manifest {
        manifest.clone_into(&mut entry.manifest);
    }
    if ledger != before {
        ledger.save()?;
    }
    let mut outcomes = Vec::new();
    let mut units_changed = false;
    for item in &request.items {
        let outcome = apply(item, units_changed)?;
        units_changed |= outcome != Outcome::NotNeeded
            && matches!(&item.item, Some(Wish::File(file)) if file.unit);
        outcomes.push(outcome.into());
    }
    Ok(EnsureResponse { outcomes })
}

fn claim(ledger: &mut Ledger, request: &EnsureRequest) -> Result<(), Failed> {
    let mut ports = Vec::new();
    for port in &request.ports {
        let port = u16::try_from(*port)
            .map_err(|_| Failed::new(Kind::InvalidRequest, port.to_string(), "not a port"))?;
        let other = ledger
            .owners
            .iter()
            .find(|(name, owner)| **name != request.owner && owner.ports.contains(&port));
        if let Some((name, _)) = other {
            return Err(Failed::new(
                Kind::Conflict,
                port.to_string(),
                format!("port {port} belongs to {name} on this host"),
            )
            .hint("Choose another port."));
        }
        ports.push(port);
    }
    let known = ledger
        .owners
        .get(&request.owner)
        .is_some_and(|owner| !owner.ports.is_empty());
    if !known {
        let wanted: Vec<u32> = ports.iter().map(|port| u32::from(*port)).collect();
        for fact in observe::ports(&wanted, ledger) {
            if fact.listening {
                return Err(Failed::new(
                    Kind::PortTaken,
                    fact.port.to_string(),
                    format!(
                        "{} listens on port {}",
                        if fact.process.is_empty() {
                            "another process"
                        } else {
                            &fact.process
                        },
                        fact.port
                    ),
                )
                .hint("Stop it, or choose another port."));
            }
        }
    }
    ledger.owner_mut(&request.owner, &request.id)?.ports = ports;
    Ok(())
}

/// Refuses what is not ours, and writes down what is about to be.
fn register(ledger: &mut Ledger, owner: &str, item: &Item) -> Result<(), Failed> {
    match &item.item {
        Some(Wish::User(user)) => {
            let made = system::user(&user.name).is_none();
            ledger.share(
                &format!("user:{}", user.name),
                SharedKind::User,
                made,
                owner,
                "",
            );
            Ok(())
        }
        Some(Wish::Directory(directory)) => register_directory(ledger, owner, directory),
        Some(Wish::File(file)) => register_file(ledger, owner, file),
        Some(Wish::Link(link)) => {
            let known = ledger.find(&link.path).is_some();
            let there = fs::symlink_metadata(&link.path).is_ok();
            if there && !known {
                if link.unless_foreign {
                    return Ok(());
                }
                return Err(foreign(&link.path));
            }
            if link.shared {
                ledger.share(&link.path, SharedKind::Link, true, owner, "");
            } else {
                own(ledger, owner, &link.path, Kind2::Link, "");
            }
            Ok(())
        }
        Some(Wish::Absent(Absent { path })) => {
            if let Some(entry) = ledger.owners.get_mut(owner) {
                entry.items.remove(path);
            }
            Ok(())
        }
        Some(Wish::TimerHelper(_) | Wish::Reload(_)) => Ok(()),
        None => Err(Failed::new(Kind::InvalidRequest, owner, "an item is empty")),
    }
}

fn own(ledger: &mut Ledger, owner: &str, path: &str, kind: Kind2, sha256: &str) {
    if let Some(entry) = ledger.owners.get_mut(owner) {
        entry.items.insert(
            path.to_owned(),
            Entry {
                kind,
                sha256: sha256.to_owned(),
            },
        );
    }
}

fn foreign(path: &str) -> Failed {
    Failed::new(
        Kind::Foreign,
        path,
        format!("{path} is there already and was not made by this provider"),
    )
    .hint("Move it away, or choose another name.")
}

fn register_directory(
    ledger: &mut Ledger,
    owner: &str,
    directory: &Directory,
) -> Result<(), Failed> {
    let path = &directory.path;
    let there = fs::symlink_metadata(path).is_ok();
    // Parents that are missing are made too, and must go again some day.
    for parent in Path::new(path).ancestors().skip(1) {
        if !parent.exists() {
            let parent = parent.display().to_string();
            ledger.share(&parent, SharedKind::Directory, true, owner, "");
        }
    }
    if directory.shared {
        let made = ledger.shared.get(path).map_or(!there, |shared| shared.made);
        ledger.share(path, SharedKind::Directory, made, owner, "");
        return Ok(());
    }
    let other = ledger.find(path).is_some_and(|(name, _)| name != owner);
    let mine = ledger.find(path).is_some_and(|(name, _)| name == owner);
    let populated = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if other || (there && !mine && populated) {
        return Err(foreign(path));
    }
    own(
        ledger,
        owner,
        path,
        if directory.data {
            Kind2::Data
        } else {
            Kind2::Directory
        },
        "",
    );
    Ok(())
}

fn register_file(ledger: &mut Ledger, owner: &str, file: &File) -> Result<(), Failed> {
    let sha256 = observe::digest(&file.content);
    let there = fs::symlink_metadata(&file.path).is_ok();
    let known = ledger.find(&file.path).map(|(name, _)| name.to_owned());
    if file.shared {
        if there && known.is_none() {
            return Err(foreign(&file.path));
        }
        ledger.share(&file.path, SharedKind::File, true, owner, &sha256);
        return Ok(());
    }
    match known {
        Some(name) if name != owner => Err(Failed::new(
            Kind::Conflict,
            &file.path,
            format!("{} belongs to {name}", file.path),
        )),
        None if there => Err(foreign(&file.path)),
        _ => {
            let kind = if file.unit { Kind2::Unit } else { Kind2::File };
            own(ledger, owner, &file.path, kind, &sha256);
            Ok(())
        }
    }
}

fn apply(item: &Item, units_changed: bool) -> Result<Outcome, Failed> {
    match &item.item {
        Some(Wish::User(user)) => make_user(user),
        Some(Wish::Directory(directory)) => make_directory(directory),
        Some(Wish::File(file)) => write_file(file),
        Some(Wish::Link(link)) => make_link(link),
        Some(Wish::TimerHelper(_)) => point_timers(),
        Some(Wish::Reload(_)) => {
            if units_changed {
                unit::reload()?;
                return Ok(Outcome::Updated);
            }
            Ok(Outcome::NotNeeded)
        }
        Some(Wish::Absent(Absent { path })) => match fs::remove_file(path) {
            Ok(()) => Ok(Outcome::Updated),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Outcome::NotNeeded),
            Err(error) => Err(Failed::io("removing", path.clone(), &error)),
        },
        None => Ok(Outcome::NotNeeded),
    }
}

fn make_user(user: &User) -> Result<Outcome, Failed> {
    if system::user(&user.name).is_some() {
        return Ok(Outcome::NotNeeded);
    }
    let group = if system::group(&user.name).is_some() {
        "--gid"
    } else {
        "--user-group"
    };
    let mut arguments = vec![
        "--system",
        "--home-dir",
        user.home.as_str(),
        "--no-create-home",
        "--shell",
        "/usr/sbin/nologin",
        group,
    ];
    if group == "--gid" {
        arguments.push(&user.name);
    }
    arguments.extend(["--", user.name.as_str()]);
    system::run("useradd", &arguments)?;
    Ok(Outcome::Added)
}

fn make_directory(directory: &Directory) -> Result<Outcome, Failed> {
    let path = Path::new(&directory.path);
    let failed = |error: &std::io::Error| Failed::io("making", directory.path.clone(), error);
    let there = path.is_dir();
    if !there {
        fs::create_dir_all(path).map_err(|error| failed(&error))?;
    }
    if there && directory.shared {
        // A directory that others use too keeps the owner and mode that it has.
        return Ok(Outcome::NotNeeded);
    }
    let (uid, gid) = system::ids(&directory.user, &directory.group)?;
    let found = fs::metadata(path).map_err(|error| failed(&error))?;
    let right = found.uid() == uid && found.gid() == gid && found.mode() & 0o7777 == directory.mode;
    if !right {
        system::own(path, &directory.user, &directory.group)?;
        fs::set_permissions(path, fs::Permissions::from_mode(directory.mode))
            .map_err(|error| failed(&error))?;
    }
    Ok(match (there, right) {
        (false, _) => Outcome::Added,
        (true, true) => Outcome::NotNeeded,
        (true, false) => Outcome::Updated,
    })
}

fn write_file(file: &File) -> Result<Outcome, Failed> {
    let path = Path::new(&file.path);
    let found = fs::symlink_metadata(path).ok();
    let same = found.as_ref().is_some_and(|found| {
        found.is_file()
            && found.mode() & 0o7777 == file.mode
            && system::ids(&file.user, &file.group)
                .is_ok_and(|(uid, gid)| (uid, gid) == (found.uid(), found.gid()))
            && fs::read(path).is_ok_and(|content| content == file.content)
    });
    if same {
        return Ok(Outcome::NotNeeded);
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)
            .map_err(|error| Failed::io("making", parent.display().to_string(), &error))?;
    }
    atomic::write(path, &file.content, &file.user, &file.group, file.mode)?;
    Ok(if found.is_some() {
        Outcome::Updated
    } else {
        Outcome::Added
    })
}

pub(crate) fn make_link(link: &Link) -> Result<Outcome, Failed> {
    let failed = |error: &std::io::Error| Failed::io("linking", link.path.clone(), error);
    let path = Path::new(&link.path);
    let found = fs::symlink_metadata(path).ok();
    if fs::read_link(path).is_ok_and(|target| target == Path::new(&link.target)) {
        return Ok(Outcome::NotNeeded);
    }
    if found.is_some() && link.unless_foreign && Ledger::load()?.find(&link.path).is_none() {
        return Ok(Outcome::NotNeeded);
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| failed(&error))?;
    }
    let temporary = path.with_extension(format!("link{}", std::process::id()));
    let _ = fs::remove_file(&temporary);
    symlink(&link.target, &temporary).map_err(|error| failed(&error))?;
    fs::rename(&temporary, path).map_err(|error| failed(&error))?;
    Ok(if found.is_some() {
        Outcome::Updated
    } else {
        Outcome::Added
    })
}

/// Points timers to this helper, unless they have a newer one.
fn point_timers() -> Result<Outcome, Failed> {
    const CURRENT: &str = "/opt/etcd-node/current";
    let own =
        std::env::current_exe().map_err(|error| Failed::io("finding", "/proc/self/exe", &error))?;
    let directory = own
        .parent()
        .unwrap_or(Path::new("/opt/etcd-node"))
        .display()
        .to_string();
    if directory.is_empty() || !directory.starts_with("/opt/etcd-node/cache/") {
        return Ok(Outcome::NotNeeded);
    }
    let newer = observe::timer_helper_version()
        .is_some_and(|version| newer(&version, env!("CARGO_PKG_VERSION")));
    if newer {
        return Ok(Outcome::NotNeeded);
    }
    make_link(&Link {
        path: CURRENT.to_owned(),
        target: directory,
        unless_foreign: false,
        shared: true,
    })
}

fn newer(version: &str, than: &str) -> bool {
    let parse = |text: &str| -> Vec<u64> {
        text.split(['.', '-'])
            .filter_map(|part| part.parse().ok())
            .collect()
    };
    parse(version) > parse(than)
}
