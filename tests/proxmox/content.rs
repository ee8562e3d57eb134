//! `…/content`: what lies on a storage, and its removal.

use std::{fs, path::PathBuf, sync::Arc};

use serde_json::json;

use crate::{
    cluster::{self, Cluster},
    parameters::{self, Parameters},
    privilege::Subject,
    reply::{Answer, Reply},
    spec::Storage,
};

/// The files.
pub(crate) fn list(
    cluster: &Cluster,
    subject: &Subject,
    node: &str,
    storage: &str,
    query: &Parameters,
) -> Answer {
    parameters::only(query, &["content", "vmid"])?;
    cluster.require_read(subject, storage)?;
    let known = cluster.active(storage, node)?;
    let content = query.get("content").map(String::as_str);
    Ok(Reply::data(json!(cluster.list(&known, node, content))))
}

/// One file. That it is missing is told as what it leads to.
pub(crate) fn attributes(
    cluster: &Cluster,
    subject: &Subject,
    node: &str,
    storage: &str,
    volume: &str,
) -> Answer {
    let found = Found::new(cluster, node, storage, volume)?;
    cluster.require_read(subject, &found.storage.id)?;
    cluster.active(&found.storage.id, node)?;
    let Ok(data) = fs::metadata(&found.path) else {
        let text = format!(
            "volume_size_info on '{}' failed - no format",
            found.volume_id
        );
        return Err(Reply::thrown(text));
    };
    Ok(Reply::data(json!({
        "path": found.path,
        "size": data.len(),
        "used": data.len(),
        "format": cluster::format(&found.content, &found.name).unwrap_or("raw"),
    })))
}

/// Removes a file. Whether there was one, and whether a machine uses it, does not matter.
pub(crate) async fn delete(
    cluster: &Arc<Cluster>,
    subject: &Subject,
    node: &str,
    storage: &str,
    volume: &str,
    query: &Parameters,
) -> Answer {
    parameters::only(query, &["delay"])?;
    let found = Found::new(cluster, node, storage, volume)?;
    let path = format!("/storage/{}", found.storage.id);
    cluster.require_any(subject, &path, &["Datastore.Allocate"])?;
    cluster.active(&found.storage.id, node)?;
    let has_delay = query.contains_key("delay");
    let id = found.storage.id.clone();
    let task = cluster.start(node, "imgdel", &id, subject, |task, _| async move {
        if fs::remove_file(&found.path).is_err() {
            task.say(format!(
                "disk image '{}' does not exist",
                found.path.display()
            ));
        }
        task.say(format!("Removed volume '{}'", found.volume_id));
        Ok(())
    });
    if has_delay {
        // The task is short: it ends before this turn comes back, unless it is held.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        if task.has_ended() {
            return Ok(Reply::data(serde_json::Value::Null));
        }
    }
    Ok(Reply::data(json!(task.upid.text)))
}

/// A volume id with what it means.
struct Found {
    storage: Storage,
    content: String,
    name: String,
    volume_id: String,
    path: PathBuf,
}

impl Found {
    fn new(cluster: &Cluster, node: &str, storage: &str, volume: &str) -> Result<Self, Reply> {
        let (owner, rest) = volume.split_once(':').unwrap_or((storage, volume));
        if owner != storage {
            let text = format!("storage ID mismatch ({owner} != {storage})");
            return Err(Reply::parameter("volume", &text));
        }
        let known = cluster
            .storage(storage)
            .ok_or_else(|| Reply::thrown(format!("storage '{storage}' does not exist")))?;
        let unknown = || Reply::thrown(format!("unable to parse directory volume name '{rest}'"));
        let (content, name) = rest.split_once('/').ok_or_else(unknown)?;
        if name.contains('/') {
            return Err(unknown());
        }
        let folder = cluster.folder(&known, node, content).ok_or_else(unknown)?;
        Ok(Self {
            content: content.to_owned(),
            name: name.to_owned(),
            volume_id: format!("{storage}:{rest}"),
            path: folder.join(name),
            storage: known,
        })
    }
}
