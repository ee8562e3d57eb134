//! The helper programs that the provider brings, one for each architecture.

use std::{
    fmt,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use aws_lc_rs::digest;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

/// An architecture of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Architecture {
    /// `x86_64`
    Amd64,
    /// `aarch64`
    Arm64,
}

impl Architecture {
    /// All of them, in the order in which the start script takes their hashes.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// As `uname -m` says it.
    pub fn machine(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// By what `uname -m` says.
    pub fn from_machine(machine: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|architecture| architecture.machine() == machine)
    }

    /// By the header of an ELF file (`e_machine`, elf(5)); both are little-endian and 64-bit.
    fn from_elf(program: &[u8]) -> Option<Self> {
        if program.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        match program.get(18..20)? {
            [0x3e, 0] => Some(Self::Amd64),
            [0xb7, 0] => Some(Self::Arm64),
            _ => None,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.machine())
    }
}

/// Why there is no helper to send.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("reading the helper {} failed", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// The file is no program for a known architecture.
    #[error("{} is no 64-bit program for x86_64 or aarch64", .0.display())]
    NotAProgram(PathBuf),
}

/// One helper program.
#[derive(Clone)]
pub struct Helper {
    /// What it runs on.
    architecture: Architecture,
    /// Hex, of the program itself.
    sha256: String,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Compressed(Bytes),
    /// Compressed when a host needs it: most runs find the helper there.
    Program(Arc<[u8]>, Arc<OnceLock<Bytes>>),
}

impl Helper {
    /// A helper inside the provider's own program: `gzip` is it compressed, `sha256` the hash of the
    /// program in hex.
    pub fn embedded(architecture: Architecture, gzip: &'static [u8], sha256: &str) -> Self {
        let content = Content::Compressed(Bytes::from_static(gzip));
        Self {
            architecture,
            sha256: sha256.to_owned(),
            content,
        }
    }

    /// A helper of its own file, as a development build has it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let program = std::fs::read(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source: Arc::new(source),
        })?;
        let architecture =
            Architecture::from_elf(&program).ok_or_else(|| Error::NotAProgram(path.to_owned()))?;
        Ok(Self::program(architecture, program))
    }

    fn program(architecture: Architecture, program: Vec<u8>) -> Self {
        let sha256 = hex::encode(digest::digest(&digest::SHA256, &program));
        Self {
            architecture,
            sha256,
            content: Content::Program(program.into(), Arc::default()),
        }
    }

    /// What it runs on.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// SHA-256 of the program, hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The program, compressed by gzip.
    pub(crate) fn gzip(&self) -> Bytes {
        match &self.content {
            Content::Compressed(bytes) => bytes.clone(),
            Content::Program(program, compressed) => compressed
                .get_or_init(|| {
                    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                    encoder
                        .write_all(program)
                        .expect("a vector takes all bytes");
                    encoder.finish().expect("a vector takes all bytes").into()
                })
                .clone(),
        }
    }
}

impl fmt::Debug for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Helper({}, {})", self.architecture, self.sha256)
    }
}

/// All helpers that the provider brings; may be empty, which is an error when one is needed.
#[derive(Clone, Debug, Default)]
pub struct HelperSource {
    helpers: Vec<Helper>,
}

impl HelperSource {
    /// At most one for each architecture; of several the first counts.
    pub fn new(helpers: Vec<Helper>) -> Self {
        Self { helpers }
    }

    /// The helper for an architecture.
    pub fn get(&self, architecture: Architecture) -> Option<&Helper> {
        self.helpers
            .iter()
            .find(|helper| helper.architecture == architecture)
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.helpers.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn script_for_this_machine(script: &str) -> Self {
        let architecture = Architecture::from_machine(std::env::consts::ARCH)
            .expect("the tests run on a known architecture");
        Self::new(vec![Helper::program(
            architecture,
            script.as_bytes().to_vec(),
        )])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_architecture_is_read_from_the_program() {
        let this = std::fs::read("/proc/self/exe").expect("this program can be read");
        let expected = Architecture::from_machine(std::env::consts::ARCH);
        assert_eq!(Architecture::from_elf(&this), expected);
        assert_eq!(Architecture::from_elf(b"#!/bin/sh\n"), None);
    }
}
