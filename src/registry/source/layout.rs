//! OCI layouts: `index.json` and blobs by digest (image-spec, "Image Layout Specification").

use serde::Deserialize;

use super::{NoImage, store::Store};
use crate::{
    content::Content,
    digest::Digest,
    image::Image,
    manifest::{Body, Descriptor, Index, Manifest},
};

/// The one version of the form.
const VERSION: &str = "1.0.0";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    image_layout_version: String,
}

pub(super) fn read(store: &Store) -> Result<Image, NoImage> {
    const INDEX: &str = "index.json";
    const LAYOUT: &str = "oci-layout";
    let layout: Layout = serde_json::from_slice(&store.small(LAYOUT)?)
        .map_err(|error| store.part(LAYOUT, &error))?;
    if layout.image_layout_version != VERSION {
        let why = format!("version {:?} is not known", layout.image_layout_version);
        return Err(store.part(LAYOUT, &why));
    }
    let index: Index =
        serde_json::from_slice(&store.small(INDEX)?).map_err(|error| store.part(INDEX, &error))?;
    let root = match index.manifests.as_slice() {
        [] => return Err(store.part(INDEX, &"it lists no image")),
        [only] => manifest(store, only)?,
        several => Manifest::index(several.to_vec()),
    };
    let mut image = Image::new(root.clone());
    let mut waiting = vec![root];
    while let Some(next) = waiting.pop() {
        match &next.body {
            Body::Image(body) => {
                for descriptor in body.layers.iter().chain([&body.config]) {
                    let content = blob(store, descriptor)?;
                    image.add_blob(descriptor, content);
                }
            }
            Body::Index(index) => {
                for descriptor in &index.manifests {
                    let child = manifest(store, descriptor)?;
                    image.children.insert(0, child.clone());
                    waiting.push(child);
                }
            }
        }
    }
    Ok(image)
}

fn name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn manifest(store: &Store, descriptor: &Descriptor) -> Result<Manifest, NoImage> {
    let name = name(descriptor.digest);
    let bytes = store.small(&name)?;
    let found = Digest::of(&bytes);
    if found != descriptor.digest {
        return Err(NoImage::Damaged {
            path: store.path.clone(),
            name,
            found,
        });
    }
    Manifest::parse(bytes, Some(&descriptor.media_type)).map_err(|source| NoImage::Manifest {
        path: store.path.clone(),
        source,
    })
}

/// A blob as it lies there. Only its size is checked: the registry checks the rest when it gets it.
fn blob(store: &Store, descriptor: &Descriptor) -> Result<Content, NoImage> {
    let name = name(descriptor.digest);
    let place = store.place(&name)?;
    if place.size != descriptor.size {
        let why = format!(
            "{} bytes are expected, {} are there",
            descriptor.size, place.size
        );
        return Err(store.part(&name, &why));
    }
    Ok(place.content())
}
