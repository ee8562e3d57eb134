//! The life of the process: handshake, serving, ending.

use std::{
    io::{self, Write},
    pin::pin,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tonic::transport::Server;

use crate::{
    go_plugin::{
        grpc_broker_server::GrpcBrokerServer, grpc_controller_server::GrpcControllerServer,
        grpc_stdio_server::GrpcStdioServer,
    },
    handshake::{self, Address, Handshake},
    health::health_server::HealthServer,
    listener::{Callers, Listener},
    log,
    provider::Provider,
    rpc::{Rpc, Work},
    services::{Broker, Controller, Healthy, Stdio},
    tfplugin5::provider_server::ProviderServer,
    tls,
};

/// Go providers take and give as much (`tf5server/server.go`).
const MESSAGE_LIMIT: usize = 256 << 20;

/// Core waits two seconds after Shutdown and then kills.
const GRACE: Duration = Duration::from_millis(1500);

/// Core connects as soon as it has read the line, for which it waits a minute.
const PATIENCE: Duration = Duration::from_mins(2);

/// Why serving ended early.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Handshake(#[from] handshake::Error),
    #[error(transparent)]
    Tls(#[from] tls::Error),
    #[error("listening for signals failed")]
    Signals(#[source] io::Error),
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
/// as `registry.example/namespace/name`) and serves until interrupted.
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

fn fail(error: &dyn std::error::Error) -> ExitCode {
    // Nobody can be told that standard error is gone.
    let _ = writeln!(io::stderr(), "{}", log::chain(error));
    ExitCode::FAILURE
}

async fn run(provider: Arc<dyn Provider>, debug: Option<&str>) -> Result<(), Error> {
    // Before anybody can know of this process: none of them may end it half-way.
    let mut signals = Signals::listen().map_err(Error::Signals)?;
    let handshake = match debug {
        Some(_) => Handshake::default(),
        None => Handshake::read(|name| std::env::var(name).ok())?,
    };
    let (tls, certificate) = match &handshake.client_certificate {
        Some(pem) => {
            let (config, line) = tls::configure(pem)?;
            (Some(TlsAcceptor::from(Arc::new(config))), line)
        }
        None => (None, String::new()),
    };
    let parent = handshake.socket_directory.as_deref();
    let (listener, _directory) = Listener::open(parent, handshake.ports.clone())
        .await
        .map_err(Error::Listen)?;
    let address = listener.address();
    let callers = watch::Sender::new(Callers::default());
    let (shutdown, mut told) = watch::channel(false);
    let rpc = Rpc::new(provider);
    let work = rpc.work();
    let service = ProviderServer::new(rpc)
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT);
    let (close, mut closing) = watch::channel(false);
    let closed = closing.clone();
    let server = Server::builder()
        .add_service(service)
        .add_service(GrpcControllerServer::new(Controller { shutdown }))
        .add_service(GrpcStdioServer::new(Stdio {
            closed: closed.clone(),
        }))
        .add_service(GrpcBrokerServer::new(Broker { closed }))
        .add_service(HealthServer::new(Healthy))
        .serve_with_incoming_shutdown(listener.connections(tls, callers.clone()), async {
            // The sender lives to the end of this function.
            let _ = closing.wait_for(|closing| *closing).await;
        });
    match debug {
        Some(provider) => print_reattach(provider, &address),
        None => handshake.announce(&address, &certificate),
    }
    .map_err(Error::Announce)?;
    let alone = async {
        match debug {
            // One run of a CLI after another comes and goes.
            Some(_) => std::future::pending().await,
            None => Callers::gone(callers.subscribe(), sleep(PATIENCE)).await,
        }
    };
    let mut server = pin!(server);
    tokio::select! {
        result = &mut server => return result.map_err(Error::Serve),
        _ = told.wait_for(|told| *told) => {
            // What runs may reach a safe point and answer, as far as Core waits for it.
            work.stop_if_busy();
            close.send_replace(true);
            let end = async { tokio::join!(server, work.idle()) };
            if timeout(GRACE, end).await.is_err() {
                tracing::warn!("ended with a call unfinished");
            }
        }
        () = alone => {
            work.stop_if_busy();
            work.idle().await;
        }
        () = signals.ended(debug.is_some(), &work) => {
            work.stop_if_busy();
            tokio::select! {
                () = work.idle() => {}
                () = signals.ended(true, &work) => {}
            }
        }
    }
    Ok(())
}

/// Signals that would end a process which does not listen.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when one of them ends this process: any, if a person started it.
    ///
    /// With Core as the parent none does. Ctrl-C reaches the whole group, and what to do about it
    /// comes as a Stop call. The others ask to stop: Core is likely to have got them too, and its
    /// end is the end of this process.
    async fn ended(&mut self, by_person: bool, work: &Work) {
        loop {
            let asks_to_stop = tokio::select! {
                _ = self.interrupt.recv() => false,
                _ = self.terminate.recv() => true,
                _ = self.hangup.recv() => true,
            };
            if by_person {
                return;
            }
            if asks_to_stop {
                let _ = work.stop();
            }
        }
    }
}

fn print_reattach(provider: &str, address: &Address) -> io::Result<()> {
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
    let mut out = io::stdout().lock();
    writeln!(out, "TF_REATTACH_PROVIDERS='{value}'")?;
    out.flush()
}
