//! What the imager is given.

use super::content::{kernel_args, meta};
use crate::{
    problem::Problems,
    talos_artifact::{
        imager::{self, ImagerInputs, ImagerOverlay, default_base_installer, default_imager},
        reference::{self, Variant},
        schematic::Value,
        wish::{OverlayWish, Wish},
    },
};

pub(super) fn imager(
    wish: &Wish,
    variant: &Variant,
    problems: &mut Problems,
) -> Option<ImagerInputs> {
    let content = "Write kernel_args, meta, overlay and extension_images instead.";
    for (attribute, is_set, instead) in [
        ("schematic", wish.schematic.is_some(), content),
        (
            "extensions",
            !wish.extensions.is_empty(),
            "Names are resolved by a factory: name the images in extension_images instead.",
        ),
        (
            "factory_url",
            wish.factory_url.is_some(),
            "The imager runs on the builder: remove it.",
        ),
        (
            "bootloader",
            wish.bootloader.is_some(),
            "The imager has no flag for it: remove it.",
        ),
    ] {
        if is_set {
            let summary = format!("{attribute} needs mode \"factory\"");
            problems.error(&[attribute], summary, instead);
        }
    }
    if wish.secure_boot {
        problems.error(
            &["secure_boot"],
            "No secure boot with the imager",
            "The imager signs with keys that this resource does not hand over. A factory has keys of \
             its own: set mode = \"factory\".",
        );
    }
    let Some(builder) = wish
        .builder
        .as_ref()
        .filter(|builder| !builder.host.is_empty())
    else {
        problems.error(
            &["builder"],
            "A builder is missing",
            "The imager runs in a container on a host that is reached by SSH: builder { host = \"…\" }.",
        );
        return None;
    };
    let mut images = vec![];
    for (index, image) in wish.extension_images.iter().enumerate() {
        images.push((["extension_images".to_owned(), index.to_string()], image));
    }
    for (member, image) in [
        ("imager", &builder.imager),
        ("base_installer", &builder.base_installer),
    ] {
        if let Some(image) = image {
            images.push((["builder".to_owned(), member.to_owned()], image));
        }
    }
    for ([attribute, member], image) in &images {
        // The engine on the build host starts the imager, and takes it from its own store.
        let is_imager = member == "imager";
        let fault = if !is_imager && image.starts_with(imager::LAYOUT) {
            imager::layout_fault(image)
        } else {
            reference::image_fault(image)
        };
        if let Some(fault) = fault {
            problems.error(
                &[attribute, member],
                "Invalid image",
                format!("\"{image}\": {fault}"),
            );
        }
    }
    kernel_args(wish, problems);
    let version = variant.version.clone();
    Some(ImagerInputs {
        platform: variant.platform.clone(),
        architecture: variant.architecture,
        secure_boot: variant.secure_boot,
        imager: builder
            .imager
            .clone()
            .unwrap_or_else(|| default_imager(&version)),
        base_installer: builder
            .base_installer
            .clone()
            .unwrap_or_else(|| default_base_installer(&version)),
        extension_images: wish.extension_images.clone(),
        kernel_args: wish.kernel_args.clone(),
        meta: meta(wish, problems)?,
        overlay: wish
            .overlay
            .as_ref()
            .map(|overlay| imager_overlay(overlay, problems)),
        version,
    })
}

/// The overlay as flags: options are text there, and text after `@` is the name of a file.
fn imager_overlay(overlay: &OverlayWish, problems: &mut Problems) -> ImagerOverlay {
    let fault = if overlay.image.starts_with(imager::LAYOUT) {
        imager::layout_fault(&overlay.image)
    } else {
        reference::image_fault(&overlay.image)
    };
    if let Some(fault) = fault {
        problems.error(&["overlay", "image"], "Invalid image", fault);
    }
    let mut options = Vec::new();
    for (name, value) in &overlay.options {
        let text = match value {
            Value::Text(text) => Some(text.clone()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Int(number) => Some(number.to_string()),
            Value::Uint(number) => Some(number.to_string()),
            _ => None,
        };
        let text = text.filter(|text| !text.starts_with('@') && !name.starts_with('@'));
        match text {
            Some(text) => options.push((name.clone(), text)),
            None => problems.error(
                &["overlay", "options"],
                "Invalid option of an overlay",
                format!("The imager takes {name} as one text that does not begin with \"@\"."),
            ),
        }
    }
    ImagerOverlay {
        image: overlay.image.clone(),
        name: overlay.name.clone(),
        options,
    }
}
