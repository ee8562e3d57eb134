//! A node fetches a file by itself.

use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use tokio::time::{Instant, timeout_at};
use tracing::info;

use crate::{
    Client, ContentKind, Error, Kind, Left, Progress, Upid, Volume, Watch,
    call::Call,
    name,
    refusal::{self, About},
};

/// How a node unpacks what it fetched. There is none for xz.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// `.gz`
    Gzip,
    /// `.lzo`
    Lzo,
    /// `.zst`
    Zstd,
    /// `.bz2`
    Bzip2,
}

impl Compression {
    fn word(self) -> &'static str {
        match self {
            Self::Gzip => "gz",
            Self::Lzo => "lzo",
            Self::Zstd => "zst",
            Self::Bzip2 => "bz2",
        }
    }
}

/// What a node is to fetch, and where it puts it.
#[derive(Clone, Debug)]
pub struct Download {
    /// The node that fetches.
    pub node: String,
    /// Where it puts the file.
    pub storage: String,
    /// As what.
    pub content: ContentKind,
    /// Under which name.
    pub file_name: String,
    /// `http` or `https`; seen from the node, and through the datacenter's proxy.
    pub url: String,
    /// SHA-256 (hex) of what the URL gives. With it, a file that is there already is checked and
    /// kept; without it, it is an error.
    pub sha256: Option<String>,
    /// How to unpack it. Only for [`ContentKind::Iso`].
    pub compression: Option<Compression>,
    /// Whether the server of the URL must have a certificate that the node trusts.
    pub is_certificate_verified: bool,
    /// Size of the file in the end, where it is known: for the progress and the read-back.
    pub size_bytes: Option<u64>,
    /// When to give up.
    pub deadline: Instant,
}

impl Client {
    /// Has a node fetch a file, and waits until the storage lists it.
    ///
    /// Proxmox fetches into a temporary file and renames it: nothing half stays. A file of the same
    /// name and SHA-256 is kept as it is.
    ///
    /// # Errors
    /// [`Kind::Exists`] for a file of the same name with other content, [`Kind::Checksum`] if the
    /// URL gives something else, [`Kind::Task`] for everything else that goes wrong on the node.
    pub async fn download_url(
        &self,
        download: &Download,
        watch: Option<Watch>,
    ) -> Result<Volume, Error> {
        let Download { node, storage, .. } = download;
        let doing = format!(
            "have node {node} fetch {} to storage {storage}",
            download.file_name
        );
        let begun = AtomicBool::new(false);
        let work = self.run_download(download, &doing, watch, &begun);
        timeout_at(download.deadline, work)
            .await
            .unwrap_or_else(|_| {
                let kind = Kind::Deadline {
                    waiting_for: "the download".to_owned(),
                };
                let error = self.error(&doing, Some(node), kind);
                Err(if begun.load(Ordering::Relaxed) {
                    error.leaving(Left::Unknown(download.volume_id()))
                } else {
                    error
                })
            })
    }

    async fn run_download(
        &self,
        download: &Download,
        doing: &str,
        watch: Option<Watch>,
        begun: &AtomicBool,
    ) -> Result<Volume, Error> {
        let Download {
            node,
            storage,
            content,
            file_name,
            ..
        } = download;
        let failed = |kind| self.error(doing, Some(node), kind);
        name::check_file_name(*content, file_name).map_err(|source| {
            failed(Kind::Name {
                name: file_name.clone(),
                source,
            })
        })?;
        let about = About {
            node,
            storage,
            content: Some(*content),
        };
        let name = name::normalise_file_name(file_name);
        let verified = if download.is_certificate_verified {
            "1"
        } else {
            "0"
        };
        let mut fields = vec![
            ("content", content.word()),
            ("filename", name.as_str()),
            ("url", download.url.as_str()),
            ("verify-certificates", verified),
        ];
        if let Some(sha256) = &download.sha256 {
            fields.push(("checksum", sha256));
            fields.push(("checksum-algorithm", "sha256"));
        }
        if let Some(compression) = download.compression {
            fields.push(("compression", compression.word()));
        }
        let segments = ["nodes", node, "storage", storage, "download-url"];
        let call = Call::new(Method::POST, doing, &segments)
            .about(about)
            .form(&fields);
        let upid: Upid = self.write(&call).await?.read().map_err(failed)?;
        begun.store(true, Ordering::Relaxed);
        let percent = |percent: u8| {
            if let (Some(watch), Some(total_bytes)) = (&watch, download.size_bytes) {
                watch(Progress {
                    node: node.clone(),
                    storage: storage.clone(),
                    done_bytes: total_bytes / 100 * u64::from(percent),
                    total_bytes,
                });
            }
        };
        self.follow_with(&upid, download.deadline, percent)
            .await
            .map_err(|error| self.meaning(error, download, about).doing(doing))?;
        let volume = self
            .read_back(node, storage, *content, file_name, download.size_bytes)
            .await?;
        info!(node, storage, volume_id = %volume.volume_id, size_bytes = volume.size_bytes, "downloaded");
        Ok(volume)
    }

    /// What the end of a download's task is known to mean.
    fn meaning(&self, error: Error, download: &Download, about: About<'_>) -> Error {
        let Kind::Task { status, log, .. } = error.kind() else {
            return error;
        };
        // With a checksum, a file that is there and differs is told by the word at the end.
        let kind = if refusal::is_refusal_to_override(status) {
            Some(Kind::Exists {
                volume_id: download.volume_id(),
                size_bytes: None,
            })
        } else {
            refusal::of_task(status, log, about)
        };
        match kind {
            Some(kind) => self.error("", Some(about.node), kind),
            None => error,
        }
    }
}

impl Download {
    fn volume_id(&self) -> String {
        self.content.volume_id(&self.storage, &self.file_name)
    }
}
