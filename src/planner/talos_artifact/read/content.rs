//! What is in an image.

use std::collections::BTreeMap;

use super::word;
use crate::{
    problem::Problems,
    talos_artifact::{
        desired::Source,
        extension,
        platform::{Architecture, PLATFORMS, Platform},
        reference::{FactoryUrl, PUBLIC_FACTORY, Variant},
        release::TalosVersion,
        schematic::{Bootloader, Meta, Overlay, Schematic, SchematicId},
        wish::Wish,
    },
};

pub(super) fn variant(wish: &Wish, problems: &mut Problems) -> Option<Variant> {
    let version = TalosVersion::parse(&wish.talos_version)
        .map_err(|error| {
            problems.error(&["talos_version"], "Invalid version", format!("{error}."));
        })
        .ok();
    let platforms = PLATFORMS.map(|known| known.name);
    let platform = wish.platform.as_deref().unwrap_or("nocloud");
    let platform = word("platform", platform, &platforms, problems);
    let architectures = Architecture::ALL.map(Architecture::as_str);
    let architecture = wish.architecture.as_deref().unwrap_or("amd64");
    let architecture = word("architecture", architecture, &architectures, problems);
    let variant = Variant {
        version: version?,
        platform: platform?.to_owned(),
        architecture: Architecture::parse(architecture?)?,
        secure_boot: wish.secure_boot,
    };
    let known = Platform::find(&variant.platform)?;
    if let Some(fault) = known.refuses(&variant.version, variant.architecture, wish.secure_boot) {
        problems.error(&["platform"], "There is no such image", fault);
    }
    if wish.secure_boot && !variant.version.at_least(1, 5) {
        problems.error(
            &["secure_boot"],
            "No secure boot in this version",
            "Secure boot came with Talos 1.5.",
        );
    }
    Some(variant)
}

pub(super) fn factory(wish: &Wish, problems: &mut Problems) -> Option<Source> {
    for (attribute, is_set) in [
        ("extension_images", !wish.extension_images.is_empty()),
        ("builder", wish.builder.is_some()),
    ] {
        if is_set {
            problems.error(
                &[attribute],
                format!("{attribute} needs mode \"imager\""),
                "A factory builds from official extensions only, and builds them itself. Set mode = \
                 \"imager\", or remove it.",
            );
        }
    }
    let text = wish
        .factory_url
        .as_deref()
        .or(wish.default_factory_url.as_deref())
        .unwrap_or(PUBLIC_FACTORY);
    let url = FactoryUrl::parse(text);
    if url.is_none() {
        // A password may stand before the host.
        let shown = text.rsplit_once('@').map_or(text, |(_, host)| host);
        problems.error(
            &["factory_url"],
            "Invalid URL",
            format!(
                "\"{shown}\" is not a scheme and a host such as {PUBLIC_FACTORY}, with nothing else. A login is \
                 given in the factory block of the provider."
            ),
        );
    }
    let schematic = match &wish.schematic {
        Some(yaml) => raw_schematic(wish, yaml, problems),
        None => written_schematic(wish, problems),
    }?;
    let id = wish
        .server_id
        .as_deref()
        .and_then(SchematicId::parse)
        .unwrap_or_else(|| schematic.id());
    Some(Source::Factory {
        url: url?,
        schematic,
        id,
    })
}

fn raw_schematic(wish: &Wish, yaml: &str, problems: &mut Problems) -> Option<Schematic> {
    for (attribute, is_set) in [
        ("extensions", !wish.extensions.is_empty()),
        ("kernel_args", !wish.kernel_args.is_empty()),
        ("meta", !wish.meta.is_empty()),
        ("bootloader", wish.bootloader.is_some()),
        ("overlay", wish.overlay.is_some()),
    ] {
        if is_set {
            problems.error(
                &[attribute],
                format!("schematic and {attribute} exclude each other"),
                format!("A schematic is the whole content. Write {attribute} in it, or remove it."),
            );
        }
    }
    match Schematic::parse(yaml) {
        Ok(schematic) => Some(schematic),
        Err(error) => {
            for fault in error.0 {
                let end = if fault.what.ends_with('?') { "" } else { "." };
                let detail = format!("{fault}{end}");
                problems.error(&["schematic"], "Invalid schematic", detail);
            }
            None
        }
    }
}

fn written_schematic(wish: &Wish, problems: &mut Problems) -> Option<Schematic> {
    for (index, name) in wish.extensions.iter().enumerate() {
        let place = ["extensions", &index.to_string()];
        if !extension::is_name(name) {
            problems.error(
                &place,
                "Invalid name of an extension",
                format!(
                    "\"{name}\" is not a name such as siderolabs/qemu-guest-agent. Images of \
                     extensions need mode \"imager\" and extension_images."
                ),
            );
        }
        if wish.extensions[..index].contains(name) {
            problems.error(
                &place,
                "An extension stands twice",
                format!(
                    "\"{name}\" stands above already; it would make another id of the same content."
                ),
            );
        }
    }
    kernel_args(wish, problems);
    let meta = meta(wish, problems);
    let overlay = wish.overlay.as_ref().map(|overlay| {
        for (member, text) in [("image", &overlay.image), ("name", &overlay.name)] {
            if text.is_empty() {
                problems.error(
                    &["overlay", member],
                    "Incomplete overlay",
                    "An overlay has an image and a name.",
                );
            }
        }
        Overlay {
            image: overlay.image.clone(),
            name: overlay.name.clone(),
            options: overlay.options.clone().into_iter().collect(),
        }
    });
    Some(Schematic {
        overlay: overlay.unwrap_or_default(),
        kernel_args: wish.kernel_args.clone(),
        meta: meta?
            .into_iter()
            .map(|(key, value)| Meta { key, value })
            .collect(),
        extensions: wish.extensions.clone(),
        bootloader: bootloader(wish, problems)?,
        ..Schematic::default()
    })
}

fn bootloader(wish: &Wish, problems: &mut Problems) -> Option<Bootloader> {
    let Some(text) = wish.bootloader.as_deref() else {
        return Some(Bootloader::Automatic);
    };
    let known: Vec<&str> = Bootloader::ALL[1..]
        .iter()
        .map(|known| known.as_str())
        .collect();
    let found = word("bootloader", text, &known, problems)?;
    Bootloader::ALL
        .into_iter()
        .find(|known| known.as_str() == found)
}

pub(super) fn kernel_args(wish: &Wish, problems: &mut Problems) {
    for (index, argument) in wish.kernel_args.iter().enumerate() {
        if argument.is_empty() || argument.contains(char::is_whitespace) {
            problems.error(
                &["kernel_args", &index.to_string()],
                "Invalid argument for the kernel",
                "An argument is one word without spaces; each is an entry of its own.",
            );
        }
    }
}

/// META by number, so that its order in a schematic does not depend on digits.
pub(super) fn meta(wish: &Wish, problems: &mut Problems) -> Option<Vec<(u8, String)>> {
    let mut found = BTreeMap::new();
    for (key, value) in &wish.meta {
        match key.parse::<u8>() {
            Ok(number) if number.to_string() == *key => {
                found.insert(number, value.clone());
            }
            _ => problems.error(
                &["meta", key],
                "Invalid key of META",
                format!("\"{key}\" is not a number from 0 to 255, such as \"10\"."),
            ),
        }
    }
    (found.len() == wish.meta.len()).then(|| found.into_iter().collect())
}
