//! go-plugin's own services beside the provider: end of life, output streams, health.

use std::pin::Pin;

use futures::{FutureExt, Stream, StreamExt};
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    go_plugin::{
        ConnInfo, Empty, StdioData, grpc_broker_server::GrpcBroker,
        grpc_controller_server::GrpcController, grpc_stdio_server::GrpcStdio,
    },
    health::{
        HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
        health_server::Health,
    },
};

type Endless<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A stream without a message that ends with `other` or when the server closes.
fn silence<T: Send + 'static>(
    mut closed: watch::Receiver<bool>,
    other: impl Future<Output = ()> + Send + 'static,
) -> Endless<T> {
    let end = async move {
        tokio::select! {
            // The sender is gone: so is the server.
            _ = closed.wait_for(|closed| *closed) => {}
            () = other => {}
        }
    };
    Box::pin(end.into_stream().filter_map(|()| std::future::ready(None)))
}

/// Ends the process when Core says so.
#[derive(Debug)]
pub(crate) struct Controller {
    pub(crate) shutdown: watch::Sender<bool>,
}

#[tonic::async_trait]
impl GrpcController for Controller {
    async fn shutdown(&self, _request: Request<Empty>) -> Result<Response<Empty>, Status> {
        self.shutdown.send_replace(true);
        Ok(Response::new(Empty {}))
    }
}

/// Core opens it once and expects silence. Ends when the server closes.
#[derive(Debug)]
pub(crate) struct Stdio {
    pub(crate) closed: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl GrpcStdio for Stdio {
    type StreamStdioStream = Endless<StdioData>;

    async fn stream_stdio(
        &self,
        _request: Request<()>,
    ) -> Result<Response<Self::StreamStdioStream>, Status> {
        Ok(Response::new(silence(
            self.closed.clone(),
            std::future::pending(),
        )))
    }
}

/// Opened by Core and never used for providers. Ends with Core's half, or when the server closes.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) closed: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl GrpcBroker for Broker {
    type StartStreamStream = Endless<ConnInfo>;

    async fn start_stream(
        &self,
        request: Request<Streaming<ConnInfo>>,
    ) -> Result<Response<Self::StartStreamStream>, Status> {
        let mut offers = request.into_inner();
        let offered = async move { while let Ok(Some(_)) = offers.message().await {} };
        Ok(Response::new(silence(self.closed.clone(), offered)))
    }
}

/// Serving for as long as it answers at all.
#[derive(Debug)]
pub(crate) struct Healthy;

#[tonic::async_trait]
impl Health for Healthy {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match request.into_inner().service.as_str() {
            "" | "plugin" => Ok(Response::new(HealthCheckResponse {
                status: ServingStatus::Serving.into(),
            })),
            _ => Err(Status::not_found("unknown service")),
        }
    }

    type WatchStream = Endless<HealthCheckResponse>;

    async fn watch(
        &self,
        _request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("watching health"))
    }
}
