//! Platforms and architectures that Talos images exist for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::release::TalosVersion;

/// Architecture of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Architecture {
    /// `x86_64`.
    #[default]
    Amd64,
    /// `aarch64`.
    Arm64,
}

impl Architecture {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// Reads Talos' word for it.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }

    /// Talos' word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What is known of a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Its name in image names and in `talos.platform`.
    pub name: &'static str,
    /// Whether images for arm64 exist.
    pub arm64: bool,
    /// Whether images with secure boot exist.
    pub secure_boot: bool,
    /// First minor line of Talos 1 that has it.
    pub since: u64,
}

const fn platform(name: &'static str, arm64: bool, secure_boot: bool, since: u64) -> Platform {
    Platform {
        name,
        arm64,
        secure_boot,
        since,
    }
}

/// Platforms of Talos (`pkg/machinery/platforms` at v1.13.0). Those of Proxmox are `nocloud` and
/// `metal`; images of the others lie on a storage as well.
pub const PLATFORMS: [Platform; 18] = [
    platform("nocloud", true, true, 0),
    platform("metal", true, true, 0),
    platform("akamai", false, false, 7),
    platform("aws", true, false, 0),
    platform("azure", true, false, 0),
    platform("cloudstack", true, true, 8),
    platform("digital-ocean", false, false, 0),
    platform("equinixMetal", true, false, 0),
    platform("exoscale", true, false, 3),
    platform("gcp", true, false, 0),
    platform("hcloud", false, false, 0),
    platform("opennebula", true, false, 7),
    platform("openstack", true, false, 0),
    platform("oracle", true, false, 0),
    platform("scaleway", true, false, 0),
    platform("upcloud", false, false, 0),
    platform("vmware", true, false, 0),
    platform("vultr", false, false, 0),
];

impl Platform {
    /// Finds a platform by its name.
    pub fn find(name: &str) -> Option<Self> {
        PLATFORMS.into_iter().find(|known| known.name == name)
    }

    /// Why there is no image of it, as a sentence.
    pub fn refuses(
        self,
        version: &TalosVersion,
        architecture: Architecture,
        secure_boot: bool,
    ) -> Option<String> {
        let Self { name, since, .. } = self;
        if architecture == Architecture::Arm64 && !self.arm64 {
            return Some(format!("Platform {name} has no images for arm64."));
        }
        if secure_boot && !self.secure_boot {
            return Some(format!("Platform {name} has no images with secure boot."));
        }
        (!version.at_least(1, since))
            .then(|| format!("Platform {name} came with Talos 1.{since}, after {version}."))
    }
}
