//! Providers of others that the examples use, built from their sources and laid out as a filesystem mirror for both CLIs.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::archive::architecture;
use crate::home::{self, Home};
use crate::program::{self, Program};
use crate::provider::REGISTRIES;

/// The part of their source addresses that users write.
pub(crate) const SOURCES: [&str; 2] = [PROXMOX, "siderolabs/talos"];
const PROXMOX: &str = "bpg/proxmox";

/// A provider could not be built or put into the mirror.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lab's home.
    #[error(transparent)]
    Home(#[from] home::Error),
    /// The build.
    #[error(transparent)]
    Program(#[from] program::Error),
    /// A file of the mirror.
    #[error("use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Builds what is missing and puts it into the mirror; gives the binary of the Proxmox provider.
pub fn ensure(home: &Home) -> Result<PathBuf, Error> {
    let mut proxmox = PathBuf::new();
    for source in SOURCES {
        let (_, kind) = source.rsplit_once('/').expect("a source has a namespace");
        let name = format!("terraform-provider-{kind}");
        for program in Program::named(&name)? {
            let binary = program.ensure(home)?.join(&name);
            for registry in REGISTRIES {
                let directory = home
                    .upstream_providers()
                    .join(registry)
                    .join(source)
                    .join(&program.version)
                    .join(format!("linux_{}", architecture()));
                home::make_directory(&directory)?;
                link(
                    &binary,
                    &directory.join(format!("{name}_v{}", program.version)),
                )?;
            }
            if source == PROXMOX {
                proxmox = binary;
            }
        }
    }
    Ok(proxmox)
}

/// Makes `path` a link to `target`, whatever it was; readers see the old one or the new one.
fn link(target: &Path, path: &Path) -> Result<(), Error> {
    if fs::read_link(path).is_ok_and(|there| there == target) {
        return Ok(());
    }
    let failed = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    let unfinished = path.with_extension(format!("unfinished-{}", std::process::id()));
    match fs::remove_file(&unfinished) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(failed(source)),
        _ => {}
    }
    symlink(target, &unfinished).map_err(failed)?;
    fs::rename(&unfinished, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_a_link_that_leads_elsewhere() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("link_v0.80.0");
        for target in ["/one", "/other", "/other"] {
            link(Path::new(target), &path).expect("a link");
            assert_eq!(fs::read_link(&path).expect("the link"), Path::new(target));
        }
        let entries = fs::read_dir(directory.path())
            .expect("the directory")
            .count();
        assert_eq!(entries, 1, "nothing unfinished is left");
    }
}
