//! One file to several storages, side by side: once for each storage that all nodes share, once for
//! each node otherwise.

use std::collections::BTreeMap;

use futures::future::join_all;
use tokio::time::Instant;
use tracing::debug;

use crate::{
    Client, Compression, ContentKind, Download, Error, Kind, Source, Upload, Volume, Watch,
};

/// A storage as a node sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The node.
    pub node: String,
    /// The storage.
    pub storage: String,
}

/// How the bytes come to a node.
#[derive(Clone, Debug)]
pub enum Transfer {
    /// From here.
    Upload(Source),
    /// The node fetches them.
    Download {
        /// From where.
        url: String,
        /// SHA-256 (hex) of what the URL gives.
        sha256: Option<String>,
        /// How to unpack it.
        compression: Option<Compression>,
        /// Whether the URL's server must have a certificate that the node trusts.
        is_certificate_verified: bool,
        /// Size of the file in the end, where it is known.
        size_bytes: Option<u64>,
    },
}

/// One file for several targets.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// Where to.
    pub targets: Vec<Target>,
    /// As what.
    pub content: ContentKind,
    /// Under which name.
    pub file_name: String,
    /// How.
    pub transfer: Transfer,
    /// Whether a file of this name may be replaced.
    pub is_replacing: bool,
    /// How often a transfer that broke off is begun anew.
    pub restarts: u32,
    /// When to give up.
    pub deadline: Instant,
}

/// What came of one target.
#[derive(Debug)]
pub struct Outcome {
    /// The target.
    pub target: Target,
    /// The file as this node sees it.
    pub result: Result<Placed, Error>,
}

/// A file that is in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The file.
    pub volume: Volume,
    /// The node whose transfer brought it: another one where the storage is shared.
    pub through: String,
}

/// Brings a file to all targets. One that fails does not stop the others; outcomes come in the
/// order of the targets.
pub async fn distribute(
    client: &Client,
    distribution: &Distribution,
    watch: Option<Watch>,
) -> Vec<Outcome> {
    let looks = distribution.targets.iter().map(async |target| {
        let status = client.storage_status(&target.node, &target.storage).await;
        (target.clone(), status)
    });
    // Nodes of a shared storage stand together; those that are reached directly come first.
    let mut shared: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut alone: Vec<Target> = Vec::new();
    let mut outcomes: Vec<Outcome> = Vec::new();
    for (target, status) in join_all(looks).await {
        match status {
            Ok(status) if status.is_shared => {
                shared.entry(target.storage).or_default().push(target.node);
            }
            Ok(_) => alone.push(target),
            Err(error) => outcomes.push(Outcome {
                target,
                result: Err(error),
            }),
        }
    }
    let single = alone.into_iter().map(async |target| {
        let result = send(client, distribution, &target, watch.clone()).await;
        vec![Outcome { target, result }]
    });
    let groups = shared.into_iter().map(async |(storage, mut nodes)| {
        nodes.sort_by_key(|node| !client.is_direct(node));
        group(client, distribution, &storage, nodes, watch.clone()).await
    });
    let (single, groups) = futures::future::join(join_all(single), join_all(groups)).await;
    outcomes.extend(single.into_iter().chain(groups).flatten());
    let place = |outcome: &Outcome| {
        distribution
            .targets
            .iter()
            .position(|target| *target == outcome.target)
    };
    outcomes.sort_by_key(place);
    outcomes
}

/// One transfer through the first node that can do it; the others see the file by themselves.
async fn group(
    client: &Client,
    distribution: &Distribution,
    storage: &str,
    nodes: Vec<String>,
    watch: Option<Watch>,
) -> Vec<Outcome> {
    let outcome = |node: &str, result| Outcome {
        target: Target {
            node: node.to_owned(),
            storage: storage.to_owned(),
        },
        result,
    };
    let mut outcomes = Vec::new();
    let mut nodes = nodes.into_iter();
    let mut through = None;
    while let Some(node) = nodes.next() {
        let target = Target {
            node: node.clone(),
            storage: storage.to_owned(),
        };
        let result = send(client, distribution, &target, watch.clone()).await;
        match &result {
            Ok(placed) => through = Some(placed.clone()),
            // Another node may do what this one cannot.
            Err(error) if is_of_the_node(error) => {
                debug!(node, storage, error = %error.kind(), "another node is tried");
                outcomes.push(outcome(&node, result));
                continue;
            }
            Err(error) => {
                let error = error.clone();
                let rest = nodes.by_ref();
                outcomes.extend(rest.map(|other| outcome(&other, Err(error.clone()))));
            }
        }
        outcomes.push(outcome(&node, result));
        break;
    }
    let Some(placed) = through else {
        return outcomes;
    };
    let others = nodes.map(async |node| {
        let size_bytes = Some(placed.volume.size_bytes);
        let Distribution {
            content, file_name, ..
        } = distribution;
        let result = client
            .read_back(&node, storage, *content, file_name, size_bytes)
            .await
            .map(|volume| Placed {
                volume,
                through: placed.through.clone(),
            });
        outcome(&node, result)
    });
    outcomes.extend(join_all(others).await);
    outcomes
}

/// Whether another node that has the same storage may fare better.
fn is_of_the_node(error: &Error) -> bool {
    error.is_transient()
        || matches!(
            error.kind(),
            Kind::NotFound { .. } | Kind::StorageOff { .. } | Kind::Server { .. }
        )
}

async fn send(
    client: &Client,
    distribution: &Distribution,
    target: &Target,
    watch: Option<Watch>,
) -> Result<Placed, Error> {
    let Target { node, storage } = target.clone();
    let through = node.clone();
    let Distribution {
        content,
        file_name,
        deadline,
        ..
    } = distribution.clone();
    let volume = match &distribution.transfer {
        Transfer::Upload(source) => {
            let upload = Upload {
                node,
                storage,
                content,
                file_name,
                is_replacing: distribution.is_replacing,
                restarts: distribution.restarts,
                deadline,
            };
            client.upload(&upload, source, watch).await?
        }
        Transfer::Download {
            url,
            sha256,
            compression,
            is_certificate_verified,
            size_bytes,
        } => {
            let download = Download {
                node: node.clone(),
                storage: storage.clone(),
                content,
                file_name: file_name.clone(),
                url: url.clone(),
                sha256: sha256.clone(),
                compression: *compression,
                is_certificate_verified: *is_certificate_verified,
                size_bytes: *size_bytes,
                deadline,
            };
            match client.download_url(&download, watch.clone()).await {
                // Proxmox never replaces here, and keeps a file with the right checksum.
                Err(error)
                    if distribution.is_replacing && matches!(error.kind(), Kind::Exists { .. }) =>
                {
                    let removal = client.delete(&node, &storage, content, &file_name, deadline);
                    removal.await?;
                    client.download_url(&download, watch).await?
                }
                result => result?,
            }
        }
    };
    Ok(Placed { volume, through })
}
