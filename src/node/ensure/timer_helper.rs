//! The helper that timers use: a link into the cache, which only an apply moves, and only forward.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use semver::Version;

use super::directory::make_parents;
use crate::{atomic, digest, failure::Failed, program, proto::Outcome, record, root::Root};

/// Directory with the helper that timers use.
pub(crate) const CURRENT: &str = "/opt/etcd-node/current";
/// Helpers by SHA-256.
const CACHE: &str = "/opt/etcd-node/cache";
const NAME: &str = "etcd-node";

/// Our own program, even when its file is gone.
const OWN: &str = "/proc/self/exe";

/// Points timers to this helper, unless they have a newer one.
pub(super) fn point(root: &Root) -> Result<Outcome, Failed> {
    let is_newer = version(root)
        .and_then(|there| {
            Some((
                Version::parse(&there).ok()?,
                Version::parse(record::VERSION).ok()?,
            ))
        })
        .is_some_and(|(there, own)| there > own);
    if is_newer {
        return Ok(Outcome::NotNeeded);
    }
    let own = Path::new(OWN);
    let sha256 = digest::program(own).map_err(|error| Failed::io("reading", own, &error))?;
    let directory = format!("{CACHE}/{sha256}");
    keep(root, own, &format!("{directory}/{NAME}"))?;
    let current = root.at(CURRENT);
    let before = fs::read_link(&current).ok();
    if before.as_deref() == Some(Path::new(&directory)) {
        return Ok(Outcome::NotNeeded);
    }
    atomic::link(&current, &directory)?;
    Ok(if before.is_some() {
        Outcome::Updated
    } else {
        Outcome::Added
    })
}

/// Puts the program into the cache where it is not: somebody who left the host may have taken the
/// cache along while we ran.
fn keep(root: &Root, own: &Path, path: &str) -> Result<(), Failed> {
    let path = root.at(path);
    if path.exists() {
        return Ok(());
    }
    make_parents(&path)?;
    let scratch = path.with_extension("new");
    fs::copy(own, &scratch)
        .and_then(|_| fs::set_permissions(&scratch, Permissions::from_mode(0o755)))
        .and_then(|()| fs::File::open(&scratch)?.sync_all())
        .and_then(|()| fs::rename(&scratch, &path))
        .map_err(|error| Failed::io("writing", &path, &error))
}

/// Version of the helper that timers use, if there is one.
pub(crate) fn version(root: &Root) -> Option<String> {
    let path = root.at(CURRENT).join(NAME);
    if !path.exists() {
        return None;
    }
    let text = program::run(path.to_str()?, &["--version"]).ok()?;
    text.split_whitespace().last().map(str::to_owned)
}
