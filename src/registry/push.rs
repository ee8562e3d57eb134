//! Putting an image under a tag: what is there already is adopted, other content is not replaced unasked.

use std::sync::Arc;

use crate::{
    client::Registries,
    content::Content,
    digest::Digest,
    error::Error,
    image::Image,
    manifest::{Body, Manifest, is_same_image},
    progress::{Meter, Progress},
    reference::{Reference, Repository},
    token::Access,
};

/// What came of putting an image under a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Digest that the tag holds now. Of an adopted image it may be another than ours, if another tool pushed the same
    /// content with another manifest.
    pub digest: Digest,
    /// What was done.
    pub outcome: Outcome,
}

/// What was done to a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was absent and is made.
    Made,
    /// It held the same content; nothing was sent.
    Adopted,
    /// It held this, and was moved.
    Replaced(Digest),
}

/// What a tag holds in comparison with what is wanted there.
enum Held {
    Nothing,
    Same(Digest),
    Other(Digest),
}

impl Registries {
    /// Puts `image` under the tag `to`, or under its digest if `to` has no tag.
    ///
    /// The tag is looked at before anything is sent, and again just before it is written, because a registry has no
    /// "only if absent": of two who push other content at the same time, the later sees the earlier unless both write in
    /// the same moment. Blobs go first, so the tag never points to something incomplete.
    pub async fn push(
        &self,
        image: &Image,
        to: &Reference,
        overwrite: bool,
        progress: &Progress,
    ) -> Result<Pushed, Error> {
        if let Some(pushed) = self.settled(image, to, overwrite).await? {
            return Ok(pushed);
        }
        let repository = to.repository();
        let meter = Arc::new(Meter::new(progress, image.size_bytes()));
        let near = image.near.as_ref();
        for (descriptor, content) in &image.blobs {
            self.push_blob(repository, descriptor, content, near, &meter)
                .await?;
        }
        for child in &image.children {
            self.put(&repository.at(child.digest()), child).await?;
        }
        let held = self.held(image, to).await?;
        let outcome = match held {
            Held::Nothing => Outcome::Made,
            Held::Same(digest) => {
                return Ok(Pushed {
                    digest,
                    outcome: Outcome::Adopted,
                });
            }
            Held::Other(found) if overwrite => Outcome::Replaced(found),
            Held::Other(found) => return Err(other(image, to, found)),
        };
        self.put(to, &image.root).await?;
        Ok(Pushed {
            digest: image.digest(),
            outcome,
        })
    }

    /// The end, if the tag's present content decides already.
    async fn settled(
        &self,
        image: &Image,
        to: &Reference,
        overwrite: bool,
    ) -> Result<Option<Pushed>, Error> {
        match self.held(image, to).await? {
            Held::Same(digest) => Ok(Some(Pushed {
                digest,
                outcome: Outcome::Adopted,
            })),
            Held::Other(found) if !overwrite => Err(other(image, to, found)),
            Held::Other(_) | Held::Nothing => Ok(None),
        }
    }

    async fn held(&self, image: &Image, to: &Reference) -> Result<Held, Error> {
        let wanted = image.digest();
        let place = match to.tag() {
            // The tag counts, also if a digest is written beside it.
            Some(tag) => to.repository().tagged(tag)?,
            None => to.repository().at(wanted),
        };
        let Some(found) = self.look_with(&place, Access::Push).await? else {
            return Ok(Held::Nothing);
        };
        if found.digest == wanted {
            return Ok(Held::Same(wanted));
        }
        let Some(manifest) = self.read_with(&place, Access::Push).await? else {
            return Ok(Held::Nothing);
        };
        let digest = manifest.digest();
        if self.is_same(image, &manifest, to.repository()).await? {
            Ok(Held::Same(digest))
        } else {
            Ok(Held::Other(digest))
        }
    }

    /// Whether what is there has the same content under another manifest.
    async fn is_same(
        &self,
        image: &Image,
        there: &Manifest,
        repository: &Repository,
    ) -> Result<bool, Error> {
        match (&image.root.body, &there.body) {
            (Body::Image(ours), Body::Image(theirs)) => Ok(is_same_image(ours, theirs)),
            (Body::Index(ours), Body::Index(theirs)) => {
                if ours.manifests.len() != theirs.manifests.len() {
                    return Ok(false);
                }
                for (ours, theirs) in ours.manifests.iter().zip(&theirs.manifests) {
                    if ours.platform != theirs.platform {
                        return Ok(false);
                    }
                    if ours.digest == theirs.digest {
                        continue;
                    }
                    let ours = image
                        .children
                        .iter()
                        .find(|child| child.digest() == ours.digest);
                    let theirs = self
                        .read_with(&repository.at(theirs.digest), Access::Push)
                        .await?;
                    let is_same = match (ours, theirs) {
                        (Some(ours), Some(theirs)) => match (&ours.body, &theirs.body) {
                            (Body::Image(ours), Body::Image(theirs)) => is_same_image(ours, theirs),
                            _ => false,
                        },
                        _ => false,
                    };
                    if !is_same {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Copies an image, or an index with all its platforms, from one repository to another, of the same registry or not.
    /// The bytes of manifests do not change, so neither does the digest.
    pub async fn copy(
        &self,
        from: &Reference,
        to: &Reference,
        overwrite: bool,
        progress: &Progress,
    ) -> Result<Pushed, Error> {
        let image = self.remote(from).await?;
        self.push(&image, to, overwrite, progress).await
    }

    /// The image at `from`, with blobs that are read from there when they are needed.
    pub(crate) async fn remote(&self, from: &Reference) -> Result<Image, Error> {
        let repository = from.repository();
        let root = self.must_read(from).await?;
        let mut image = Image::new(root.clone());
        image.near = Some(repository.clone());
        let mut waiting = vec![root];
        while let Some(manifest) = waiting.pop() {
            match &manifest.body {
                Body::Image(body) => {
                    for descriptor in body.layers.iter().chain([&body.config]) {
                        let content = Content::Remote(self.clone(), repository.clone());
                        image.add_blob(descriptor, content);
                    }
                }
                Body::Index(index) => {
                    for descriptor in &index.manifests {
                        let child = self.must_read(&repository.at(descriptor.digest)).await?;
                        // Before what points to it: an index of indexes is put from the bottom.
                        image.children.insert(0, child.clone());
                        waiting.push(child);
                    }
                }
            }
        }
        Ok(image)
    }

    async fn must_read(&self, reference: &Reference) -> Result<Manifest, Error> {
        let manifest = self.read(reference).await?;
        manifest.ok_or_else(|| Error::NotFound {
            errand: crate::error::Errand {
                host: reference.repository().host().to_owned(),
                what: format!("read {reference}"),
            },
            message: String::new(),
        })
    }
}

fn other(image: &Image, to: &Reference, found: Digest) -> Error {
    Error::OtherContent {
        reference: Box::new(to.clone()),
        found,
        wanted: image.digest(),
    }
}
