//! Images on this machine: docker archives and OCI layouts.

mod archive;
mod layout;
mod store;

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    digest::{Digest, NoDigest},
    error::Error,
    image::Image,
    manifest::NoManifest,
};
use store::Store;

/// What lies on this machine is no image.
#[derive(Debug, thiserror::Error)]
pub enum NoImage {
    /// It cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The whole archive is compressed.
    #[error("{} is compressed as a whole; unpack it first", path.display())]
    Compressed {
        /// The archive.
        path: PathBuf,
    },
    /// Neither form was found.
    #[error("{} holds no image: neither the manifest.json of a docker archive nor the oci-layout of an OCI layout", path.display())]
    Neither {
        /// The file or directory.
        path: PathBuf,
    },
    /// A part lacks.
    #[error("{} lacks {name}", path.display())]
    Missing {
        /// The file or directory.
        path: PathBuf,
        /// The part.
        name: String,
    },
    /// A part is not what it should be.
    #[error("{name} in {} cannot be used: {why}", path.display())]
    Part {
        /// The file or directory.
        path: PathBuf,
        /// The part.
        name: String,
        /// Why.
        why: String,
    },
    /// A part is not what its name says.
    #[error("{name} in {} is damaged: its content is {found}", path.display())]
    Damaged {
        /// The file or directory.
        path: PathBuf,
        /// The part.
        name: String,
        /// Digest of what it holds.
        found: Digest,
    },
    /// A digest that we cannot check.
    #[error(transparent)]
    Digest(#[from] NoDigest),
    /// A manifest that is none.
    #[error("a manifest in {}", path.display())]
    Manifest {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: NoManifest,
    },
}

impl Image {
    /// Opens what lies at `path`: a docker archive (what `docker save` and Talos' imager write), or an OCI layout, as a
    /// directory or as a tar file. Layers are read once for their digest, in pieces, and stay where they are.
    ///
    /// A docker archive has no manifest, so we make one, always the same for the same archive: OCI, layers as they are.
    /// Several images become an index by platform.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let work = move || read(&path);
        let image = tokio::task::spawn_blocking(work)
            .await
            .expect("reading does not panic")?;
        Ok(image)
    }
}

fn read(path: &Path) -> Result<Image, NoImage> {
    let store = Store::open(path)?;
    // `docker save` writes both since version 25; the layout has the manifest that docker itself would push.
    if store.has("oci-layout") && store.has("index.json") {
        layout::read(&store)
    } else if store.has("manifest.json") {
        archive::read(&store)
    } else {
        Err(NoImage::Neither {
            path: path.to_owned(),
        })
    }
}
