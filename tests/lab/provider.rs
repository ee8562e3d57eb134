//! The provider as users get it: built with its helper inside, and installed in a filesystem mirror for both CLIs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::archive::architecture;
use crate::command::{self, command, run};
use crate::home::{self, Home};
use crate::prerequisite;
use crate::program::{self, Program};
use crate::repository;
use crate::upstream;

/// Environment variable that tells the provider's build which helper it carries.
const EMBED_VARIABLE: &str = "ETCD_NODE_EMBED";
/// Environment variable that tells a development build where its helper is.
pub(crate) const HELPER_VARIABLE: &str = "ETCD_NODE_PATH";
/// Part of the provider's source address that the user writes.
const SOURCE: &str = "etcd-fleet/etcd";
/// Registry hosts that the CLIs put before it: OpenTofu's and Terraform's.
pub(crate) const REGISTRIES: [&str; 2] = ["registry.opentofu.org", "registry.terraform.io"];
/// Built providers that are kept; working directories initialised with one of them go on working.
const KEPT: usize = 8;

/// The provider could not be built or installed, or a CLI is missing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lab's home.
    #[error(transparent)]
    Home(#[from] home::Error),
    /// What builds need.
    #[error(transparent)]
    Prerequisite(#[from] prerequisite::Error),
    /// The CLI could not be built.
    #[error(transparent)]
    Program(#[from] program::Error),
    /// The compiler's own description.
    #[error("ask rustc for this machine's target")]
    Target {
        /// What failed.
        source: command::Error,
    },
    /// rustc said something unexpected.
    #[error("rustc does not say for which target it compiles")]
    NoTarget,
    /// The compiler failed and has said why.
    #[error("{binary} does not compile")]
    Compile {
        /// The binary.
        binary: &'static str,
    },
    /// The build could not be run.
    #[error("build {binary}")]
    Build {
        /// The binary.
        binary: &'static str,
        /// What failed.
        source: command::Error,
    },
    /// The build succeeded without the binary.
    #[error("the build of {binary} gave no such binary")]
    NoBinary {
        /// The binary.
        binary: &'static str,
    },
    /// A file of the mirror or of a working directory.
    #[error("use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The CLI that runs the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cli {
    /// OpenTofu, built by the lab.
    Tofu,
    /// Terraform, found on the PATH.
    Terraform,
    /// Terragrunt, built by the lab, which runs that OpenTofu.
    Terragrunt,
}

/// A provider that is built and installed.
#[derive(Debug, Clone, Serialize)]
pub struct Provider {
    /// The provider's binary.
    pub binary: PathBuf,
    /// The helper's binary that it carries.
    pub helper: PathBuf,
    /// Configuration file of the CLI that makes it find this provider and no other.
    pub cli_config: PathBuf,
}

impl Provider {
    /// Builds helper and provider, and installs the provider; quick when nothing has changed.
    pub fn ensure(home: &Home) -> Result<Self, Error> {
        let helper = helper(home)?;
        let built = build(
            "provider",
            "terraform-provider-etcd",
            &[(EMBED_VARIABLE, helper.as_path())],
        )?;
        let installed = install(home, &built)?;
        Ok(Self {
            helper,
            ..installed
        })
    }

    /// A command of the CLI in `directory` that finds this provider.
    pub fn command(&self, home: &Home, cli: Cli, directory: &Path) -> Result<Command, Error> {
        let binary = match cli {
            Cli::Tofu => newest(home, "tofu")?,
            Cli::Terraform => PathBuf::from("terraform"),
            Cli::Terragrunt => newest(home, "terragrunt")?,
        };
        let mut command = command(&[binary]);
        if cli == Cli::Terragrunt {
            // Its shared cache knows a provider by its version, which all our builds share.
            command
                .env("TG_TF_PATH", newest(home, "tofu")?)
                .env("TG_NO_AUTO_PROVIDER_CACHE_DIR", "true");
        }
        command
            .current_dir(directory)
            .env("TF_CLI_CONFIG_FILE", &self.cli_config)
            .env("CHECKPOINT_DISABLE", "1");
        Ok(command)
    }
}

/// Binary of the newest version of a program that has one of its own name.
fn newest(home: &Home, name: &str) -> Result<PathBuf, Error> {
    let newest = Program::named(name)?
        .pop()
        .expect("a named program has at least one version");
    Ok(newest.ensure(home)?.join(name))
}

/// Builds the helper that runs on hosts; gives its binary.
pub fn helper(home: &Home) -> Result<PathBuf, Error> {
    prerequisite::for_builds(home)?;
    build("node", "etcd-node", &[])
}

/// A cargo command of this workspace with the flags that all builds share, so that nothing heavy is compiled twice.
pub(crate) fn cargo() -> Result<Command, Error> {
    let about = run(&["rustc", "-vV"]).map_err(|source| Error::Target { source })?;
    let target = about
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .ok_or(Error::NoTarget)?;
    let mut cargo = command(&["cargo"]);
    cargo.current_dir(repository::root());
    // Static: the helper runs on hosts with an older glibc, the provider in images without one.
    cargo
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env("CARGO_BUILD_TARGET", target);
    Ok(cargo)
}

/// The same with the helper that the provider's build puts into it.
pub(crate) fn cargo_with(helper: &Path) -> Result<Command, Error> {
    let mut cargo = cargo()?;
    cargo.env(EMBED_VARIABLE, helper);
    Ok(cargo)
}

/// A line of cargo's JSON messages, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

/// A binary of another package, built; quick when nothing has changed.
pub(crate) fn tool(package: &str, binary: &'static str) -> Result<PathBuf, Error> {
    build(package, binary, &[])
}

fn build(
    package: &str,
    binary: &'static str,
    environment: &[(&str, &Path)],
) -> Result<PathBuf, Error> {
    let mut cargo = cargo()?;
    cargo.args([
        "build",
        "--release",
        "--message-format=json-render-diagnostics",
    ]);
    cargo
        .args(["--package", package, "--bin", binary])
        .envs(environment.iter().copied());
    // The compiler speaks to the person who waits.
    cargo.stderr(Stdio::inherit());
    let messages =
        command::long(&format!("building {binary}"), &mut cargo).map_err(
            |source| match source {
                // Its standard output is for this program, not for people.
                command::Error::Failed { .. } => Error::Compile { binary },
                source @ command::Error::Start { .. } => Error::Build { binary, source },
            },
        )?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable)
        .find(|path| path.file_name().is_some_and(|name| name == binary))
        .ok_or(Error::NoBinary { binary })
}

/// Copies the provider into a mirror named by its content.
fn install(home: &Home, built: &Path) -> Result<Provider, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    let mut content = Sha256::new();
    content.update(fs::read(built).map_err(failed(built))?);
    // The place is part of what is written there.
    content.update(cli_config(Path::new(""), &home.upstream_providers()));
    let mirror = home
        .providers()
        .join(&hex::encode(content.finalize())[..16]);
    let version = env!("CARGO_PKG_VERSION");
    let place = |mirror: &Path, registry: &str| {
        mirror
            .join(registry)
            .join(SOURCE)
            .join(version)
            .join(format!("linux_{}", architecture()))
            .join(format!("terraform-provider-etcd_v{version}"))
    };
    let provider = Provider {
        binary: place(&mirror, REGISTRIES[0]),
        helper: PathBuf::new(),
        cli_config: mirror.join("cli.tfrc"),
    };
    if mirror.is_dir() {
        return Ok(provider);
    }
    let _lock = home.lock("providers")?;
    if mirror.is_dir() {
        return Ok(provider);
    }
    prune(&home.providers())?;
    let unfinished = home.providers().join("unfinished");
    match fs::remove_dir_all(&unfinished) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(failed(&unfinished)(source));
        }
        _ => {}
    }
    for registry in REGISTRIES {
        let path = place(&unfinished, registry);
        home::make_directory(
            path.parent()
                .expect("the binary lies in its platform's directory"),
        )?;
        fs::copy(built, &path).map_err(failed(&path))?;
    }
    let config = unfinished.join("cli.tfrc");
    fs::write(&config, cli_config(&mirror, &home.upstream_providers())).map_err(failed(&config))?;
    fs::rename(&unfinished, &mirror).map_err(failed(&mirror))?;
    Ok(provider)
}

/// Our provider from `mirror`, those of others that the lab builds from `upstream`, all else from where it is published.
fn cli_config(mirror: &Path, upstream: &Path) -> String {
    // A wildcard for the registry alone is refused: each is named.
    let named = |sources: &[&str]| {
        let names: Vec<_> = REGISTRIES
            .iter()
            .flat_map(|registry| sources.iter().map(move |source| (registry, source)))
            .map(|(registry, source)| format!("\"{registry}/{source}\""))
            .collect();
        names.join(", ")
    };
    let ours = named(&[SOURCE]);
    let others = named(&upstream::SOURCES);
    format!(
        "provider_installation {{\n  filesystem_mirror {{\n    path    = \"{}\"\n    include = [{ours}]\n  }}\n  \
         filesystem_mirror {{\n    path    = \"{}\"\n    include = [{others}]\n  }}\n  \
         direct {{\n    exclude = [{ours}, {others}]\n  }}\n}}\n",
        mirror.display(),
        upstream.display(),
    )
}

/// Removes all but the newest built providers.
fn prune(providers: &Path) -> Result<(), Error> {
    home::make_directory(providers)?;
    let failed = |source| Error::File {
        path: providers.to_owned(),
        source,
    };
    let mut built: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(providers).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        built.push((
            entry
                .metadata()
                .and_then(|data| data.modified())
                .map_err(failed)?,
            entry.path(),
        ));
    }
    built.sort();
    let surplus = built.len().saturating_sub(KEPT);
    for (_, path) in built.into_iter().take(surplus) {
        fs::remove_dir_all(&path).map_err(|source| Error::File { path, source })?;
    }
    Ok(())
}

/// Takes our provider out of a dependency lock file, whose hashes are of an earlier build: `init` then records this one.
/// A directory without lock file is fine.
pub fn forget_lock(directory: &Path) -> Result<(), Error> {
    let path = directory.join(".terraform.lock.hcl");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(Error::File { path, source }),
    };
    fs::write(&path, without_our_lock(&text)).map_err(|source| Error::File { path, source })
}

/// The same for every unit below `directory`, as Terragrunt lays them out.
pub fn forget_locks_below(directory: &Path) -> Result<(), Error> {
    forget_lock(directory)?;
    let failed = |source| Error::File {
        path: directory.to_owned(),
        source,
    };
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // A cache holds links to other directories, among them the providers themselves: the type of the entry is that
        // of the link.
        if entry.file_type().map_err(failed)?.is_dir() && entry.file_name() != ".terraform" {
            forget_locks_below(&entry.path())?;
        }
    }
    Ok(())
}

fn without_our_lock(text: &str) -> String {
    let mut kept = String::new();
    let mut is_ours = false;
    for line in text.split_inclusive('\n') {
        is_ours |= REGISTRIES
            .iter()
            .any(|registry| line.starts_with(&format!("provider \"{registry}/{SOURCE}\"")));
        if !is_ours {
            kept.push_str(line);
        }
        // The CLIs write the closing brace of a block alone at the start of its line.
        if line.starts_with('}') {
            is_ours = false;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_locks_of_all_units() {
        let directory = tempfile::tempdir().expect("a directory");
        let unit = directory.path().join("clusters/one");
        fs::create_dir_all(&unit).expect("a unit");
        let ours =
            "provider \"registry.opentofu.org/etcd-fleet/etcd\" {\n  version = \"0.1.0\"\n}\n";
        let lock = unit.join(".terraform.lock.hcl");
        fs::write(&lock, ours).expect("a lock file");
        forget_locks_below(directory.path()).expect("a tree of directories");
        assert_eq!(fs::read_to_string(lock).expect("the lock file"), "");
    }

    #[test]
    fn forgets_our_lock_and_no_other() {
        let other = "provider \"registry.opentofu.org/x/other\" {\n  version = \"1.0.0\"\n  hashes = [\n    \"h1:a\",\n  ]\n}\n";
        let ours = "provider \"registry.opentofu.org/etcd-fleet/etcd\" {\n  version = \"0.1.0\"\n  hashes = [\n    \"h1:b\",\n  ]\n}\n";
        assert_eq!(
            without_our_lock(&format!("# head\n\n{ours}\n{other}")),
            format!("# head\n\n\n{other}")
        );
    }
}
