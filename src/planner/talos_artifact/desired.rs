//! An artifact as it should be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    file::{ContentKind, Format, volid},
    imager::{ImagerInputs, ImagerOutput},
    reference::{FactoryUrl, Variant, factory_installer},
    release::KubernetesVersion,
    schematic::{Schematic, SchematicId},
    wish::Handle,
};

/// An artifact, or a copy of one, as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Version, platform, architecture, secure boot.
    pub variant: Variant,
    /// Passed on.
    pub kubernetes: Option<KubernetesVersion>,
    /// Where the bytes come from.
    pub source: Source,
    /// Form of the image.
    pub format: Format,
    /// Name of the file; empty without an image.
    pub file_name: String,
    /// A file on this machine.
    pub local_file: Option<String>,
    /// The image as an artifact in a registry.
    pub artifact: Option<Tagged>,
    /// The installer in a registry.
    pub installer: Option<Installer>,
    /// Storages; a node stands in one of them.
    pub targets: Vec<Target>,
    /// Replace a file of the same name and other content.
    pub overwrite: bool,
    /// Leave the files that nodes had before they got other ones.
    pub keep_previous: bool,
}

/// Where the bytes come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// An Image Factory.
    Factory {
        /// Its URL.
        url: FactoryUrl,
        /// What is in the image.
        schematic: Schematic,
        /// Its id there.
        id: SchematicId,
    },
    /// The imager on a build host.
    Imager(ImagerInputs),
    /// Another artifact.
    Copy(Handle),
}

/// A tag in a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tagged {
    /// Registry and path.
    pub repository: String,
    /// Tag.
    pub tag: String,
}

impl std::fmt::Display for Tagged {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.repository, self.tag)
    }
}

/// An installer in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installer {
    /// Where.
    pub place: Tagged,
    /// Platform that it installs.
    pub platform: String,
    /// Move a tag that leads to another image.
    pub overwrite_tag: bool,
}

/// A storage and the nodes from which it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Id of the storage.
    pub storage: String,
    /// Names of nodes, in the order of the configuration.
    pub nodes: Vec<String>,
    /// How files get there.
    pub transfer: Transfer,
}

/// How a file gets on a storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transfer {
    /// From here.
    #[default]
    Upload,
    /// The node fetches it from the factory, with our checksum.
    Download,
}

impl Desired {
    /// Whether there is an image besides the installer.
    pub fn has_image(&self) -> bool {
        self.format != Format::None
    }

    /// Id of the content: the schematic's, or that of the imager's inputs.
    pub fn artifact_id(&self) -> String {
        match &self.source {
            Source::Factory { id, .. } => id.to_string(),
            Source::Imager(inputs) => inputs.id(),
            Source::Copy(handle) => handle.artifact_id.clone(),
        }
    }

    /// The schematic's id, if there is a schematic.
    pub fn schematic_id(&self) -> Option<&SchematicId> {
        match &self.source {
            Source::Factory { id, .. } => Some(id),
            _ => None,
        }
    }

    /// The image in one word, the same for the same content wherever it comes from or goes to: what
    /// records compare. A factory's host is no part of it.
    pub fn content(&self) -> String {
        let Variant { version, .. } = &self.variant;
        let name = match &self.source {
            // A handle does not say whether it is signed; the name at the factory does.
            Source::Copy(Handle { url: Some(url), .. }) => {
                url.rsplit('/').next().unwrap_or_default().to_owned()
            }
            _ => self.variant.fetched_name(self.format),
        };
        format!("{}/{version}/{name}", self.artifact_id())
    }

    /// The installer in one word.
    pub fn installer_content(&self) -> Option<String> {
        let installer = self.installer.as_ref()?;
        let secure = if self.variant.secure_boot {
            "-secureboot"
        } else {
            ""
        };
        Some(format!(
            "{}/{}/{}-installer{secure}",
            self.artifact_id(),
            self.variant.version,
            installer.platform
        ))
    }

    /// Kind of content on storages.
    pub fn content_kind(&self) -> ContentKind {
        ContentKind::of(&self.file_name)
    }

    /// What Proxmox calls the file on a storage, without the storage: `iso/NAME`.
    pub fn volume(&self) -> String {
        format!("{}/{}", self.content_kind(), self.file_name)
    }

    /// Ids of the file by node; known at plan.
    pub fn file_ids(&self) -> BTreeMap<String, String> {
        self.targets
            .iter()
            .flat_map(|target| {
                let id = volid(&target.storage, &self.file_name);
                target
                    .nodes
                    .iter()
                    .map(move |node| (node.clone(), id.clone()))
            })
            .collect()
    }

    /// URL of the image as the factory serves it, if a factory does.
    pub fn image_url(&self) -> Option<String> {
        match &self.source {
            _ if !self.has_image() => None,
            Source::Factory { url, id, .. } => {
                let path = self.variant.image_path(id, self.format);
                Some(format!("{}{path}", url.as_str()))
            }
            Source::Imager(_) => None,
            Source::Copy(handle) => handle.url.clone(),
        }
    }

    /// The factory's own installer by tag, if a factory is the source; of the platform that the
    /// installer block names, else of the image's.
    pub fn factory_installer(&self) -> Option<String> {
        let Source::Factory { url, id, .. } = &self.source else {
            return None;
        };
        let platform = self
            .installer
            .as_ref()
            .map_or(&self.variant.platform, |installer| &installer.platform);
        let Variant {
            version,
            secure_boot,
            ..
        } = &self.variant;
        Some(factory_installer(url, id, version, platform, *secure_boot))
    }

    /// The installer by tag that nodes should install; known at plan.
    pub fn installer_image(&self) -> Option<String> {
        match (&self.installer, &self.source) {
            (Some(installer), _) => Some(installer.place.to_string()),
            (None, Source::Copy(handle)) => handle.installer_image.clone(),
            (None, _) => self.factory_installer(),
        }
    }

    /// What the imager makes of the image, if it makes it.
    pub fn imager_output(&self) -> Option<ImagerOutput> {
        match self.format {
            Format::Iso => Some(ImagerOutput::Iso),
            Format::Raw => Some(ImagerOutput::Disk),
            Format::Qcow2 | Format::None => None,
        }
    }

    /// Id of the build of the image that stays on the build host, because it can be fetched from nowhere
    /// else.
    pub fn kept_build(&self) -> Option<String> {
        match &self.source {
            Source::Imager(inputs) if self.artifact.is_none() => {
                Some(inputs.build_id(self.imager_output()?, &self.variant.platform))
            }
            _ => None,
        }
    }

    /// Whether bytes of the image have to pass through this machine to get everywhere.
    pub(super) fn keeps_bytes(&self) -> bool {
        let uploads = |target: &Target| target.transfer == Transfer::Upload;
        self.local_file.is_some() || self.artifact.is_some() || self.targets.iter().any(uploads)
    }
}
