//! The schema of `talos_artifact`.

use tf_plugin::{Attribute, Block, NestedBlock, Nesting, Schema, Type};

use super::{handle, shared};
use crate::{common, timeouts};

/// Computed attributes that are known only after an apply.
pub(super) const MADE: [&str; 4] = ["id", "installer_image_digest", "sha256", "size_bytes"];

pub(super) fn schema() -> Schema {
    Schema {
        version: 0,
        block: Block {
            description: "An image of Talos Linux for Proxmox: made once, by an Image Factory or by the \
                          imager on a host of yours, and brought to storages and a registry. The block \
                          needs `provider = etcd`, because its name does not begin with `etcd_`. There is no \
                          import: after the loss of a state, the files that are there are taken over by \
                          their size, and never removed, because who wrote them stood in the state."
                .to_owned(),
            attributes: attributes(),
            blocks: blocks(),
        },
    }
}

fn attributes() -> Vec<Attribute> {
    let text = |name, description: &str| Attribute::optional(name, Type::String, description);
    let texts =
        |name, description: &str| Attribute::optional(name, Type::list(Type::String), description);
    let mut attributes = vec![
        Attribute::computed("id", Type::String, "Uid, made at creation."),
        Attribute::required(
            "talos_version",
            Type::String,
            "Version of Talos, such as `v1.11.5`; the `v` may be left out.",
        ),
        text(
            "kubernetes_version",
            "Version of Kubernetes that goes with it. Passed on, without `v`; no image contains it.",
        ),
        text(
            "platform",
            "Platform of the boot image. Default: `nocloud`, which takes addresses from Proxmox.",
        ),
        text("architecture", "`amd64` or `arm64`. Default: `amd64`."),
        text(
            "mode",
            "`factory`: an Image Factory makes the image. `imager`: the imager does, in a container on \
             the host of `builder`, which also takes extensions that no factory knows. Default: \
             `factory`.",
        ),
        text(
            "schematic",
            "A whole schematic, in YAML, instead of `extensions` to `overlay`.",
        ),
        texts(
            "extensions",
            "Names of official system extensions. Their order is part of the schematic's id.",
        ),
        texts("kernel_args", "Arguments for the kernel."),
        Attribute::optional(
            "meta",
            Type::map(Type::String),
            "Values of META by key, a number from 0 to 255 such as `\"10\"`.",
        ),
        text(
            "bootloader",
            "`dual-boot`, `sd-boot` or `grub`. Default: Talos decides.",
        ),
        Attribute::optional(
            "secure_boot",
            Type::Bool,
            "Take images that are signed for secure boot. Default: `false`.",
        ),
        text(
            "factory_url",
            "Another Image Factory than the one of the provider block.",
        ),
        texts(
            "extension_images",
            "Images of extensions, for the imager: `REPOSITORY:TAG`, best with `@sha256:…`. The imager \
             pulls them without a login. `oci:/DIRECTORY` is a directory of the build host in the OCI \
             image layout, for what is private or has no network; other content needs another path.",
        ),
        text(
            "image_format",
            "`iso`, `qcow2`, `raw`, or `none` for an installer alone. Default: `iso`.",
        ),
        text(
            "artifact_repository",
            "Repository of a registry in which the image is kept as an OCI artifact. The next machine \
             that wants the same image finds it there, instead of building it again; while one builds \
             it, a tag `claim-…` says who to those who want it too.",
        ),
    ];
    attributes.extend(shared::target_attributes());
    attributes.push(Attribute::computed(
        "schematic_id",
        Type::String,
        "Id of the schematic, computed as the factory does. Null in mode `imager`.",
    ));
    attributes.extend(shared::outputs());
    attributes.push(Attribute::computed(
        "image",
        handle::ty(),
        handle::DESCRIPTION,
    ));
    attributes.extend(common::account_attributes());
    attributes
}

fn blocks() -> Vec<NestedBlock> {
    let text = |name, description: &str| Attribute::optional(name, Type::String, description);
    let single = |name, description: &str, attributes| NestedBlock {
        name,
        nesting: Nesting::Single,
        block: Block {
            description: description.to_owned(),
            attributes,
            blocks: Vec::new(),
        },
    };
    vec![
        single(
            "overlay",
            "Overlay for a board.",
            vec![
                Attribute::required(
                    "image",
                    Type::String,
                    "Its image, such as `siderolabs/sbc-raspberrypi`.",
                ),
                Attribute::required("name", Type::String, "Its name, such as `rpi_generic`."),
                Attribute::optional("options", Type::map(Type::String), "Its options."),
            ],
        ),
        single(
            "builder",
            "The host on which the imager runs, in a container of podman or docker, reached by SSH as the \
             provider's `ssh` block says. Nothing stays there but the image that can be fetched from \
             nowhere else, until the resource goes.",
            vec![
                Attribute::required("host", Type::String, "Name or address."),
                Attribute::optional("port", Type::Number, "SSH port. Default: `22`."),
                text("user", "User to log in as."),
                text("ssh_profile", "Name of an `ssh_profile` of the provider."),
                text("host_key", "Its public key or `SHA256:` fingerprint."),
                text(
                    "engine",
                    "`docker` or `podman`. Default: the one that is there.",
                ),
                text(
                    "imager",
                    "Image of the imager. Pulled if the engine does not have it, with the host's own login. \
                     Default: the project's own, for the Talos version.",
                ),
                text(
                    "base_installer",
                    "Image that the installer is made from; `oci:/DIRECTORY` as in `extension_images`. \
                     Default: the project's own, for the Talos version.",
                ),
            ],
        ),
        single(
            "installer",
            "Put the installer into a registry of yours. Without it `installer_image` is the factory's.",
            vec![
                Attribute::required(
                    "repository",
                    Type::String,
                    "Where to, such as `ghcr.io/acme/talos-installer`.",
                ),
                text(
                    "tag",
                    "Tag. Default: version and the beginning of the id, so that another content has \
                     another tag.",
                ),
                text(
                    "platform",
                    "Platform that the installer fixes from Talos 1.10 on. Default: that of the image.",
                ),
                Attribute::optional(
                    "overwrite_tag",
                    Type::Bool,
                    "Move the tag if it leads to another image. Default: `false`, which refuses.",
                ),
            ],
        ),
        shared::proxmox_block(),
        timeouts::block(),
    ]
}
