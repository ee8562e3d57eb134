//! gRPC on standard input and output: one connection, for as long as the other end is there.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    sync::watch,
};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, server::Connected},
};

use crate::{
    ca, certificate, ensure,
    failure::Failed,
    install, journal, ledger, lock, membership, observe,
    proto::{
        self as wire,
        failure::Kind,
        node_server::{Node, NodeServer},
    },
    remove, renew, unit,
};

/// Archives and observations of many members fit with room to spare.
const MESSAGE_LIMIT: usize = 64 << 20;
/// Enough for a fast link with a long round trip.
const WINDOW: u32 = 16 << 20;

type Answer<T> = Result<Response<T>, Status>;

/// Announces itself with `nonce` and serves until the input ends; then finishes what runs.
///
/// # Errors
/// The connection cannot be used at all.
pub async fn serve(nonce: &str) -> io::Result<()> {
    let (ended, mut gone) = watch::channel(false);
    let mut stdout = tokio::io::stdout();
    let line = format!("ETCD-NODE-READY {nonce} {}\n", env!("CARGO_PKG_VERSION"));
    stdout.write_all(line.as_bytes()).await?;
    stdout.flush().await?;
    let connection = Connection {
        input: tokio::io::stdin(),
        output: stdout,
        ended,
    };
    let busy = watch::Sender::new(0_usize);
    let service = Service {
        held: Arc::default(),
        busy: busy.clone(),
    };
    let incoming = tokio_stream::StreamExt::chain(
        tokio_stream::once(Ok::<_, io::Error>(connection)),
        tokio_stream::pending(),
    );
    let server = Server::builder()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(60)))
        .add_service(
            NodeServer::new(service)
                .max_decoding_message_size(MESSAGE_LIMIT)
                .max_encoding_message_size(MESSAGE_LIMIT),
        )
        .serve_with_incoming(incoming);
    tokio::select! {
        result = server => result.map_err(io::Error::other)?,
        _ = gone.wait_for(|gone| *gone) => {}
    }
    // Whoever asked is gone; what was begun is finished all the same.
    let mut busy = busy.subscribe();
    let _ = busy.wait_for(|count| *count == 0).await;
    Ok(())
}

struct Connection {
    input: tokio::io::Stdin,
    output: tokio::io::Stdout,
    ended: watch::Sender<bool>,
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
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.input).poll_read(context, buffer);
        let ended = match &result {
            Poll::Ready(Ok(())) => buffer.filled().len() == before && buffer.remaining() > 0,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if ended {
            self.ended.send_replace(true);
        }
        result
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.output).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_shutdown(context)
    }
}

struct Service {
    held: Arc<lock::Held>,
    busy: watch::Sender<usize>,
}

struct Busy(watch::Sender<usize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

fn operator<T>(request: &Request<T>) -> String {
    request
        .metadata()
        .get("x-operator")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("unknown")
        .to_owned()
}

fn panicked(call: &str) -> Status {
    Failed::new(
        Kind::Internal,
        call,
        format!("the helper panicked in {call}"),
    )
    .into()
}

impl Service {
    /// Runs something that changes the host in a thread of its own: a cut connection never stops it
    /// half-way. What it did is logged.
    async fn change<T: Send + 'static>(
        &self,
        call: &'static str,
        owner: String,
        subject: String,
        operator: String,
        work: impl FnOnce(&str) -> Result<T, Failed> + Send + 'static,
    ) -> Answer<T> {
        self.busy.send_modify(|count| *count += 1);
        let busy = Busy(self.busy.clone());
        let task = tokio::task::spawn_blocking(move || {
            let _busy = busy;
            let result = work(&operator);
            let outcome = match &result {
                Ok(_) => "done",
                Err(failed) => &failed.0.message,
            };
            ledger::log(&operator, call, &owner, &subject, outcome);
            result
        });
        let result = task.await.map_err(|_| panicked(call))?;
        Ok(Response::new(result?))
    }

    /// The same for what waits for other programs.
    async fn change_async<T: Send + 'static>(
        &self,
        call: &'static str,
        subject: String,
        operator: String,
        work: impl Future<Output = Result<T, Failed>> + Send + 'static,
    ) -> Answer<T> {
        self.busy.send_modify(|count| *count += 1);
        let busy = Busy(self.busy.clone());
        let task = tokio::spawn(async move {
            let _busy = busy;
            let result = work.await;
            let outcome = match &result {
                Ok(_) => "done",
                Err(failed) => &failed.0.message,
            };
            ledger::log(&operator, call, "", &subject, outcome);
            result
        });
        let result = task.await.map_err(|_| panicked(call))?;
        Ok(Response::new(result?))
    }
}

#[tonic::async_trait]
impl Node for Service {
    async fn observe(
        &self,
        request: Request<wire::ObserveRequest>,
    ) -> Answer<wire::ObserveResponse> {
        Ok(Response::new(observe::observe(request.into_inner()).await?))
    }

    async fn lock(&self, request: Request<wire::LockRequest>) -> Answer<wire::LockResponse> {
        let request = request.into_inner();
        let held = Arc::clone(&self.held);
        let task = tokio::task::spawn_blocking(move || {
            let wait = Duration::from_millis(request.wait_ms.into());
            held.take(&request.name, &request.holder, wait)
        });
        task.await.map_err(|_| panicked("Lock"))??;
        Ok(Response::new(wire::LockResponse {}))
    }

    async fn unlock(&self, request: Request<wire::UnlockRequest>) -> Answer<wire::UnlockResponse> {
        self.held.release(&request.into_inner().name);
        Ok(Response::new(wire::UnlockResponse {}))
    }

    async fn ensure(&self, request: Request<wire::EnsureRequest>) -> Answer<wire::EnsureResponse> {
        let operator = operator(&request);
        let request = request.into_inner();
        let owner = request.owner.clone();
        let subject = format!("{} items", request.items.len());
        self.change("Ensure", owner, subject, operator, move |by| {
            ensure::ensure(request, by)
        })
        .await
    }

    async fn install(
        &self,
        request: Request<Streaming<wire::InstallRequest>>,
    ) -> Answer<wire::InstallResponse> {
        use wire::install_request::Part;
        let operator = operator(&request);
        let mut stream = request.into_inner();
        let header = match stream.message().await?.and_then(|first| first.part) {
            Some(Part::Header(header)) => header,
            _ => {
                return Err(
                    Failed::new(Kind::InvalidRequest, "Install", "the header comes first").into(),
                );
            }
        };
        let (sender, pieces) = tokio::sync::mpsc::channel(8);
        let pump = tokio::spawn(async move {
            while let Ok(Some(message)) = stream.message().await {
                if let Some(Part::Chunk(chunk)) = message.part
                    && sender.send(chunk.into()).await.is_err()
                {
                    break;
                }
            }
        });
        let (owner, subject) = (header.owner.clone(), header.directory.clone());
        let answer = self
            .change("Install", owner, subject, operator, move |by| {
                install::install(&header, pieces, by)
            })
            .await;
        pump.abort();
        answer
    }

    async fn control_unit(
        &self,
        request: Request<wire::ControlUnitRequest>,
    ) -> Answer<wire::ControlUnitResponse> {
        let operator = operator(&request);
        let request = request.into_inner();
        let (owner, subject) = (request.owner.clone(), request.unit.clone());
        self.change("ControlUnit", owner, subject, operator, move |_| {
            let milliseconds = if request.timeout_ms == 0 {
                120_000
            } else {
                request.timeout_ms
            };
            let timeout = Duration::from_millis(milliseconds.into());
            let outcome = unit::control(&request.unit, request.verb(), request.no_block, timeout)?;
            let unit = unit::facts(std::slice::from_ref(&request.unit))?.pop();
            Ok(wire::ControlUnitResponse {
                outcome: outcome.into(),
                unit,
            })
        })
        .await
    }

    async fn remove(&self, request: Request<wire::RemoveRequest>) -> Answer<wire::RemoveResponse> {
        let operator = operator(&request);
        let request = request.into_inner();
        let owner = request.owner.clone();
        self.change("Remove", owner.clone(), owner, operator, move |by| {
            remove::remove(&request, by)
        })
        .await
    }

    async fn create_certificate_request(
        &self,
        request: Request<wire::CreateCertificateRequestRequest>,
    ) -> Answer<wire::CreateCertificateRequestResponse> {
        let operator = operator(&request);
        let request = request.into_inner();
        let (owner, subject) = (request.owner.clone(), request.key_path.clone());
        self.change(
            "CreateCertificateRequest",
            owner,
            subject,
            operator,
            move |by| certificate::request(&request, by),
        )
        .await
    }

    async fn install_certificate(
        &self,
        request: Request<wire::InstallCertificateRequest>,
    ) -> Answer<wire::InstallCertificateResponse> {
        let operator = operator(&request);
        let request = request.into_inner();
        let (owner, subject) = (request.owner.clone(), request.path.clone());
        self.change("InstallCertificate", owner, subject, operator, move |by| {
            certificate::install(&request, by)
        })
        .await
    }

    async fn renew_certificate(
        &self,
        request: Request<wire::RenewCertificateRequest>,
    ) -> Answer<wire::RenewCertificateResponse> {
        let operator = operator(&request);
        let request = request.into_inner();
        self.change_async(
            "RenewCertificate",
            request.path.clone(),
            operator,
            async move {
                let (outcome, certificate) = renew::renew(
                    &request.path,
                    &request.key_path,
                    &request.issuer_path,
                    request.force,
                )
                .await?;
                Ok(wire::RenewCertificateResponse {
                    outcome: outcome.into(),
                    certificate: Some(certificate),
                })
            },
        )
        .await
    }

    async fn initialise_ca(
        &self,
        request: Request<wire::InitialiseCaRequest>,
    ) -> Answer<wire::InitialiseCaResponse> {
        let operator = operator(&request);
        let request = request.into_inner();
        let (owner, subject) = (request.owner.clone(), request.directory.clone());
        self.change("InitialiseCa", owner, subject, operator, move |by| {
            ca::initialise(&request, by)
        })
        .await
    }

    async fn sign(&self, request: Request<wire::SignRequest>) -> Answer<wire::SignResponse> {
        let operator = operator(&request);
        let request = request.into_inner();
        self.change_async("Sign", request.common_name.clone(), operator, async move {
            ca::sign(&request).await
        })
        .await
    }

    async fn forget_consumer(
        &self,
        request: Request<wire::ForgetConsumerRequest>,
    ) -> Answer<wire::ForgetConsumerResponse> {
        let operator = operator(&request);
        let request = request.into_inner();
        let subject = request.ca_directory.clone();
        self.change(
            "ForgetConsumer",
            String::new(),
            subject,
            operator,
            move |_| {
                let outcome = ca::forget(&request)?.into();
                Ok(wire::ForgetConsumerResponse { outcome })
            },
        )
        .await
    }

    async fn write_journal(
        &self,
        request: Request<wire::WriteJournalRequest>,
    ) -> Answer<wire::WriteJournalResponse> {
        let operator = operator(&request);
        let entry = request.into_inner().entry.unwrap_or_default();
        let owner = entry.owner.clone();
        self.change(
            "WriteJournal",
            owner,
            entry.phase.clone(),
            operator,
            move |_| {
                journal::write(entry)?;
                Ok(wire::WriteJournalResponse {})
            },
        )
        .await
    }

    async fn clear_journal(
        &self,
        request: Request<wire::ClearJournalRequest>,
    ) -> Answer<wire::ClearJournalResponse> {
        let operator = operator(&request);
        let request = request.into_inner();
        let owner = request.owner.clone();
        self.change("ClearJournal", owner, String::new(), operator, move |_| {
            let outcome = journal::clear(&request.owner, &request.id)?.into();
            Ok(wire::ClearJournalResponse { outcome })
        })
        .await
    }

    async fn add_learner(
        &self,
        request: Request<wire::AddLearnerRequest>,
    ) -> Answer<wire::AddLearnerResponse> {
        let operator = operator(&request);
        let request = request.into_inner();
        self.change_async(
            "AddLearner",
            request.peer_urls.join(","),
            operator,
            async move { membership::add_learner(&request).await },
        )
        .await
    }

    async fn promote_learner(
        &self,
        request: Request<wire::MemberRequest>,
    ) -> Answer<wire::MemberResponse> {
        let operator = operator(&request);
        let request = request.into_inner();
        let subject = format!("{:x}", request.member_id);
        self.change_async("PromoteLearner", subject, operator, async move {
            let outcome = membership::promote(&request).await?.into();
            Ok(wire::MemberResponse { outcome })
        })
        .await
    }

    async fn remove_member(
        &self,
        request: Request<wire::MemberRequest>,
    ) -> Answer<wire::MemberResponse> {
        let operator = operator(&request);
        let request = request.into_inner();
        let subject = format!("{:x}", request.member_id);
        self.change_async("RemoveMember", subject, operator, async move {
            let outcome = membership::remove_member(&request).await?.into();
            Ok(wire::MemberResponse { outcome })
        })
        .await
    }

    async fn move_leader(
        &self,
        request: Request<wire::MemberRequest>,
    ) -> Answer<wire::MemberResponse> {
        let operator = operator(&request);
        let request = request.into_inner();
        let subject = format!("{:x}", request.member_id);
        self.change_async("MoveLeader", subject, operator, async move {
            let outcome = membership::move_leader(&request).await?.into();
            Ok(wire::MemberResponse { outcome })
        })
        .await
    }

    async fn set_data_aside(
        &self,
        request: Request<wire::SetDataAsideRequest>,
    ) -> Answer<wire::SetDataAsideResponse> {
        let operator = operator(&request);
        let request = request.into_inner();
        let (owner, subject) = (request.owner.clone(), request.path.clone());
        self.change("SetDataAside", owner, subject, operator, move |_| {
            let moved_to = membership::set_data_aside(&request)?;
            Ok(wire::SetDataAsideResponse { moved_to })
        })
        .await
    }
}
