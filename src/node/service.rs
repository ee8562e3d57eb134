//! The calls of node.proto: one line of dispatch each.
//!
//! What changes the host runs in a task of its own, so that a cut connection never stops it half-way,
//! and is written to the host's log. A panic becomes a failure of that one call.

use std::{sync::Arc, time::Duration};

use tonic::{Request, Response, Status, Streaming};

use crate::{
    busy::Busy,
    ca, certificate, ensure,
    failure::Failed,
    imager, install, journal, ledger, lock, log, membership, observe,
    proto::{self as wire, node_server::Node},
    recorded::Recorded,
    remove, renew,
    root::Root,
    unit,
};

type Answer<T> = Result<Response<T>, Status>;

/// One connection's view of the host.
pub(crate) struct Service {
    root: Root,
    held: Arc<lock::Held>,
    claims: Arc<imager::Claims>,
    busy: Busy,
}

/// What a call is about, for the log.
struct About {
    call: &'static str,
    operator: String,
    owner: String,
    subject: String,
}

impl About {
    fn new<T>(call: &'static str, request: &Request<T>) -> Self {
        let operator = request
            .metadata()
            .get("x-operator")
            .and_then(|value| value.to_str().ok())
            .unwrap_or("unknown")
            .to_owned();
        Self {
            call,
            operator,
            owner: String::new(),
            subject: String::new(),
        }
    }

    fn of(self, owner: &str, subject: &str) -> Self {
        Self {
            owner: owner.to_owned(),
            subject: subject.to_owned(),
            ..self
        }
    }

    fn log<T: Recorded>(&self, root: &Root, result: &Result<T, Failed>) {
        let outcome = match result {
            Ok(response) => response.recorded(),
            Err(failed) => Some(format!("failed: {failed}")),
        };
        if let Some(outcome) = outcome {
            let Self {
                call,
                operator,
                owner,
                subject,
            } = self;
            log::add(
                root,
                &log::Line {
                    operator,
                    call,
                    owner,
                    subject,
                    outcome: &outcome,
                },
            );
        }
    }
}

fn panicked(call: &str, error: tokio::task::JoinError) -> Failed {
    let what = error.try_into_panic().map_or_else(
        |error| error.to_string(),
        |payload| {
            let text = payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| payload.downcast_ref::<String>().cloned());
            text.unwrap_or_else(|| "without a text".to_owned())
        },
    );
    Failed::internal(call, format!("the helper panicked in {call}: {what}"))
        .hint("This is a defect: please report it with these words.")
}

impl Service {
    pub(crate) fn new(root: Root) -> Self {
        Self {
            root,
            held: Arc::default(),
            claims: Arc::default(),
            busy: Busy::new(),
        }
    }

    pub(crate) fn busy(&self) -> Busy {
        self.busy.clone()
    }

    /// What this connection holds against others; given back when the last copy goes.
    pub(crate) fn holds(&self) -> (Arc<lock::Held>, Arc<imager::Claims>) {
        (Arc::clone(&self.held), Arc::clone(&self.claims))
    }

    /// Changes the host in a thread for blocking work.
    async fn change<T: Recorded + Send + 'static>(
        &self,
        about: About,
        work: impl FnOnce(&Root, &str) -> Result<T, Failed> + Send + 'static,
    ) -> Answer<T> {
        let (root, guard, call) = (self.root.clone(), self.busy.begin(&about.owner), about.call);
        let task = tokio::task::spawn_blocking(move || {
            let _guard = guard;
            let result = work(&root, &about.operator);
            about.log(&root, &result);
            result
        });
        Ok(Response::new(
            task.await.map_err(|error| panicked(call, error))??,
        ))
    }

    /// The same for what waits for other programs' answers.
    async fn change_async<T: Recorded + Send + 'static, F>(
        &self,
        about: About,
        work: impl FnOnce(Root, String) -> F + Send + 'static,
    ) -> Answer<T>
    where
        F: Future<Output = Result<T, Failed>> + Send + 'static,
    {
        let (root, guard, call) = (self.root.clone(), self.busy.begin(&about.owner), about.call);
        let task = tokio::spawn(async move {
            let _guard = guard;
            let result = work(root.clone(), about.operator.clone()).await;
            about.log(&root, &result);
            result
        });
        Ok(Response::new(
            task.await.map_err(|error| panicked(call, error))??,
        ))
    }
}

#[tonic::async_trait]
impl Node for Service {
    type BuildImageStream = imager::Stream;
    type ReadBuildStream = imager::Chunks;

    async fn observe(
        &self,
        request: Request<wire::ObserveRequest>,
    ) -> Answer<wire::ObserveResponse> {
        let (root, request) = (self.root.clone(), request.into_inner());
        let task = tokio::spawn(async move { observe::observe(&root, request).await });
        Ok(Response::new(
            task.await.map_err(|error| panicked("Observe", error))??,
        ))
    }

    async fn lock(&self, request: Request<wire::LockRequest>) -> Answer<wire::LockResponse> {
        let (root, held) = (self.root.clone(), Arc::clone(&self.held));
        let wire::LockRequest {
            name,
            holder,
            wait_ms,
            token,
        } = request.into_inner();
        let task = tokio::task::spawn_blocking(move || {
            let wait = Duration::from_millis(wait_ms.into());
            held.take(&root, &name, &holder, &token, wait)
        });
        task.await.map_err(|error| panicked("Lock", error))??;
        Ok(Response::new(wire::LockResponse {}))
    }

    async fn unlock(&self, request: Request<wire::UnlockRequest>) -> Answer<wire::UnlockResponse> {
        let (root, held, busy) = (self.root.clone(), Arc::clone(&self.held), self.busy());
        let wire::UnlockRequest { name, token } = request.into_inner();
        if busy.runs(&name) {
            // Whoever asked gave up waiting for it; nobody else begins before it has ended.
            tokio::spawn(async move {
                busy.without(&name).await;
                held.release(&name, &token);
            });
            return Ok(Response::new(wire::UnlockResponse {}));
        }
        let task = tokio::task::spawn_blocking(move || {
            held.release(&name, &token);
            // Whoever left the host while this was held could not take its file away.
            if root.at(ledger::HOME).exists() {
                return Ok(());
            }
            let _lock = lock::host(&root, &name)?;
            lock::leave(&root);
            Ok::<_, Failed>(())
        });
        task.await.map_err(|error| panicked("Unlock", error))??;
        Ok(Response::new(wire::UnlockResponse {}))
    }

    async fn ensure(&self, request: Request<wire::EnsureRequest>) -> Answer<wire::EnsureResponse> {
        let about = About::new("Ensure", &request);
        let request = request.into_inner();
        let labels: Vec<&str> = request.items.iter().map(ensure::label).collect();
        let about = about.of(&request.owner, &labels.join(" "));
        self.change(about, move |root, by| ensure::ensure(root, &request, by))
            .await
    }

    async fn install(
        &self,
        request: Request<Streaming<wire::InstallRequest>>,
    ) -> Answer<wire::InstallResponse> {
        use wire::install_request::Part;
        let about = About::new("Install", &request);
        let mut stream = request.into_inner();
        let Some(Part::Header(header)) = stream.message().await?.and_then(|first| first.part)
        else {
            return Err(Failed::invalid("Install", "the header does not come first").into());
        };
        let about = about.of(&header.owner, &header.directory);
        let (sender, pieces) = install::channel();
        let pump = tokio::spawn(pump(stream, sender));
        let answer = self
            .change(about, move |root, by| {
                install::install(root, &header, pieces, by)
            })
            .await;
        pump.abort();
        answer
    }

    async fn control_unit(
        &self,
        request: Request<wire::ControlUnitRequest>,
    ) -> Answer<wire::ControlUnitResponse> {
        let about = About::new("ControlUnit", &request);
        let request = request.into_inner();
        let subject = format!(
            "{} {}",
            request.verb().as_str_name().to_lowercase(),
            request.unit
        );
        let about = about.of(&request.owner, &subject);
        self.change(about, move |root, _| unit::control(root, &request))
            .await
    }

    async fn remove(&self, request: Request<wire::RemoveRequest>) -> Answer<wire::RemoveResponse> {
        let about = About::new("Remove", &request);
        let request = request.into_inner();
        let subject = if request.delete_data {
            "with its data"
        } else {
            "but for its data"
        };
        let about = about.of(&request.owner, subject);
        self.change(about, move |root, by| remove::remove(root, &request, by))
            .await
    }

    async fn create_certificate_request(
        &self,
        request: Request<wire::CreateCertificateRequestRequest>,
    ) -> Answer<wire::CreateCertificateRequestResponse> {
        let about = About::new("CreateCertificateRequest", &request);
        let request = request.into_inner();
        let about = about.of(&request.owner, &request.key_path);
        self.change(about, move |root, by| {
            certificate::request(root, &request, by)
        })
        .await
    }

    async fn install_certificate(
        &self,
        request: Request<wire::InstallCertificateRequest>,
    ) -> Answer<wire::InstallCertificateResponse> {
        let about = About::new("InstallCertificate", &request);
        let request = request.into_inner();
        let about = about.of(&request.owner, &request.path);
        self.change(about, move |root, by| {
            certificate::install(root, &request, by)
        })
        .await
    }

    async fn renew_certificate(
        &self,
        request: Request<wire::RenewCertificateRequest>,
    ) -> Answer<wire::RenewCertificateResponse> {
        let about = About::new("RenewCertificate", &request);
        let request = request.into_inner();
        let about = about.of("", &request.path);
        self.change_async(about, |root, by| async move {
            renew::renew(&root, request, &by).await
        })
        .await
    }

    async fn initialise_ca(
        &self,
        request: Request<wire::InitialiseCaRequest>,
    ) -> Answer<wire::InitialiseCaResponse> {
        let about = About::new("InitialiseCa", &request);
        let request = request.into_inner();
        let about = about.of(&request.owner, &request.directory);
        self.change(about, move |root, by| ca::initialise(root, &request, by))
            .await
    }

    async fn sign(&self, request: Request<wire::SignRequest>) -> Answer<wire::SignResponse> {
        let about = About::new("Sign", &request);
        let request = request.into_inner();
        let about = about.of(&request.ca_directory, &request.common_name);
        self.change_async(
            about,
            |root, _| async move { ca::sign(&root, request).await },
        )
        .await
    }

    async fn forget_consumer(
        &self,
        request: Request<wire::ForgetConsumerRequest>,
    ) -> Answer<wire::ForgetConsumerResponse> {
        let about = About::new("ForgetConsumer", &request);
        let request = request.into_inner();
        let name = request.consumer.clone().unwrap_or_default().name;
        let about = about.of(&request.ca_directory, &name);
        self.change(about, move |root, _| {
            let outcome = ca::forget(root, &request)?.into();
            Ok(wire::ForgetConsumerResponse { outcome })
        })
        .await
    }

    async fn write_journal(
        &self,
        request: Request<wire::WriteJournalRequest>,
    ) -> Answer<wire::WriteJournalResponse> {
        let about = About::new("WriteJournal", &request);
        let entry = request.into_inner().entry.unwrap_or_default();
        let about = about.of(&entry.owner, &entry.phase);
        self.change(about, move |root, _| {
            journal::write(root, entry)?;
            Ok(wire::WriteJournalResponse {})
        })
        .await
    }

    async fn clear_journal(
        &self,
        request: Request<wire::ClearJournalRequest>,
    ) -> Answer<wire::ClearJournalResponse> {
        let about = About::new("ClearJournal", &request);
        let request = request.into_inner();
        let about = about.of(&request.owner, "");
        self.change(about, move |root, _| {
            let outcome = journal::clear(root, &request.owner, &request.id)?.into();
            Ok(wire::ClearJournalResponse { outcome })
        })
        .await
    }

    async fn add_learner(
        &self,
        request: Request<wire::AddLearnerRequest>,
    ) -> Answer<wire::AddLearnerResponse> {
        let about = About::new("AddLearner", &request);
        let request = request.into_inner();
        let about = about.of("", &request.peer_urls.join(","));
        self.change_async(about, |root, _| async move {
            membership::add_learner(&root, &request).await
        })
        .await
    }

    async fn promote_learner(
        &self,
        request: Request<wire::MemberRequest>,
    ) -> Answer<wire::MemberResponse> {
        let about = About::new("PromoteLearner", &request);
        let request = request.into_inner();
        let about = about.of("", &format!("{:x}", request.member_id));
        self.change_async(about, |root, _| async move {
            let outcome = membership::promote(&root, &request).await?.into();
            Ok(wire::MemberResponse { outcome })
        })
        .await
    }

    async fn remove_member(
        &self,
        request: Request<wire::MemberRequest>,
    ) -> Answer<wire::MemberResponse> {
        let about = About::new("RemoveMember", &request);
        let request = request.into_inner();
        let about = about.of("", &format!("{:x}", request.member_id));
        self.change_async(about, |root, _| async move {
            let outcome = membership::remove_member(&root, &request).await?.into();
            Ok(wire::MemberResponse { outcome })
        })
        .await
    }

    async fn move_leader(
        &self,
        request: Request<wire::MemberRequest>,
    ) -> Answer<wire::MemberResponse> {
        let about = About::new("MoveLeader", &request);
        let request = request.into_inner();
        let about = about.of("", &format!("{:x}", request.member_id));
        self.change_async(about, |root, _| async move {
            let outcome = membership::move_leader(&root, &request).await?.into();
            Ok(wire::MemberResponse { outcome })
        })
        .await
    }

    async fn set_data_aside(
        &self,
        request: Request<wire::SetDataAsideRequest>,
    ) -> Answer<wire::SetDataAsideResponse> {
        let about = About::new("SetDataAside", &request);
        let request = request.into_inner();
        let about = about.of(&request.owner, &request.path);
        self.change(about, move |root, _| {
            let moved_to = membership::set_data_aside(root, &request)?;
            Ok(wire::SetDataAsideResponse { moved_to })
        })
        .await
    }

    async fn probe_engine(
        &self,
        request: Request<wire::ProbeEngineRequest>,
    ) -> Answer<wire::ProbeEngineResponse> {
        let (root, request) = (self.root.clone(), request.into_inner());
        let task = tokio::task::spawn_blocking(move || imager::probe(&root, &request.engine));
        Ok(Response::new(
            task.await
                .map_err(|error| panicked("ProbeEngine", error))??,
        ))
    }

    async fn build_image(
        &self,
        request: Request<wire::BuildImageRequest>,
    ) -> Answer<Self::BuildImageStream> {
        let about = About::new("BuildImage", &request);
        let request = request.into_inner();
        let about = about.of("", &format!("{} {}", request.build_id, request.output));
        let (events, stream) = imager::Events::channel();
        let (root, claims) = (self.root.clone(), Arc::clone(&self.claims));
        let (guard, teller) = (self.busy.begin(&about.owner), events.clone());
        let task = tokio::task::spawn_blocking(move || {
            let _guard = guard;
            let result = imager::build(&root, request, &about.operator, &claims, &teller);
            about.log(&root, &result);
            result
        });
        // The answer is the stream: it is there before the build is.
        tokio::spawn(async move {
            let result = task.await;
            events
                .end(result.unwrap_or_else(|error| Err(panicked("BuildImage", error))))
                .await;
        });
        Ok(Response::new(stream))
    }

    async fn read_build(
        &self,
        request: Request<wire::ReadBuildRequest>,
    ) -> Answer<Self::ReadBuildStream> {
        let (root, request) = (self.root.clone(), request.into_inner());
        let task = tokio::task::spawn_blocking(move || imager::read(&root, &request));
        Ok(Response::new(
            task.await.map_err(|error| panicked("ReadBuild", error))??,
        ))
    }

    async fn remove_build(
        &self,
        request: Request<wire::RemoveBuildRequest>,
    ) -> Answer<wire::RemoveBuildResponse> {
        let about = About::new("RemoveBuild", &request);
        let request = request.into_inner();
        let about = about.of("", &request.build_id);
        let claims = Arc::clone(&self.claims);
        self.change(about, move |root, by| {
            imager::remove(root, &request, by, &claims)
        })
        .await
    }
}

/// Hands on what arrives; a stream that breaks off is told apart from one that ends.
async fn pump(mut stream: Streaming<wire::InstallRequest>, sender: install::Sender) {
    use wire::install_request::Part;
    loop {
        let piece = match stream.message().await {
            Ok(None) => return,
            Ok(Some(message)) => match message.part {
                Some(Part::Chunk(chunk)) => Ok(chunk),
                _ => continue,
            },
            Err(_) => Err(std::io::ErrorKind::ConnectionAborted.into()),
        };
        let is_last = piece.is_err();
        if sender.send(piece).await.is_err() || is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::{proto::failure::Kind, test_host::TestHost};

    #[tokio::test]
    async fn a_panic_is_a_failure_of_one_call() {
        let host = TestHost::new();
        let service = Service::new(host.root().clone());
        let about = About::new("Ensure", &Request::new(()));
        let answer = service
            .change::<wire::WriteJournalResponse>(about, |_, _| panic!("something is odd"))
            .await;
        let status = answer.expect_err("a failure");
        let failure = wire::Failure::decode(status.details()).expect("details");
        assert_eq!(failure.kind(), Kind::Internal);
        assert!(failure.message.contains("something is odd"));
        tokio::time::timeout(Duration::from_secs(5), service.busy().idle())
            .await
            .expect("idle");
    }

    #[tokio::test]
    async fn what_was_begun_goes_on_when_the_caller_goes_away() {
        let host = TestHost::new();
        let service = Service::new(host.root().clone());
        let busy = service.busy();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (proceed, may_proceed) = std::sync::mpsc::channel::<()>();
        let call = tokio::spawn(async move {
            let about = About::new("WriteJournal", &Request::new(()));
            service
                .change(about, move |root, _| {
                    begun.send(()).expect("the test waits");
                    may_proceed.recv().expect("the test lets it go on");
                    std::fs::write(root.at("/done"), "").expect("a file");
                    Ok(wire::WriteJournalResponse {})
                })
                .await
        });
        has_begun.await.expect("begun");
        call.abort();
        assert!(call.await.expect_err("the caller is gone").is_cancelled());
        proceed.send(()).expect("it waits");
        tokio::time::timeout(Duration::from_secs(10), busy.idle())
            .await
            .expect("finished");
        assert!(host.exists("/done"));
    }
}
