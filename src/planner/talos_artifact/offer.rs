//! A wish against what its factory offers: versions and extensions by name.

use super::{
    desired::{Desired, Source},
    extension::{Lookup, look_up},
    release::missing_version,
    wish::Wish,
};
use crate::{facts::Fact, problem::Problems};

/// What a factory offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Versions of Talos, with `v`.
    pub versions: Fact<Vec<String>>,
    /// Names of official extensions for the wanted version; `None` if they were not asked for.
    pub extensions: Option<Fact<Vec<String>>>,
    /// Names of official overlays for the wanted version; `None` if they were not asked for.
    pub overlays: Option<Fact<Vec<String>>>,
}

/// Collects what the factory does not have. That it does not answer is said, and nothing guessed.
pub fn check_offer(wish: &Wish, desired: &Desired, offer: &Offer, problems: &mut Problems) {
    let Source::Factory { url, schematic, .. } = &desired.source else {
        return;
    };
    let url = url.as_str();
    let version = &desired.variant.version;
    match &offer.versions {
        Fact::Known(versions) => {
            if let Some(instead) = missing_version(version, versions) {
                problems.error(
                    &["talos_version"],
                    format!("The factory does not offer Talos {version}"),
                    format!("{url}: {instead}."),
                );
                return;
            }
        }
        Fact::Unknown(why) => {
            problems.warning(
                &["talos_version"],
                "Versions and extensions cannot be checked now",
                format!("{url} does not answer: {why}. A mistake in them shows when it builds."),
            );
            return;
        }
    }
    let is_raw = wish.schematic.is_some();
    if let Some(Fact::Known(offered)) = &offer.extensions {
        for (index, name) in schematic.extensions.iter().enumerate() {
            let index = index.to_string();
            let place: &[&str] = if is_raw {
                &["schematic"]
            } else {
                &["extensions", &index]
            };
            match look_up(name, offered) {
                Lookup::Offered => {}
                Lookup::Renamed(now) => problems.warning(
                    place,
                    "An extension was renamed",
                    format!(
                        "The factory takes {now} for {name}. The name is part of the id: with the new \
                         one, the image has another."
                    ),
                ),
                Lookup::Missing(near) => problems.error(
                    place,
                    format!("No extension {name} for Talos {version}"),
                    near.map_or_else(
                        || format!("{url} offers {} others.", offered.len()),
                        |near| format!("{url} offers {near}: did you mean that?"),
                    ),
                ),
            }
        }
    }
    let overlay = &schematic.overlay.name;
    if let Some(Fact::Known(offered)) = &offer.overlays
        && !overlay.is_empty()
        && !offered.contains(overlay)
    {
        let near = crate::near::nearest(overlay, offered.iter().map(String::as_str));
        let place: &[&str] = if is_raw {
            &["schematic"]
        } else {
            &["overlay", "name"]
        };
        problems.error(
            place,
            format!("No overlay {overlay} for Talos {version}"),
            near.map_or_else(
                || format!("{url} offers {} others.", offered.len()),
                |near| format!("{url} offers {near}: did you mean that?"),
            ),
        );
    }
    for (fact, what) in [
        (&offer.extensions, "extensions"),
        (&offer.overlays, "overlays"),
    ] {
        if let Some(Fact::Unknown(why)) = fact {
            problems.warning(
                &["talos_version"],
                format!("The names of {what} cannot be checked now"),
                format!("{url} does not answer: {why}. A mistake in them shows when it builds."),
            );
        }
    }
}

#[cfg(test)]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
mod tests;
