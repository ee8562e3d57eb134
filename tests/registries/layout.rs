//! Small images as tools write them: docker archives and OCI layouts.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use registry::Digest;
use serde_json::{Value, json};

/// A layer compressed by gzip.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The compressed bytes.
    pub compressed: Vec<u8>,
    /// Digest of the tar itself: what a configuration lists.
    pub diff_id: Digest,
}

/// A layer of these files, always the same for the same files.
pub fn layer(files: &[(&str, &[u8])]) -> Layer {
    let plain = tar_of(files.iter().map(|(name, content)| (*name, *content)));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&plain).expect("memory takes bytes");
    Layer {
        compressed: encoder.finish().expect("memory takes bytes"),
        diff_id: Digest::of(&plain),
    }
}

/// An image's configuration.
fn configuration(architecture: &str, layers: &[Layer]) -> Vec<u8> {
    let ids: Vec<String> = layers
        .iter()
        .map(|layer| layer.diff_id.to_string())
        .collect();
    let configuration = json!({
        "architecture": architecture, "os": "linux", "created": "2026-01-01T00:00:00Z",
        "config": {"Labels": {"made.by": "tests"}},
        "rootfs": {"type": "layers", "diff_ids": ids},
    });
    configuration.to_string().into_bytes()
}

/// Writes a docker archive of one image as Talos' imager does: the configuration under its digest, layers under the hex
/// digits of theirs, the list last.
pub fn docker_archive(path: &Path, architecture: &str, layers: &[Layer]) {
    let configuration = configuration(architecture, layers);
    let configuration_name = Digest::of(&configuration).to_string();
    let names: Vec<String> = layers
        .iter()
        .map(|layer| format!("{}.tar.gz", Digest::of(&layer.compressed).hex()))
        .collect();
    let list = json!([{
        "Config": configuration_name,
        "RepoTags": ["example.org/base-installer:v1"],
        "Layers": names,
    }])
    .to_string();
    let mut parts: Vec<(&str, &[u8])> = vec![(&configuration_name, &configuration)];
    for (name, layer) in names.iter().zip(layers) {
        parts.push((name, &layer.compressed));
    }
    parts.push(("manifest.json", list.as_bytes()));
    fs::write(path, tar_of(parts.into_iter())).expect("a file can be written");
}

fn tar_of<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        tar.append_data(&mut header, name, content)
            .expect("memory takes bytes");
    }
    tar.into_inner().expect("memory takes bytes")
}

/// Writes an OCI layout of images for these architectures: one manifest, or an index of several.
pub fn layout(directory: &Path, images: &[(&str, &[Layer])]) {
    let layout = Layout::new(directory);
    let mut manifests: Vec<Value> = images
        .iter()
        .map(|(architecture, layers)| {
            let mut descriptor = layout.image(architecture, layers);
            descriptor["platform"] = json!({"architecture": architecture, "os": "linux"});
            descriptor
        })
        .collect();
    if manifests.len() > 1 {
        let index = json!({
            "schemaVersion": 2, "mediaType": registry::media_type::INDEX, "manifests": manifests,
        });
        manifests = vec![layout.blob(registry::media_type::INDEX, index.to_string().as_bytes())];
    }
    layout.finish(&manifests);
}

/// An OCI layout that is being written.
pub(crate) struct Layout {
    directory: PathBuf,
}

impl Layout {
    pub(crate) fn new(directory: &Path) -> Self {
        fs::create_dir_all(directory.join("blobs/sha256")).expect("a directory can be made");
        Self {
            directory: directory.to_owned(),
        }
    }

    /// Adds a blob; gives what points to it.
    pub(crate) fn blob(&self, media_type: &str, content: &[u8]) -> Value {
        let digest = Digest::of(content);
        let path = self.directory.join("blobs/sha256").join(digest.hex());
        fs::write(path, content).expect("a file can be written");
        json!({"mediaType": media_type, "digest": digest, "size": content.len()})
    }

    pub(crate) fn image(&self, architecture: &str, layers: &[Layer]) -> Value {
        let configuration = configuration(architecture, layers);
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| self.blob(registry::media_type::LAYER_GZIP, &layer.compressed))
            .collect();
        self.manifest(&configuration, &layers)
    }

    pub(crate) fn manifest(&self, configuration: &[u8], layers: &[Value]) -> Value {
        let configuration = self.blob(registry::media_type::CONFIG, configuration);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": registry::media_type::MANIFEST,
            "config": configuration, "layers": layers,
        });
        self.blob(
            registry::media_type::MANIFEST,
            manifest.to_string().as_bytes(),
        )
    }

    /// Writes what names the images.
    pub(crate) fn finish(&self, manifests: &[Value]) {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        let write = |name: &str, value: Value| {
            let path = self.directory.join(name);
            fs::write(path, value.to_string()).expect("a file can be written");
        };
        write("index.json", index);
        write("oci-layout", json!({"imageLayoutVersion": "1.0.0"}));
    }
}
