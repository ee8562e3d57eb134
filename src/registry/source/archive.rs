//! Docker archives: a `manifest.json` that lists images by the names of their parts.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{NoImage, store::Store};
use crate::{
    content::Content,
    digest::Digest,
    image::Image,
    manifest::{Descriptor, ImageManifest, Manifest, Platform, media_type},
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    layers: Vec<String>,
}

/// What we need of an image's configuration.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    variant: Option<String>,
    #[serde(default)]
    rootfs: RootFilesystem,
}

#[derive(Default, Deserialize)]
struct RootFilesystem {
    #[serde(default)]
    diff_ids: Vec<String>,
}

pub(super) fn read(store: &Store) -> Result<Image, NoImage> {
    const NAME: &str = "manifest.json";
    let listed: Vec<Listed> =
        serde_json::from_slice(&store.small(NAME)?).map_err(|error| store.part(NAME, &error))?;
    let mut layers = BTreeMap::new();
    let mut images = Vec::new();
    for listed in &listed {
        images.push(one(store, listed, &mut layers)?);
    }
    match images.len() {
        0 => Err(store.part(NAME, &"it lists no image")),
        1 => Ok(images.remove(0).0),
        _ => Ok(several(images)),
    }
}

fn one(
    store: &Store,
    listed: &Listed,
    layers: &mut BTreeMap<String, (Descriptor, Content)>,
) -> Result<(Image, Platform), NoImage> {
    let bytes = store.small(&listed.config)?;
    let config: Config =
        serde_json::from_slice(&bytes).map_err(|error| store.part(&listed.config, &error))?;
    if config.rootfs.diff_ids.len() != listed.layers.len() {
        let why = format!(
            "it describes {} layers, the archive has {}",
            config.rootfs.diff_ids.len(),
            listed.layers.len()
        );
        return Err(store.part(&listed.config, &why));
    }
    let descriptor = Descriptor::of(media_type::CONFIG, &bytes);
    let mut found = Vec::new();
    for name in &listed.layers {
        if !layers.contains_key(name) {
            layers.insert(name.clone(), layer(store, name)?);
        }
        found.push(layers[name].clone());
    }
    let descriptors = found.iter().map(|(layer, _)| layer.clone()).collect();
    let manifest = ImageManifest::new(descriptor.clone(), descriptors);
    let mut image = Image::new(Manifest::image(manifest));
    for (layer, content) in found {
        image.add_blob(&layer, content);
    }
    image.add_blob(&descriptor, Content::Bytes(bytes.into()));
    let platform = Platform {
        architecture: config.architecture,
        os: config.os,
        variant: config.variant.filter(|variant| !variant.is_empty()),
    };
    Ok((image, platform))
}

/// A layer as it is: `docker save` leaves them plain, others compress them.
fn layer(store: &Store, name: &str) -> Result<(Descriptor, Content), NoImage> {
    let place = store.place(name)?;
    let (digest, start) = store.digest(&place)?;
    let media_type = if start.starts_with(b"\x1f\x8b") {
        media_type::LAYER_GZIP
    } else if start.starts_with(b"\x28\xb5\x2f\xfd") {
        media_type::LAYER_ZSTD
    } else {
        media_type::LAYER
    };
    // Talos' imager, like all that use go-containerregistry, names a layer by the digest of its compressed bytes.
    let named = name
        .strip_suffix(".tar.gz")
        .and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok());
    if named.is_some_and(|named| named != digest) {
        return Err(NoImage::Damaged {
            path: store.path.clone(),
            name: name.to_owned(),
            found: digest,
        });
    }
    let descriptor = Descriptor::new(media_type, digest, place.size);
    Ok((descriptor, place.content()))
}

/// An index of several images, in the archive's order.
fn several(images: Vec<(Image, Platform)>) -> Image {
    let descriptors = images
        .iter()
        .map(|(image, platform)| Descriptor {
            platform: Some(platform.clone()),
            ..image.root.descriptor()
        })
        .collect();
    let mut index = Image::new(Manifest::index(descriptors));
    for (image, _) in images {
        for (descriptor, content) in &image.blobs {
            index.add_blob(descriptor, content.clone());
        }
        index.children.push(image.root);
    }
    index
}
