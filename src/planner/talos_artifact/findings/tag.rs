//! Tags: of the installer, and of the image as an artifact.

use super::Finding;
use crate::{
    facts::Fact,
    talos_artifact::{
        desired::{Desired, Installer, Source, Tagged},
        imager::ImagerOutput,
        observed::{Bytes, Observed, TagSeen},
        step::Step,
    },
};

pub(super) fn artifact(desired: &Desired, observed: &Observed) -> Option<Finding> {
    let place = desired.artifact.as_ref()?;
    let content = desired.content();
    let publish = |replaces| {
        Finding::step(Step::PublishArtifact {
            place: place.clone(),
            replaces,
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
    let bytes = observed.bytes(desired);
    tag(
        observed,
        (&["artifact_repository"], place),
        (&content, bytes.as_ref()),
        false,
        publish,
        refuse,
    )
}

pub(super) fn installer(desired: &Desired, observed: &Observed) -> Option<Finding> {
    let wanted = desired.installer.as_ref()?;
    let content = desired.installer_content()?;
    let Installer {
        place,
        overwrite_tag,
        ..
    } = wanted;
    let write = |replaces| match desired.factory_installer() {
        Some(from) => Finding::step(Step::CopyInstaller {
            from,
            place: place.clone(),
            replaces,
        }),
        None => push(wanted, observed, &content, replaces),
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
            _ => write(*overwrite_tag),
        });
    }
    let wanted = (&*content, None);
    let named = (&["installer", "repository"][..], place);
    tag(observed, named, wanted, *overwrite_tag, write, refuse)
}

/// The digest of the factory's installer, where it is used as it is.
pub(super) fn factory_installer(desired: &Desired, observed: &Observed) -> Option<Finding> {
    if desired.installer.is_some() {
        return None;
    }
    let from = desired.factory_installer()?;
    let recorded = observed.recorded.factory_installer.as_ref();
    let is_asked = recorded.is_some_and(|known| known.reference == from);
    let fact = match &desired.source {
        Source::Factory { url, id, .. } => observed.schematic(url, id),
        _ => None,
    };
    let is_silent = fact.is_some_and(|fact| fact.known().is_none());
    (!is_asked && !is_silent).then(|| Finding::step(Step::AskInstaller { from }))
}

/// The installer of the imager: built first, unless it lies ready.
fn push(wanted: &Installer, observed: &Observed, content: &str, replaces: bool) -> Finding {
    let mut steps = Vec::new();
    if observed.installer_at_hand.as_deref() != Some(content) {
        steps.push(Step::Build {
            output: ImagerOutput::Installer,
            platform: wanted.platform.clone(),
        });
    }
    steps.push(Step::PushInstaller {
        place: wanted.place.clone(),
        replaces,
    });
    Finding {
        steps,
        ..Finding::default()
    }
}

/// The same image, built another time: whoever takes it from there has other bytes than we have.
fn other_build(place: &Tagged, seen: &TagSeen, bytes: Option<&Bytes>) -> Finding {
    Finding::refuses(
        &["artifact_repository"],
        "A tag leads to another build of the image",
        format!(
            "{place} leads to {}, the same image with other bytes: SHA-256 {}, and this resource has {}. \
             To take that one everywhere, replace this resource (-replace=ADDRESS). To keep this one, \
             remove the tag there, or take another repository.",
            seen.digest,
            seen.sha256.as_deref().unwrap_or_default(),
            bytes.map(|bytes| &*bytes.sha256).unwrap_or_default()
        ),
    )
}

/// A tag against the record: what it should lead to, and what to do when it does not.
fn tag(
    observed: &Observed,
    (named_at, place): (&[&str], &Tagged),
    (content, bytes): (&str, Option<&Bytes>),
    overwrites: bool,
    write: impl Fn(bool) -> Finding,
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
                Finding::waits(named_at, sentence)
            });
        }
        // Not looked at: what the record says holds.
        None => {
            return match (same, recorded) {
                (Some(_), _) => None,
                (None, Some(other)) if !overwrites => Some(refuse(&other.digest)),
                (None, other) => Some(write(other.is_some())),
            };
        }
    };
    let restore = |digest: &str| {
        let is_kept = observed
            .kept
            .contains(&format!("{}@{digest}", place.repository));
        if is_kept {
            return Finding::step(Step::RestoreTag {
                place: place.clone(),
                digest: digest.to_owned(),
            });
        }
        match seen {
            // Lost here, and made anew by somebody else: no reason to make it once more.
            Some(seen) if seen.content.as_deref() == Some(content) => {
                Finding::step(Step::AdoptTag {
                    place: place.clone(),
                    digest: seen.digest.clone(),
                })
            }
            seen => write(seen.is_some()),
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
            let is_other_build = bytes
                .zip(seen.sha256.as_ref())
                .is_some_and(|(bytes, sha256)| bytes.sha256 != *sha256);
            if is_other_build {
                return Some(other_build(place, seen, bytes));
            }
            Some(Finding::step(Step::AdoptTag {
                place: place.clone(),
                digest: seen.digest.clone(),
            }))
        }
        (Some(seen), None) if !overwrites => Some(refuse(&seen.digest)),
        (seen, None) => Some(write(seen.is_some())),
    }
}
