//! Manifests and indexes: what a registry keeps verbatim and names by its bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Media types of the OCI image specification 1.1 and of docker's schema 2, which older images have.
pub mod media_type {
    /// An image or artifact.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// Several, by platform.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An image's configuration.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A layer that is not compressed.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// A layer compressed by gzip.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A layer compressed by zstd.
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// `{}`: where something must stand and nothing is to be said.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// Docker's manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's index.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

    /// What is asked for when a manifest is read: without it, some registries convert or find nothing.
    pub(crate) const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, \
        application/vnd.oci.image.index.v1+json, \
        application/vnd.docker.distribution.manifest.v2+json, \
        application/vnd.docker.distribution.manifest.list.v2+json";
}

/// Content of the blob of type [`media_type::EMPTY`].
pub(crate) const EMPTY_BLOB: &[u8] = b"{}";

/// Points to content by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Number of its bytes.
    pub size: u64,
    /// The platform that it runs on, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Notes, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Describes `content`.
    pub fn of(media_type: &str, content: &[u8]) -> Self {
        Self::new(media_type, Digest::of(content), content.len() as u64)
    }

    /// A descriptor without notes.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// What an image runs on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// Go's name: `amd64`, `arm64`.
    pub architecture: String,
    /// Go's name: `linux`.
    pub os: String,
    /// `v8` of arm64 and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// An image or artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Always 2.
    pub schema_version: u32,
    /// Its own type; OCI leaves it out at times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What an artifact is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first; the files of an artifact.
    pub layers: Vec<Descriptor>,
    /// Notes, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl ImageManifest {
    /// An OCI manifest without notes.
    pub(crate) fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            annotations: BTreeMap::new(),
        }
    }
}

/// Several images, by platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Its own type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The images.
    pub manifests: Vec<Descriptor>,
    /// Notes, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// One image or artifact.
    Image(ImageManifest),
    /// Several.
    Index(Index),
}

/// A manifest with the bytes that its digest is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Exactly as read or to be sent.
    pub bytes: Vec<u8>,
    /// Its type, as the registry or the bytes say.
    pub media_type: String,
    /// What it says.
    pub body: Body,
}

/// Bytes that are no manifest.
#[derive(Debug, thiserror::Error)]
pub enum NoManifest {
    /// A type that is not known.
    #[error("the type {media_type:?} is neither an image nor an index")]
    Type {
        /// The type.
        media_type: String,
    },
    /// Not what the type promises.
    #[error("{media_type} cannot be read")]
    Parse {
        /// The type.
        media_type: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl Manifest {
    /// Reads a manifest. `declared` is its type by descriptor or header; without it, the bytes say.
    pub fn parse(bytes: Vec<u8>, declared: Option<&str>) -> Result<Self, NoManifest> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Probe {
            media_type: Option<String>,
            #[serde(default)]
            manifests: Option<serde::de::IgnoredAny>,
        }
        let probe: Probe = serde_json::from_slice(&bytes).map_err(|source| NoManifest::Parse {
            media_type: declared.unwrap_or("a manifest").to_owned(),
            source,
        })?;
        // A header without parameters, and only if it is one of ours: proxies say text/plain at times.
        let declared = declared
            .map(|declared| declared.split(';').next().unwrap_or_default().trim())
            .filter(|declared| is_manifest(declared));
        let media_type = match (declared, probe.media_type) {
            (Some(declared), _) => declared.to_owned(),
            (None, Some(own)) => own,
            (None, None) if probe.manifests.is_some() => media_type::INDEX.to_owned(),
            (None, None) => media_type::MANIFEST.to_owned(),
        };
        let failed = |source| NoManifest::Parse {
            media_type: media_type.clone(),
            source,
        };
        let body = match media_type.as_str() {
            media_type::MANIFEST | media_type::DOCKER_MANIFEST => {
                Body::Image(serde_json::from_slice(&bytes).map_err(failed)?)
            }
            media_type::INDEX | media_type::DOCKER_INDEX => {
                Body::Index(serde_json::from_slice(&bytes).map_err(failed)?)
            }
            _ => return Err(NoManifest::Type { media_type }),
        };
        Ok(Self {
            bytes,
            media_type,
            body,
        })
    }

    /// The manifest of one image; its bytes follow from it alone.
    pub(crate) fn image(image: ImageManifest) -> Self {
        Self {
            bytes: serde_json::to_vec(&image).expect("texts and numbers become JSON"),
            media_type: media_type::MANIFEST.to_owned(),
            body: Body::Image(image),
        }
    }

    /// An index of `manifests`; its bytes follow from it alone.
    pub(crate) fn index(manifests: Vec<Descriptor>) -> Self {
        Self::noted_index(Index {
            schema_version: 2,
            media_type: Some(media_type::INDEX.to_owned()),
            manifests,
            annotations: BTreeMap::new(),
        })
    }

    /// An index as it is described.
    pub(crate) fn noted_index(index: Index) -> Self {
        Self {
            bytes: serde_json::to_vec(&index).expect("texts and numbers become JSON"),
            media_type: media_type::INDEX.to_owned(),
            body: Body::Index(index),
        }
    }

    /// Digest of the bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// Points to it.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(&self.media_type, &self.bytes)
    }
}

fn is_manifest(media_type: &str) -> bool {
    [
        media_type::MANIFEST,
        media_type::INDEX,
        media_type::DOCKER_MANIFEST,
        media_type::DOCKER_INDEX,
    ]
    .contains(&media_type)
}

/// Whether two manifests hold the same: type of artifact, configuration and layers. Notes and the spelling of types do
/// not count, because each tool that pushes one archive chooses its own.
pub(crate) fn is_same_image(one: &ImageManifest, other: &ImageManifest) -> bool {
    one.artifact_type == other.artifact_type
        && one.config.digest == other.config.digest
        && one.layers.len() == other.layers.len()
        && one
            .layers
            .iter()
            .zip(&other.layers)
            .all(|(one, other)| one.digest == other.digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(layer: &[u8]) -> ImageManifest {
        ImageManifest::new(
            Descriptor::of(media_type::CONFIG, b"{}"),
            vec![Descriptor::of(media_type::LAYER_GZIP, layer)],
        )
    }

    #[test]
    fn bytes_of_a_manifest_are_fixed() {
        let manifest = Manifest::image(image(b""));
        assert_eq!(
            String::from_utf8(manifest.bytes.clone()).expect("JSON is text"),
            "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\
             \"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\
             \"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\",\
             \"size\":2},\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\
             \"digest\":\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",\
             \"size\":0}]}"
        );
        let read = Manifest::parse(manifest.bytes.clone(), None).expect("our own");
        assert_eq!(read, manifest);
    }

    #[test]
    fn the_declared_type_wins_if_it_is_one() {
        let mut plain = image(b"");
        plain.media_type = None;
        let bytes = serde_json::to_vec(&plain).expect("JSON");
        let read = Manifest::parse(bytes.clone(), Some("text/plain; charset=utf-8"));
        assert_eq!(read.expect("an image").media_type, media_type::MANIFEST);
        let read = Manifest::parse(bytes, Some(media_type::DOCKER_MANIFEST));
        assert_eq!(
            read.expect("an image").media_type,
            media_type::DOCKER_MANIFEST
        );
        let index = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
        let read = Manifest::parse(index, None).expect("an index");
        assert_eq!(read.media_type, media_type::INDEX);
    }

    #[test]
    fn refuses_what_is_no_manifest() {
        let schema1 = br#"{"schemaVersion":1,"mediaType":"application/vnd.docker.distribution.manifest.v1+json"}"#;
        assert!(matches!(
            Manifest::parse(schema1.to_vec(), None),
            Err(NoManifest::Type { .. })
        ));
        assert!(Manifest::parse(b"<html>".to_vec(), None).is_err());
    }

    #[test]
    fn the_same_content_under_another_type_is_the_same() {
        let mut other = image(b"x");
        other.layers[0].media_type = "application/vnd.docker.image.rootfs.diff.tar.gzip".into();
        other.annotations.insert("by".into(), "another".into());
        assert!(is_same_image(&image(b"x"), &other));
        assert!(!is_same_image(&image(b"y"), &other));
    }
}
