//! An artifact as the user wrote it.

use std::collections::BTreeMap;

use super::schematic::Value;

/// A `talos_artifact` as the user wrote it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wish {
    /// Version of Talos.
    pub talos_version: String,
    /// Version of Kubernetes, passed on.
    pub kubernetes_version: Option<String>,
    /// `nocloud`.
    pub platform: Option<String>,
    /// `amd64`.
    pub architecture: Option<String>,
    /// `factory` or `imager`.
    pub mode: Option<String>,
    /// A whole schematic.
    pub schematic: Option<String>,
    /// Names of official extensions, in order.
    pub extensions: Vec<String>,
    /// Arguments for the kernel, in order.
    pub kernel_args: Vec<String>,
    /// Contents of META by key.
    pub meta: BTreeMap<String, String>,
    /// Boot loader.
    pub bootloader: Option<String>,
    /// Signed for secure boot.
    pub secure_boot: bool,
    /// Overlay.
    pub overlay: Option<OverlayWish>,
    /// Factory of this resource.
    pub factory_url: Option<String>,
    /// Factory of the provider block.
    pub default_factory_url: Option<String>,
    /// The id that the factory answered for this content, where accounts make it another than ours.
    pub server_id: Option<String>,
    /// Images of extensions.
    pub extension_images: Vec<String>,
    /// Where the imager runs.
    pub builder: Option<BuilderWish>,
    /// `iso`, `qcow2`, `raw` or `none`.
    pub image_format: Option<String>,
    /// Name of the file.
    pub file_name: Option<String>,
    /// A file on this machine.
    pub local_file: Option<String>,
    /// Repository for the image as an artifact.
    pub artifact_repository: Option<String>,
    /// Replace a file of the same name and other content.
    pub overwrite: bool,
    /// Leave the files that nodes had before they got other ones.
    pub keep_previous: bool,
    /// Storages.
    pub proxmox: Vec<ProxmoxWish>,
    /// Installer to push.
    pub installer: Option<InstallerWish>,
}

/// A block `overlay`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OverlayWish {
    /// Image with the overlay.
    pub image: String,
    /// Name inside of the image.
    pub name: String,
    /// Options by name.
    pub options: BTreeMap<String, Value>,
}

/// A block `builder`, as far as it decides what is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuilderWish {
    /// The host.
    pub host: String,
    /// Image of the imager.
    pub imager: Option<String>,
    /// Installer that the new one is made from.
    pub base_installer: Option<String>,
}

/// A block `proxmox`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxmoxWish {
    /// Id of the storage.
    pub storage: String,
    /// Names of nodes.
    pub nodes: Vec<String>,
    /// `upload` or `download`.
    pub transfer: Option<String>,
}

/// A block `installer`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstallerWish {
    /// Registry and path.
    pub repository: String,
    /// Tag.
    pub tag: Option<String>,
    /// Platform of the installer.
    pub platform: Option<String>,
    /// Move a tag that leads to another image.
    pub overwrite_tag: bool,
}

/// What an artifact gives out, and what a copy takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handle {
    /// Id of the content.
    pub artifact_id: String,
    /// Version of Talos.
    pub talos_version: String,
    /// Version of Kubernetes.
    pub kubernetes_version: Option<String>,
    /// Platform.
    pub platform: String,
    /// Architecture.
    pub architecture: String,
    /// Format of the image.
    pub format: String,
    /// Name of the file; none without an image.
    pub file_name: Option<String>,
    /// Where the image can be fetched.
    pub url: Option<String>,
    /// The image as an artifact: repository and digest, or repository and tag while it is not known.
    pub oci: Option<String>,
    /// A file on the machine that made it.
    pub path: Option<String>,
    /// SHA-256 of the file.
    pub sha256: Option<String>,
    /// Bytes of the file.
    pub size_bytes: Option<u64>,
    /// Installer by tag.
    pub installer_image: Option<String>,
    /// Installer by digest.
    pub installer_image_digest: Option<String>,
}

impl Handle {
    /// Stands for a place that is known after apply: until then nothing is fetched from it.
    pub const OPEN: &str = "(known after apply)";
}

/// A `talos_artifact_copy` as the user wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyWish {
    /// What is copied.
    pub source: Handle,
    /// Name of the file, if not the source's.
    pub file_name: Option<String>,
    /// Replace a file of the same name and other content.
    pub overwrite: bool,
    /// Leave the files that nodes had before they got other ones.
    pub keep_previous: bool,
    /// A file on this machine.
    pub local_file: Option<String>,
    /// Storages.
    pub proxmox: Vec<ProxmoxWish>,
}
