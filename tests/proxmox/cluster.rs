//! What all nodes share: storages and their files, tasks, tickets, faults, the record of calls.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};

use crate::{
    authentication::Tickets,
    fault::{Faults, TaskEnd},
    firewall::Firewall,
    privilege::{self, Subject},
    reply::Reply,
    spec::{Spec, Storage},
    task::{Gate, Task},
    upid::Upid,
};

/// A call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The node that was asked.
    pub node: String,
    /// The method.
    pub method: String,
    /// The path below `/api2/json`, with its query.
    pub path: String,
    /// The status of the answer; 0 if the connection was cut.
    pub status: u16,
}

pub(crate) struct Cluster {
    pub(crate) spec: Spec,
    pub(crate) directory: PathBuf,
    /// SHA-256 of the CA that all nodes share.
    pub(crate) ca_fingerprint: String,
    pub(crate) tickets: Tickets,
    pub(crate) gate: Gate,
    /// Before it, uploads to some nodes wait with most of their bytes still on the way.
    pub(crate) upload_gate: Gate,
    pub(crate) fetch: reqwest::Client,
    pub(crate) fetch_insecure: reqwest::Client,
    /// Bytes of uploads received so far, cut ones too.
    pub(crate) received_bytes: AtomicU64,
    pub(crate) open_uploads: AtomicUsize,
    pub(crate) firewall: Mutex<Firewall>,
    storages: Mutex<Vec<Storage>>,
    faults: Mutex<Faults>,
    tasks: Mutex<BTreeMap<String, Arc<Task>>>,
    seen: Mutex<Vec<Seen>>,
    /// Listings that leave a file out, by path and node.
    hidden: Mutex<BTreeMap<(PathBuf, String), u32>>,
}

/// Content kinds that are files, with their folder.
const FOLDERS: [(&str, &str); 3] = [
    ("iso", "template/iso"),
    ("vztmpl", "template/cache"),
    ("import", "import"),
];

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster {
    pub(crate) fn new(
        spec: Spec,
        directory: PathBuf,
        ca_fingerprint: String,
        fetch: reqwest::Client,
        fetch_insecure: reqwest::Client,
    ) -> Self {
        let storages = spec.storages.clone();
        Self {
            spec,
            directory,
            ca_fingerprint,
            tickets: Tickets::default(),
            gate: Gate::default(),
            upload_gate: Gate::default(),
            fetch,
            fetch_insecure,
            received_bytes: AtomicU64::new(0),
            open_uploads: AtomicUsize::new(0),
            firewall: Mutex::default(),
            storages: Mutex::new(storages),
            faults: Mutex::default(),
            tasks: Mutex::default(),
            seen: Mutex::default(),
            hidden: Mutex::default(),
        }
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    pub(crate) fn storages(&self) -> MutexGuard<'_, Vec<Storage>> {
        lock(&self.storages)
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        lock(&self.seen)
    }

    pub(crate) fn received(&self, bytes: usize) -> u64 {
        self.received_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed)
    }

    // --- who may do what

    pub(crate) fn require_any(
        &self,
        subject: &Subject,
        path: &str,
        privileges: &[&str],
    ) -> Result<(), Reply> {
        let has = privilege::effective(&self.spec, subject, path);
        if privileges.iter().any(|wanted| has.contains(*wanted)) {
            Ok(())
        } else {
            Err(Reply::forbidden(path, privileges))
        }
    }

    pub(crate) fn require_read(&self, subject: &Subject, storage: &str) -> Result<(), Reply> {
        let privileges = ["Datastore.Audit", "Datastore.AllocateSpace"];
        self.require_any(subject, &format!("/storage/{storage}"), &privileges)
    }

    /// What fetching from a URL needs, besides the storage.
    pub(crate) fn require_network(&self, subject: &Subject, node: &str) -> Result<(), Reply> {
        let root = privilege::effective(&self.spec, subject, "/");
        if root.contains("Sys.Audit") && root.contains("Sys.Modify") {
            return Ok(());
        }
        self.require_any(subject, &format!("/nodes/{node}"), &["Sys.AccessNetwork"])
    }

    // --- storages

    pub(crate) fn storage(&self, id: &str) -> Option<Storage> {
        self.storages()
            .iter()
            .find(|storage| storage.id == id)
            .cloned()
    }

    /// The storage if this node may use it (`storage_check_enabled`).
    pub(crate) fn enabled(&self, id: &str, node: &str) -> Result<Storage, Reply> {
        let storage = self
            .storage(id)
            .ok_or_else(|| Reply::thrown(format!("storage '{id}' does not exist")))?;
        if storage.is_disabled {
            return Err(Reply::thrown(format!("storage '{id}' is disabled")));
        }
        if !storage.is_for(node) {
            let text = format!("storage '{id}' is not available on node '{node}'");
            return Err(Reply::thrown(text));
        }
        Ok(storage)
    }

    /// The storage if it answers as well (`activate_storage`).
    pub(crate) fn active(&self, id: &str, node: &str) -> Result<Storage, Reply> {
        let storage = self.enabled(id, node)?;
        if self.faults().is_offline(id, node) {
            return Err(Reply::thrown(format!("storage '{id}' is not online")));
        }
        Ok(storage)
    }

    /// Directory of a storage, as this node sees it.
    pub(crate) fn root(&self, storage: &Storage, node: &str) -> PathBuf {
        let owner = if storage.is_shared { "shared" } else { node };
        self.directory.join(owner).join(&storage.id)
    }

    /// Directory of a kind of content; `None` for kinds that are no files.
    pub(crate) fn folder(&self, storage: &Storage, node: &str, content: &str) -> Option<PathBuf> {
        let (_, folder) = FOLDERS.iter().find(|(kind, _)| *kind == content)?;
        Some(self.root(storage, node).join(folder))
    }

    /// Directory in which a node receives uploads.
    pub(crate) fn receiving(&self, node: &str) -> PathBuf {
        self.directory.join(node).join("var-tmp")
    }

    pub(crate) fn status(&self, storage: &Storage, node: &str) -> Value {
        let is_enabled = !storage.is_disabled && storage.is_for(node);
        let is_active = is_enabled && !self.faults().is_offline(&storage.id, node);
        let contents: Vec<_> = storage.contents.iter().map(String::as_str).collect();
        let mut status = json!({
            "type": storage.kind,
            "content": contents.join(","),
            "enabled": u8::from(is_enabled),
            "active": u8::from(is_active),
            "shared": u8::from(storage.is_shared),
            "total": 0,
            "used": 0,
            "avail": 0,
        });
        if is_active {
            let used = disk_use(&self.root(storage, node));
            let free = storage.total_bytes.saturating_sub(used);
            let available = self.faults().available.get(&storage.id).copied();
            let available = available.unwrap_or(free);
            status["total"] = json!(storage.total_bytes);
            status["avail"] = json!(available);
            status["used"] = json!(storage.total_bytes.saturating_sub(available));
        }
        status
    }

    /// Files of a storage, as a listing tells them.
    pub(crate) fn list(&self, storage: &Storage, node: &str, wanted: Option<&str>) -> Vec<Value> {
        let mut listed = Vec::new();
        if !storage.holds_files() {
            return listed;
        }
        for (content, _) in FOLDERS {
            if wanted.is_some_and(|wanted| wanted != content) || !storage.contents.contains(content)
            {
                continue;
            }
            let Some(folder) = self.folder(storage, node, content) else {
                continue;
            };
            let Ok(entries) = fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries.flatten() {
                let path = entry.path();
                let name = entry.file_name().to_string_lossy().into_owned();
                let Some(format) = format(content, &name) else {
                    continue;
                };
                let Ok(data) = entry.metadata() else { continue };
                if self.is_hidden(&path, node) {
                    continue;
                }
                listed.push(json!({
                    "volid": format!("{}:{content}/{name}", storage.id),
                    "content": content,
                    "format": format,
                    "size": data.len(),
                    "ctime": data.ctime(),
                }));
            }
        }
        listed.sort_by_key(|volume| volume["volid"].to_string());
        listed
    }

    /// From now on, listings of each node leave the file out for a while.
    pub(crate) fn hide(&self, path: &Path) {
        let lag = self.faults().listing_lag;
        if lag > 0 {
            let mut hidden = lock(&self.hidden);
            for node in &self.spec.nodes {
                hidden.insert((path.to_owned(), node.clone()), lag);
            }
        }
    }

    fn is_hidden(&self, path: &Path, node: &str) -> bool {
        let mut hidden = lock(&self.hidden);
        match hidden.get_mut(&(path.to_owned(), node.to_owned())) {
            Some(rest) if *rest > 0 => {
                *rest -= 1;
                true
            }
            _ => false,
        }
    }

    // --- tasks

    /// Starts a task; `work` gets the task, and how it is to go wrong.
    pub(crate) fn start<F>(
        self: &Arc<Self>,
        node: &str,
        kind: &str,
        id: &str,
        subject: &Subject,
        work: impl FnOnce(Arc<Task>, Option<TaskEnd>) -> F,
    ) -> Arc<Task>
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let (end, unknown, running) = {
            let mut faults = self.faults();
            let end = faults.of_task(kind);
            (end, faults.unknown_task_polls, faults.running_task_polls)
        };
        let upid = Upid::new(node, kind, id, &subject.name());
        let task = Task::new(upid, subject.clone(), unknown, running);
        lock(&self.tasks).insert(task.upid.text.clone(), Arc::clone(&task));
        let work = work(Arc::clone(&task), end.clone());
        let cluster = Arc::clone(self);
        let running = Arc::clone(&task);
        tokio::spawn(async move {
            cluster.gate.pass().await;
            let result = match &end {
                Some(TaskEnd::Early(error)) => {
                    drop(work);
                    Err(error.clone())
                }
                _ => work.await,
            };
            running.end(match (result, end) {
                (Ok(()), Some(TaskEnd::Late(status))) if status.starts_with("WARNINGS") => {
                    Ok(status)
                }
                (Ok(()), Some(TaskEnd::Late(error))) | (Err(error), _) => Err(error),
                (Ok(()), _) => Ok("OK".to_owned()),
            });
        });
        task
    }

    pub(crate) fn task(&self, upid: &str) -> Option<Arc<Task>> {
        lock(&self.tasks).get(upid).cloned()
    }

    pub(crate) fn tasks(&self) -> Vec<Arc<Task>> {
        lock(&self.tasks).values().cloned().collect()
    }
}

/// Format of a file of this kind and name; `None` if it is not shown.
pub(crate) fn format(content: &str, name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    let table: &[(&str, &str)] = match content {
        "iso" => &[(".iso", "iso"), (".img", "iso")],
        "vztmpl" => &[
            (".tar.gz", "tgz"),
            (".tar.xz", "txz"),
            (".tar.zst", "tzst"),
            (".tar.bz2", "tbz2"),
        ],
        "import" => &[
            (".ova", "ova"),
            (".qcow2", "qcow2"),
            (".raw", "raw"),
            (".vmdk", "vmdk"),
        ],
        _ => &[],
    };
    let compared = if content == "import" { name } else { &lower };
    table
        .iter()
        .find(|(extension, _)| compared.len() > extension.len() && compared.ends_with(extension))
        .map(|(_, format)| *format)
}

fn disk_use(directory: &Path) -> u64 {
    let walk = || -> io::Result<u64> {
        let mut sum = 0;
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let data = entry.metadata()?;
            sum += if data.is_dir() {
                disk_use(&entry.path())
            } else {
                data.blocks() * 512
            };
        }
        Ok(sum)
    };
    walk().unwrap_or(0)
}
