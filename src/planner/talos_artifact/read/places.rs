//! Where an image goes, and under which name.

use std::collections::BTreeMap;

use crate::{
    near::nearest,
    problem::Problems,
    talos_artifact::{
        desired::{Desired, Installer, Source, Tagged, Target, Transfer},
        file::{self, Format},
        platform::{PLATFORMS, Platform},
        reference::{self, Variant},
        wish::{InstallerWish, ProxmoxWish},
    },
};

pub(super) fn file_name(
    name: Option<&str>,
    format: Format,
    problems: &mut Problems,
) -> Option<String> {
    let name = name?;
    if format == Format::None {
        problems.error(
            &["file_name"],
            "There is no file",
            "image_format is \"none\", so file_name has no use.",
        );
    } else if let Some(fault) = file::name_fault(name, format) {
        problems.error(&["file_name"], "Invalid file name", fault);
    }
    Some(name.to_owned())
}

pub(super) fn installer(
    wish: &InstallerWish,
    variant: &Variant,
    short: &str,
    problems: &mut Problems,
) -> Option<Installer> {
    if let Some(fault) = reference::repository_fault(&wish.repository) {
        problems.error(&["installer", "repository"], "Invalid repository", fault);
    }
    let platform = wish.platform.as_deref().unwrap_or(&variant.platform);
    if Platform::find(platform).is_none() {
        let near = nearest(platform, PLATFORMS.iter().map(|known| known.name))
            .map(|near| format!(" Did you mean \"{near}\"?"))
            .unwrap_or_default();
        problems.error(
            &["installer", "platform"],
            "Invalid platform",
            format!("\"{platform}\" is no platform of Talos.{near}"),
        );
        return None;
    }
    let tag = wish
        .tag
        .clone()
        .unwrap_or_else(|| reference::default_tag(variant, platform, short));
    if let Some(fault) = reference::tag_fault(&tag) {
        problems.error(&["installer", "tag"], "Invalid tag", fault);
    }
    Some(Installer {
        place: Tagged {
            repository: wish.repository.clone(),
            tag,
        },
        platform: platform.to_owned(),
        overwrite_tag: wish.overwrite_tag,
    })
}

pub(super) fn targets(wishes: &[ProxmoxWish], problems: &mut Problems) -> Option<Vec<Target>> {
    let before = problems.0.len();
    let mut nodes: BTreeMap<&str, &str> = BTreeMap::new();
    let mut targets = Vec::new();
    for (index_of, wish) in wishes.iter().enumerate() {
        let index = index_of.to_string();
        if !file::is_storage(&wish.storage) {
            problems.error(
                &["proxmox", &index, "storage"],
                "Invalid storage",
                format!(
                    "\"{}\" is not the id of a storage, such as local.",
                    wish.storage
                ),
            );
        }
        if wish.nodes.is_empty() {
            problems.error(
                &["proxmox", &index, "nodes"],
                "No nodes",
                "Name the nodes that use the image, also on a shared storage: each gets its file id.",
            );
        }
        for node in &wish.nodes {
            let place = ["proxmox", &index, "nodes"];
            if !file::is_node(node) {
                problems.error(
                    &place,
                    "Invalid node",
                    format!("\"{node}\" is not the name of a node, such as pve01 (no domain)."),
                );
            }
            if let Some(storage) = nodes.insert(node, &wish.storage) {
                let detail = if wishes[..index_of]
                    .iter()
                    .any(|other| other.nodes.contains(node))
                {
                    format!(
                        "{node} has the image on storage {storage} already, and \
                         talos_image_file_ids has one id for each node."
                    )
                } else {
                    format!("{node} is in this list already.")
                };
                problems.error(&place, "A node stands twice", detail);
            }
        }
        let transfer = wish.transfer.as_deref().unwrap_or("upload");
        let transfer = match transfer {
            "upload" => Transfer::Upload,
            "download" => Transfer::Download,
            other => {
                problems.error(
                    &["proxmox", &index, "transfer"],
                    "Invalid transfer",
                    format!("\"{other}\" is neither upload nor download."),
                );
                Transfer::Upload
            }
        };
        targets.push(Target {
            storage: wish.storage.clone(),
            nodes: wish.nodes.clone(),
            transfer,
        });
    }
    let is_new = |problem: &crate::problem::Problem| problem.is_error;
    (!problems.0[before..].iter().any(is_new)).then_some(targets)
}

/// Whether everything can get where it should.
pub(super) fn destinations(desired: &Desired, problems: &mut Problems) {
    let is_imager = matches!(desired.source, Source::Imager(_));
    for (attribute, is_set) in [
        ("proxmox", !desired.targets.is_empty()),
        ("local_file", desired.local_file.is_some()),
        ("artifact_repository", desired.artifact.is_some()),
    ] {
        if is_set && !desired.has_image() {
            problems.error(
                &[attribute],
                "There is no image",
                format!("image_format is \"none\", so {attribute} has nothing to hold."),
            );
        }
    }
    if desired.local_file.as_deref() == Some("") {
        problems.error(&["local_file"], "Invalid path", "It is empty.");
    }
    if is_imager {
        imager_destinations(desired, problems);
    }
    for (index, target) in desired.targets.iter().enumerate() {
        let place = ["proxmox", &index.to_string(), "transfer"];
        if target.transfer != Transfer::Download {
            continue;
        }
        if desired.image_url().is_none() {
            problems.error(
                &place,
                "Nothing to download from",
                "A node can fetch an image from a factory only. Images of the imager are uploaded: \
                 remove transfer.",
            );
        }
        if desired.format == Format::Raw {
            problems.error(
                &place,
                "A node cannot unpack this image",
                "Raw images come packed. Upload it, which unpacks it on the way, or take qcow2.",
            );
        }
    }
}

fn imager_destinations(desired: &Desired, problems: &mut Problems) {
    if desired.format == Format::Qcow2 {
        problems.error(
            &["image_format"],
            "The imager makes no qcow2",
            "Its flags know ISO and raw disk images: take \"iso\" or \"raw\", or mode \"factory\".",
        );
    }
    if desired.format == Format::Raw && !desired.variant.version.at_least(1, 8) {
        problems.error(
            &["image_format"],
            "The imager of this version packs with xz",
            "Proxmox cannot use that. Take \"iso\", mode \"factory\", or Talos 1.8 and later.",
        );
    }
    let goes_nowhere =
        desired.targets.is_empty() && desired.local_file.is_none() && desired.artifact.is_none();
    if desired.has_image() && goes_nowhere {
        problems.error(
            &["image_format"],
            "The image would go nowhere",
            "Give it a place: proxmox, artifact_repository or local_file; or image_format = \"none\" \
             for an installer alone.",
        );
    }
    if !desired.has_image() && desired.installer.is_none() {
        problems.error(
            &["installer"],
            "Nothing would be made",
            "image_format is \"none\" and there is no installer block.",
        );
    }
}
