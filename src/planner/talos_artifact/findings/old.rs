//! What our former applies wrote and nobody wants any more.

use super::Finding;
use crate::{
    facts::Fact,
    talos_artifact::{desired::Desired, observed::Observed, recorded::RecordedFile, step::Step},
};

/// Files of former content that we wrote; they go when everything else is in its place.
pub(super) fn old(desired: &Desired, observed: &Observed, found: &mut Vec<Finding>) {
    let is_open = found
        .iter()
        .any(|finding| !finding.waits.is_empty() || finding.refusal.is_some());
    if desired.keep_previous || is_open {
        return;
    }
    for file in &observed.recorded.files {
        if !desired.wants(file) && file.is_ours {
            found.extend(remove(observed, file).map(Finding::step));
        }
    }
    for local in &observed.recorded.local {
        let is_wanted = desired.local_file.as_ref() == Some(&local.path);
        let is_gone = matches!(observed.local.get(&local.path), Some(Fact::Known(None)));
        if !is_wanted && !is_gone {
            let path = local.path.clone();
            found.push(Finding::step(Step::RemoveLocal { path }));
        }
    }
}

/// The step that removes a file of ours; none if it is gone or its storage does not answer.
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
        Some(Fact::Known(storage)) => storage.files.contains_key(&file.volume),
        Some(Fact::Unknown(_)) => false,
        None => true,
    };
    is_there.then(|| Step::RemoveOld {
        storage: file.storage.clone(),
        node: through.to_owned(),
        volume: file.volume.clone(),
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
