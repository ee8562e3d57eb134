//! The real programs, built from their own pinned sources once and kept in the lab's home.
//!
//! Each is a Go module below `programs/` that names main packages of upstream as its tools; `go.sum` pins every source.
//! A file `ldflags` beside it holds what upstream's own release build sets, such as the version that it prints; a file
//! `toolchain` names the compiler where the one at hand is too new for the sources.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::command::{self, command};
use crate::home::{self, Home};
use crate::prerequisite;
use crate::progress;
use crate::repository;

/// A program could not be built or found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lab's home.
    #[error(transparent)]
    Home(#[from] home::Error),
    /// What builds need.
    #[error(transparent)]
    Prerequisite(#[from] prerequisite::Error),
    /// A file of the program's module, or of what was built.
    #[error("use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no such module.
    #[error("no program {name} below {}", directory.display())]
    Unknown {
        /// The name asked for.
        name: String,
        /// Where the modules lie.
        directory: PathBuf,
    },
    /// The module names no tool.
    #[error("{} names no tool", path.display())]
    NoTool {
        /// Its go.mod.
        path: PathBuf,
    },
    /// The compiler failed.
    #[error("build {package}")]
    Build {
        /// The main package.
        package: String,
        /// What failed.
        source: command::Error,
    },
}

/// A module of real programs in one version.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its name, such as `etcd`.
    pub name: String,
    /// Its version, without a `v`.
    pub version: String,
    module: PathBuf,
}

impl Program {
    /// All programs of this checkout, sorted by name, then by version as text.
    pub fn all() -> Result<Vec<Self>, Error> {
        let directory = repository::root().join("tests/lab/programs");
        let failed = |source| Error::File {
            path: directory.clone(),
            source,
        };
        let mut programs = Vec::new();
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let module = entry.map_err(failed)?.path();
            let name = module
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if let Some((name, version)) = name.rsplit_once('-') {
                programs.push(Self {
                    name: name.to_owned(),
                    version: version.to_owned(),
                    module,
                });
            }
        }
        programs
            .sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
        Ok(programs)
    }

    /// All versions of the program `name`; at least one.
    pub fn named(name: &str) -> Result<Vec<Self>, Error> {
        let mut programs = Self::all()?;
        programs.retain(|program| program.name == name);
        if programs.is_empty() {
            let directory = repository::root().join("tests/lab/programs");
            return Err(Error::Unknown {
                name: name.to_owned(),
                directory,
            });
        }
        Ok(programs)
    }

    /// Directory of the built program, whether it is there or not: named by a hash of its sources.
    pub fn directory(&self, home: &Home) -> Result<PathBuf, Error> {
        let mut hash = Sha256::new();
        for file in ["go.mod", "go.sum"] {
            hash.update(self.read(file)?);
        }
        hash.update(self.beside("ldflags")?.unwrap_or_default());
        hash.update(self.beside("toolchain")?.unwrap_or_default());
        let hash = &hex::encode(hash.finalize())[..12];
        Ok(home
            .programs()
            .join(format!("{}-{}-{hash}", self.name, self.version)))
    }

    /// Directory of the program's binaries, built first where they are missing.
    pub fn ensure(&self, home: &Home) -> Result<PathBuf, Error> {
        let built = self.directory(home)?;
        let binaries = built.join("bin");
        if built.is_dir() {
            return Ok(binaries);
        }
        prerequisite::for_programs()?;
        // One at a time: the compiler itself uses all cores.
        let _lock = home.lock("programs")?;
        if built.is_dir() {
            return Ok(binaries);
        }
        progress::say(&format!(
            "building {} {} from source (once)",
            self.name, self.version
        ));
        let unfinished = home.programs().join("unfinished");
        let failed = |source| Error::File {
            path: unfinished.clone(),
            source,
        };
        match fs::remove_dir_all(&unfinished) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(failed(source)),
            _ => {}
        }
        fs::create_dir_all(unfinished.join("bin")).map_err(failed)?;
        for package in self.packages()? {
            self.build(&package, &unfinished.join("bin").join(binary(&package)))?;
        }
        fs::rename(&unfinished, &built).map_err(failed)?;
        Ok(binaries)
    }

    fn build(&self, package: &str, output: &Path) -> Result<(), Error> {
        let ldflags = format!(
            "-s -w {}",
            self.beside("ldflags")?.unwrap_or_default().trim()
        );
        let flags = std::env::var("GOFLAGS").unwrap_or_default();
        let mut go = command(&[
            "nice", "-n", "10", "go", "build", "-ldflags", &ldflags, "-o",
        ]);
        go.arg(output).arg(package).current_dir(&self.module);
        go.env("CGO_ENABLED", "0").env(
            "GOFLAGS",
            format!("{flags} -trimpath -buildvcs=false").trim(),
        );
        if let Some(toolchain) = self.beside("toolchain")? {
            go.env("GOTOOLCHAIN", toolchain.trim());
        }
        command::long(&format!("building {package}"), &mut go).map_err(|source| Error::Build {
            package: package.to_owned(),
            source,
        })?;
        Ok(())
    }

    /// Main packages: the lines of the module's `tool` directives.
    fn packages(&self) -> Result<Vec<String>, Error> {
        let text = self.read("go.mod")?;
        let packages = tools(&text);
        if packages.is_empty() {
            Err(Error::NoTool {
                path: self.module.join("go.mod"),
            })
        } else {
            Ok(packages)
        }
    }

    /// Content of a file that not every module has.
    fn beside(&self, file: &str) -> Result<Option<String>, Error> {
        if self.module.join(file).exists() {
            self.read(file).map(Some)
        } else {
            Ok(None)
        }
    }

    fn read(&self, file: &str) -> Result<String, Error> {
        let path = self.module.join(file);
        fs::read_to_string(&path).map_err(|source| Error::File { path, source })
    }
}

/// Arguments of the `tool` directives of a go.mod, in both forms.
fn tools(text: &str) -> Vec<String> {
    let mut tools = Vec::new();
    let mut in_block = false;
    for line in text.lines().map(str::trim) {
        match line.strip_prefix("tool ") {
            Some("(") => in_block = true,
            Some(package) => tools.push(package.to_owned()),
            None if line == ")" => in_block = false,
            None if in_block && !line.is_empty() => tools.push(line.to_owned()),
            None => {}
        }
    }
    tools
}

/// Name of the binary of a main package, as upstream's releases call it.
fn binary(package: &str) -> &str {
    let mut parts = package.rsplit('/');
    let last = parts.next().unwrap_or(package);
    let is_major = last
        .strip_prefix('v')
        .is_some_and(|digits| digits.parse::<u32>().is_ok());
    match if is_major {
        parts.next().unwrap_or(last)
    } else {
        last
    } {
        "server" => "etcd",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_tools_in_both_forms() {
        let text = "module m\n\ntool (\n\ta/etcdctl/v3\n\ta/server/v3\n)\n\ntool b/cmd/step-ca\n\nrequire (\n\tx v1\n)\n";
        assert_eq!(
            tools(text),
            ["a/etcdctl/v3", "a/server/v3", "b/cmd/step-ca"]
        );
    }

    #[test]
    fn names_binaries_as_upstream_does() {
        let names = [
            "go.etcd.io/etcd/server/v3",
            "go.etcd.io/etcd/etcdutl/v3",
            "github.com/x/y/cmd/step-ca",
        ]
        .map(binary);
        assert_eq!(names, ["etcd", "etcdutl", "step-ca"]);
    }
}
