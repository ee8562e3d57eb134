//! Files as artifacts: one file, a type, notes (image-spec, "Guidelines for Artifact Usage").

use std::{collections::BTreeMap, path::PathBuf};

use bytes::Bytes;
use tokio::io::AsyncReadExt;

use crate::{
    client::Registries,
    content::{Content, PIECE},
    digest::{Digest, Hasher},
    error::Error,
    image::Image,
    manifest::{Body, Descriptor, EMPTY_BLOB, ImageManifest, Manifest, media_type},
    progress::{Meter, Progress},
    push::Pushed,
    reference::Reference,
};

/// Key of the note with a file's name (image-spec, "Pre-Defined Annotation Keys").
pub const TITLE: &str = "org.opencontainers.image.title";

/// A file that is to become an artifact. The same file with the same words has the same digest.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The file. It must not change while it is pushed; the registry notices.
    pub path: PathBuf,
    /// Digest and number of bytes, if they are known: else the file is read once more.
    pub known: Option<(Digest, u64)>,
    /// What the artifact is, as a media type of the caller's own.
    pub artifact_type: String,
    /// What the file is, as a media type.
    pub media_type: String,
    /// Name of the file for whoever pulls it.
    pub file_name: String,
    /// Notes of the artifact. Part of its digest: no times here.
    pub annotations: BTreeMap<String, String>,
}

/// An artifact in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundArtifact {
    /// Digest of the artifact: what `repository@…` is called by.
    pub digest: Digest,
    /// What it is.
    pub artifact_type: Option<String>,
    /// Its file: digest and number of bytes are the file's own.
    pub file: Descriptor,
    /// Its notes.
    pub annotations: BTreeMap<String, String>,
}

impl FoundArtifact {
    /// The file's name.
    pub fn file_name(&self) -> Option<&str> {
        self.file.annotations.get(TITLE).map(String::as_str)
    }
}

impl Registries {
    /// Puts a file under the tag `to`, or only under its digest if `to` has no tag: registries clear away what has no tag
    /// some day. The rules are those of [`Registries::push`]. While the file is hashed, `progress` counts too.
    pub async fn push_artifact(
        &self,
        artifact: &Artifact,
        to: &Reference,
        overwrite: bool,
        progress: &Progress,
    ) -> Result<Pushed, Error> {
        let (digest, size) = match artifact.known {
            Some(known) => known,
            None => hash(&artifact.path, progress).await?,
        };
        let image = image(artifact, digest, size);
        self.push(&image, to, overwrite, progress).await
    }

    /// The artifact at a reference; nothing if it is not there.
    pub async fn find_artifact(
        &self,
        reference: &Reference,
    ) -> Result<Option<FoundArtifact>, Error> {
        let Some(manifest) = self.read(reference).await? else {
            return Ok(None);
        };
        let digest = manifest.digest();
        let no_artifact = |what: &str| Error::Protocol {
            errand: crate::error::Errand {
                host: reference.repository().host().to_owned(),
                what: format!("read {reference}"),
            },
            what: what.to_owned(),
        };
        let Body::Image(mut body) = manifest.body else {
            return Err(no_artifact("it is an index, where one file is expected"));
        };
        if body.layers.len() != 1 {
            return Err(no_artifact(
                "it has several parts, where one file is expected",
            ));
        }
        Ok(Some(FoundArtifact {
            digest,
            artifact_type: body.artifact_type,
            file: body.layers.remove(0),
            annotations: body.annotations,
        }))
    }
}

/// The artifact as the registry is to hold it.
fn image(artifact: &Artifact, digest: Digest, size: u64) -> Image {
    let config = Descriptor::of(media_type::EMPTY, EMPTY_BLOB);
    let mut file = Descriptor::new(&artifact.media_type, digest, size);
    file.annotations
        .insert(TITLE.to_owned(), artifact.file_name.clone());
    let mut manifest = ImageManifest::new(config.clone(), vec![file.clone()]);
    manifest.artifact_type = Some(artifact.artifact_type.clone());
    manifest.annotations.clone_from(&artifact.annotations);
    let mut image = Image::new(Manifest::image(manifest));
    image.add_blob(&config, Content::Bytes(Bytes::from_static(EMPTY_BLOB)));
    let content = Content::File {
        path: artifact.path.clone(),
        offset: 0,
    };
    image.add_blob(&file, content);
    image
}

/// Digest and number of bytes of a file, read in pieces.
pub async fn hash(path: &std::path::Path, progress: &Progress) -> Result<(Digest, u64), Error> {
    let failed = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    let mut file = tokio::fs::File::open(path).await.map_err(failed)?;
    let total = file.metadata().await.map_err(failed)?.len();
    file.set_max_buf_size(PIECE);
    let meter = Meter::new(progress, total);
    let mut hasher = Hasher::new();
    let mut size = 0;
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece).await.map_err(failed)?;
        if read == 0 {
            break;
        }
        size += read as u64;
        meter.add(read as u64);
        hasher.update(&piece[..read]);
    }
    Ok((hasher.finish(), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_file_has_the_same_digest() {
        let artifact = Artifact {
            path: "/x".into(),
            known: None,
            artifact_type: "application/vnd.example.image".into(),
            media_type: "application/octet-stream".into(),
            file_name: "x.iso".into(),
            annotations: [("version".to_owned(), "1".to_owned())].into(),
        };
        let image = image(&artifact, Digest::of(b"content"), 7);
        assert_eq!(
            image.digest().to_string(),
            "sha256:775b2656d516c0b43e788ddf25f7dd6af76a083a4477ff0ff0e48b00931c6959"
        );
        assert_eq!(image.size_bytes(), 9);
    }
}
