//! What `talos_artifact` and `talos_artifact_copy` have in common: where an image goes, what they give out.

use tf_plugin::{Attribute, Block, NestedBlock, Nesting, Type};

/// Where the image goes beside Proxmox, and under which name.
pub(super) fn target_attributes() -> Vec<Attribute> {
    let text = |name, description: &str| Attribute::optional(name, Type::String, description);
    vec![
        text(
            "file_name",
            "Name of the image on storages. Default: \
             `talos-VERSION-PLATFORM-ARCHITECTURE-ID.FORMAT`, where the beginning of the id makes that \
             another content has another name.",
        ),
        text(
            "local_file",
            "Path on this machine for a copy of the image.",
        ),
        Attribute::optional(
            "overwrite",
            Type::Bool,
            "Replace files of the same name and other content. Default: `false`, which refuses.",
        ),
        Attribute::optional(
            "keep_previous",
            Type::Bool,
            "Leave the files that nodes had before, when they get others: machines boot from them until \
             what uses `talos_image_file_ids` is changed, which comes after this resource. `false` \
             removes them as soon as the new ones are there, also those of earlier changes. Files on \
             nodes that are named no more, and all files of a resource that is destroyed, go in any \
             case. Default: `true`.",
        ),
        Attribute::optional(
            "forget_unreachable",
            Type::Bool,
            "Let a deletion succeed although a storage does not answer; the file on it stays. Default: \
             `false`.",
        ),
    ]
}

/// A storage and the nodes on which it is to have the image.
pub(super) fn proxmox_block() -> NestedBlock {
    NestedBlock {
        name: "proxmox",
        nesting: Nesting::List,
        block: Block {
            description:
                "Put the image on a storage of the Proxmox cluster. May stand several times. A \
                          storage tells the size of a file and nothing of its content: one that \
                          somebody replaces with another of the same size is not noticed."
                    .to_owned(),
            attributes: vec![
                Attribute::required(
                    "storage",
                    Type::String,
                    "Storage, such as `resources`, that takes files of this kind. A plan refuses one that the \
                     cluster does not have; if the same apply makes it, take its name from the resource \
                     that makes it.",
                ),
                Attribute::required(
                    "nodes",
                    Type::list(Type::String),
                    "Nodes that are to see the image. A storage that they share gets it once.",
                ),
                Attribute::optional(
                    "transfer",
                    Type::String,
                    "`upload`: from this machine. `download`: the nodes fetch it from the factory, with \
                     the SHA-256 that was computed here. Default: `upload`.",
                ),
            ],
            blocks: Vec::new(),
        },
    }
}

/// What other units use.
pub(super) fn outputs() -> Vec<Attribute> {
    let text = |name, description: &str| Attribute::computed(name, Type::String, description);
    vec![
        Attribute::computed(
            "talos_image_file_ids",
            Type::map(Type::String),
            "Volume id of the image by Proxmox node, such as `resources:iso/talos….iso`: what a VM's \
             `cdrom` names. Each node stands in one `proxmox` block.",
        ),
        text("talos_image_file_name", "Name of the image on storages."),
        text(
            "talos_image_id",
            "The schematic's id; in mode `imager` a hash of everything that the image is made from.",
        ),
        text(
            "installer_image",
            "Reference of the installer by tag: for `machine.install.image`.",
        ),
        text(
            "installer_image_digest",
            "Reference of the installer by digest, which nobody can move. Where the factory's own installer \
             is used, an apply asks the factory for it; null if it does not tell.",
        ),
        text(
            "sha256",
            "SHA-256 of the image, in hexadecimal. A factory does not tell it: it is computed from the \
             bytes, also where the image is put nowhere.",
        ),
        Attribute::computed("size_bytes", Type::Number, "Size of the image, in bytes."),
    ]
}
