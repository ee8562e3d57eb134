//! The life of the process: handshake, listening, serving, ending.

use std::{
    io,
    net::Ipv4Addr,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    pin::Pin,
    process::ExitCode,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, UnixListener},
    sync::{mpsc, watch},
};
use tokio_rustls::TlsAcceptor;
use tonic::transport::{Server, server::Connected};

use crate::{
    go_plugin::{
        grpc_broker_server::GrpcBrokerServer, grpc_controller_server::GrpcControllerServer,
        grpc_stdio_server::GrpcStdioServer,
    },
    handshake::{self, Address, Handshake},
    health::health_server::HealthServer,
    log,
    provider::Provider,
    rpc::Rpc,
    services::{Broker, Controller, Healthy, Stdio},
    tfplugin5::provider_server::ProviderServer,
    tls,
};

/// Go providers take and give as much (`tf5server/server.go`).
const MESSAGE_LIMIT: usize = 256 << 20;

/// Core waits two seconds after Shutdown and then kills.
const GRACE: Duration = Duration::from_millis(1500);

/// Why serving ended early.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Handshake(#[from] handshake::Error),
    #[error(transparent)]
    Tls(#[from] tls::Error),
    #[error("listening failed")]
    Listen(#[source] io::Error),
    #[error("announcing the address failed")]
    Announce(#[source] io::Error),
    #[error("serving failed")]
    Serve(#[source] tonic::transport::Error),
}

/// The whole `main` of a provider.
///
/// With the argument `-debug` it prints what to put into `TF_REATTACH_PROVIDERS` for `address` (such
/// as `registry.opentofu.org/etcd-fleet/etcd`) and serves until interrupted.
pub fn serve(provider: impl Provider, address: &str) -> ExitCode {
    log::install(provider.name(), |name| std::env::var(name).ok());
    log::install_panic_hook();
    let debug = std::env::args().any(|argument| argument == "-debug" || argument == "--debug");
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let result = runtime.block_on(run(Arc::new(provider), debug.then_some(address)));
    // A helper thread that waits for something must not keep the process alive.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "there is no other way to tell whoever started us"
)]
fn fail(error: &dyn std::error::Error) -> ExitCode {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    eprintln!("{text}");
    ExitCode::FAILURE
}

async fn run(provider: Arc<dyn Provider>, debug: Option<&str>) -> Result<(), Error> {
    let handshake = match debug {
        Some(_) => Handshake {
            client_certificate: None,
            multiplex: false,
            socket_directory: None,
        },
        None => Handshake::read(|name| std::env::var(name).ok())?,
    };
    let (tls, certificate) = match &handshake.client_certificate {
        Some(pem) => {
            let (config, line) = tls::configure(pem)?;
            (Some(TlsAcceptor::from(Arc::new(config))), line)
        }
        None => (None, String::new()),
    };
    let (listener, directory) = Listener::open(handshake.socket_directory.as_deref())
        .await
        .map_err(Error::Listen)?;
    let (shutdown, mut ended) = watch::channel(false);
    // The first connection is Core's; when it closes without Shutdown, Core is gone.
    let (gone, lost) = watch::channel(false);
    let incoming = accept(listener.clone(), tls, gone, debug.is_none());
    let rpc = Rpc::new(provider);
    let busy = rpc.busy();
    let service = ProviderServer::new(rpc)
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT);
    let server = Server::builder()
        .add_service(service)
        .add_service(GrpcControllerServer::new(Controller { shutdown }))
        .add_service(GrpcStdioServer::new(Stdio))
        .add_service(GrpcBrokerServer::new(Broker))
        .add_service(HealthServer::new(Healthy))
        .serve_with_incoming(incoming);
    // Core's process group gets Ctrl-C too; what to do about it comes as a Stop call.
    let mut interrupts = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())
        .map_err(Error::Listen)?;
    match debug {
        Some(provider) => print_reattach(provider, &listener.address())?,
        None => handshake
            .announce(&listener.address(), &certificate)
            .map_err(Error::Announce)?,
    }
    let interrupted = async {
        loop {
            interrupts.recv().await;
            if debug.is_some() {
                return;
            }
        }
    };
    let result = tokio::select! {
        result = server => result.map_err(Error::Serve),
        _ = ended.wait_for(|ended| *ended) => {
            // The answer to Shutdown is on its way out; a running apply gets what time there is.
            let _ = tokio::time::timeout(GRACE, idle(busy.clone())).await;
            tokio::time::timeout(Duration::from_millis(50), std::future::pending::<()>()).await.ok();
            Ok(())
        }
        () = core_is_gone(lost) => {
            idle(busy).await;
            Ok(())
        }
        () = interrupted => Ok(()),
    };
    if let Some(directory) = directory {
        // A directory that is gone already is what is wanted.
        let _ = std::fs::remove_dir_all(directory);
    }
    result
}

async fn core_is_gone(mut lost: watch::Receiver<bool>) {
    if lost.wait_for(|lost| *lost).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits until no mutating call runs.
async fn idle(mut busy: watch::Receiver<usize>) {
    // The sender lives in the service; if it is gone nothing runs.
    let _ = busy.wait_for(|count| *count == 0).await;
}

#[expect(clippy::print_stdout, reason = "the person who debugs reads it there")]
fn print_reattach(provider: &str, address: &Address) -> Result<(), Error> {
    let (network, string) = match address {
        Address::Unix(path) => ("unix", path.display().to_string()),
        Address::Tcp(address) => ("tcp", address.to_string()),
    };
    let value = serde_json::json!({
        provider: {
            "Protocol": "grpc",
            "ProtocolVersion": 5,
            "Pid": std::process::id(),
            "Test": true,
            "Addr": { "Network": network, "String": string },
        }
    });
    println!("TF_REATTACH_PROVIDERS='{value}'");
    io::Write::flush(&mut io::stdout()).map_err(Error::Announce)
}

#[derive(Clone)]
enum Listener {
    Unix(Arc<UnixListener>, PathBuf),
    Tcp(Arc<TcpListener>, std::net::SocketAddr),
}

impl Listener {
    /// A socket in a directory that only this user can enter, and that directory.
    async fn open(parent: Option<&Path>) -> io::Result<(Self, Option<PathBuf>)> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let directory = parent.join(format!("tf-etcd-{:x}{:x}", std::process::id(), stamp()));
        let socket = directory.join("p");
        if Address::fits(&socket) {
            std::fs::DirBuilder::new().mode(0o700).create(&directory)?;
            let listener = UnixListener::bind(&socket)?;
            std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
            return Ok((Self::Unix(Arc::new(listener), socket), Some(directory)));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok((Self::Tcp(Arc::new(listener), address), None))
    }

    fn address(&self) -> Address {
        match self {
            Self::Unix(_, path) => Address::Unix(path.clone()),
            Self::Tcp(_, address) => Address::Tcp(*address),
        }
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream2>> {
        match self {
            Self::Unix(listener, _) => Ok(Box::new(listener.accept().await?.0)),
            Self::Tcp(listener, _) => {
                let stream = listener.accept().await?.0;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// Tells sockets of two processes with one recycled id apart.
fn stamp() -> u32 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.subsec_nanos())
}

/// Accepts, with the TLS handshakes side by side.
fn accept(
    listener: Listener,
    tls: Option<TlsAcceptor>,
    gone: watch::Sender<bool>,
    watched: bool,
) -> impl Stream<Item = io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(16);
    let gone = Arc::new(gone);
    tokio::spawn(async move {
        while let Ok(stream) = listener.accept().await {
            let (tls, sender, gone) = (tls.clone(), sender.clone(), Arc::clone(&gone));
            tokio::spawn(async move {
                let stream: Box<dyn Stream2> = match tls {
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => Box::new(stream),
                        // A stranger on the socket; Core's own connection is not touched by it.
                        Err(error) => {
                            tracing::warn!(error = %error, "refused a connection");
                            return;
                        }
                    },
                    None => stream,
                };
                let guard = watched.then(|| Guard(gone));
                // The server is gone: so is the wish to serve.
                let _ = sender
                    .send(Ok(Connection {
                        stream,
                        _guard: guard,
                    }))
                    .await;
            });
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(receiver)
}

trait Stream2: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream2 for T {}

/// Says that Core is gone when its connection is dropped.
struct Guard(Arc<watch::Sender<bool>>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

struct Connection {
    stream: Box<dyn Stream2>,
    _guard: Option<Guard>,
}

impl Connected for Connection {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
