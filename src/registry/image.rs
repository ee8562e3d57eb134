//! An image with all that belongs to it, wherever its bytes are.

use std::collections::BTreeMap;

use crate::{
    content::Content,
    digest::Digest,
    manifest::{Body, Descriptor, Manifest},
    reference::Repository,
};

/// An image, an index of images, or an artifact: manifests, and where the blobs' bytes are.
#[derive(Clone, Debug)]
pub struct Image {
    /// What a tag is to point to.
    pub(crate) root: Manifest,
    /// What an index points to, each after what it points to itself.
    pub(crate) children: Vec<Manifest>,
    /// Blobs of all manifests, each once.
    pub(crate) blobs: Vec<(Descriptor, Content)>,
    /// Where the blobs lie already, if that is a repository.
    pub(crate) near: Option<Repository>,
}

impl Image {
    pub(crate) fn new(root: Manifest) -> Self {
        Self {
            root,
            children: Vec::new(),
            blobs: Vec::new(),
            near: None,
        }
    }

    /// Adds a blob unless it is there.
    pub(crate) fn add_blob(&mut self, descriptor: &Descriptor, content: Content) {
        let is_there = |(known, _): &(Descriptor, Content)| known.digest == descriptor.digest;
        if !self.blobs.iter().any(is_there) {
            self.blobs.push((descriptor.clone(), content));
        }
    }

    /// The same with these notes in its manifest; an image has another digest then, and the same content.
    #[must_use]
    pub fn noted(mut self, notes: BTreeMap<String, String>) -> Self {
        self.root = match self.root.body {
            Body::Image(mut body) => {
                body.annotations.extend(notes);
                Manifest::image(body)
            }
            Body::Index(mut body) => {
                body.annotations.extend(notes);
                Manifest::noted_index(body)
            }
        };
        self
    }

    /// Its digest: what the registry will call it.
    pub fn digest(&self) -> Digest {
        self.root.digest()
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.root
    }

    /// Bytes of all blobs.
    pub fn size_bytes(&self) -> u64 {
        self.blobs
            .iter()
            .map(|(descriptor, _)| descriptor.size)
            .sum()
    }

    /// The platforms of an index, as `linux/amd64`; nothing for a single image.
    pub fn platforms(&self) -> Vec<String> {
        match &self.root.body {
            Body::Image(_) => Vec::new(),
            Body::Index(index) => index
                .manifests
                .iter()
                .filter_map(|descriptor| descriptor.platform.as_ref())
                .map(|platform| format!("{}/{}", platform.os, platform.architecture))
                .collect(),
        }
    }
}
