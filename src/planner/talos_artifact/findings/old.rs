//! What our former applies wrote and nobody wants any more.

use super::{Finding, problem};
use crate::{
    facts::Fact,
    talos_artifact::{desired::Desired, observed::Observed, recorded::RecordedFile, step::Step},
};

/// Files of former content that we wrote; they go when everything else is in its place.
pub(super) fn old(desired: &Desired, observed: &Observed, found: &mut Vec<Finding>) {
    let is_open = found
        .iter()
        .any(|finding| finding.waits.is_some() || finding.refusal.is_some());
    if is_open {
        return;
    }
    for file in &observed.recorded.files {
        let is_kept = desired.keep_previous && desired.is_followed(file);
        if !desired.wants(file) && file.is_ours && !is_kept {
            found.extend(remove(observed, file).map(Finding::step));
            found.extend(exchanged(observed, file).map(|detail| Finding {
                warning: Some(problem(false, &["proxmox"], EXCHANGED, detail)),
                ..Finding::default()
            }));
        }
    }
    for local in observed.recorded.local.iter().filter(|it| it.is_ours) {
        let is_wanted = desired.local_file.as_ref() == Some(&local.path);
        let is_gone = matches!(observed.local.get(&local.path), Some(Fact::Known(None)));
        if !is_wanted && !is_gone {
            let path = local.path.clone();
            found.push(Finding::step(Step::RemoveLocal { path }));
        }
    }
}

/// What is said of a file that was ours and is another one by now.
pub const EXCHANGED: &str = "A file is left because it was exchanged";

/// That a file of ours is another one by now, as a sentence. It is not ours to remove.
pub(in crate::talos_artifact) fn exchanged(
    observed: &Observed,
    file: &RecordedFile,
) -> Option<String> {
    let seen = observed.storage(&file.storage, &file.node)?.known()?;
    let size = seen.files.get(&file.volume)?;
    let wrote = file.bytes.size_bytes;
    (*size != wrote).then(|| {
        format!(
            "{}:{} on {} has {size} bytes, and this resource wrote {wrote}: somebody put another file \
             there.",
            file.storage, file.volume, file.node
        )
    })
}

/// The step that removes a file of ours; none if it is gone, if somebody put another one there, or if
/// its storage does not answer.
pub(in crate::talos_artifact) fn remove(observed: &Observed, file: &RecordedFile) -> Option<Step> {
    let nodes = observed.storages.get(&file.storage);
    let seen = |node: &str| nodes.and_then(|nodes| nodes.get(node));
    let through = if file.is_shared {
        let answers = nodes.into_iter().flatten();
        answers
            .filter(|(_, fact)| fact.known().is_some_and(|seen| seen.is_shared))
            .map(|(node, _)| node.as_str())
            .next()
            .unwrap_or(&file.node)
    } else {
        &file.node
    };
    let is_there = match seen(through) {
        Some(Fact::Known(storage)) => {
            storage.files.get(&file.volume) == Some(&file.bytes.size_bytes)
        }
        Some(Fact::Unknown(_)) => false,
        None => true,
    };
    is_there.then(|| Step::RemoveOld {
        storage: file.storage.clone(),
        node: through.to_owned(),
        volume: file.volume.clone(),
        is_shared: file.is_shared,
    })
}

/// Takes files out of the record that nobody wants any more and that cannot be removed, because their
/// storage does not answer. Answers with their places.
pub fn forget_unreachable(desired: &Desired, observed: &mut Observed) -> Vec<String> {
    let mut forgotten = Vec::new();
    let mut recorded = std::mem::take(&mut observed.recorded.files);
    recorded.retain(|file| {
        let is_away = matches!(
            observed.storage(&file.storage, &file.node),
            Some(Fact::Unknown(_))
        );
        if is_away && !desired.wants(file) {
            forgotten.push(format!("{}:{} on {}", file.storage, file.volume, file.node));
            return false;
        }
        true
    });
    observed.recorded.files = recorded;
    forgotten
}

impl Desired {
    /// Whether a node that has this file gets another one instead: guests on it may boot from this one
    /// until they are told of the other.
    fn is_followed(&self, file: &RecordedFile) -> bool {
        let has = |node: &String| *node == file.node || file.seen_from.contains(node);
        let mut nodes = self.targets.iter().flat_map(|target| &target.nodes);
        self.has_image() && nodes.any(has)
    }

    /// Whether a recorded file is one that should be there.
    pub(in crate::talos_artifact) fn wants(&self, file: &RecordedFile) -> bool {
        self.has_image()
            && file.volume == self.volume()
            && self.targets.iter().any(|target| {
                target.storage == file.storage
                    && (file.is_shared || target.nodes.contains(&file.node))
            })
    }
}
