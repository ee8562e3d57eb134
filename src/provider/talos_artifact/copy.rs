//! The schema of `talos_artifact_copy`.

use tf_plugin::{Attribute, Block, Schema, Type};

use super::{handle, shared};
use crate::{common, timeouts};

/// Outputs that follow from the source.
pub(super) const FROM_SOURCE: [&str; 6] = [
    "talos_image_file_ids",
    "talos_image_file_name",
    "talos_image_id",
    "installer_image",
    "talos_version",
    "kubernetes_version",
];

pub(super) fn schema() -> Schema {
    let mut attributes = vec![
        Attribute::computed("id", Type::String, "Uid, made at creation."),
        Attribute::required(
            "source",
            handle::ty(),
            "The image: what `image` of a `talos_artifact` says, here or in another unit.",
        ),
    ];
    attributes.extend(shared::target_attributes());
    attributes.push(Attribute::computed(
        "talos_version",
        Type::String,
        "Version of Talos, with `v`.",
    ));
    attributes.push(Attribute::computed(
        "kubernetes_version",
        Type::String,
        "Version of Kubernetes that goes with it, without `v`.",
    ));
    attributes.extend(shared::outputs());
    attributes.extend(common::account_attributes());
    Schema {
        version: 0,
        block: Block {
            description: "Brings an image that a `talos_artifact` made to storages of a Proxmox cluster. \
                          Building works while Proxmox is down, and one image serves several Proxmox \
                          clusters. The block needs `provider = etcd`, because its name does not begin \
                          with `etcd_`."
                .to_owned(),
            attributes,
            blocks: vec![shared::proxmox_block(), timeouts::block()],
        },
    }
}
