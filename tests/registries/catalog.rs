//! What a factory offers: versions, and the official extensions and overlays of each.

use std::fmt::Write as _;

use registry::{Digest, Registries, Settings};

use crate::layout::{docker_archive, layer};

/// An official extension.
#[derive(Clone, Debug)]
pub struct Extension {
    /// As schematics name it: `siderolabs/qemu-guest-agent`.
    pub name: String,
    /// Its own version, the tag of its image.
    pub version: String,
    /// For people.
    pub description: String,
}

/// An official overlay.
#[derive(Clone, Debug)]
pub struct Overlay {
    /// As schematics name it: `rpi_generic`.
    pub name: String,
    /// Its image: `siderolabs/sbc-raspberrypi`.
    pub image: String,
}

/// A version of Talos with what belongs to it.
#[derive(Clone, Debug)]
pub struct Release {
    /// With `v`.
    pub version: String,
    /// Official extensions.
    pub extensions: Vec<Extension>,
    /// Official overlays.
    pub overlays: Vec<Overlay>,
}

/// What a factory offers.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// Versions, in any order.
    pub releases: Vec<Release>,
}

impl Default for Catalog {
    /// Versions around those of the examples, each with the same extensions.
    fn default() -> Self {
        let versions = [
            "v1.10.7", "v1.11.4", "v1.11.5", "v1.11.6", "v1.12.0", "v1.12.1",
        ];
        let extension = |name: &str, version: &str, description: &str| Extension {
            name: format!("siderolabs/{name}"),
            version: version.to_owned(),
            description: description.to_owned(),
        };
        let release = |version: &str| Release {
            version: version.to_owned(),
            extensions: vec![
                extension("amd-ucode", "20250812", "Processor microcode."),
                extension("bird2", "2.17.1", "Routing daemon."),
                extension("crun", "1.24", "Container runtime."),
                extension("ctr", "v2.1.5", "Client of containerd."),
                extension("gvisor", "20250505.0", "Sandboxed container runtime."),
                extension("i915", "20250812", "Graphics firmware."),
                extension("intel-ucode", "20250812", "Processor microcode."),
                extension("iscsi-tools", "v0.2.0", "Block storage over the network."),
                extension("qemu-guest-agent", "10.0.2", "What the hypervisor asks."),
                extension("util-linux-tools", "2.41.1", "Tools for disks."),
            ],
            overlays: vec![Overlay {
                name: "rpi_generic".to_owned(),
                image: "siderolabs/sbc-raspberrypi".to_owned(),
            }],
        };
        Self {
            releases: versions.map(release).into(),
        }
    }
}

impl Catalog {
    /// Puts the catalog into the registry as a factory reads it: versions are tags of the imager, the rest are files of
    /// images whose tag is the version.
    pub(crate) async fn publish(&self, host: &str) {
        let registries = Registries::new(Settings {
            keychain: registry::Keychain::anonymous(),
            ..Settings::default()
        })
        .expect("the usual settings are right");
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("image.tar");
        for release in &self.releases {
            let images = [
                ("imager", vec![("stub".to_owned(), String::new())]),
                ("extensions", release.extension_files()),
                ("overlays", release.overlay_files()),
            ];
            for (name, files) in images {
                let files: Vec<(&str, &[u8])> = files
                    .iter()
                    .map(|(name, text)| (name.as_str(), text.as_bytes()))
                    .collect();
                docker_archive(&path, "amd64", &[layer(&files)]);
                let image = registry::Image::open(&path).await.expect("our own archive");
                let tag = format!("{host}/siderolabs/{name}:{}", release.version);
                let tag = tag.parse().expect("a reference");
                registries
                    .push(&image, &tag, true, &registry::Progress::silent())
                    .await
                    .expect("the registry takes it");
            }
        }
    }
}

impl Release {
    /// The lists of an `extensions` image: references with digests, and words about each.
    fn extension_files(&self) -> Vec<(String, String)> {
        let (mut digests, mut descriptions) = (String::new(), String::new());
        for Extension {
            name,
            version,
            description,
        } in &self.extensions
        {
            let digest = Digest::of(format!("{name}:{version}").as_bytes());
            let reference = format!("ghcr.io/{name}:{version}@{digest}");
            writeln!(digests, "{reference}").expect("a text takes text");
            writeln!(
                descriptions,
                "{reference}:\n  author: Tests\n  description: |\n    {description}"
            )
            .expect("a text takes text");
        }
        vec![
            ("image-digests".to_owned(), digests),
            ("descriptions.yaml".to_owned(), descriptions),
        ]
    }

    fn overlay_files(&self) -> Vec<(String, String)> {
        let mut text = "overlays:\n".to_owned();
        for Overlay { name, image } in &self.overlays {
            let digest = Digest::of(image.as_bytes());
            writeln!(
                text,
                "  - name: {name}\n    image: ghcr.io/{image}:{}\n    digest: {digest}",
                self.version
            )
            .expect("a text takes text");
        }
        vec![("overlays.yaml".to_owned(), text)]
    }
}
