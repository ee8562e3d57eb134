//! What is allowed and yet probably not what was meant, and combinations that cannot boot.

use super::{
    desired::{Desired, Source},
    file::Format,
    release,
    schematic::Bootloader,
    wish::Wish,
};
use crate::problem::Problems;

/// Collects warnings about a wish that can be fulfilled, and errors about content that cannot boot.
pub(super) fn wish(wish: &Wish, desired: &Desired, problems: &mut Problems) {
    if let Some(kubernetes) = &desired.kubernetes
        && let Some(mismatch) = release::mismatch(&desired.variant.version, kubernetes)
    {
        problems.warning(
            &["kubernetes_version"],
            "The versions do not fit each other",
            mismatch,
        );
    }
    kernel_args(wish, desired, problems);
    bootloader(desired, problems);
    reach(wish, desired, problems);
    alone(desired, problems);
    installer(wish, desired, problems);
    if let Some(path) = &desired.local_file
        && !path.starts_with('/')
    {
        problems.warning(
            &["local_file"],
            "A relative path",
            format!(
                "{path} lies in the directory of the run, which Terragrunt clears with its cache. \
                 Write an absolute path."
            ),
        );
    }
}

/// An image that one machine alone has.
fn alone(desired: &Desired, problems: &mut Problems) {
    let is_alone = matches!(desired.source, Source::Imager(_))
        && desired.has_image()
        && desired.artifact.is_none();
    if is_alone {
        problems.warning(
            &["artifact_repository"],
            "The image is kept on the build host only",
            "No two runs of the imager make the same bytes, and nothing can fetch an image from a \
             storage. A file that is lost is sent again from the build host, which keeps its last \
             three builds; once it is gone there, the image is built again. artifact_repository keeps \
             it in a registry.",
        );
    }
}

/// Arguments with the place where the user wrote them.
fn arguments<'a>(wish: &'a Wish, desired: &'a Desired) -> Vec<([String; 2], &'a String)> {
    match &desired.source {
        Source::Factory { schematic, .. } if wish.schematic.is_some() => schematic
            .kernel_args
            .iter()
            .map(|argument| (["schematic".to_owned(), String::new()], argument))
            .collect(),
        _ => wish
            .kernel_args
            .iter()
            .enumerate()
            .map(|(index, argument)| (["kernel_args".to_owned(), index.to_string()], argument))
            .collect(),
    }
}

fn kernel_args(wish: &Wish, desired: &Desired, problems: &mut Problems) {
    let platform = &desired.variant.platform;
    for ([attribute, index], argument) in arguments(wish, desired) {
        let whole = [attribute.as_str(), index.as_str()];
        let place = if index.is_empty() {
            &whole[..1]
        } else {
            &whole[..]
        };
        if let Some(other) = argument.strip_prefix("talos.platform=") {
            if other == platform {
                problems.warning(
                    place,
                    "talos.platform is set already",
                    format!("Images of platform {platform} say so themselves: remove {argument}."),
                );
            } else {
                problems.error(
                    place,
                    "talos.platform contradicts the platform",
                    format!(
                        "{argument} would overwrite the {platform} of the image: the node would not \
                         read what it is given there, such as its address. Remove it, or set platform."
                    ),
                );
            }
        }
        // What it is set to otherwise holds anyway: that harms nobody.
        if argument == "talos.unified_cgroup_hierarchy=0" && desired.variant.version.at_least(1, 11)
        {
            problems.warning(
                place,
                "An argument without effect",
                "From Talos 1.11 on there is one hierarchy of control groups, and a node only logs that \
                 this asks for another. It is part of the id all the same: without it, the image has \
                 another one.",
            );
        }
    }
}

fn bootloader(desired: &Desired, problems: &mut Problems) {
    let Source::Factory { schematic, .. } = &desired.source else {
        return;
    };
    let chosen = schematic.bootloader;
    let is_grub = matches!(chosen, Bootloader::Grub | Bootloader::DualBoot);
    if desired.variant.secure_boot && is_grub {
        problems.error(
            &["bootloader"],
            "Secure boot needs sd-boot",
            format!(
                "Images with secure boot are started by sd-boot; {} cannot be verified.",
                chosen.as_str()
            ),
        );
    }
    let version = &desired.variant.version;
    let reaches = match desired.format {
        Format::Iso => version.at_least(1, 12),
        Format::Qcow2 | Format::Raw => true,
        Format::None => false,
    };
    if chosen != Bootloader::Automatic && !reaches {
        problems.warning(
            &["bootloader"],
            "The boot loader reaches nothing",
            "It is chosen for disk images, and for ISOs from Talos 1.12 on. It is part of the id all \
             the same.",
        );
    }
    if schematic.overlay.name.is_empty() || version.at_least(1, 7) {
        return;
    }
    problems.error(
        &["overlay"],
        "No overlays in this version",
        "Overlays came with Talos 1.7.",
    );
}

/// Whether arguments and META get into anything that is wanted.
fn reach(wish: &Wish, desired: &Desired, problems: &mut Problems) {
    let (has_arguments, has_meta) = match &desired.source {
        Source::Factory { schematic, .. } => (
            !schematic.kernel_args.is_empty(),
            !schematic.meta.is_empty(),
        ),
        Source::Imager(inputs) => (!inputs.kernel_args.is_empty(), !inputs.meta.is_empty()),
        Source::Copy(_) => return,
    };
    let at = |attribute| {
        if wish.schematic.is_some() {
            ["schematic"]
        } else {
            [attribute]
        }
    };
    let in_installer = desired.variant.secure_boot || desired.variant.version.at_least(1, 10);
    if has_arguments && !in_installer {
        let where_to = if desired.has_image() {
            "They are in the image, and gone after the installation"
        } else {
            "They reach nothing"
        };
        problems.warning(
            &at("kernel_args"),
            "Arguments of the kernel are not in the installer",
            format!(
                "{where_to}: before Talos 1.10 an installer takes them from machine.install.\
                 extraKernelArgs of the machine configuration."
            ),
        );
    }
    if has_meta && !desired.has_image() {
        problems.warning(
            &at("meta"),
            "META reaches nothing",
            "Only images hold META, installers do not, and image_format is \"none\".",
        );
    }
}

fn installer(wish: &Wish, desired: &Desired, problems: &mut Problems) {
    let version = &desired.variant.version;
    let image = &desired.variant.platform;
    // With the imager, whoever names a platform chooses what is built. From a factory an installer is
    // taken that nobody else made for these machines.
    if let Some(installer) = &desired.installer
        && matches!(desired.source, Source::Factory { .. })
        && installer.platform != *image
        && desired.has_image()
        && version.at_least(1, 10)
    {
        problems.warning(
            &["installer", "platform"],
            "Image and installer are of different platforms",
            format!(
                "From Talos 1.10 on the installer fixes the platform: a node that boots the {image} \
                 image and is installed with the {} installer reads no {image} data (host name, \
                 addresses) after the installation. Put its network into the machine configuration, \
                 or leave installer.platform out.",
                installer.platform
            ),
        );
    }
    let Source::Imager(inputs) = &desired.source else {
        return;
    };
    let builder = wish.builder.as_ref();
    let has_base = builder.is_some_and(|builder| builder.base_installer.is_some());
    if has_base && desired.installer.is_none() {
        problems.warning(
            &["builder", "base_installer"],
            "The base installer reaches nothing",
            "Only an installer is made from it, and there is no installer block.",
        );
    }
    let tag = inputs.imager.split('@').next().unwrap_or_default();
    let tag = tag.rsplit_once(':').map_or("", |(_, tag)| tag);
    let is_other = release::TalosVersion::parse(tag).is_ok_and(|tagged| tagged != *version);
    if is_other {
        problems.warning(
            &["builder", "imager"],
            "The imager is of another version",
            format!(
                "The imager decides which kernel is in the image: {} makes Talos {tag}, while \
                 talos_version is {version}.",
                inputs.imager
            ),
        );
    }
}
