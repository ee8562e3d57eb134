//! A provider that runs.

use std::{
    io,
    path::Path,
    process::ExitStatus,
    sync::{Arc, Mutex, PoisonError},
};

use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tf_plugin::{
    go_plugin::{Empty, grpc_controller_client::GrpcControllerClient},
    tfplugin5::{self as wire, provider_client::ProviderClient},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, BufReader},
    net::{TcpStream, UnixStream},
    process::{Child, ChildStderr, ChildStdout},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

use super::Failure;
use super::{ClientCertificate, DEADLINE, Line};

/// The provider's calls.
pub type Calls = ProviderClient<Channel>;

/// What Core takes in one message.
const MESSAGE_LIMIT: usize = 256 << 20;

/// A provider that runs and is connected. Killed when dropped.
#[derive(Debug)]
pub struct Plugin {
    child: Child,
    stdout: BufReader<ChildStdout>,
    log: Log,
    first: String,
    temporary: TempDir,
    client: Option<ClientCertificate>,
    channel: Option<Channel>,
}

/// What became of a provider.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output after its first line.
    pub stdout: String,
    /// All lines of standard error.
    pub log: Vec<String>,
    /// Names in its directory for temporary files.
    pub left: Vec<String>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Plugin {
    pub(super) fn new(
        child: Child,
        stdout: BufReader<ChildStdout>,
        stderr: ChildStderr,
        first: String,
        temporary: TempDir,
        client: Option<ClientCertificate>,
    ) -> Self {
        Self {
            child,
            stdout,
            log: Log::follow(stderr),
            first,
            temporary,
            client,
            channel: None,
        }
    }

    /// What it said first.
    pub fn line(&self) -> Result<Line, Failure> {
        Line::parse(&self.first).map_err(|error| {
            let log = self.log.lines().join("\n");
            format!("{error}; standard error:\n{log}").into()
        })
    }

    /// Its directory for temporary files.
    pub fn temporary(&self) -> &Path {
        self.temporary.path()
    }

    pub(super) async fn connect(&mut self) -> Result<(), Failure> {
        let client = self.client.as_ref();
        self.channel = Some(Self::channel(&self.line()?, client).await?);
        Ok(())
    }

    /// A connection to what `line` names, as a Core with the certificate `client`.
    pub async fn channel(
        line: &Line,
        client: Option<&ClientCertificate>,
    ) -> Result<Channel, Failure> {
        let tls = match &line.certificate {
            Some(server) => {
                let config = ClientCertificate::tls(server, client)?;
                Some(TlsConnector::from(Arc::new(config)))
            }
            None => None,
        };
        let line = line.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let (line, tls) = (line.clone(), tls.clone());
            async move { open(&line, tls).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://localhost");
        Ok(timeout(DEADLINE, endpoint.connect_with_connector(connector)).await??)
    }

    /// The connection; go-plugin's own services are on it too.
    pub fn connection(&self) -> Result<Channel, Failure> {
        Ok(self.channel.clone().ok_or("the connection is closed")?)
    }

    /// The provider's calls.
    pub fn calls(&self) -> Result<Calls, Failure> {
        Ok(ProviderClient::new(self.connection()?)
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT))
    }

    /// Its schemas.
    pub async fn schemas(&self) -> Result<wire::get_provider_schema::Response, Failure> {
        let request = wire::get_provider_schema::Request {};
        Ok(self.calls()?.get_schema(request).await?.into_inner())
    }

    /// Lines of standard error up to now.
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// Waits for a line of standard error that `wanted` takes.
    pub async fn logged(&mut self, wanted: impl Fn(&str) -> bool) -> Result<String, Failure> {
        let mut count = self.log.count.subscribe();
        timeout(DEADLINE, async {
            loop {
                count.borrow_and_update();
                if let Some(line) = self.log.lines().into_iter().find(|line| wanted(line)) {
                    return Ok(line);
                }
                count.changed().await?;
            }
        })
        .await?
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let pid = i32::try_from(self.child.id().ok_or("it has ended")?)?;
        let pid = Pid::from_raw(pid).ok_or("a process has an id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Closes the connection without a word, as a Core does that is killed.
    pub fn disconnect(&mut self) {
        self.channel = None;
    }

    /// Tells it to end, as Core does after each phase, and waits for that.
    pub async fn shutdown(mut self) -> Result<Ended, Failure> {
        self.tell_to_end().await?;
        self.ended().await
    }

    /// Tells it to end. A provider that is quicker than its answer is fine too, as it is for Core.
    pub async fn tell_to_end(&mut self) -> Result<(), Failure> {
        let mut controller = GrpcControllerClient::new(self.connection()?);
        let _ = timeout(DEADLINE, controller.shutdown(Empty {})).await?;
        self.channel = None;
        Ok(())
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Result<Ended, Failure> {
        let status = timeout(DEADLINE, self.child.wait()).await??;
        let mut stdout = String::new();
        timeout(DEADLINE, self.stdout.read_to_string(&mut stdout)).await??;
        timeout(DEADLINE, &mut self.log.task).await??;
        let left = std::fs::read_dir(self.temporary.path())?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<_>>()?;
        Ok(Ended {
            status,
            stdout,
            log: self.log.lines(),
            left,
        })
    }
}

async fn open(line: &Line, tls: Option<TlsConnector>) -> io::Result<Box<dyn Stream>> {
    let plain: Box<dyn Stream> = match line.network.as_str() {
        "unix" => Box::new(UnixStream::connect(&line.address).await?),
        _ => Box::new(TcpStream::connect(&line.address).await?),
    };
    let Some(tls) = tls else { return Ok(plain) };
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let stream = tls.connect(name, plain).await?;
    // grpc-go refuses a peer that has not chosen a protocol.
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(io::Error::other("the provider does not choose HTTP/2"));
    }
    Ok(Box::new(stream))
}

/// Standard error, read as it comes.
#[derive(Debug)]
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    count: watch::Sender<usize>,
    task: JoinHandle<()>,
}

impl Log {
    fn follow(stderr: ChildStderr) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let count = watch::Sender::new(0);
        let (kept, told) = (Arc::clone(&lines), count.clone());
        let task = tokio::spawn(async move {
            let mut reader = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                kept.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
                told.send_modify(|count| *count += 1);
            }
        });
        Self { lines, count, task }
    }

    fn lines(&self) -> Vec<String> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
