//! Which builds stay: the last few, and those that somebody needs.

use std::{cmp::Reverse, time::Duration};

use super::{
    claim::{self, Claims},
    engine,
    place::Place,
    pulled,
    request::BuildId,
};
use crate::{
    failure::Failed,
    ledger::Ledger,
    lock,
    proto::{BuiltImage, Outcome, RemoveBuildRequest, RemoveBuildResponse, failure::Kind},
    remove,
    root::Root,
};

/// Finished builds that stay when nobody removes them: an ISO, a disk image and an installer of one
/// version.
const KEPT: usize = 3;

/// Longest wait for others to look whether a build is there.
const MOMENT: Duration = Duration::from_secs(2);

/// There is something of builds on this host.
pub(crate) fn any(root: &Root) -> Result<bool, Failed> {
    Ok(!Place::all(root)?.is_empty() || pulled::any(root))
}

/// Builds that are finished, for people.
pub(crate) fn all(root: &Root) -> Result<Vec<BuiltImage>, Failed> {
    let mut found = Vec::new();
    for place in Place::all(root)? {
        if let Some(manifest) = place.manifest()? {
            found.push(place.built(manifest, true));
        }
    }
    Ok(found)
}

/// Removes a build at its caller's wish.
pub(crate) fn remove(
    root: &Root,
    request: &RemoveBuildRequest,
    operator: &str,
    claims: &Claims,
) -> Result<RemoveBuildResponse, Failed> {
    let place = Place::new(root, BuildId::new(&request.build_id)?);
    claims.release(&place.id);
    let mut response = RemoveBuildResponse::default();
    {
        // Whoever asks for the same build holds it for a moment, and for long only while he makes it.
        let _lock = lock::take(root, &place.id.lock(), operator, MOMENT)?;
        if place.exists() {
            response.in_use = !remove_unless_used(root, &place)?;
            if !response.in_use {
                response.outcome = Outcome::Updated.into();
            }
        }
    }
    // An image that stays takes room and is found by the next build; what was asked for is done.
    let _ = pulled::sweep(root, operator);
    let _lock = lock::host(root, operator)?;
    response.host_clean = remove::leave_if_last(root, &Ledger::load(root)?)?;
    Ok(response)
}

/// Removes what was cut off, and builds that are too many and that nobody needs; `newest` stays.
/// Others' builds that run just now are left alone.
pub(super) fn tidy(root: &Root, newest: &BuildId, operator: &str) -> Result<(), Failed> {
    let mut places = Place::all(root)?;
    places.retain(|place| place.id != *newest);
    places.sort_by_key(|place| Reverse(place.last_used()));
    let mut finished = 1;
    for place in places {
        let Ok(_lock) = lock::take(root, &place.id.lock(), operator, Duration::ZERO) else {
            continue;
        };
        if place.manifest()?.is_some() {
            finished += 1;
            if finished > KEPT {
                remove_unless_used(root, &place)?;
            }
        } else {
            end_attempt(root, &place)?;
            place.remove()?;
        }
    }
    pulled::sweep(root, operator)
}

/// Ends the container of an attempt that was cut off. The caller holds the build's lock.
pub(super) fn end_attempt(root: &Root, place: &Place) -> Result<(), Failed> {
    let Some(attempt) = place.attempt()? else {
        return Ok(());
    };
    match engine::find(root, &attempt.engine) {
        Ok(engine) => engine.remove_container(&place.id),
        // An engine that is gone must not be in the way for good. What it may still run writes into
        // its own attempt's directory, which nobody reads.
        Err(failed) if failed.0.kind() == Kind::EngineUnavailable => Ok(()),
        Err(failed) => Err(failed),
    }
}

fn remove_unless_used(root: &Root, place: &Place) -> Result<bool, Failed> {
    let alone = claim::alone(place).map_err(|error| Failed::internal(place.id.as_str(), error))?;
    if alone.is_none() {
        return Ok(false);
    }
    end_attempt(root, place)?;
    place.remove()?;
    Ok(true)
}
