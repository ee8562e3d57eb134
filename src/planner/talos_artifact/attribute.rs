//! The user's own attribute that a step is for.

use super::{
    desired::{Desired, Source, Tagged},
    step::{Origin, Step},
};
use crate::problem::Place;

/// Where the user said that this is to be done: what a failure of the step points at.
pub fn attribute(desired: &Desired, step: &Step) -> Place {
    let is_copy = matches!(desired.source, Source::Copy(_));
    match step {
        Step::FetchImage { .. } if is_copy => at(&["source"]),
        Step::EnsureSchematic { .. }
        | Step::AskInstaller { .. }
        | Step::FetchImage {
            origin: Origin::Factory(_) | Origin::Handle,
            ..
        } => at(&["factory_url"]),
        Step::FetchImage {
            origin: Origin::Artifact(_),
            ..
        } => at(&["artifact_repository"]),
        Step::FetchImage {
            origin: Origin::Path(_),
            ..
        }
        | Step::WriteLocal { .. }
        | Step::AdoptLocal { .. }
        | Step::RemoveLocal { .. } => at(&["local_file"]),
        Step::Build { .. } => at(&["builder", "imager"]),
        Step::AdoptFile(place)
        | Step::Upload { place, .. }
        | Step::DownloadByNode { place, .. } => storage(desired, &place.storage, &place.nodes),
        Step::RemoveOld {
            storage: id, node, ..
        } => storage(desired, id, std::slice::from_ref(node)),
        Step::PushInstaller { place, .. }
        | Step::CopyInstaller { place, .. }
        | Step::PublishArtifact { place, .. }
        | Step::AdoptTag { place, .. }
        | Step::RestoreTag { place, .. } => repository(desired, place),
    }
}

/// The block that names a storage and one of these nodes; the first where none does any more.
fn storage(desired: &Desired, id: &str, nodes: &[String]) -> Place {
    let index = desired.targets.iter().position(|target| {
        target.storage == id && nodes.iter().any(|node| target.nodes.contains(node))
    });
    at(&["proxmox", &index.unwrap_or_default().to_string(), "storage"])
}

fn repository(desired: &Desired, place: &Tagged) -> Place {
    if desired.artifact.as_ref() == Some(place) {
        at(&["artifact_repository"])
    } else {
        at(&["installer", "repository"])
    }
}

fn at(parts: &[&str]) -> Place {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talos_artifact::{
        fixture::{World, proxmox, read, wish},
        plan,
        wish::Wish,
    };

    #[test]
    fn a_step_is_for_the_block_that_names_its_node() {
        let desired = read(&Wish {
            proxmox: vec![proxmox("local", &["pve01"]), proxmox("local", &["pve02"])],
            local_file: Some("/srv/x.iso".to_owned()),
            ..wish()
        });
        let mut world = World::new(&[]);
        world.run(&desired);
        world.files.clear();
        world.local.clear();
        world.at_hand = None;
        let steps = plan(&desired, &world.observe(&desired)).steps;
        let places: Vec<String> = steps
            .iter()
            .map(|step| attribute(&desired, step).join("."))
            .collect();
        assert_eq!(
            places,
            ["factory_url", "proxmox.0.storage", "proxmox.1.storage"],
            "{steps:?}"
        );
        let gone = Step::RemoveOld {
            storage: "former".to_owned(),
            node: "pve01".to_owned(),
            volume: "iso/x.iso".to_owned(),
            is_shared: false,
        };
        assert_eq!(attribute(&desired, &gone), ["proxmox", "0", "storage"]);
    }
}
