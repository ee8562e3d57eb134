//! The helper on a host, ready to be called.
//!
//! Turns statuses into typed errors. Never calls twice by itself: whether to repeat is the
//! caller's decision, and safe after a cut connection, since all calls are idempotent.

use std::{
    error::Error as _,
    fmt,
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::BytesMut;
use http::Uri;
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use crate::{
    Error, Timing,
    launch::Launched,
    pipe::{Ending, Watch},
    proto::{
        Failure, InstallHeader, InstallRequest, InstallResponse, failure::Kind,
        install_request::Part, node_client::NodeClient,
    },
    session::Session,
};

/// What one call may send ahead of its reader: enough that a far host is not slowed down by waiting
/// for permission.
const WINDOW_BYTES: u32 = 16 << 20;

/// What all calls together may: as much as HTTP/2 knows (RFC 9113, 6.9.1). A build that is not read on
/// for a while must not take the room of other calls on the same host.
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// Largest message in both directions. A whole ledger of a host with 40 clusters is below 1 MiB.
const MESSAGE_LIMIT: usize = 64 << 20;

/// Archives are sent in pieces of this size.
const CHUNK_BYTES: usize = 256 << 10;

/// How long a connection that was idle may take to show that it lives before a new one is made.
const PROBE: Duration = Duration::from_secs(5);

/// The client of the helper's interface.
pub type Client = NodeClient<InterceptedService<Channel, Operator>>;

/// Puts on every call who makes it.
#[derive(Clone, Debug)]
pub struct Operator(MetadataValue<Ascii>);

impl Operator {
    /// `text` names who works on the hosts; other than printable ASCII becomes `?`.
    pub(crate) fn new(text: &str) -> Self {
        let text: String = text
            .chars()
            .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
            .collect();
        Self(
            text.parse()
                .expect("printable ASCII is a valid metadata value"),
        )
    }
}

impl Interceptor for Operator {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("x-operator", self.0.clone());
        Ok(request)
    }
}

/// The helper on a host. Cheap to clone; all clones share one connection.
#[derive(Clone)]
pub struct Node {
    connection: Arc<Connection>,
    client: Client,
}

/// One connection with its helper.
struct Connection {
    host: String,
    version: String,
    watch: Watch,
    session: Session,
    /// When it was last handed out, milliseconds since 1970: the clock that runs while the machine
    /// sleeps.
    used_ms: AtomicU64,
    keepalive_interval: Duration,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Node({}, {})",
            self.connection.host, self.connection.version
        )
    }
}

impl Node {
    /// Speaks HTTP/2 to a helper that was just started.
    pub(crate) async fn new(
        host: &str,
        session: Session,
        launched: Launched,
        timing: &Timing,
        operator: Operator,
    ) -> Result<Self, Error> {
        let Launched {
            pipe,
            watch,
            version,
        } = launched;
        let mut pipe = Some(pipe);
        let connector = tower::service_fn(move |_: Uri| {
            // The helper is on this one stream; when it breaks, the pool starts another.
            let pipe = pipe
                .take()
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
            std::future::ready(pipe.map(TokioIo::new))
        });
        let channel = Endpoint::from_static("http://etcd-node.internal")
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_keep_alive_interval(timing.keepalive_interval)
            .keep_alive_timeout(timing.keepalive_timeout)
            .keep_alive_while_idle(true)
            .connect_with_connector(connector)
            .await
            .map_err(|_| Error::Cut {
                host: host.to_owned(),
                doing: "greeting the helper",
            })?;
        let client = NodeClient::with_interceptor(channel, operator)
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        let connection = Connection {
            host: host.to_owned(),
            version,
            watch,
            session,
            used_ms: AtomicU64::new(now_ms()),
            keepalive_interval: timing.keepalive_interval,
        };
        Ok(Self {
            connection: Arc::new(connection),
            client,
        })
    }

    /// The host as its target names it.
    pub fn host(&self) -> &str {
        &self.connection.host
    }

    /// Version of the helper, as it said when it started.
    pub fn version(&self) -> &str {
        &self.connection.version
    }

    /// A client for one or more calls. Prefer [`Node::call`], which types the error.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Makes one call; `name` is for errors and logs.
    ///
    /// ```ignore
    /// let facts = node.call("Observe", |mut client| async move { client.observe(request).await }).await?;
    /// ```
    pub async fn call<T, C, F>(&self, name: &'static str, call: C) -> Result<T, NodeError>
    where
        C: FnOnce(Client) -> F,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        match call(self.client()).await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(self.error(name, status).await),
        }
    }

    /// Sends a release archive to be laid down; reads it from `archive` as the host takes it.
    pub async fn install(
        &self,
        header: InstallHeader,
        mut archive: impl AsyncRead + Send + Unpin,
    ) -> Result<InstallResponse, NodeError> {
        const NAME: &str = "Install";
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        let feed = async move {
            let header = InstallRequest {
                part: Some(Part::Header(header)),
            };
            // A receiver that is gone has its answer already.
            if sender.send(header).await.is_err() {
                return Ok(());
            }
            loop {
                let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
                while chunk.len() < CHUNK_BYTES && archive.read_buf(&mut chunk).await? > 0 {}
                if chunk.is_empty() {
                    return Ok::<(), io::Error>(());
                }
                let chunk = InstallRequest {
                    part: Some(Part::Chunk(chunk.freeze())),
                };
                if sender.send(chunk).await.is_err() {
                    return Ok(());
                }
            }
        };
        let mut client = self.client();
        let call = client.install(ReceiverStream::new(receiver));
        tokio::pin!(call, feed);
        let answer = tokio::select! {
            answer = &mut call => answer,
            sent = &mut feed => match sent {
                Ok(()) => call.await,
                // Dropping the call cuts the stream: the helper leaves nothing behind.
                Err(source) => {
                    return Err(self.failed(NAME, NodeErrorKind::Archive(source)));
                }
            },
        };
        match answer {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(self.error(NAME, status).await),
        }
    }

    /// Whether calls can still be made. Asks the other side if it was not heard of for longer than
    /// the keepalive interval, by a clock that runs while this machine sleeps.
    pub(crate) async fn is_alive(&self) -> bool {
        let connection = &self.connection;
        if connection.watch.ending().is_some() || connection.session.handle.is_closed() {
            return false;
        }
        let now = now_ms();
        let idle =
            Duration::from_millis(now.saturating_sub(connection.used_ms.load(Ordering::Relaxed)));
        if idle > connection.keepalive_interval && !connection.session.is_alive(PROBE).await {
            return false;
        }
        connection.used_ms.store(now, Ordering::Relaxed);
        true
    }

    /// Ends the connection. The helper finishes the step it is in.
    pub(crate) async fn close(&self) {
        let goodbye =
            self.connection
                .session
                .handle
                .disconnect(russh::Disconnect::ByApplication, "", "");
        // The other side is told as a courtesy; a dead connection cannot be.
        let _ = goodbye.await;
    }

    /// What the machine's sleep leaves behind: a connection that was last used long ago.
    #[cfg(test)]
    pub(crate) fn sleep_for(&self, time: Duration) {
        let slept = u64::try_from(time.as_millis()).expect("less than an age");
        self.connection.used_ms.fetch_sub(slept, Ordering::Relaxed);
    }

    /// Types the status by which a call failed, or by which a stream broke off that it had begun.
    pub async fn error(&self, call: &'static str, status: Status) -> NodeError {
        let kind = if let Some(failure) = failure(&status) {
            NodeErrorKind::Failed(Box::new(failure))
        } else if is_lost(&status) {
            // How the program ended arrives right behind the end of its output.
            let mut watch = self.connection.watch.clone();
            let ending = tokio::time::timeout(Duration::from_millis(200), watch.ended()).await;
            NodeErrorKind::Lost {
                ending: ending.ok().flatten(),
            }
        } else {
            NodeErrorKind::Status(Box::new(status))
        };
        self.failed(call, kind)
    }

    fn failed(&self, call: &'static str, kind: NodeErrorKind) -> NodeError {
        NodeError {
            host: self.connection.host.clone(),
            call,
            kind,
        }
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Statuses that tonic makes itself when the stream under it breaks carry the cause; those of the
/// helper carry none.
fn is_lost(status: &Status) -> bool {
    status.source().is_some()
        || (status.code() == Code::Unknown && status.message().contains("h2 protocol error"))
}

/// The helper's own account of why a call failed; none if the status is not the helper's.
pub fn failure(status: &Status) -> Option<Failure> {
    if status.details().is_empty() {
        return None;
    }
    Failure::decode(status.details()).ok()
}

/// Why a call to the helper on a host failed.
#[derive(Debug, thiserror::Error)]
#[error("{call} on {host}: {kind}")]
pub struct NodeError {
    /// The host.
    pub host: String,
    /// Name of the call.
    pub call: &'static str,
    /// Why.
    pub kind: NodeErrorKind,
}

/// Kinds of failures of a call.
#[derive(Debug)]
pub enum NodeErrorKind {
    /// The helper says what failed; nothing else was done.
    Failed(Box<Failure>),
    /// The connection broke in mid-call. Whether the call was carried out is not known; it is safe
    /// to repeat over a new connection.
    Lost {
        /// How the helper ended, if that was heard.
        ending: Option<Ending>,
    },
    /// The archive to be sent could not be read.
    Archive(io::Error),
    /// A status without the helper's account: a defect on one of the two sides.
    Status(Box<Status>),
}

impl fmt::Display for NodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => {
                f.write_str(&failure.message)?;
                if !failure.subject.is_empty() && !failure.message.contains(&failure.subject) {
                    write!(f, " ({})", failure.subject)?;
                }
                if !failure.output.is_empty() {
                    write!(f, ": {}", failure.output.join(" / "))?;
                }
                Ok(())
            }
            Self::Lost {
                ending: Some(ending),
            } => {
                write!(f, "the helper went away before it answered: {ending}")
            }
            Self::Lost { ending: None } => f.write_str("the connection was lost before the answer"),
            Self::Archive(error) => write!(f, "the archive could not be read: {error}"),
            Self::Status(status) => write!(f, "{:?}: {}", status.code(), status.message()),
        }
    }
}

impl NodeError {
    /// The helper's account, if there is one.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.kind {
            NodeErrorKind::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// Whether the connection broke in mid-call, so that the outcome is not known.
    pub fn is_lost(&self) -> bool {
        matches!(self.kind, NodeErrorKind::Lost { .. })
    }

    /// Whether the same call can succeed soon without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match &self.kind {
            NodeErrorKind::Lost { .. } => true,
            NodeErrorKind::Failed(failure) => {
                matches!(
                    failure.kind(),
                    Kind::Locked | Kind::NotYet | Kind::CaUnavailable
                )
            }
            NodeErrorKind::Archive(_) | NodeErrorKind::Status(_) => false,
        }
    }

    /// What holds now, as a sentence.
    pub fn holds(&self) -> &'static str {
        match self.kind {
            NodeErrorKind::Lost { .. } => {
                "Whether the host carried it out is not known; doing it again is safe."
            }
            NodeErrorKind::Archive(_) => "Nothing of it was laid down on the host.",
            NodeErrorKind::Failed(ref failure)
                if matches!(failure.kind(), Kind::UnitFailed | Kind::Deadline) =>
            {
                "Whether the unit runs now is not known; files are as they were before this call."
            }
            NodeErrorKind::Failed(_) | NodeErrorKind::Status(_) => {
                "The host is as it was before this call, but for what the call had completed."
            }
        }
    }

    /// The next step as a sentence; empty if there is nothing better than the error itself.
    pub fn hint(&self) -> String {
        match &self.kind {
            NodeErrorKind::Failed(failure)
                if failure.kind() == Kind::Locked && failure.hint.is_empty() =>
            {
                format!("wait for {} to finish.", failure.holder)
            }
            // The helper does not know how others call its host.
            NodeErrorKind::Failed(failure) => failure
                .hint
                .replace("on the host", &format!("on {}", self.host))
                .replace("on the CA host", &format!("on {}", self.host)),
            NodeErrorKind::Lost { .. } => "run it again; it continues where it stopped.".to_owned(),
            NodeErrorKind::Archive(_) => "clear the download cache and run it again.".to_owned(),
            NodeErrorKind::Status(_) => {
                "this is a defect of the provider; please report it.".to_owned()
            }
        }
    }
}
