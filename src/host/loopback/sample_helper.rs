//! A helper of four calls, for the tests of the connection to it.
//!
//! `Observe` answers with the operator, `Lock` never answers, `Unlock` fails, `Install` counts.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use aws_lc_rs::digest;
use host::proto::{
    Failure, Host, InstallRequest, InstallResponse, InstalledProgram, LockRequest, LockResponse,
    ObserveRequest, ObserveResponse, UnlockRequest, UnlockResponse, failure::Kind,
    install_request::Part,
};
use prost::Message;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, Join, ReadBuf, Stdin, Stdout},
    sync::mpsc,
};
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    server::Grpc,
    transport::{Server, server::Connected},
};
use tonic_prost::ProstCodec;
use tower::service_fn;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, verb, nonce] = &arguments[..] else {
        return Err("usage: serve NONCE".into());
    };
    assert_eq!(verb, "serve");
    let mut stdout = tokio::io::stdout();
    stdout
        .write_all(format!("ETCD-NODE-READY {nonce} sample\n").as_bytes())
        .await?;
    stdout.flush().await?;
    let (ended, mut end) = mpsc::channel(1);
    let stream = Io {
        io: tokio::io::join(tokio::io::stdin(), stdout),
        _ended: ended,
    };
    let incoming = futures::StreamExt::chain(
        tokio_stream::once(Ok::<_, io::Error>(stream)),
        tokio_stream::pending(),
    );
    let service = service_fn(|request: http::Request<Body>| async move {
        Ok::<_, Infallible>(answer(request).await)
    });
    tokio::select! {
        served = Server::builder().serve_with_incoming(service, incoming) => served?,
        // The only sender goes with the stream.
        _ = end.recv() => {}
    }
    std::process::exit(0)
}

async fn answer(request: http::Request<Body>) -> http::Response<Body> {
    match request.uri().path().rsplit('/').next() {
        Some("Observe") => {
            let observe = service_fn(|request: Request<ObserveRequest>| async move {
                let operator = request.metadata().get("x-operator").expect("an operator");
                let hostname = operator.to_str().expect("ASCII").to_owned();
                let host = Host {
                    hostname,
                    ..Host::default()
                };
                Ok(Response::new(ObserveResponse {
                    host: Some(host),
                    ..ObserveResponse::default()
                }))
            });
            Grpc::new(ProstCodec::default())
                .unary(observe, request)
                .await
        }
        Some("Lock") => {
            let lock = service_fn(|_: Request<LockRequest>| {
                std::future::pending::<Result<Response<LockResponse>, Status>>()
            });
            Grpc::new(ProstCodec::default()).unary(lock, request).await
        }
        Some("Unlock") => {
            let unlock = service_fn(|request: Request<UnlockRequest>| async move {
                let failure = Failure {
                    kind: Kind::Locked.into(),
                    subject: request.into_inner().name,
                    message: "the lock is held".into(),
                    holder: "somebody".into(),
                    ..Failure::default()
                };
                let details = failure.encode_to_vec().into();
                Err::<Response<UnlockResponse>, _>(Status::with_details(
                    Code::FailedPrecondition,
                    "the lock is held",
                    details,
                ))
            });
            Grpc::new(ProstCodec::default())
                .unary(unlock, request)
                .await
        }
        Some("Install") => {
            let install = service_fn(|request: Request<Streaming<InstallRequest>>| async move {
                let mut stream = request.into_inner();
                let mut hash = digest::Context::new(&digest::SHA256);
                let (mut header, mut messages) = (None, 0);
                while let Some(message) = stream.message().await? {
                    messages += 1;
                    match message.part {
                        Some(Part::Header(part)) => header = Some(part),
                        Some(Part::Chunk(chunk)) => hash.update(&chunk),
                        None => return Err(Status::invalid_argument("an empty part")),
                    }
                }
                let header = header.ok_or_else(|| Status::invalid_argument("no header"))?;
                let program = InstalledProgram {
                    path: format!("{} in {messages}", header.directory),
                    sha256: hex::encode(hash.finish()),
                };
                Ok(Response::new(InstallResponse {
                    outcome: 1,
                    programs: vec![program],
                }))
            });
            Grpc::new(ProstCodec::default())
                .client_streaming(install, request)
                .await
        }
        _ => Status::unimplemented("not in the sample").into_http(),
    }
}

/// Standard input and output as one stream that tells when it goes.
struct Io {
    io: Join<Stdin, Stdout>,
    _ended: mpsc::Sender<()>,
}

impl Connected for Io {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
