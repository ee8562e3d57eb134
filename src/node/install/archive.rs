//! A tar.gz as it arrives in pieces.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use prost::bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    digest::Running,
    failure::Failed,
    proto::{InstallHeader, InstallProgram, failure::Kind},
};

/// Pieces on their way; a closed channel is the archive's end.
pub(crate) type Sender = mpsc::Sender<io::Result<Bytes>>;
/// The other end, read by a thread for blocking work.
pub(crate) type Pieces = mpsc::Receiver<io::Result<Bytes>>;

/// Room for a few pieces: the network runs ahead of the disk a little.
pub(crate) fn channel() -> (Sender, Pieces) {
    mpsc::channel(8)
}

/// Reads what arrives in pieces as one stream, and hashes it.
struct Incoming {
    pieces: Pieces,
    rest: Bytes,
    running: Running,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let Some(piece) = self.pieces.blocking_recv() else {
                return Ok(0);
            };
            self.rest = piece?;
            self.running.update(&self.rest);
        }
        let count = buffer.len().min(self.rest.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

/// Lays the programs of an archive down in `to`, after all of it arrived with the announced checksum.
/// What is in `to` is worth nothing before this returns.
pub(super) fn unpack(header: &InstallHeader, pieces: Pieces, to: &Path) -> Result<(), Failed> {
    let mut incoming = Incoming {
        pieces,
        rest: Bytes::new(),
        running: Running::new(),
    };
    let result = extract(&header.programs, &mut incoming, to);
    if let Err(error) = &result
        && !is_about_content(error)
    {
        return Err(Failed::io("unpacking to", to, error));
    }
    // What stands behind the archive's end counts for the checksum too.
    io::copy(&mut incoming, &mut io::sink())
        .map_err(|error| Failed::io("receiving for", to, &error))?;
    let sha256 = incoming.running.finish();
    if sha256 != header.archive_sha256 {
        let announced = &header.archive_sha256;
        return Err(Failed::new(
            Kind::ChecksumMismatch,
            &header.directory,
            format!("the archive that arrived has SHA-256 {sha256}, announced was {announced}"),
        ));
    }
    let found = result.map_err(|error| {
        Failed::invalid(
            &header.directory,
            format!("the archive cannot be unpacked: {error}"),
        )
    })?;
    match header
        .programs
        .iter()
        .zip(found)
        .find(|(_, found)| *found == Match::None)
    {
        None => Ok(()),
        Some((program, _)) => Err(Failed::new(
            Kind::NotFound,
            &program.member,
            format!("the archive holds no {}", program.member),
        )),
    }
}

/// Errors of the archive, not of the disk or the connection.
fn is_about_content(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::Other
    )
}

/// How well a member of the archive fits a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    None,
    /// By its last part: release archives of one version are packed with and without a directory.
    Name,
    Path,
}

fn extract(
    programs: &[InstallProgram],
    incoming: &mut Incoming,
    to: &Path,
) -> io::Result<Vec<Match>> {
    let mut found = vec![Match::None; programs.len()];
    let mut archive = tar::Archive::new(MultiGzDecoder::new(incoming));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let member = entry
            .path()?
            .to_string_lossy()
            .trim_start_matches("./")
            .to_owned();
        let best = programs
            .iter()
            .enumerate()
            .map(|(at, program)| (at, fit(&program.member, &member)))
            .find(|(at, fit)| *fit > found[*at]);
        if let Some((at, fit)) = best {
            write(&mut entry, &to.join(&programs[at].name))?;
            found[at] = fit;
        }
    }
    Ok(found)
}

fn fit(wanted: &str, member: &str) -> Match {
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    if wanted == member {
        Match::Path
    } else if last(wanted) == last(member) {
        Match::Name
    } else {
        Match::None
    }
}

fn write(from: &mut impl Read, to: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut file = File::create(to)?;
    io::copy(from, &mut file)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o755))?;
    file.sync_all()
}
