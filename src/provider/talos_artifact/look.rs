//! Looking at what is there: the factory, storages, tags, files. Nothing here changes anything.

use std::{collections::BTreeMap, path::PathBuf, sync::Mutex, time::Duration};

use futures::future::join_all;
use planner::{
    facts::Fact,
    talos_artifact::{
        self as planner_artifact, Absent, Desired, LocalSeen, Look, Observed, RecordedFile,
        Refused, Source, StorageSeen, TagSeen, Tagged, Target, Transfer, listed,
    },
};
use registry::{Reference, Registries};

use super::{
    factory::Factory,
    fault::Fault,
    images,
    publish::{CONTENT, content_of},
};
use crate::{context::Context, services::Services};

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// For a plan: nothing that takes long or makes a factory build something.
    Plan,
    /// For an apply: local files are hashed, a factory's installer is asked for.
    Apply,
}

/// What holds now; `before` says what our applies wrote.
pub(super) async fn observe(
    context: &Context,
    desired: &Desired,
    before: &Observed,
    depth: Depth,
) -> Observed {
    let services = &context.services;
    let tags = planner_artifact::tags(desired);
    let (schematics, cluster, (storages, lacking, refused), tags, kept, local) = tokio::join!(
        schematics(services, desired),
        cluster(services, desired, before),
        storages(services, desired, before),
        look_at_tags(services, &tags),
        kept(services, desired, before),
        local(desired, before, depth),
    );
    let source_installer = match depth {
        Depth::Plan => None,
        Depth::Apply => source_installer(services, desired, before, &tags).await,
    };
    Observed {
        schematics,
        storages,
        tags,
        kept,
        source_installer,
        local,
        at_hand: before.at_hand.clone(),
        installer_at_hand: before.installer_at_hand.clone(),
        begun: images::begun(&desired.content(), cluster.as_deref()),
        cluster,
        refused,
        lacking,
        recorded: before.recorded.clone(),
    }
}

fn unknown<T>(fault: impl Into<Fault>) -> Fact<T> {
    Fact::Unknown(fault.into().of_look())
}

/// Longest wait for a server that is only looked at: one that takes the connection and is silent must
/// not hold a plan.
const LOOK: Duration = Duration::from_secs(20);

/// What a look found, or why nothing is known.
pub(super) async fn found<T>(look: impl Future<Output = Result<T, Fault>>) -> Fact<T> {
    match tokio::time::timeout(LOOK, look).await {
        Ok(Ok(seen)) => Fact::Known(seen),
        Ok(Err(fault)) => unknown(fault),
        Err(_) => Fact::Unknown(format!("no answer within {} s", LOOK.as_secs())),
    }
}

async fn schematics(services: &Services, desired: &Desired) -> BTreeMap<String, Fact<bool>> {
    let Source::Factory { url, id, .. } = &desired.source else {
        return BTreeMap::new();
    };
    let known = async {
        let factory = Factory::new(&services.factory_at(Some(url)))?;
        Ok(factory.knows(id.as_str()).await?)
    };
    BTreeMap::from([(planner_artifact::schematic_at(url, id), found(known).await)])
}

/// Which Proxmox cluster it is, if something is or was on its storages.
async fn cluster(services: &Services, desired: &Desired, before: &Observed) -> Option<String> {
    if planner_artifact::looks(desired, before).is_empty() {
        return None;
    }
    let asked = async {
        let client = services.proxmox().ok_or(Fault::NoProxmox)?;
        Ok(client.map_err(Clone::clone)?.cluster_ca().await?)
    };
    found(asked).await.known().cloned().flatten()
}

/// What was seen of storages, by nodes.
type Storages = BTreeMap<String, BTreeMap<String, Fact<StorageSeen>>>;

/// What the login lacks, by storages and nodes.
type Lacking = BTreeMap<String, BTreeMap<String, String>>;

/// Storages, what the login lacks there, and why nothing can be seen of the cluster though it answers.
async fn storages(
    services: &Services,
    desired: &Desired,
    before: &Observed,
) -> (Storages, Lacking, Option<Refused>) {
    let refused = Mutex::new(None);
    let looks = planner_artifact::looks(desired, before);
    let seen = looks.into_iter().map(|look| async {
        let mut hidden = None;
        let seen = async {
            let seen = storage(services, &look).await;
            let seen = seen.and_then(|seen| not_lost(before, &look, seen));
            if let Err(fault) = &seen {
                if let Some(why) = fault.refused() {
                    let mut refused = refused.lock().expect("no holder panics");
                    refused.get_or_insert(why);
                }
                hidden = fault.lacking();
            }
            seen
        };
        let fact = found(seen).await;
        let lacks = match fact.known() {
            Some(seen) => lacking(services, desired, before, &look, seen).await,
            None => hidden,
        };
        (look.storage, look.node, fact, lacks)
    });
    let (mut storages, mut lacking) = (Storages::new(), Lacking::new());
    for (storage, node, fact, lacks) in join_all(seen).await {
        if let Some(lacks) = lacks {
            let nodes = lacking.entry(storage.clone()).or_default();
            nodes.insert(node.clone(), lacks);
        }
        storages.entry(storage).or_default().insert(node, fact);
    }
    let refused = refused.into_inner().expect("no holder panics");
    (storages, lacking, refused)
}

/// Files of ours on a storage that is switched off are as they were, and come back with it: a storage
/// that does not show them says nothing of them.
fn not_lost(before: &Observed, look: &Look, seen: StorageSeen) -> Result<StorageSeen, Fault> {
    let (storage, node) = (&look.storage, &look.node);
    let is_ours = |file: &RecordedFile| {
        file.storage == *storage && (file.node == *node || file.seen_from.contains(node))
    };
    match seen.absent {
        Some(absent) if before.recorded.files.iter().any(is_ours) => {
            let why = match absent {
                Absent::Storage => "the cluster has no such storage any more",
                Absent::Node => "the cluster has no such node any more",
                Absent::Here => "the storage is disabled, or limited to other nodes",
            };
            Err(Fault::Wait(why.to_owned()))
        }
        _ => Ok(seen),
    }
}

/// What the login lacks to put the image on a storage. Asked only where the image is not there as our
/// record says: nothing is written otherwise. A cluster that does not tell lets an apply try.
async fn lacking(
    services: &Services,
    desired: &Desired,
    before: &Observed,
    look: &Look,
    seen: &StorageSeen,
) -> Option<String> {
    let has_look =
        |target: &&Target| target.storage == look.storage && target.nodes.contains(&look.node);
    let target = desired.targets.iter().find(has_look)?;
    let volume = desired.volume();
    let recorded = before.recorded.file(&look.storage, &look.node, &volume);
    let is_there = recorded.is_some_and(|file| {
        file.content == desired.content() && seen.files.get(&volume) == Some(&file.bytes.size_bytes)
    });
    if is_there || seen.absent.is_some() {
        return None;
    }
    let action = match target.transfer {
        Transfer::Upload => proxmox::Action::Upload,
        Transfer::Download => proxmox::Action::Download,
    };
    let asked = async {
        let client = services.proxmox().ok_or(Fault::NoProxmox)?;
        let client = client.map_err(Clone::clone)?;
        Ok(client.missing(&look.node, &look.storage, &[action]).await?)
    };
    let missing = found(asked).await;
    let missing = missing.known()?.iter();
    let missing: Vec<String> = missing.map(ToString::to_string).collect();
    (!missing.is_empty()).then(|| listed(&missing))
}

async fn storage(services: &Services, look: &Look) -> Result<StorageSeen, Fault> {
    let client = services
        .proxmox()
        .ok_or(Fault::NoProxmox)?
        .map_err(Clone::clone)?;
    let status = client.storage_status(&look.node, &look.storage);
    let list = client.list(&look.node, &look.storage, None);
    let (status, list) = tokio::join!(status, list);
    let status = match status {
        Ok(status) => status,
        Err(error) => {
            let absent = absent(client, look, &error).await.ok_or(error)?;
            return Ok(StorageSeen {
                absent: Some(absent),
                ..StorageSeen::default()
            });
        }
    };
    if !status.is_enabled {
        return Ok(StorageSeen {
            absent: Some(Absent::Here),
            ..StorageSeen::default()
        });
    }
    if !status.is_active {
        return Err(Fault::Wait("the storage is not active there".to_owned()));
    }
    let mut files = BTreeMap::new();
    for volume in list? {
        let name = volume.volume_id.split_once(':').map(|(_, name)| name);
        if let Some(name) = name.filter(|name| look.volumes.iter().any(|wanted| wanted == name)) {
            files.insert(name.to_owned(), volume.size_bytes);
        }
    }
    Ok(StorageSeen {
        absent: None,
        is_shared: status.is_shared,
        kind: status.kind,
        content: status.contents.into_iter().collect(),
        available_bytes: (status.total_bytes > 0).then_some(status.available_bytes),
        files,
    })
}

/// What the cluster does not have, if that is why it answers so: a node that is not in its list, or,
/// as it says of nothing else, a storage. It tells that only whom it lets see the storage.
async fn absent(client: &proxmox::Client, look: &Look, error: &proxmox::Error) -> Option<Absent> {
    if !error.is_not_found() {
        return None;
    }
    let nodes = client.nodes().await.ok()?;
    Some(if nodes.contains(&look.node) {
        Absent::Storage
    } else {
        Absent::Node
    })
}

async fn look_at_tags(
    services: &Services,
    tags: &[Tagged],
) -> BTreeMap<String, Fact<Option<TagSeen>>> {
    let seen = tags
        .iter()
        .map(|place| async move { (place.to_string(), found(tag(services, place)).await) });
    join_all(seen).await.into_iter().collect()
}

/// A reference as the registry's client takes it.
pub(super) fn reference(text: &str) -> Result<Reference, Fault> {
    Ok(text.parse::<Reference>().map_err(registry::Error::from)?)
}

pub(super) async fn tag(services: &Services, place: &Tagged) -> Result<Option<TagSeen>, Fault> {
    let registries = services.registries()?;
    let at = reference(&place.to_string())?;
    let Some(manifest) = registries.read(&at).await? else {
        return Ok(None);
    };
    let mut seen = TagSeen {
        digest: manifest.digest().to_string(),
        ..TagSeen::default()
    };
    if let registry::Body::Image(body) = &manifest.body {
        seen.content = content_of(&body.annotations);
        let is_artifact = body.annotations.contains_key(CONTENT) && body.layers.len() == 1;
        if let (true, Some(file)) = (is_artifact, body.layers.first()) {
            seen.sha256 = Some(file.digest.hex());
            seen.size_bytes = Some(file.size);
        }
    }
    Ok(Some(seen))
}

/// Recorded digests that their registry still has, asked for only where a tag may have to be restored.
async fn kept(
    services: &Services,
    desired: &Desired,
    before: &Observed,
) -> std::collections::BTreeSet<String> {
    let wanted = planner_artifact::tags(desired);
    let recorded = before.recorded.tags.iter();
    let recorded = recorded.filter(|tag| wanted.contains(&tag.place));
    let looks = recorded.map(|tag| async move {
        let text = format!("{}@{}", tag.place.repository, tag.digest);
        let look = async { Ok(services.registries()?.look(&reference(&text)?).await?) };
        // What does not answer is not gone.
        (!matches!(found(look).await, Fact::Known(None))).then_some(text)
    });
    join_all(looks).await.into_iter().flatten().collect()
}

/// The digest of the factory's installer, where a tag that we did not make may lead to it.
async fn source_installer(
    services: &Services,
    desired: &Desired,
    before: &Observed,
    tags: &BTreeMap<String, Fact<Option<TagSeen>>>,
) -> Option<Fact<String>> {
    let place = &desired.installer.as_ref()?.place;
    let is_foreign = before.recorded.tag(place).is_none();
    if !is_foreign || !matches!(tags.get(&place.to_string()), Some(Fact::Known(Some(_)))) {
        return None;
    }
    let from = desired.factory_installer()?;
    Some(match digest(services.registries(), &from).await {
        Ok(Some(digest)) => Fact::Known(digest),
        Ok(None) => Fact::Unknown(format!("there is no {from}")),
        Err(fault) => unknown(fault),
    })
}

/// Where a reference leads now.
pub(super) async fn digest(
    registries: Result<&Registries, std::sync::Arc<registry::Error>>,
    text: &str,
) -> Result<Option<String>, Fault> {
    let found = registries?.look(&reference(text)?).await?;
    Ok(found.map(|found| found.digest.to_string()))
}

async fn local(
    desired: &Desired,
    before: &Observed,
    depth: Depth,
) -> BTreeMap<String, Fact<Option<LocalSeen>>> {
    let recorded = before.recorded.local.iter().map(|local| &local.path);
    let paths = desired.local_file.iter().chain(recorded);
    let mut found = BTreeMap::new();
    for path in paths {
        found.insert(path.clone(), local_file(path, depth).await);
    }
    found
}

async fn local_file(path: &str, depth: Depth) -> Fact<Option<LocalSeen>> {
    let file = match tokio::fs::metadata(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Fact::Known(None),
        Err(error) => return Fact::Unknown(error.to_string()),
    };
    if depth == Depth::Apply && !file.is_dir() {
        return match images::look(PathBuf::from(path)).await {
            Ok(seen) => Fact::Known(seen.map(|file| LocalSeen {
                is_directory: false,
                size_bytes: file.size_bytes,
                sha256: Some(file.sha256),
            })),
            Err(error) => unknown(error),
        };
    }
    Fact::Known(Some(LocalSeen {
        is_directory: file.is_dir(),
        size_bytes: file.len(),
        sha256: None,
    }))
}
