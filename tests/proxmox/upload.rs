//! `POST /nodes/{node}/storage/{storage}/upload`: receiving, and the task that copies.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use serde_json::json;

use crate::{
    checksum,
    cluster::Cluster,
    fault::TaskEnd,
    multipart::{Broken, Form},
    name::{self, Place},
    parameters::{self, Parameters},
    privilege::Subject,
    reply::{Answer, Reply},
    task::Task,
};

/// The temporary file of an upload; gone with this, unless its task has taken it over.
#[derive(Debug)]
pub(crate) struct Received {
    path: PathBuf,
    pub(crate) fields: Parameters,
}

impl Drop for Received {
    fn drop(&mut self) {
        // It may be gone: the task removes it when it has copied it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Why nothing was received.
pub(crate) enum Lost {
    /// It was refused.
    Refused(Reply),
    /// The connection ended, or has to end now.
    Cut,
}

impl From<Broken> for Lost {
    fn from(Broken(text): Broken) -> Self {
        Self::Refused(Reply::bare(501, text))
    }
}

/// Receives an upload on a node, for a storage of `target`.
pub(crate) async fn receive(
    cluster: &Cluster,
    node: &str,
    target: &str,
    boundary: &str,
    query: Parameters,
    cut_after: Option<u64>,
    mut body: impl Body<Data = Bytes> + Unpin,
) -> Result<Received, Lost> {
    let file_error = |error: io::Error| Lost::from(Broken::from(error));
    let folder = cluster.receiving(node);
    let file = tempfile::Builder::new()
        .prefix("pveupload-")
        .tempfile_in(&folder)
        .map_err(file_error)?;
    let (file, path) = file.keep().map_err(|error| file_error(error.error))?;
    let mut received = Received {
        path,
        fields: query,
    };
    let space = cluster.faults().upload_space.get(node).copied();
    let mut form = Form::new(boundary, Limited { file, space });
    let _open = Open::new(cluster);
    let half = body.size_hint().exact().unwrap_or_default() / 2;
    let mut taken = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Lost::Cut);
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        taken += data.len() as u64;
        cluster.received(data.len());
        if let Err(broken) = form.push(&data) {
            // Whoever is still sending would not read an answer.
            while body.frame().await.is_some_and(|frame| frame.is_ok()) {}
            return Err(broken.into());
        }
        if taken >= half && cluster.faults().held_uploads.contains(target) {
            cluster.upload_gate.pass().await;
        }
        if cut_after.is_some_and(|limit| taken >= limit) {
            return Err(Lost::Cut);
        }
    }
    if !form.is_complete() {
        return Err(Broken("upload failed".to_owned()).into());
    }
    received.fields.append(&mut form.fields);
    Ok(received)
}

/// Counts an upload as long as its bytes come.
struct Open<'a>(&'a Cluster);

impl<'a> Open<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        cluster.open_uploads.fetch_add(1, Ordering::SeqCst);
        Self(cluster)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open_uploads.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A file on a disk with little space.
struct Limited {
    file: File,
    space: Option<u64>,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(space) = &mut self.space {
            *space = space
                .checked_sub(bytes.len() as u64)
                .ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull))?;
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

const KNOWN: [&str; 4] = ["content", "filename", "checksum", "checksum-algorithm"];

/// Takes what the node `asked` received for a storage of `node`.
pub(crate) fn accept(
    cluster: &Arc<Cluster>,
    subject: &Subject,
    asked: &str,
    node: &str,
    storage: &str,
    received: Received,
) -> Answer {
    let fields = &received.fields;
    parameters::only(fields, &KNOWN)?;
    name::check(fields)?;
    let path = format!("/storage/{storage}");
    cluster.require_any(subject, &path, &["Datastore.AllocateTemplate"])?;
    let known = cluster.enabled(storage, node)?;
    if !known.holds_files() {
        let text = format!("can't upload to storage type '{}'", known.kind);
        return Err(Reply::thrown(text));
    }
    let place = name::place(cluster, &known, node, fields)?;
    if !known.contents.contains(&place.content) {
        let text = format!(
            "storage '{storage}' does not support '{}' content",
            place.content
        );
        return Err(Reply::thrown(text));
    }
    let is_remote = asked != node;
    if is_remote && cluster.faults().down.contains(node) {
        let text = format!(
            "can't activate storage '{storage}' on node '{node}': command '/usr/bin/ssh' failed: exit code 255"
        );
        return Err(Reply::thrown(text));
    }
    cluster.active(storage, node)?;
    let space = cluster.faults().available.get(storage).copied();
    let is_cleaning = cluster.spec.is_removing_failed_copies;
    let node = node.to_owned();
    let worker_cluster = Arc::clone(cluster);
    let task = cluster.start(asked, "imgcopy", "", subject, |task, end| {
        let copy = Copy {
            cluster: worker_cluster,
            task,
            received,
            place,
            node,
            is_remote,
            space,
            halfway: match end {
                Some(TaskEnd::Halfway(error)) => Some(error),
                _ => None,
            },
            is_cleaning,
        };
        async move {
            tokio::task::spawn_blocking(move || copy.run())
                .await
                .map_err(|error| error.to_string())?
        }
    });
    Ok(Reply::data(json!(task.upid.text)))
}

/// The work of an `imgcopy`.
struct Copy {
    cluster: Arc<Cluster>,
    task: Arc<Task>,
    received: Received,
    place: Place,
    node: String,
    is_remote: bool,
    space: Option<u64>,
    halfway: Option<String>,
    is_cleaning: bool,
}

impl Copy {
    fn run(self) -> Result<(), String> {
        let source = &self.received.path;
        let task = &self.task;
        task.say(format!("starting file import from: {}", source.display()));
        let fields = &self.received.fields;
        if let (Some(wanted), Some(algorithm)) =
            (fields.get("checksum"), fields.get("checksum-algorithm"))
        {
            let got = checksum::of_file(source, algorithm)?;
            if !got.eq_ignore_ascii_case(wanted) {
                task.say("calculating checksum...");
                return Err(format!(
                    "checksum mismatch: got '{got}' != expect '{wanted}'"
                ));
            }
            task.say("calculating checksum...OK, checksum verified");
        }
        let target = &self.place.path;
        let size = fs::metadata(source).map_or(0, |data| data.len());
        let program = if self.is_remote { "/usr/bin/scp" } else { "cp" };
        task.say(format!("target node: {}", self.node));
        task.say(format!("target file: {}", target.display()));
        task.say(format!("file size is: {size}"));
        task.say(format!(
            "command: {program} -- {} {}",
            source.display(),
            target.display()
        ));
        if let Err(error) = self.copy(source, target, size) {
            if self.is_cleaning {
                let _ = fs::remove_file(target);
            }
            return Err(format!("import failed: {error}"));
        }
        self.cluster.hide(target);
        task.say("finished file import successfully");
        Ok(())
    }

    fn copy(&self, source: &Path, target: &Path, size: u64) -> Result<(), String> {
        let failed =
            |error: io::Error| format!("cp: error writing '{}': {error}", target.display());
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut limit = size;
        let mut fault = None;
        if let Some(error) = &self.halfway {
            limit = size / 2;
            fault = Some(error.clone());
        }
        if let Some(space) = self.space
            && space < limit
        {
            limit = space;
            fault = Some(format!(
                "cp: error writing '{}': No space left on device",
                target.display()
            ));
        }
        let mut from = File::open(source).map_err(failed)?.take(limit);
        // Not by renaming a new file: whoever reads the old one sees the new bytes come.
        let mut to = File::create(target).map_err(failed)?;
        io::copy(&mut from, &mut to).map_err(failed)?;
        fault.map_or(Ok(()), Err)
    }
}
