//! What is not as it should be, each with the steps that mend it, or the reason why none does.
//!
//! Drift, plan and status are made from this one list, so that no sentence is without an answer.

use super::{
    desired::{Desired, Installer, Source, Tagged, Target, Transfer},
    imager::ImagerOutput,
    observed::{Observed, StorageSeen},
    recorded::RecordedFile,
    step::{FilePlace, Origin, Step, listed},
};
use crate::{facts::Fact, problem::Problem};

/// Something that is not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Finding {
    /// A sentence about what changed behind our back; empty for work that is wanted.
    pub(super) drift: String,
    /// What mends it.
    pub(super) steps: Vec<Step>,
    /// What does not answer and is needed.
    pub(super) waits: String,
    /// What does not answer and is not needed now.
    pub(super) unseen: String,
    /// What a person has to decide.
    pub(super) refusal: Option<Problem>,
    /// What is done and should be known.
    pub(super) warning: Option<Problem>,
}

impl Finding {
    fn step(step: Step) -> Self {
        Self {
            steps: vec![step],
            ..Self::default()
        }
    }

    fn waits(sentence: String) -> Self {
        Self {
            waits: sentence,
            ..Self::default()
        }
    }

    fn unseen(sentence: String) -> Self {
        Self {
            unseen: sentence,
            ..Self::default()
        }
    }

    fn refuses(place: &[&str], summary: &str, detail: String) -> Self {
        Self {
            refusal: Some(problem(true, place, summary, detail)),
            ..Self::default()
        }
    }

    fn because(self, drift: String) -> Self {
        Self { drift, ..self }
    }
}

fn problem(is_error: bool, place: &[&str], summary: &str, detail: String) -> Problem {
    Problem {
        is_error,
        place: place.iter().map(|part| (*part).to_owned()).collect(),
        summary: summary.to_owned(),
        detail,
    }
}

/// Everything, in the order in which it is mended.
pub(super) fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(schematic(desired, observed));
    if desired.has_image() {
        found.extend(artifact(desired, observed));
        for (index, target) in desired.targets.iter().enumerate() {
            files(desired, observed, index, target, &mut found);
        }
        found.extend(local(desired, observed));
    }
    found.extend(installer(desired, observed));
    supply(desired, observed, &mut found);
    old(desired, observed, &mut found);
    found
}

fn schematic(desired: &Desired, observed: &Observed) -> Option<Finding> {
    let Source::Factory { url, id, .. } = &desired.source else {
        return None;
    };
    let was_given = observed.recorded.schematic.as_deref() == Some(id.as_str());
    let ensure = Finding::step(Step::EnsureSchematic {
        factory: url.as_str().to_owned(),
        id: id.to_string(),
    });
    match observed.schematics.get(id.as_str()) {
        Some(Fact::Unknown(why)) => {
            let sentence = format!("the factory {} does not answer: {why}", url.as_str());
            Some(if was_given {
                Finding::unseen(sentence)
            } else {
                Finding::waits(sentence)
            })
        }
        Some(Fact::Known(false)) if was_given => Some(ensure.because(format!(
            "the factory {} does not know the schematic {id}",
            url.as_str()
        ))),
        _ if was_given => None,
        // Where it is known already, the step writes nothing but our record.
        _ => Some(ensure),
    }
}

fn artifact(desired: &Desired, observed: &Observed) -> Option<Finding> {
    let place = desired.artifact.as_ref()?;
    let content = desired.content();
    let publish = || {
        Finding::step(Step::PublishArtifact {
            place: place.clone(),
        })
    };
    let refuse = |digest: &str| {
        Finding::refuses(
            &["artifact_repository"],
            "A tag leads to something else",
            format!(
                "{place} leads to {digest}, which is not this image. Remove the tag there, or take \
                 another repository."
            ),
        )
    };
    tag(observed, place, &content, false, publish, refuse)
}

fn installer(desired: &Desired, observed: &Observed) -> Option<Finding> {
    let wanted = desired.installer.as_ref()?;
    let content = desired.installer_content()?;
    let Installer {
        place,
        overwrite_tag,
        ..
    } = wanted;
    let write = || match desired.factory_installer() {
        Some(from) => Finding::step(Step::CopyInstaller {
            from,
            place: place.clone(),
            replaces: *overwrite_tag,
        }),
        None => push(wanted, observed, &content),
    };
    let refuse = |digest: &str| {
        Finding::refuses(
            &["installer", "tag"],
            "A tag leads to another image",
            format!(
                "{place} leads to {digest}, which is another installer. Nodes that install from the \
                 tag would get another one than before. Take another tag (the default carries the \
                 beginning of the id), or set overwrite_tag = true."
            ),
        )
    };
    let is_foreign = observed.recorded.tag(place).is_none();
    if is_foreign
        && desired.factory_installer().is_some()
        && let Some(Fact::Known(Some(seen))) = observed.tags.get(&place.to_string())
    {
        return Some(match &observed.source_installer {
            Some(Fact::Known(digest)) if *digest == seen.digest => Finding::step(Step::AdoptTag {
                place: place.clone(),
                digest: seen.digest.clone(),
            }),
            Some(Fact::Known(_)) if !overwrite_tag => refuse(&seen.digest),
            // The copy compares first.
            _ => write(),
        });
    }
    tag(observed, place, &content, *overwrite_tag, write, refuse)
}

/// The installer of the imager: built first, unless it lies ready.
fn push(wanted: &Installer, observed: &Observed, content: &str) -> Finding {
    let mut steps = Vec::new();
    if observed.installer_at_hand.as_deref() != Some(content) {
        steps.push(Step::Build {
            output: ImagerOutput::Installer,
            platform: wanted.platform.clone(),
        });
    }
    let place = wanted.place.clone();
    let leads_elsewhere = matches!(
        observed.tags.get(&place.to_string()),
        Some(Fact::Known(Some(_)))
    );
    steps.push(Step::PushInstaller {
        place,
        replaces: leads_elsewhere,
    });
    Finding {
        steps,
        ..Finding::default()
    }
}

/// A tag against the record: what it should lead to, and what to do when it does not.
fn tag(
    observed: &Observed,
    place: &Tagged,
    content: &str,
    overwrites: bool,
    write: impl Fn() -> Finding,
    refuse: impl Fn(&str) -> Finding,
) -> Option<Finding> {
    let recorded = observed.recorded.tag(place);
    let same = recorded.filter(|tag| tag.content == content);
    let seen = match observed.tags.get(&place.to_string()) {
        Some(Fact::Known(seen)) => seen.as_ref(),
        Some(Fact::Unknown(why)) => {
            let sentence = format!("the registry of {place} does not answer: {why}");
            return Some(if same.is_some() {
                Finding::unseen(sentence)
            } else {
                Finding::waits(sentence)
            });
        }
        // Not looked at: what the record says holds.
        None => {
            return match (same, recorded) {
                (Some(_), _) => None,
                (None, Some(other)) if !overwrites => Some(refuse(&other.digest)),
                _ => Some(write()),
            };
        }
    };
    let restore = |digest: &str| {
        let is_kept = observed
            .kept
            .contains(&format!("{}@{digest}", place.repository));
        if is_kept {
            Finding::step(Step::RestoreTag {
                place: place.clone(),
                digest: digest.to_owned(),
            })
        } else {
            write()
        }
    };
    match (seen, same) {
        (Some(seen), Some(same)) if seen.digest == same.digest => None,
        (Some(seen), Some(same)) => {
            let sentence = format!(
                "tag {place} leads to another image ({} instead of {})",
                seen.digest, same.digest
            );
            // What was there before us is not ours to move.
            Some(if same.is_ours || overwrites {
                restore(&same.digest).because(sentence)
            } else {
                refuse(&seen.digest).because(sentence)
            })
        }
        (None, Some(same)) => Some(restore(&same.digest).because(format!("tag {place} is gone"))),
        (Some(seen), None) if seen.content.as_deref() == Some(content) => {
            Some(Finding::step(Step::AdoptTag {
                place: place.clone(),
                digest: seen.digest.clone(),
            }))
        }
        (Some(seen), None) if !overwrites => Some(refuse(&seen.digest)),
        (_, None) => Some(write()),
    }
}

/// The files of one storage.
fn files(
    desired: &Desired,
    observed: &Observed,
    index: usize,
    target: &Target,
    found: &mut Vec<Finding>,
) {
    let index = index.to_string();
    let facts = |node: &String| observed.storage(&target.storage, node);
    let shared = target.nodes.iter().find_map(|node| match facts(node) {
        Some(Fact::Known(seen)) if seen.is_shared => Some((node, seen)),
        _ => None,
    });
    let place = |nodes: Vec<String>, is_shared| FilePlace {
        storage: target.storage.clone(),
        nodes,
        is_shared,
        volume: desired.volume(),
    };
    if let Some((first, seen)) = shared {
        // Once, through a node that answers.
        let others = target.nodes.iter().filter(|node| *node != first);
        let nodes = std::iter::once(first).chain(others).cloned().collect();
        let at = place(nodes, true);
        found.extend(file(desired, observed, &index, target, &at, seen));
        return;
    }
    let mut unlooked = Vec::new();
    for node in &target.nodes {
        match facts(node) {
            Some(Fact::Known(seen)) => {
                let at = place(vec![node.clone()], false);
                found.extend(file(desired, observed, &index, target, &at, seen));
            }
            Some(Fact::Unknown(why)) => {
                let sentence = format!(
                    "storage {} on {node} does not answer: {why}",
                    target.storage
                );
                let is_there = recorded(desired, observed, &target.storage, node)
                    .is_some_and(|file| file.content == desired.content());
                found.push(if is_there {
                    Finding::unseen(sentence)
                } else {
                    Finding::waits(sentence)
                });
            }
            None => unlooked.push(node.clone()),
        }
    }
    // What nobody looked at is as the record says.
    unlooked.retain(|node| {
        recorded(desired, observed, &target.storage, node)
            .is_none_or(|file| file.content != desired.content())
    });
    let Some(first) = unlooked.first() else {
        return;
    };
    let other = recorded(desired, observed, &target.storage, first);
    if let Some(other) = other
        && !desired.overwrite
    {
        found.push(same_name(desired, target, &other.node));
        return;
    }
    let replaces = other.is_some();
    found.push(Finding::step(transfer(
        target,
        place(unlooked, false),
        replaces,
    )));
}

fn recorded<'a>(
    desired: &Desired,
    observed: &'a Observed,
    storage: &str,
    node: &str,
) -> Option<&'a RecordedFile> {
    observed.recorded.file(storage, node, &desired.volume())
}

fn transfer(target: &Target, place: FilePlace, replaces: bool) -> Step {
    match target.transfer {
        Transfer::Upload => Step::Upload { place, replaces },
        Transfer::Download => Step::DownloadByNode { place, replaces },
    }
}

fn same_name(desired: &Desired, target: &Target, node: &str) -> Finding {
    Finding::refuses(
        &["file_name"],
        "Another image has this name",
        format!(
            "{node} has {}:{} with other content, and machines may boot from it. Leave file_name out \
             (the default carries the beginning of the id), give another name, or set overwrite = \
             true.",
            target.storage,
            desired.volume()
        ),
    )
}

/// One file on one storage: on a node's own, or on one that all share.
fn file(
    desired: &Desired,
    observed: &Observed,
    index: &str,
    target: &Target,
    place: &FilePlace,
    seen: &StorageSeen,
) -> Option<Finding> {
    let node = &place.nodes[0];
    let volid = place.volid();
    let who = if place.is_shared {
        format!("{} (shared)", place.storage)
    } else {
        node.clone()
    };
    let recorded = recorded(desired, observed, &place.storage, node);
    let same = recorded.filter(|file| file.content == desired.content());
    let size = seen.files.get(&place.volume).copied();
    let write = |replaces| {
        obstacle(desired, observed, index, place, seen)
            .unwrap_or_else(|| Finding::step(transfer(target, place.clone(), replaces)))
    };
    match (size, same, recorded) {
        (Some(size), Some(same), _) if size == same.bytes.size_bytes => None,
        (Some(size), Some(same), _) => {
            let sentence = format!(
                "{who}: {volid} has {size} bytes instead of {}",
                same.bytes.size_bytes
            );
            // What was there before us is not ours to replace.
            Some(if same.is_ours || desired.overwrite {
                write(true).because(sentence)
            } else {
                same_name(desired, target, node).because(sentence)
            })
        }
        (None, Some(_), _) => Some(write(false).because(format!("{who}: {volid} is gone"))),
        (Some(_), None, _) if desired.overwrite => Some(write(true)),
        // Ours, of former content.
        (Some(_), None, Some(_)) => Some(same_name(desired, target, node)),
        (Some(size), None, None) => Some(foreign(desired, observed, target, place, size)),
        (None, None, _) => Some(write(false)),
    }
}

/// A file that we did not write has the name of ours.
fn foreign(
    desired: &Desired,
    observed: &Observed,
    target: &Target,
    place: &FilePlace,
    size: u64,
) -> Finding {
    if target.transfer == Transfer::Download {
        // Proxmox compares the file with our hash, and refuses another one.
        return Finding::step(transfer(target, place.clone(), false));
    }
    let known = observed.bytes(desired);
    if known.as_ref().is_some_and(|bytes| bytes.size_bytes != size) {
        return same_name(desired, target, &place.nodes[0]);
    }
    let detail = format!(
        "{} on {} was not written by this resource. A storage tells the size of a file and nothing of \
         its content: if the size is the same, the file is taken for the image and left there when \
         the resource goes. To be sure, remove it, set overwrite = true, or transfer = \"download\", \
         which compares checksums.",
        place.volid(),
        listed(&place.nodes)
    );
    Finding {
        steps: vec![Step::AdoptFile(place.clone())],
        warning: Some(problem(
            false,
            &["file_name"],
            "A file of this name is there",
            detail,
        )),
        ..Finding::default()
    }
}

/// What stands against writing to a storage.
fn obstacle(
    desired: &Desired,
    observed: &Observed,
    index: &str,
    place: &FilePlace,
    seen: &StorageSeen,
) -> Option<Finding> {
    let kind = desired.content_kind();
    let at = ["proxmox", index, "storage"];
    let on = if place.is_shared {
        String::new()
    } else {
        format!(" on {}", place.nodes[0])
    };
    if !seen.content.is_empty() && !seen.content.iter().any(|known| known == kind.as_str()) {
        return Some(Finding::refuses(
            &at,
            "The storage does not take such images",
            format!(
                "Storage {}{on} has content {}, and {} needs \"{kind}\". Enable it: pvesm set {} \
                 --content {},{kind}",
                place.storage,
                seen.content.join(","),
                desired.file_name,
                place.storage,
                seen.content.join(",")
            ),
        ));
    }
    let needed = observed.bytes(desired)?.size_bytes;
    let freed = seen.files.get(&place.volume).copied().unwrap_or_default();
    let available = seen.available_bytes?.saturating_add(freed);
    (available < needed).then(|| {
        Finding::refuses(
            &at,
            "The storage is full",
            format!(
                "Storage {}{on} has {available} bytes free, the image has {needed}.",
                place.storage
            ),
        )
    })
}

/// The file on this machine. That it is missing is no reason for anything where others hold the
/// image: every machine that runs this would have to make it anew.
fn local(desired: &Desired, observed: &Observed) -> Option<Finding> {
    let path = desired.local_file.as_ref()?;
    let write = || Finding::step(Step::WriteLocal { path: path.clone() });
    let content = desired.content();
    let recorded = observed.recorded.local.as_ref();
    let recorded = recorded.filter(|local| local.path == *path && local.content == content);
    let Some(recorded) = recorded else {
        return Some(write());
    };
    match observed.local.get(path)? {
        Fact::Unknown(why) => Some(Finding::unseen(format!("{path} cannot be read: {why}"))),
        Fact::Known(Some(seen)) => {
            let is_other = seen
                .sha256
                .as_ref()
                .is_some_and(|sha256| *sha256 != recorded.bytes.sha256);
            if seen.size_bytes != recorded.bytes.size_bytes {
                let sentence = format!(
                    "{path} has {} bytes instead of {}",
                    seen.size_bytes, recorded.bytes.size_bytes
                );
                return Some(write().because(sentence));
            }
            is_other.then(|| write().because(format!("{path} has other content")))
        }
        Fact::Known(None) => {
            let is_alone = desired.targets.is_empty() && desired.artifact.is_none();
            match &desired.source {
                _ if !is_alone => None,
                Source::Imager(_) => Some(Finding::unseen(format!(
                    "{path} is not on this machine, and nothing else holds the image"
                ))),
                _ => Some(write().because(format!("{path} is gone"))),
            }
        }
    }
}

/// Brings the bytes that other steps need, or takes these steps away.
fn supply(desired: &Desired, observed: &Observed, found: &mut Vec<Finding>) {
    let content = desired.content();
    let steps = || found.iter().flat_map(|finding| &finding.steps);
    let needs_bytes = |step: &Step| {
        matches!(
            step,
            Step::Upload { .. } | Step::WriteLocal { .. } | Step::PublishArtifact { .. }
        )
    };
    let needs_hash = |step: &Step| matches!(step, Step::DownloadByNode { .. } | Step::AdoptFile(_));
    let is_needed = (steps().any(needs_bytes) && observed.at_hand.as_deref() != Some(&content))
        || (steps().any(needs_hash) && observed.bytes(desired).is_none());
    if !is_needed {
        return;
    }
    match origin(desired, observed) {
        Ok(step) => found.insert(0, Finding::step(step)),
        Err(waits) => {
            for finding in found.iter_mut() {
                finding
                    .steps
                    .retain(|step| !needs_bytes(step) && !needs_hash(step));
            }
            found.insert(0, Finding::waits(waits));
        }
    }
}

/// Where the image is fetched, or what is waited for.
fn origin(desired: &Desired, observed: &Observed) -> Result<Step, String> {
    let fetch = |origin| Step::FetchImage {
        origin,
        keeps_bytes: desired.keeps_bytes(),
    };
    match &desired.source {
        Source::Copy(_) => Ok(fetch(Origin::Handle)),
        Source::Factory { url, id, .. } => match observed.schematics.get(id.as_str()) {
            Some(Fact::Unknown(why)) => Err(format!(
                "the factory {} does not answer: {why}",
                url.as_str()
            )),
            _ => Ok(fetch(Origin::Factory(
                desired.image_url().unwrap_or_default(),
            ))),
        },
        Source::Imager(_) => made(desired, observed).map(|known| match known {
            Some(origin) => fetch(origin),
            None => Step::Build {
                output: desired.imager_output().unwrap_or(ImagerOutput::Iso),
                platform: desired.variant.platform.clone(),
            },
        }),
    }
}

/// Where an image of the imager lies already; nothing is built that is somewhere, or may be.
fn made(desired: &Desired, observed: &Observed) -> Result<Option<Origin>, String> {
    if let Some(path) = &desired.local_file
        && let Some(Fact::Known(Some(seen))) = observed.local.get(path)
        && let Some(recorded) = &observed.recorded.local
        && recorded.path == *path
        && recorded.content == desired.content()
        && seen.sha256.as_ref() == Some(&recorded.bytes.sha256)
    {
        return Ok(Some(Origin::Path(path.clone())));
    }
    let Some(place) = &desired.artifact else {
        return Ok(None);
    };
    if let Some(seen) = observed.artifact(desired) {
        let reference = format!("{}@{}", place.repository, seen.digest);
        return Ok(Some(Origin::Artifact(reference)));
    }
    if let Some(recorded) = observed.recorded.tag(place)
        && recorded.content == desired.content()
    {
        let reference = format!("{}@{}", place.repository, recorded.digest);
        if observed.kept.contains(&reference) {
            return Ok(Some(Origin::Artifact(reference)));
        }
    }
    match observed.tags.get(&place.to_string()) {
        Some(Fact::Unknown(why)) => Err(format!(
            "the registry of {place} does not answer, and the image may be there: {why}"
        )),
        _ => Ok(None),
    }
}

/// Files of former content that we wrote; they go when everything else is in its place.
fn old(desired: &Desired, observed: &Observed, found: &mut Vec<Finding>) {
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
    if let Some(local) = &observed.recorded.local
        && desired.local_file.as_ref() != Some(&local.path)
        && !matches!(observed.local.get(&local.path), Some(Fact::Known(None)))
    {
        let path = local.path.clone();
        found.push(Finding::step(Step::RemoveLocal { path }));
    }
}

/// The step that removes a file of ours; none if it is gone or its storage does not answer.
pub(super) fn remove(observed: &Observed, file: &RecordedFile) -> Option<Step> {
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

impl Desired {
    /// Whether a recorded file is one that should be there.
    pub(super) fn wants(&self, file: &RecordedFile) -> bool {
        self.has_image()
            && file.volume == self.volume()
            && self.targets.iter().any(|target| {
                target.storage == file.storage
                    && (file.is_shared || target.nodes.contains(&file.node))
            })
    }
}
