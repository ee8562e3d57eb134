//! The file on this machine.

use super::{Finding, other_build};
use crate::{
    facts::Fact,
    talos_artifact::{
        desired::{Desired, Source},
        observed::{LocalSeen, Observed},
        step::Step,
    },
};

/// The file on this machine. That it is missing is no reason for anything where others hold the
/// image: every machine that runs this would have to make it anew.
pub(super) fn local(desired: &Desired, observed: &Observed) -> Option<Finding> {
    let path = desired.local_file.as_ref()?;
    let write = || Finding::step(Step::WriteLocal { path: path.clone() });
    let seen = observed.local.get(path);
    let recorded = observed.recorded.local(path);
    if let Some(Fact::Known(Some(seen))) = seen
        && seen.is_directory
    {
        let detail = format!("{path} is a directory. Give the path of the file itself.");
        return Some(Finding::refuses(
            &["local_file"],
            "A directory has this name",
            detail,
        ));
    }
    let Some(recorded) = recorded.filter(|local| local.content == desired.content()) else {
        return Some(match seen {
            // What we wrote for former content is replaced.
            Some(Fact::Known(Some(seen))) if recorded.is_none() && !desired.overwrite => {
                foreign(desired, observed, path, seen).unwrap_or_else(write)
            }
            Some(Fact::Unknown(why)) => {
                Finding::waits(&["local_file"], format!("{path} cannot be read: {why}"))
            }
            _ => write(),
        });
    };
    match seen? {
        Fact::Unknown(why) => Some(Finding::unseen(format!("{path} cannot be read: {why}"))),
        Fact::Known(Some(seen)) => {
            let wanted = &recorded.bytes;
            if seen.size_bytes != wanted.size_bytes {
                let (is, was) = (seen.size_bytes, wanted.size_bytes);
                return Some(write().because(format!("{path} has {is} bytes instead of {was}")));
            }
            let is_same = seen.sha256.as_ref().is_none_or(|it| *it == wanted.sha256);
            if !is_same {
                return Some(write().because(format!("{path} has other content")));
            }
            let bytes = observed.bytes(desired)?;
            (bytes.sha256 != wanted.sha256)
                .then(|| write().because(other_build(path, wanted, Some(&bytes))))
        }
        Fact::Known(None) => {
            let is_alone = desired.targets.is_empty() && desired.artifact.is_none();
            let is_built = matches!(desired.source, Source::Imager(_));
            (is_alone && !is_built).then(|| write().because(format!("{path} is gone")))
        }
    }
}

/// A file that we did not write is there: it stays. If it is the image, it is taken over, also when
/// the resource goes.
fn foreign(
    desired: &Desired,
    observed: &Observed,
    path: &str,
    seen: &LocalSeen,
) -> Option<Finding> {
    let wanted = observed.bytes(desired)?;
    let is_same = seen.size_bytes == wanted.size_bytes
        && seen.sha256.as_ref().is_none_or(|it| *it == wanted.sha256);
    Some(if is_same {
        Finding::step(Step::AdoptLocal {
            path: path.to_owned(),
        })
    } else {
        Finding::refuses(
            &["local_file"],
            "Another file has this name",
            format!(
                "{path} was not written by this resource, and is another file. Move it, take another \
                 path, or set overwrite = true."
            ),
        )
    })
}
