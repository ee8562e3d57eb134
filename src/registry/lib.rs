//! OCI registries: images, tags and artifacts, over HTTPS, with the credentials that docker and podman keep.
//!
//! [`Registries`] is the one client. It reads docker archives and OCI layouts ([`Image::open`]), puts them under tags
//! without replacing other content unasked ([`Registries::push`]), copies between registries, keeps files as artifacts,
//! and marks work as begun ([`Registries::claim`]). Everything large is streamed: memory does not grow with size.
//!
//! Absent: running or changing images, signatures, referrers, and any knowledge of what an image is for.

mod answer;
mod artifact;
mod blob;
mod challenge;
mod claim;
mod client;
mod content;
mod credentials;
mod digest;
mod endpoint;
mod error;
mod image;
mod manifest;
mod progress;
mod push;
mod reference;
mod secret;
mod source;
mod tag;
mod tls;
mod token;

pub use artifact::{Artifact, FoundArtifact, TITLE, hash};
pub use claim::{CLAIM_TYPE, Claim, Claimant, Claimed, Holder};
pub use client::{Registries, Settings};
pub use credentials::{Credentials, HelperFailed, Keychain, NoCredentials, NoFile};
pub use digest::{Digest, Hasher, NoDigest};
pub use error::{Errand, Error};
pub use image::Image;
pub use manifest::{
    Body, Descriptor, ImageManifest, Index, Manifest, NoManifest, Platform, media_type,
};
pub use progress::{Progress, Transferred};
pub use push::{Outcome, Pushed};
pub use reference::{NoReference, Reference, Repository};
pub use secret::Secret;
pub use source::NoImage;
pub use tag::{Deleted, Found};
pub use tls::NoAuthority;
