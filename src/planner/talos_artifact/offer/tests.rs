use expect_test::{Expect, expect};

use super::*;
use crate::talos_artifact::fixture::{lines, read, wish};

fn check(change: impl Fn(&mut Wish, &mut Offer), expected: &Expect) {
    let names = |names: &[&str]| Fact::Known(names.iter().map(|name| (*name).to_owned()).collect());
    let mut offer = Offer {
        versions: names(&["v1.10.7", "v1.11.5", "v1.12.0"]),
        extensions: Some(names(&["siderolabs/i915", "siderolabs/qemu-guest-agent"])),
        overlays: None,
    };
    let mut wish = wish();
    change(&mut wish, &mut offer);
    let mut problems = Problems::default();
    check_offer(&wish, &read(&wish), &offer, &mut problems);
    expected.assert_eq(&lines(&problems.0));
}

#[test]
fn what_is_offered_is_fine() {
    check(|_, _| {}, &expect![""]);
}

#[test]
fn a_version_that_is_not_offered_is_named_with_a_near_one() {
    check(
        |wish, _| wish.talos_version = "v1.11.6".to_owned(),
        &expect![
            "E talos_version: The factory does not offer Talos v1.11.6: https://factory.talos.dev: the newest of its line there is v1.11.5."
        ],
    );
}

#[test]
fn extensions_that_are_not_offered_or_renamed_are_named() {
    check(
        |wish, _| {
            wish.extensions = [
                "siderolabs/qemu-guest-agnt",
                "siderolabs/i915-ucode",
                "x/zzzzzzzz",
            ]
            .map(str::to_owned)
            .to_vec();
        },
        &expect![[r#"
            E extensions.0: No extension siderolabs/qemu-guest-agnt for Talos v1.11.5: https://factory.talos.dev offers siderolabs/qemu-guest-agent: did you mean that?
            W extensions.1: An extension was renamed: The factory takes siderolabs/i915 for siderolabs/i915-ucode. The name is part of the id: with the new one, the image has another.
            E extensions.2: No extension x/zzzzzzzz for Talos v1.11.5: https://factory.talos.dev offers 2 others."#]],
    );
    check(
        |wish, _| {
            wish.extensions.clear();
            let yaml = "customization: {systemExtensions: {officialExtensions: [siderolabs/i916]}}";
            wish.schematic = Some(yaml.to_owned());
        },
        &expect![
            "E schematic: No extension siderolabs/i916 for Talos v1.11.5: https://factory.talos.dev offers siderolabs/i915: did you mean that?"
        ],
    );
}

#[test]
fn overlays_that_are_not_offered_are_named() {
    check(
        |wish, offer| {
            offer.overlays = Some(Fact::Known(vec!["rpi_generic".to_owned()]));
            wish.extensions.clear();
            wish.schematic = Some("overlay: {image: a, name: rpi_genric}".to_owned());
        },
        &expect![
            "E schematic: No overlay rpi_genric for Talos v1.11.5: https://factory.talos.dev offers rpi_generic: did you mean that?"
        ],
    );
}

#[test]
fn silence_is_said_and_nothing_guessed() {
    let silent = || Fact::Unknown("connection refused".to_owned());
    check(
        |_, offer| offer.versions = silent(),
        &expect![
            "W talos_version: Versions and extensions cannot be checked now: https://factory.talos.dev does not answer: connection refused. A mistake in them shows when it builds."
        ],
    );
    check(
        |_, offer| offer.extensions = Some(silent()),
        &expect![
            "W talos_version: The names of extensions cannot be checked now: https://factory.talos.dev does not answer: connection refused. A mistake in them shows when it builds."
        ],
    );
}
