//! Where the bytes come from that other steps need.

use super::{Finding, Wait};
use crate::{
    facts::Fact,
    talos_artifact::{
        desired::{Desired, Source},
        imager::ImagerOutput,
        observed::Observed,
        step::{Origin, Step},
    },
};

/// Brings the bytes that other steps need, or takes these steps away.
pub(super) fn supply(desired: &Desired, observed: &Observed, found: &mut Vec<Finding>) {
    let content = desired.content();
    let steps = || found.iter().flat_map(|finding| &finding.steps);
    let needs_bytes = |step: &Step| {
        matches!(
            step,
            Step::Upload { .. } | Step::WriteLocal { .. } | Step::PublishArtifact { .. }
        )
    };
    let needs_hash = |step: &Step| {
        matches!(
            step,
            Step::DownloadByNode { .. } | Step::AdoptFile(_) | Step::AdoptLocal { .. }
        )
    };
    // The hash is an output, also where nothing is put anywhere: a factory does not tell it.
    let is_refused = found.iter().any(|finding| finding.refusal.is_some());
    let is_factory = matches!(desired.source, Source::Factory { .. });
    let is_wanted = desired.has_image() && is_factory && !is_refused;
    let is_needed = (steps().any(needs_bytes) && observed.at_hand.as_deref() != Some(&content))
        || ((is_wanted || steps().any(needs_hash)) && observed.bytes(desired).is_none());
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
            found.insert(0, waits.into());
        }
    }
}

/// Where the image is fetched, or what is waited for.
fn origin(desired: &Desired, observed: &Observed) -> Result<Step, Wait> {
    let fetch = |origin| Step::FetchImage {
        origin,
        keeps_bytes: desired.keeps_bytes(),
    };
    match &desired.source {
        Source::Copy(_) => Ok(fetch(Origin::Handle)),
        Source::Factory { url, id, .. } => match in_registry(desired, observed) {
            Ok(Some(origin)) => Ok(fetch(origin)),
            // Ours lie there, or nobody knows which bytes do.
            Err(waits) if is_registered(desired, observed) => Err(waits),
            Err(waits) if observed.bytes(desired).is_none() => Err(waits),
            _ => match observed.schematic(url, id) {
                Some(Fact::Unknown(why)) => Err(Wait::new(
                    &["factory_url"],
                    format!("the factory {} does not answer: {why}", url.as_str()),
                )),
                _ => Ok(fetch(Origin::Factory(
                    desired.image_url().unwrap_or_default(),
                ))),
            },
        },
        Source::Imager(_) => {
            let origin = match in_file(desired, observed) {
                Some(path) => Some(path),
                None => in_registry(desired, observed)?,
            };
            Ok(origin.map_or_else(
                || Step::Build {
                    output: desired.imager_output().unwrap_or(ImagerOutput::Iso),
                    platform: desired.variant.platform.clone(),
                },
                fetch,
            ))
        }
    }
}

/// The file on this machine, where it is what we wrote and what is wanted: an image of the imager is
/// not made twice.
fn in_file(desired: &Desired, observed: &Observed) -> Option<Origin> {
    let path = desired.local_file.as_ref()?;
    let seen = observed.local.get(path)?.known()?.as_ref()?;
    let recorded = observed.recorded.local(path)?;
    let is_ours = recorded.content == desired.content()
        && seen.sha256.as_ref() == Some(&recorded.bytes.sha256)
        && observed.bytes(desired).as_ref() == Some(&recorded.bytes);
    is_ours.then(|| Origin::Path(path.clone()))
}

/// Whether an apply of ours left the image in the registry.
fn is_registered(desired: &Desired, observed: &Observed) -> bool {
    let place = desired.artifact.as_ref();
    let recorded = place.and_then(|place| observed.recorded.tag(place));
    recorded.is_some_and(|tag| tag.content == desired.content())
}

/// The artifact in the registry with the bytes that are wanted; an error if it may be there.
fn in_registry(desired: &Desired, observed: &Observed) -> Result<Option<Origin>, Wait> {
    let Some(place) = &desired.artifact else {
        return Ok(None);
    };
    let wanted = observed.bytes(desired);
    let is_wanted = |sha256: Option<&String>| {
        let bytes = wanted.as_ref();
        bytes.is_none_or(|bytes| sha256.is_none_or(|sha256| *sha256 == bytes.sha256))
    };
    if let Some(seen) = observed.artifact(desired)
        && is_wanted(seen.sha256.as_ref())
    {
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
        Some(Fact::Unknown(why)) => Err(Wait::new(
            &["artifact_repository"],
            format!("the registry of {place} does not answer, and the image may be there: {why}"),
        )),
        _ => Ok(None),
    }
}
