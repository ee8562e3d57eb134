//! What the tests share.

use std::{path::PathBuf, time::Duration};

use registries::{Layer, RegistryServer, docker_archive, layer};
use registry::{
    Descriptor, Image, Keychain, Progress, Reference, Registries, Repository, Settings,
};
use tempfile::TempDir;

/// Settings of a client that is nobody and does not wait long.
pub(crate) fn settings() -> Settings {
    Settings {
        keychain: Keychain::anonymous(),
        first_pause: Duration::from_millis(1),
        ..Settings::default()
    }
}

/// A client that is nobody.
pub(crate) fn anonymous() -> Registries {
    Registries::new(settings()).expect("the settings are right")
}

pub(crate) fn repository(host: &str, name: &str) -> Repository {
    format!("{host}/{name}").parse().expect("a repository")
}

pub(crate) fn tag(host: &str, text: &str) -> Reference {
    format!("{host}/{text}").parse().expect("a reference")
}

/// An archive as Talos' imager writes it, with this text in its second layer.
pub(crate) struct Archive {
    directory: TempDir,
}

impl Archive {
    pub(crate) fn of(text: &str) -> Self {
        let this = Self {
            directory: tempfile::tempdir().expect("a directory"),
        };
        docker_archive(&this.path(), "amd64", &layers(text));
        this
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("installer-amd64.tar")
    }

    pub(crate) async fn image(&self) -> Image {
        Image::open(self.path()).await.expect("our own archive")
    }
}

pub(crate) fn layers(text: &str) -> [Layer; 2] {
    [
        layer(&[("usr/bin/installer", b"the same in all")]),
        layer(&[("usr/install/vmlinuz", text.as_bytes())]),
    ]
}

/// All bytes of a blob.
pub(crate) async fn pulled(
    registries: &Registries,
    repository: &Repository,
    descriptor: &Descriptor,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    registries
        .pull_blob(repository, descriptor, &mut bytes, &Progress::silent())
        .await
        .expect("it is there");
    bytes
}

/// A server without a login.
pub(crate) async fn open() -> RegistryServer {
    RegistryServer::start(registries::Options::default()).await
}
