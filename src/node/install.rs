//! Programs out of a release archive: hashed while it arrives, laid down by rename, shared.

use std::{
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use crate::{
    atomic, ensure,
    failure::Failed,
    ledger::{Ledger, SharedKind},
    lock, observe,
    proto::{InstallHeader, InstallResponse, InstalledProgram, Link, Outcome, failure::Kind},
};

/// Reads what arrives in pieces as one stream, and hashes it.
struct Incoming {
    pieces: tokio::sync::mpsc::Receiver<Vec<u8>>,
    rest: Vec<u8>,
    at: usize,
    hasher: Sha256,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.rest.len() {
            match self.pieces.blocking_recv() {
                None => return Ok(0),
                Some(piece) => {
                    self.hasher.update(&piece);
                    self.rest = piece;
                    self.at = 0;
                }
            }
        }
        let count = buffer.len().min(self.rest.len() - self.at);
        buffer[..count].copy_from_slice(&self.rest[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// A directory that goes away unless it is kept.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn install(
    header: &InstallHeader,
    pieces: tokio::sync::mpsc::Receiver<Vec<u8>>,
    operator: &str,
) -> Result<InstallResponse, Failed> {
    let directory = Path::new(&header.directory);
    let parent = directory.parent().unwrap_or(Path::new("/"));
    let failed = |error: &std::io::Error| {
        let failed = Failed::io("unpacking to", header.directory.clone(), error);
        let free = observe::free_bytes(parent);
        if failed.0.kind() == Kind::DiskFull {
            return failed.hint(format!("{} MiB are free there.", free >> 20));
        }
        failed
    };
    // Registered first: what a killed run leaves is known to be ours.
    {
        let _lock = lock::host(operator)?;
        let mut ledger = Ledger::load()?;
        ledger.owner_mut(&header.owner, &header.id)?;
        for ancestor in directory.ancestors().skip(1) {
            if !ancestor.exists() {
                let path = ancestor.display().to_string();
                ledger.share(&path, SharedKind::Directory, true, &header.owner, "");
            }
        }
        let known = ledger.shared.contains_key(&header.directory);
        if directory.exists() && !known {
            return Err(Failed::new(
                Kind::Foreign,
                &header.directory,
                format!(
                    "{} is there already and was not made by this provider",
                    header.directory
                ),
            )
            .hint("Move it away."));
        }
        ledger.share(
            &header.directory,
            SharedKind::Programs,
            true,
            &header.owner,
            &header.archive_sha256,
        );
        ledger.save()?;
    }
    fs::create_dir_all(parent).map_err(|error| failed(&error))?;
    let scratch = Scratch(parent.join(format!(
        ".{}.{}",
        directory.file_name().map(|name| name.to_string_lossy()).unwrap_or_default(),
        std::process::id()
    )));
    let _ = fs::remove_dir_all(&scratch.0);
    fs::create_dir(&scratch.0).map_err(|error| failed(&error))?;
    let incoming = Incoming {
        pieces,
        rest: Vec::new(),
        at: 0,
        hasher: Sha256::new(),
    };
    let sha256 = unpack(header, incoming, &scratch.0).map_err(|error| failed(&error))?;
    if sha256 != header.archive_sha256 {
        return Err(Failed::new(
            Kind::ChecksumMismatch,
            &header.directory,
            format!(
                "the archive that arrived has SHA-256 {sha256}, announced was {}",
                header.archive_sha256
            ),
        ));
    }
    let mut programs = Vec::new();
    for program in &header.programs {
        let path = scratch.0.join(&program.name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(|_| {
            Failed::new(
                Kind::NotFound,
                &program.member,
                format!("the archive holds no {}", program.member),
            )
        })?;
        let sha256 = observe::sha256(&path).map_err(|error| failed(&error))?;
        programs.push(InstalledProgram {
            path: format!("{}/{}", header.directory, program.name),
            sha256,
        });
    }
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o755))
        .map_err(|error| failed(&error))?;
    let _lock = lock::host(operator)?;
    lay_down(header, &scratch.0, &programs).map_err(|error| failed(&error))?;
    atomic::sync_directory(parent);
    register(header, &programs)?;
    Ok(InstallResponse {
        outcome: Outcome::Added.into(),
        programs,
    })
}

fn unpack(header: &InstallHeader, incoming: Incoming, to: &Path) -> std::io::Result<String> {
    let mut archive = tar::Archive::new(GzDecoder::new(incoming));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let member = entry.path()?.display().to_string();
        let member = member.strip_prefix("./").unwrap_or(&member);
        if let Some(program) = header
            .programs
            .iter()
            .find(|program| program.member == member)
        {
            let mut file = fs::File::create(to.join(&program.name))?;
            std::io::copy(&mut entry, &mut file)?;
            file.sync_all()?;
        }
    }
    // What stands behind the archive's end counts for the checksum too.
    let mut incoming = archive.into_inner().into_inner();
    std::io::copy(&mut incoming, &mut std::io::sink())?;
    Ok(hex::encode(incoming.hasher.finalize()))
}

/// Puts the new programs in place. A running program keeps its old file: names are replaced.
fn lay_down(
    header: &InstallHeader,
    scratch: &Path,
    programs: &[InstalledProgram],
) -> std::io::Result<()> {
    let directory = Path::new(&header.directory);
    if !directory.exists() {
        return fs::rename(scratch, directory);
    }
    for (program, installed) in header.programs.iter().zip(programs) {
        fs::rename(scratch.join(&program.name), &installed.path)?;
    }
    Ok(())
}

fn register(header: &InstallHeader, programs: &[InstalledProgram]) -> Result<(), Failed> {
    let mut ledger = Ledger::load()?;
    for program in programs {
        ledger.share(
            &program.path,
            SharedKind::File,
            true,
            &header.owner,
            &program.sha256,
        );
    }
    let links: Vec<&Link> = header
        .programs
        .iter()
        .flat_map(|program| &program.links)
        .collect();
    let mut wanted = Vec::new();
    for link in links {
        let foreign = fs::symlink_metadata(&link.path).is_ok() && ledger.find(&link.path).is_none();
        if foreign && link.unless_foreign {
            continue;
        }
        if foreign {
            return Err(Failed::new(
                Kind::Foreign,
                &link.path,
                format!(
                    "{} is there already and was not made by this provider",
                    link.path
                ),
            ));
        }
        if let Some(parent) = Path::new(&link.path)
            .parent()
            .filter(|parent| !parent.exists())
        {
            let parent = parent.display().to_string();
            ledger.share(&parent, SharedKind::Directory, true, &header.owner, "");
        }
        ledger.share(&link.path, SharedKind::Link, true, &header.owner, "");
        wanted.push(link);
    }
    ledger.save()?;
    for link in wanted {
        ensure::make_link(link)?;
    }
    Ok(())
}
