//! Test targets of the workspace that a plain `cargo test` leaves out.

use serde::Deserialize;

use crate::command;
use crate::provider;

/// The target that has a stage of its own.
pub(crate) const ACCEPTANCE: &str = "acceptance";

/// The targets could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// How cargo is run.
    #[error(transparent)]
    Provider(#[from] provider::Error),
    /// cargo failed.
    #[error("list the workspace's test targets")]
    List {
        /// What failed.
        source: command::Error,
    },
    /// What cargo said is not what it documents.
    #[error("read the workspace's test targets")]
    Parse {
        /// Why.
        source: serde_json::Error,
    },
}

/// What `cargo metadata` says, as far as it matters here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    /// Whether a plain `cargo test` runs it.
    test: bool,
}

/// Package and name of the test targets that a plain `cargo test` leaves out, because they need real programs or hosts.
pub(crate) fn opt_in() -> Result<Vec<(String, String)>, Error> {
    let mut metadata = provider::cargo()?;
    metadata.args(["metadata", "--no-deps", "--format-version=1"]);
    let text = command::output(&mut metadata).map_err(|source| Error::List { source })?;
    let metadata: Metadata =
        serde_json::from_str(&text).map_err(|source| Error::Parse { source })?;
    let mut found = Vec::new();
    for package in metadata.packages {
        for target in package.targets {
            if target.kind == ["test"] && !target.test && target.name != ACCEPTANCE {
                found.push((package.name.clone(), target.name));
            }
        }
    }
    Ok(found)
}
