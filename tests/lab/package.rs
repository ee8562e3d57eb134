//! Packages that some hosts have more than the base: a layer over it, made once for each set.
//!
//! Hosts have no way out, so apt runs in a root that is not booted, with this machine's network.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::base::{self, Error, Release};
use crate::command::{self, command};
use crate::home::Home;
use crate::progress;

/// Changes when [`install`] does, so that a layer of another recipe is not taken for this one.
const RECIPE: &str = "1";

/// Keeps packages from starting what they install (invoke-rc.d(8)).
const POLICY: &str = "usr/sbin/policy-rc.d";

/// The read-only layers of `release` with `packages`, uppermost first, made where they are missing.
pub(crate) fn ensure(
    home: &Home,
    release: Release,
    packages: &[String],
) -> Result<Vec<PathBuf>, Error> {
    let mut layers = base::ensure(home, release)?.to_vec();
    if packages.is_empty() {
        return Ok(layers);
    }
    let mut packages = packages.to_vec();
    packages.sort();
    packages.dedup();
    let below: Vec<&Path> = layers.iter().map(PathBuf::as_path).collect();
    let name = name(release, &packages, &below);
    let layer = home.bases().join(&name);
    if !layer.is_dir() {
        let _lock = home.lock(&name)?;
        if !layer.is_dir() {
            progress::say(&format!(
                "installing {} over Debian {release} (once)",
                packages.join(" ")
            ));
            let unfinished = home.bases().join(format!("{name}.unfinished"));
            base::layer(release, &unfinished, &below, &layer, |root| {
                install(release, root, &packages)
            })?;
        }
    }
    layers.insert(0, layer);
    Ok(layers)
}

/// What is below counts too: a layer holds copies of its package lists.
fn name(release: Release, packages: &[String], below: &[&Path]) -> String {
    let mut hash = Sha256::new();
    hash.update(RECIPE);
    for package in packages {
        hash.update(package);
        hash.update("\0");
    }
    for layer in below {
        hash.update(layer.as_os_str().as_encoded_bytes());
        hash.update("\0");
    }
    format!("{release}-with-{}", &hex::encode(hash.finalize())[..8])
}

fn install(release: Release, root: &Path, packages: &[String]) -> Result<(), Error> {
    let step = |step: &str, result: io::Result<()>| {
        result.map_err(|source| Error::Prepare {
            release,
            step: step.to_owned(),
            source,
        })
    };
    let names = root.join("etc/resolv.conf");
    let policy = root.join(POLICY);
    step(
        "lend it this machine's name servers",
        fs::copy("/etc/resolv.conf", &names).map(drop),
    )?;
    step(
        "keep services from starting",
        fs::write(&policy, "#!/bin/sh\nexit 101\n")
            .and_then(|()| fs::set_permissions(&policy, fs::Permissions::from_mode(0o755))),
    )?;
    let shown = packages.join(" ");
    let apt = |arguments: &[&str]| {
        let mut apt = command(&["chroot"]);
        apt.arg(root).args(["apt-get", "-qq"]).args(arguments);
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        command::long(&format!("installing {shown}"), &mut apt)
            .map(drop)
            .map_err(|source| Error::Packages {
                release,
                packages: shown.clone(),
                source,
            })
    };
    let mut words = vec!["install", "--yes", "--no-install-recommends"];
    words.extend(packages.iter().map(String::as_str));
    apt(&["update"])?;
    apt(&words)?;
    apt(&["clean"])?;
    step("take the name servers back", fs::write(&names, ""))?;
    step("let services start", fs::remove_file(&policy))?;
    let lists = root.join("var/lib/apt/lists");
    step(
        "empty the package lists",
        fs::remove_dir_all(&lists).and_then(|()| fs::create_dir_all(lists.join("partial"))),
    )
}
