//! Where the bytes come from that other steps need.

use super::Finding;
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
        Source::Factory { url, id, .. } => match observed.schematic(url, id) {
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
        && let Some(recorded) = observed.recorded.local(path)
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
