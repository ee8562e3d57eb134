//! Programs out of a release archive: hashed while it arrives, laid down by rename, shared.

mod access;
mod archive;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    digest::{self, Identity},
    ensure,
    failure::Failed,
    ledger::{Ledger, SharedKind},
    lock,
    proto::{InstallHeader, InstallResponse, InstalledProgram, Link, Outcome},
    root::Root,
};

pub(crate) use archive::{Pieces, Sender, channel};

/// Another resource that sends the same archive just now is waited for, and then there is nothing to
/// do.
const WAIT: Duration = Duration::from_mins(10);

pub(crate) fn install(
    root: &Root,
    header: &InstallHeader,
    pieces: Pieces,
    operator: &str,
) -> Result<InstallResponse, Failed> {
    let directory = root.wanted(&header.directory)?;
    check(header)?;
    let _lock = lock::take(
        root,
        &lock::name_of("install", &header.directory),
        operator,
        WAIT,
    )?;
    if let Some(programs) = present(root, header)? {
        enter(root, header, &programs, operator, |_| Ok(()))?;
        let outcome = if access::open(root, header)? {
            Outcome::Updated
        } else {
            Outcome::NotNeeded
        };
        return Ok(InstallResponse {
            outcome: outcome.into(),
            programs,
        });
    }
    let scratch = Scratch::new(&directory)?;
    archive::unpack(header, pieces, &scratch.0)?;
    let programs = header
        .programs
        .iter()
        .map(|program| {
            let path = scratch.0.join(&program.name);
            let sha256 =
                digest::file(&path).map_err(|error| Failed::io("reading", &path, &error))?;
            Ok(InstalledProgram {
                path: path_of(header, &program.name),
                sha256,
            })
        })
        .collect::<Result<Vec<_>, Failed>>()?;
    let existed = directory.exists();
    refuse_foreign(root, header, &programs)?;
    enter(root, header, &programs, operator, |ledger| {
        refuse_to_replace(ledger, header, &programs)?;
        Ok(())
    })?;
    let moved = lay_down(root, &scratch.0, &directory, &programs);
    moved.map_err(|error| Failed::io("installing to", &directory, &error))?;
    confirm(root, header, &programs, operator)?;
    access::open(root, header)?;
    let outcome = if existed {
        Outcome::Updated
    } else {
        Outcome::Added
    };
    Ok(InstallResponse {
        outcome: outcome.into(),
        programs,
    })
}

fn path_of(header: &InstallHeader, name: &str) -> String {
    format!("{}/{name}", header.directory)
}

fn check(header: &InstallHeader) -> Result<(), Failed> {
    let is_sum = header.archive_sha256.len() == 64
        && header
            .archive_sha256
            .chars()
            .all(|digit| matches!(digit, '0'..='9' | 'a'..='f'));
    if !is_sum {
        return Err(Failed::invalid(
            &header.directory,
            format!(
                "{:?} is not a SHA-256 in lower-case hex",
                header.archive_sha256
            ),
        ));
    }
    let plain = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains('/');
    match header
        .programs
        .iter()
        .find(|program| program.member.is_empty() || !plain(&program.name))
    {
        Some(program) => Err(Failed::invalid(
            &program.name,
            format!("{:?} is not the name of a program", program.name),
        )),
        None if header.programs.is_empty() => {
            Err(Failed::invalid(&header.directory, "no programs are named"))
        }
        None => Ok(()),
    }
}

/// What is installed, if that is all of what is wanted, out of this archive, and as it was.
fn present(root: &Root, header: &InstallHeader) -> Result<Option<Vec<InstalledProgram>>, Failed> {
    let ledger = Ledger::load(root)?;
    let Some(known) = ledger.shared.get(&header.directory) else {
        return Ok(None);
    };
    if known.kind != SharedKind::Programs {
        return Err(Failed::foreign(&header.directory));
    }
    if known.sha256 != header.archive_sha256 {
        return Ok(None);
    }
    let programs = header.programs.iter().map(|program| {
        let path = path_of(header, &program.name);
        let sha256 = digest::program(&root.at(&path)).ok()?;
        let recorded = ledger.shared.get(&path)?;
        (recorded.sha256 == sha256).then_some(InstalledProgram { path, sha256 })
    });
    Ok(programs.collect())
}

/// What lies there and is in no ledger was lost by one if it is the same; else it is somebody's.
fn refuse_foreign(
    root: &Root,
    header: &InstallHeader,
    programs: &[InstalledProgram],
) -> Result<(), Failed> {
    let is_known = Ledger::load(root)?.shared.contains_key(&header.directory);
    if is_known || !root.at(&header.directory).exists() {
        return Ok(());
    }
    let is_same = |program: &InstalledProgram| {
        digest::file(&root.at(&program.path)).is_ok_and(|sha256| sha256 == program.sha256)
    };
    if programs.iter().all(is_same) {
        Ok(())
    } else {
        Err(Failed::foreign(&header.directory))
    }
}

/// Another owner runs what is there: it may be mended, not exchanged.
fn refuse_to_replace(
    ledger: &Ledger,
    header: &InstallHeader,
    programs: &[InstalledProgram],
) -> Result<(), Failed> {
    for program in programs {
        let other = ledger
            .shared
            .get(&program.path)
            .filter(|known| !known.sha256.is_empty() && known.sha256 != program.sha256)
            .and_then(|known| known.owners.iter().find(|owner| **owner != header.owner));
        if let Some(other) = other {
            return Err(Failed::conflict(&program.path, other)
                .hint("Use the same release archive for all clusters of this version."));
        }
    }
    Ok(())
}

/// Enters directory, programs and links before they are there, and makes the links.
fn enter(
    root: &Root,
    header: &InstallHeader,
    programs: &[InstalledProgram],
    operator: &str,
    check: impl FnOnce(&Ledger) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let _lock = lock::host(root, operator)?;
    let mut ledger = Ledger::load(root)?;
    let before = ledger.clone();
    ledger.owner_mut(&header.owner, &header.id)?;
    check(&ledger)?;
    let owner = &header.owner;
    let sum = header.archive_sha256.clone();
    ledger.share(
        root,
        owner,
        &header.directory,
        SharedKind::Programs,
        Some(sum),
    );
    for program in programs {
        let sha256 = Some(program.sha256.clone());
        ledger.share(root, owner, &program.path, SharedKind::File, sha256);
    }
    let mut links = Vec::new();
    for link in header.programs.iter().flat_map(|program| &program.links) {
        let link = Link {
            shared: true,
            ..link.clone()
        };
        if ensure::enter_link(root, &mut ledger, owner, &link)? {
            links.push(link);
        }
    }
    if ledger != before {
        ledger.save(root)?;
    }
    for link in links {
        ensure::make_link(root, &link)?;
    }
    Ok(())
}

fn confirm(
    root: &Root,
    header: &InstallHeader,
    programs: &[InstalledProgram],
    operator: &str,
) -> Result<(), Failed> {
    let _lock = lock::host(root, operator)?;
    let mut ledger = Ledger::load(root)?;
    ledger.confirm(&header.owner, &header.directory);
    for program in programs {
        ledger.confirm(&header.owner, &program.path);
        if let Some(shared) = ledger.shared.get_mut(&program.path) {
            shared.identity = Identity::of(&root.at(&program.path)).ok();
        }
    }
    ledger.save(root)
}

/// Puts the new programs in place. A running program keeps its old file: names are replaced.
fn lay_down(
    root: &Root,
    scratch: &Path,
    directory: &Path,
    programs: &[InstalledProgram],
) -> std::io::Result<()> {
    if !directory.exists() {
        let parent = directory.parent().unwrap_or(directory);
        fs::create_dir_all(parent)?;
        fs::rename(scratch, directory)?;
        return crate::atomic::sync_directory(parent);
    }
    for program in programs {
        let to = root.at(&program.path);
        if digest::file(&to).ok().as_ref() != Some(&program.sha256) {
            let name = to.file_name().unwrap_or_default();
            fs::rename(scratch.join(name), &to)?;
        }
    }
    crate::atomic::sync_directory(directory)
}

/// A directory on the target's file system that goes away unless it was renamed.
struct Scratch(PathBuf);

impl Scratch {
    const END: &str = ".etcd-node-new";

    /// Lies in the nearest directory that exists, so that nothing is left when it goes.
    fn new(directory: &Path) -> Result<Self, Failed> {
        use std::os::unix::fs::PermissionsExt;
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        for ancestor in directory
            .ancestors()
            .skip(1)
            .filter(|path| path.is_dir())
            .take(2)
        {
            Self::sweep(ancestor, &name);
        }
        let parent = directory
            .ancestors()
            .skip(1)
            .find(|path| path.is_dir())
            .unwrap_or_else(|| Path::new("/"));
        let path = parent.join(format!(".{name}.{}{}", std::process::id(), Self::END));
        fs::create_dir(&path)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
            .map_err(|error| Failed::io("making", &path, &error))?;
        Ok(Self(path))
    }

    /// Removes what killed runs left.
    fn sweep(parent: &Path, name: &str) {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let found = entry.file_name().to_string_lossy().into_owned();
            let writer = found
                .strip_prefix(&format!(".{name}."))
                .and_then(|rest| rest.strip_suffix(Self::END))
                .and_then(|pid| pid.parse::<u32>().ok());
            // One of our own is a leftover too: the lock keeps others out.
            let is_left = writer.is_some_and(|pid| {
                pid == std::process::id() || !Path::new(&format!("/proc/{pid}")).exists()
            });
            if is_left {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests;
