//! The imager: what it is told, and the id of what it makes.

mod profile;

use serde::{Deserialize, Serialize};

use super::{platform::Architecture, reference::Variant, release::TalosVersion};
use crate::rendered::sha256;

pub use profile::ImagerLayout;
pub(super) use profile::{LAYOUT, layout_fault};

/// Format of the text that ids are made of. Another number gives every image another id.
const FORMAT: u32 = 1;

/// Everything that decides what the imager makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagerInputs {
    /// Version of Talos.
    pub version: TalosVersion,
    /// Platform of the image.
    pub platform: String,
    /// Architecture.
    pub architecture: Architecture,
    /// Signed for secure boot.
    pub secure_boot: bool,
    /// Image of the imager; its tag decides the kernel.
    pub imager: String,
    /// Installer that the new one is made from.
    pub base_installer: String,
    /// Images of system extensions, in order.
    pub extension_images: Vec<String>,
    /// Arguments for the kernel, in order.
    pub kernel_args: Vec<String>,
    /// Contents of META, in order.
    pub meta: Vec<(u8, String)>,
    /// Overlay, if there is one.
    pub overlay: Option<ImagerOverlay>,
}

/// An overlay as the imager takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagerOverlay {
    /// Image with the overlay.
    pub image: String,
    /// Name inside of the image.
    pub name: String,
    /// Options; their values are text there.
    pub options: Vec<(String, String)>,
}

/// What one run of the imager makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImagerOutput {
    /// A bootable ISO.
    Iso,
    /// A raw disk image, packed with zstd.
    Disk,
    /// An installer as a docker archive.
    Installer,
}

/// How the imager is run once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagerRun {
    /// Arguments, without the program's name.
    pub arguments: Vec<String>,
    /// What it reads on its standard input; empty for nothing.
    pub input: String,
    /// Directories of the build host that it sees.
    pub layouts: Vec<ImagerLayout>,
}

impl ImagerInputs {
    /// Id of one run on a build host: what it makes follows from the inputs, from what is asked for,
    /// and for whom.
    pub fn build_id(&self, output: ImagerOutput, platform: &str) -> String {
        sha256(format!("{}/{output:?}/{platform}", self.id()).as_bytes())
    }

    /// How one run is started: by flags, or by a profile where an image lies in a layout, which no
    /// flag names.
    pub fn run(&self, output: ImagerOutput, platform: &str) -> ImagerRun {
        let layouts = self.layouts(output);
        if layouts.is_empty() {
            return ImagerRun {
                arguments: self.arguments(output, platform, false),
                input: String::new(),
                layouts,
            };
        }
        ImagerRun {
            arguments: vec!["-".to_owned()],
            input: self.profile(output, platform),
            layouts,
        }
    }

    /// Id of what comes out: 64 lower-case hexadecimal digits, the same for the same inputs.
    pub fn id(&self) -> String {
        let text = serde_json::to_string(&(FORMAT, self)).expect("texts and numbers are JSON");
        sha256(text.as_bytes())
    }

    /// Arguments for one run, without the program's name. `platform` is that of the output, since an
    /// installer may be for another one than the image; `insecure` lets it pull by plain HTTP.
    pub fn arguments(&self, output: ImagerOutput, platform: &str, insecure: bool) -> Vec<String> {
        let mut arguments = vec![self.base_profile(output, platform)];
        let mut flag = |name: &str, value: &str| {
            arguments.push(format!("--{name}"));
            arguments.push(value.to_owned());
        };
        flag("arch", self.architecture.as_str());
        flag("platform", platform);
        if output == ImagerOutput::Installer {
            flag("base-installer-image", &self.base_installer);
        }
        for image in &self.extension_images {
            flag("system-extension-image", image);
        }
        // The imager refuses META for an installer in any version.
        let is_installer = output == ImagerOutput::Installer;
        if self.passes_kernel_args(output) {
            for argument in &self.kernel_args {
                flag("extra-kernel-arg", argument);
            }
        }
        if !is_installer {
            for (key, value) in &self.meta {
                flag("meta", &format!("{key}={value}"));
            }
        }
        if let Some(overlay) = &self.overlay {
            flag("overlay-name", &overlay.name);
            flag("overlay-image", &overlay.image);
            for (name, value) in &overlay.options {
                flag("overlay-option", &format!("{name}={value}"));
            }
        }
        if insecure {
            arguments.push("--insecure".to_owned());
        }
        arguments
    }

    /// Name of the profile that a run begins with.
    fn base_profile(&self, output: ImagerOutput, platform: &str) -> String {
        let profile = match output {
            ImagerOutput::Iso => "iso",
            ImagerOutput::Installer => "installer",
            // With secure boot there is a profile for one platform only; the flag says which it is.
            ImagerOutput::Disk if self.secure_boot => "metal",
            ImagerOutput::Disk => platform,
        };
        let secure = if self.secure_boot { "secureboot-" } else { "" };
        format!("{secure}{profile}")
    }

    /// Before Talos 1.10 the kernel's arguments of an installer came from the machine configuration.
    fn passes_kernel_args(&self, output: ImagerOutput) -> bool {
        output != ImagerOutput::Installer || self.secure_boot || self.version.at_least(1, 10)
    }

    /// Name of the file that a run leaves in its output directory; a disk image may have another
    /// packing behind it.
    pub fn output_name(&self, output: ImagerOutput, platform: &str) -> String {
        let variant = Variant {
            version: self.version.clone(),
            platform: platform.to_owned(),
            architecture: self.architecture,
            secure_boot: self.secure_boot,
        };
        let secure = if self.secure_boot { "-secureboot" } else { "" };
        match output {
            ImagerOutput::Iso => format!("{}.iso", variant.stem()),
            ImagerOutput::Disk => format!("{}.raw.zst", variant.stem()),
            ImagerOutput::Installer => format!("installer-{}{secure}.tar", self.architecture),
        }
    }
}

/// The imager of a version.
pub fn default_imager(version: &TalosVersion) -> String {
    format!("ghcr.io/siderolabs/imager:{version}")
}

/// The installer that new ones of a version are made from.
pub fn default_base_installer(version: &TalosVersion) -> String {
    let name = if version.at_least(1, 10) {
        "installer-base"
    } else {
        "installer"
    };
    format!("ghcr.io/siderolabs/{name}:{version}")
}

#[cfg(test)]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
mod tests;
