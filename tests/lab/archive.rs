//! Release archives of the built programs, as upstream lays them out, so that the provider downloads what it would
//! download elsewhere. The same programs give the same bytes.
//!
//! `etcd/v3.5.35/{etcd-v3.5.35-linux-amd64.tar.gz,SHA256SUMS}`,
//! `step-ca/v0.30.2/{step-ca_linux_0.30.2_amd64.tar.gz,checksums.txt}`,
//! `step/v0.30.2/{step_linux_0.30.2_amd64.tar.gz,checksums.txt}`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::home::{self, Home};
use crate::program::{self, Program};
use crate::progress;

/// File that says from which built program an archive was made.
const MADE_FROM: &str = ".made-from";
/// Changes when the layout does.
const LAYOUT: &str = "1";

/// An archive could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lab's home.
    #[error(transparent)]
    Home(#[from] home::Error),
    /// The program that goes into it.
    #[error(transparent)]
    Program(#[from] program::Error),
    /// A file of the archive.
    #[error("write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// How upstream packs a program.
struct Layout {
    /// Name of the archive.
    archive: String,
    /// Name of the file with its hash.
    checksums: &'static str,
    /// Path in the archive and name of the binary.
    binaries: Vec<(String, &'static str)>,
    /// Path of the text file that comes with it.
    readme: String,
}

/// Makes the archives of all versions of etcd, step and step-ca; gives their directory.
pub fn ensure(home: &Home) -> Result<PathBuf, Error> {
    for name in ["etcd", "step-ca", "step"] {
        for program in Program::named(name)? {
            make(home, &program)?;
        }
    }
    Ok(home.archives())
}

fn make(home: &Home, program: &Program) -> Result<(), Error> {
    let binaries = program.ensure(home)?;
    let release = home
        .archives()
        .join(&program.name)
        .join(format!("v{}", program.version));
    let made_from = format!("{LAYOUT} {}\n", program.directory(home)?.display());
    let is_made =
        || fs::read_to_string(release.join(MADE_FROM)).is_ok_and(|text| text == made_from);
    if is_made() {
        return Ok(());
    }
    let _lock = home.lock("archives")?;
    if is_made() {
        return Ok(());
    }
    progress::say(&format!("packing {} {}", program.name, program.version));
    let unfinished = home.archives().join("unfinished");
    remove(&unfinished)?;
    home::make_directory(&unfinished)?;
    let layout = layout(program);
    let archive = unfinished.join(&layout.archive);
    let hash = pack(&layout, &binaries, &archive).map_err(|source| Error::Write {
        path: archive,
        source,
    })?;
    for (file, text) in [
        (layout.checksums, format!("{hash}  {}\n", layout.archive)),
        (MADE_FROM, made_from.clone()),
    ] {
        let path = unfinished.join(file);
        fs::write(&path, text).map_err(|source| Error::Write { path, source })?;
    }
    home::make_directory(
        release
            .parent()
            .expect("a release lies in its program's directory"),
    )?;
    remove(&release)?;
    fs::rename(&unfinished, &release).map_err(|source| Error::Write {
        path: release,
        source,
    })
}

fn layout(program: &Program) -> Layout {
    let version = &program.version;
    let architecture = architecture();
    match program.name.as_str() {
        "etcd" => {
            let top = format!("etcd-v{version}-linux-{architecture}");
            Layout {
                archive: format!("{top}.tar.gz"),
                checksums: "SHA256SUMS",
                binaries: ["etcd", "etcdctl", "etcdutl"]
                    .map(|name| (format!("{top}/{name}"), name))
                    .into(),
                readme: format!("{top}/README.md"),
            }
        }
        "step-ca" => Layout {
            archive: format!("step-ca_linux_{version}_{architecture}.tar.gz"),
            checksums: "checksums.txt",
            binaries: vec![(format!("step-ca_{version}/step-ca"), "step-ca")],
            readme: format!("step-ca_{version}/README.md"),
        },
        _ => Layout {
            archive: format!("step_linux_{version}_{architecture}.tar.gz"),
            checksums: "checksums.txt",
            binaries: vec![(format!("step_{version}/bin/step"), "step")],
            readme: format!("step_{version}/README.md"),
        },
    }
}

/// Name that Go programs' releases give this machine's architecture.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Writes the archive and gives its SHA-256 in hex.
fn pack(layout: &Layout, binaries: &Path, archive: &Path) -> io::Result<String> {
    let hashing = Hashing {
        file: File::create(archive)?,
        hash: Sha256::new(),
    };
    let mut tar = tar::Builder::new(GzEncoder::new(hashing, Compression::default()));
    for (path, name) in &layout.binaries {
        append(&mut tar, path, 0o755, &fs::read(binaries.join(name))?)?;
    }
    append(
        &mut tar,
        &layout.readme,
        0o644,
        b"Built from the pinned sources of the lab.\n",
    )?;
    let mut hashing = tar.into_inner()?.finish()?;
    hashing.flush()?;
    Ok(hex::encode(hashing.hash.finalize()))
}

fn append(
    tar: &mut tar::Builder<impl Write>,
    path: &str,
    mode: u32,
    content: &[u8],
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(
        content
            .len()
            .try_into()
            .expect("a file in memory is shorter than 2^64"),
    );
    header.set_mtime(0);
    tar.append_data(&mut header, path, content)
}

/// A file whose hash is known when it is written.
struct Hashing {
    file: File,
    hash: Sha256,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn remove(directory: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(directory) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Write {
            path: directory.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_the_same_bytes_twice_under_upstreams_names() {
        let directory =
            std::env::temp_dir().join(format!("etcd-lab-archive-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory for the test");
        fs::write(directory.join("step-ca"), "binary").expect("a binary");
        let program = Program::named("step-ca")
            .expect("the lab has step-ca")
            .remove(0);
        let layout = layout(&program);
        let hashes = ["one", "two"]
            .map(|name| pack(&layout, &directory, &directory.join(name)).expect("it is packed"));
        let bytes = ["one", "two"].map(|name| fs::read(directory.join(name)).expect("it is there"));
        assert_eq!(hashes[0], hashes[1]);
        assert_eq!(bytes[0], bytes[1]);
        assert_eq!(hashes[0], hex::encode(Sha256::digest(&bytes[0])));
        assert_eq!(
            layout.binaries[0].0,
            format!("step-ca_{}/step-ca", program.version)
        );
        fs::remove_dir_all(&directory).expect("the test's directory can be removed");
    }
}
