//! A file is sent to a storage.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

use crate::{
    Action, Client, ContentKind, Error, Kind, Left, Source, Upid, Volume,
    body::{FileBody, Meter},
    call, name,
    refusal::{self, About},
};

/// What is to be sent, and where to.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The node whose storage takes the file.
    pub node: String,
    /// Where it puts the file.
    pub storage: String,
    /// As what.
    pub content: ContentKind,
    /// Under which name.
    pub file_name: String,
    /// Whether a file of this name may be replaced. Proxmox itself never asks, and writes over the
    /// old file: who reads it meanwhile sees a mixture.
    pub is_replacing: bool,
    /// How often a transfer that broke off is begun anew.
    pub restarts: u32,
    /// When to give up.
    pub deadline: Instant,
}

/// How far a transfer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The node.
    pub node: String,
    /// The storage.
    pub storage: String,
    /// Bytes on their way. Begins again from 0 when a transfer is begun anew.
    pub done_bytes: u64,
    /// All bytes.
    pub total_bytes: u64,
}

/// Who wants to know how far a transfer is; called some times a second.
pub type Watch = Arc<dyn Fn(Progress) + Send + Sync>;

/// How often a watcher hears, and a stalled transfer is looked for.
const TICK: Duration = Duration::from_millis(250);

/// Time for finding out what a failed transfer left behind, beyond the caller's deadline.
const AFTERMATH: Duration = Duration::from_secs(20);

impl Client {
    /// Sends a file, follows the task that puts it in place, and waits until the storage lists it.
    ///
    /// Dropping the future cuts the connection; Proxmox then removes what it has received.
    ///
    /// # Errors
    /// Any [`Kind`]; [`Error::left`] says what is on the storage now.
    pub async fn upload(
        &self,
        upload: &Upload,
        source: &Source,
        watch: Option<Watch>,
    ) -> Result<Volume, Error> {
        Transfer {
            client: self,
            upload,
            source,
            doing: format!(
                "upload {} to storage {} of node {}",
                upload.file_name, upload.storage, upload.node
            ),
            volume_id: upload.content.volume_id(&upload.storage, &upload.file_name),
            watch,
            has_arrived: AtomicBool::new(false),
            may_be_copying: AtomicBool::new(false),
        }
        .run()
        .await
    }
}

/// One upload with all its attempts.
struct Transfer<'a> {
    client: &'a Client,
    upload: &'a Upload,
    source: &'a Source,
    doing: String,
    volume_id: String,
    watch: Option<Watch>,
    /// Everything was sent at least once: from then on Proxmox may write on the storage.
    has_arrived: AtomicBool,
    /// Everything was sent, and the name of the task that copies it was lost.
    may_be_copying: AtomicBool,
}

impl Transfer<'_> {
    async fn run(&self) -> Result<Volume, Error> {
        let Upload { node, storage, .. } = self.upload;
        timeout_at(self.upload.deadline, self.place())
            .await
            .unwrap_or_else(|_| {
                let waiting_for = "the upload".to_owned();
                let error = self.failed(Kind::Deadline { waiting_for });
                Err(if self.has_arrived.load(Ordering::Relaxed) {
                    error.leaving(Left::Unknown(self.volume_id.clone()))
                } else {
                    error
                })
            })
            .inspect(|volume| {
                info!(node, storage, volume_id = %volume.volume_id, size_bytes = volume.size_bytes, "uploaded");
            })
    }

    fn failed(&self, kind: Kind) -> Error {
        self.client
            .error(&self.doing, Some(&self.upload.node), kind)
    }

    fn about(&self) -> About<'_> {
        About {
            node: &self.upload.node,
            storage: &self.upload.storage,
            content: Some(self.upload.content),
        }
    }

    async fn find(&self) -> Result<Option<Volume>, Error> {
        let Upload {
            node,
            storage,
            content,
            file_name,
            ..
        } = self.upload;
        self.client.find(node, storage, *content, file_name).await
    }

    async fn place(&self) -> Result<Volume, Error> {
        let Upload {
            node,
            storage,
            content,
            file_name,
            ..
        } = self.upload;
        name::check_file_name(*content, file_name).map_err(|source| {
            self.failed(Kind::Name {
                name: file_name.clone(),
                source,
            })
        })?;
        let size_bytes = self.source.size_bytes();
        // What Proxmox would refuse only after it has received everything.
        let status = self
            .client
            .storage_status(node, storage)
            .await
            .map_err(|error| error.doing(&self.doing))?;
        status
            .check(node, storage, *content, 0, 0)
            .map_err(|kind| self.failed(kind))?;
        let before = self.find().await?;
        if let Some(volume) = &before
            && !self.upload.is_replacing
        {
            return Err(self.failed(Kind::Exists {
                volume_id: volume.volume_id.clone(),
                size_bytes: Some(volume.size_bytes),
            }));
        }
        let given_back = before.as_ref().map_or(0, |volume| volume.size_bytes);
        status
            .check(node, storage, *content, size_bytes, given_back)
            .map_err(|kind| self.failed(kind))?;

        let mut delays = self.client.settings().pace.delays();
        let mut restarts = 0;
        loop {
            let error = match self.attempt().await {
                Ok(()) => break,
                Err(error) => error,
            };
            if restarts < self.upload.restarts && error.is_transient() {
                restarts += 1;
                warn!(node, storage, attempt = restarts, error = %error.kind(), "upload is begun anew");
                delays.wait().await;
                self.let_copies_end().await;
                continue;
            }
            let left = self.settle(before.as_ref()).await;
            return Err(error.leaving(left));
        }
        self.client
            .read_back(node, storage, *content, file_name, Some(size_bytes))
            .await
    }

    /// One transfer and its task.
    async fn attempt(&self) -> Result<(), Error> {
        let upid = self.send().await?;
        match self.client.follow(&upid, self.upload.deadline).await {
            Ok(_) => Ok(()),
            Err(error) => {
                if let Kind::Task { status, log, .. } = error.kind()
                    && let Some(kind) = refusal::of_task(status, log, self.about())
                {
                    return Err(self.failed(kind));
                }
                Err(error.doing(&self.doing))
            }
        }
    }

    /// Sends the bytes. That a ticket has expired is found out only now; it is renewed once.
    async fn send(&self) -> Result<Upid, Error> {
        let Upload { node, storage, .. } = self.upload;
        let path = call::path(&["nodes", node, "storage", storage, "upload"]);
        let mut refused = None;
        loop {
            let pass = self.client.pass(Some(node), refused.as_ref()).await?;
            let meter = Arc::new(Meter::default());
            let reader = self
                .source
                .open()
                .await
                .map_err(|error| self.failed(source_kind(error)))?;
            let body = FileBody::new(
                self.upload.content,
                &name::normalise_file_name(&self.upload.file_name),
                self.source.sha256(),
                self.source.size_bytes(),
                reader,
                Arc::clone(&meter),
            );
            let sending = self
                .client
                .send_file(node, &path, &pass, body, self.about());
            let result = self.watched(sending, &meter).await;
            match result {
                Ok(Ok(answer)) => {
                    self.has_arrived.store(true, Ordering::Relaxed);
                    return answer.read().map_err(|kind| self.failed(kind));
                }
                Ok(Err(Kind::Unauthorized { .. })) if refused.is_none() && pass.is_renewable() => {
                    refused = Some(pass);
                }
                Ok(Err(Kind::Unauthorized { said })) if refused.is_some() => {
                    return Err(self.failed(Kind::Expired { said }));
                }
                Ok(Err(kind)) => return Err(self.failed(kind)),
                Err(kind) => {
                    let kind = self.cut(kind, &meter);
                    if !matches!(kind, Kind::Cut { .. }) {
                        return Err(self.failed(kind));
                    }
                    self.explain().await?;
                    let now = self.client.pass(Some(node), None).await?;
                    if refused.is_some() || now.is_same(&pass) {
                        return Err(self.failed(kind));
                    }
                    refused = Some(pass);
                }
            }
        }
    }

    /// Waits for the answer, tells the watcher how far it is, and gives up when nothing moves.
    async fn watched<T>(
        &self,
        sending: impl Future<Output = Result<T, Kind>>,
        meter: &Meter,
    ) -> Result<T, Kind> {
        let stall = self.client.settings().stall_timeout;
        let total = self.source.size_bytes();
        let mut sending = std::pin::pin!(sending);
        let mut last = (0, Instant::now());
        loop {
            let result = timeout(TICK, &mut sending).await;
            let sent = meter.sent_bytes();
            if sent != last.0 {
                last = (sent, Instant::now());
                self.tell(sent);
            }
            match result {
                Ok(result) => return result,
                // When all is sent, the server checks and copies: that takes its time.
                Err(_) if sent < total && last.1.elapsed() >= stall => {
                    return Err(Kind::Unreachable {
                        said: format!("no byte was taken for {} s", stall.as_secs()),
                        connected: true,
                    });
                }
                Err(_) => {}
            }
        }
    }

    fn tell(&self, done_bytes: u64) {
        if let Some(watch) = &self.watch {
            watch(Progress {
                node: self.upload.node.clone(),
                storage: self.upload.storage.clone(),
                done_bytes,
                total_bytes: self.source.size_bytes(),
            });
        }
    }

    /// What a lost connection means in the middle of an upload.
    fn cut(&self, kind: Kind, meter: &Meter) -> Kind {
        if let Some(error) = meter.fault() {
            return source_kind(error);
        }
        match kind {
            Kind::Unreachable {
                said,
                connected: true,
            } => {
                let sent_bytes = meter.sent_bytes();
                let total_bytes = self.source.size_bytes();
                if sent_bytes == total_bytes {
                    self.has_arrived.store(true, Ordering::Relaxed);
                    self.may_be_copying.store(true, Ordering::Relaxed);
                }
                Kind::Cut {
                    sent_bytes,
                    total_bytes,
                    said,
                }
            }
            other => other,
        }
    }

    /// A server that refuses an upload answers at once and closes the connection, and with that
    /// the answer is often lost: a look at the storage tells what it said, and renews a ticket.
    async fn explain(&self) -> Result<(), Error> {
        let Upload {
            node,
            storage,
            content,
            ..
        } = self.upload;
        let looked = self.client.storage_status(node, storage).await;
        let status = match looked {
            Ok(status) => status,
            Err(error) if error.is_transient() => return Ok(()),
            Err(error) => return Err(error.doing(&self.doing)),
        };
        status
            .check(node, storage, *content, 0, 0)
            .map_err(|kind| self.failed(kind))?;
        let missing = self.client.missing(node, storage, &[Action::Upload]).await;
        match missing.unwrap_or_default().pop() {
            None => Ok(()),
            Some(missing) => Err(self.failed(Kind::Forbidden(missing))),
        }
    }

    /// When everything was sent and the answer was lost, Proxmox may be copying: a second copy to
    /// the same place must not begin before the first has ended.
    async fn let_copies_end(&self) {
        if !self.may_be_copying.swap(false, Ordering::Relaxed) {
            return;
        }
        let node = self.upload.node.as_str();
        match self.client.running_tasks("imgcopy").await {
            Ok(tasks) => {
                // Through another node, it is that one's task, and which one that is is not known.
                let is_ours = |upid: &Upid| upid.node() == node || !self.client.is_direct(node);
                for upid in tasks.into_iter().filter(is_ours) {
                    // How it ends does not matter: the file is sent again.
                    let _ = self.client.follow(&upid, self.upload.deadline).await;
                }
            }
            Err(error) => warn!(error = %error.kind(), "running tasks cannot be listed"),
        }
    }

    /// What the failed upload left on the storage. A part of a file that was not there before is
    /// removed; Proxmox itself removes its temporary file, and newer ones the failed copy.
    async fn settle(&self, before: Option<&Volume>) -> Left {
        if !self.has_arrived.load(Ordering::Relaxed) {
            return Left::Nothing;
        }
        let unknown = || Left::Unknown(self.volume_id.clone());
        timeout(AFTERMATH, async {
            self.let_copies_end().await;
            let Ok(after) = self.find().await else {
                return unknown();
            };
            match (before, after) {
                (None, None) => Left::Nothing,
                (Some(before), Some(after)) if *before == after => Left::Nothing,
                (Some(_), None) => Left::Lost(self.volume_id.clone()),
                // A whole one may be somebody else's, who sends the same file.
                (None, Some(after)) if after.size_bytes != self.source.size_bytes() => {
                    self.remove().await
                }
                (_, Some(_)) => Left::Remains(self.volume_id.clone()),
            }
        })
        .await
        .unwrap_or_else(|_| unknown())
    }

    async fn remove(&self) -> Left {
        let Upload {
            node,
            storage,
            content,
            file_name,
            ..
        } = self.upload;
        let deadline = Instant::now() + AFTERMATH;
        match self
            .client
            .delete(node, storage, *content, file_name, deadline)
            .await
        {
            Ok(_) => Left::Removed(self.volume_id.clone()),
            Err(error) => {
                warn!(error = %error.kind(), volume_id = %self.volume_id, "incomplete file stays");
                Left::Remains(self.volume_id.clone())
            }
        }
    }
}

fn source_kind(error: std::io::Error) -> Kind {
    Kind::Source {
        source: Arc::new(error),
    }
}
