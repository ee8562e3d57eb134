//! One build from the wish to the finished file.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    claim::Claims,
    engine::{self, Engine},
    event::Events,
    keep,
    percent::Percent,
    place::{Made, Manifest, Place},
    pulled,
    request::Wish,
};
use crate::{
    failure::Failed,
    lock::{self, Lock},
    observe,
    proto::{
        BuildImageRequest, BuiltImage, build_image_event::Phase, build_image_request::Pull,
        failure::Kind,
    },
    root::Root,
};

/// How often a waiting call looks who it waits for.
const LOOK: Duration = Duration::from_secs(1);

/// Finds or makes a build. Must be called from a thread for blocking work.
pub(crate) fn build(
    root: &Root,
    request: BuildImageRequest,
    operator: &str,
    claims: &Claims,
    events: &Events,
) -> Result<BuiltImage, Failed> {
    let wish = Wish::new(root, request)?;
    let place = Place::new(root, wish.id.clone());
    let _lock = turn(root, &wish, operator, events)?;
    events.phase(Phase::Checking);
    if let Some(manifest) = place.finished()? {
        return found(&wish, &place, manifest, claims);
    }
    let engine = engine::find(root, &wish.engine)?;
    keep::end_attempt(root, &place)?;
    place.remove()?;
    check_space(root, &wish)?;
    let manifest = match attempt(root, &wish, &place, &engine, operator, events) {
        Ok(manifest) => manifest,
        Err(failed) => {
            // If that fails too, the next call does it.
            let _ = engine
                .remove_container(&wish.id)
                .and_then(|()| place.remove())
                .and_then(|()| pulled::sweep(root, operator));
            return Err(failed);
        }
    };
    hold(claims, &place)?;
    // A build that is there is not lost to what others left.
    let _ = keep::tidy(root, &wish.id, operator);
    Ok(place.built(manifest, false))
}

/// One run of the builder, from its image to the finished file.
fn attempt(
    root: &Root,
    wish: &Wish,
    place: &Place,
    engine: &Engine,
    operator: &str,
    events: &Events,
) -> Result<Manifest, Failed> {
    let until = Instant::now() + wish.limit;
    let out = place.begin(root, engine.name, operator)?;
    let there = pulled::look(root, engine, &wish.image, &wish.id, operator)?;
    let image_id = image(wish, engine, there, until, events)?;
    engine.remove_container(&wish.id)?;
    events.phase(Phase::Building);
    engine.build(wish, &out, until, &mut hear(events))?;
    events.phase(Phase::Hashing);
    let made = Made {
        engine,
        image_id,
        operator,
    };
    place.finish(wish, &out, &made)
}

fn hold(claims: &Claims, place: &Place) -> Result<(), Failed> {
    claims
        .hold(place)
        .map_err(|error| Failed::internal(place.id.as_str(), error))
}

fn found(
    wish: &Wish,
    place: &Place,
    manifest: Manifest,
    claims: &Claims,
) -> Result<BuiltImage, Failed> {
    if manifest.output != wish.output {
        let message = format!(
            "build {} made {}, not {}: its id does not stand for all of its wish",
            wish.id.as_str(),
            manifest.output,
            wish.output
        );
        return Err(Failed::invalid(wish.id.as_str(), message));
    }
    hold(claims, place)?;
    Ok(place.built(manifest, true))
}

/// Waits until nobody else makes or deletes the same build, and says who does.
fn turn(root: &Root, wish: &Wish, operator: &str, events: &Events) -> Result<Lock, Failed> {
    let until = Instant::now() + wish.limit;
    let mut told = None;
    let mut wait = Duration::ZERO;
    loop {
        match lock::take(root, &wish.id.lock(), operator, wait) {
            Err(failed) if failed.0.kind() == Kind::Locked && Instant::now() < until => {
                if events.is_closed() {
                    return Err(failed);
                }
                if told.as_ref() != Some(&failed.0.holder) {
                    events.waiting_for(&failed.0.holder);
                    told = Some(failed.0.holder.clone());
                }
                wait = LOOK;
            }
            result => return result,
        }
    }
}

fn check_space(root: &Root, wish: &Wish) -> Result<(), Failed> {
    let directory = root.at(super::place::DIRECTORY);
    let free = observe::free_bytes(&directory);
    if free >= wish.space_bytes {
        return Ok(());
    }
    let (free, wanted) = (free >> 20, wish.space_bytes >> 20);
    let shown = directory.display();
    Err(Failed::new(
        Kind::DiskFull,
        shown.to_string(),
        format!("{free} MiB are free for {shown}, and the build needs {wanted} MiB"),
    )
    .hint("Make room on the build host; nothing was begun."))
}

/// Makes sure that the builder's image is there; answers its content's name.
fn image(
    wish: &Wish,
    engine: &Engine,
    there: Option<String>,
    until: Instant,
    events: &Events,
) -> Result<String, Failed> {
    let image = &wish.image;
    match (wish.pull, there) {
        (Pull::Missing | Pull::Never, Some(id)) => return Ok(id),
        (Pull::Never, None) => {
            return Err(Failed::new(
                Kind::NotFound,
                image,
                format!(
                    "{} has no image {image}, and is not to pull it",
                    engine.name
                ),
            )
            .hint(format!(
                "Load it on the build host (`{} load`), or let it be pulled.",
                engine.name
            )));
        }
        _ => {}
    }
    events.phase(Phase::Pulling);
    engine.pull(image, until, &mut hear(events))?;
    engine.image_id(image)?.ok_or_else(|| {
        Failed::new(
            Kind::PullFailed,
            image,
            format!("{engine} has pulled {image} and does not have it"),
        )
    })
}

/// Hands lines on, and how far they say it is.
fn hear(events: &Events) -> impl FnMut(&str) {
    let mut percent = Percent::default();
    move |line| {
        if let Some(percent) = percent.see(line) {
            events.percent(percent);
        }
        events.line(line.to_owned());
    }
}
