//! gRPC on standard input and output: one connection, for as long as the other end is there.

use std::{io, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    signal::unix::{SignalKind, signal},
};
use tonic::transport::Server;

use crate::{
    proto::node_server::NodeServer, record, root::Root, service::Service, stdio::Connection,
};

/// Observations of many members fit with room to spare; archives come in pieces.
const MESSAGE_LIMIT: usize = 64 << 20;

/// What one call may send ahead of its reader.
const STREAM_WINDOW: u32 = 4 << 20;

/// What all calls together may: as much as HTTP/2 knows (RFC 9113, 6.9.1). Archives whose
/// installation waits for a lock are not read meanwhile, and must not take the room of the one that
/// holds it.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Fewer, larger frames for uploads.
const FRAME: u32 = 1 << 20;
/// Without an answer to a ping for this long after it, the other end is gone.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_mins(1);

/// Announces itself with `nonce` and serves until the input ends; then finishes what runs and gives
/// all locks back.
///
/// # Errors
/// The connection cannot be used at all.
pub async fn serve(nonce: &str) -> io::Result<()> {
    let plain = !nonce.is_empty()
        && nonce.len() <= 128
        && nonce.chars().all(|character| character.is_ascii_graphic());
    if !plain {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the nonce is not a plain word",
        ));
    }
    // What sudo and sshd send when the line breaks must not stop a step half-way.
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let ended = async move {
        tokio::select! {
            _ = hang_up.recv() => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    on(
        Connection::open()?,
        Service::new(Root::host()),
        nonce,
        ended,
    )
    .await
}

/// Serves one connection until it or `ended` is over.
async fn on(
    mut connection: Connection,
    service: Service,
    nonce: &str,
    ended: impl Future<Output = ()>,
) -> io::Result<()> {
    let line = format!("ETCD-NODE-READY {nonce} {}\n", record::VERSION);
    connection.write_all(line.as_bytes()).await?;
    connection.flush().await?;
    let mut gone = connection.gone();
    let (busy, holds) = (service.busy(), service.holds());
    let incoming = tokio_stream::StreamExt::chain(
        tokio_stream::once(Ok::<_, io::Error>(connection)),
        tokio_stream::pending(),
    );
    let server = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .add_service(
            NodeServer::new(service)
                .max_decoding_message_size(MESSAGE_LIMIT)
                .max_encoding_message_size(MESSAGE_LIMIT),
        )
        .serve_with_incoming(incoming);
    tokio::select! {
        result = server => result.map_err(io::Error::other)?,
        _ = gone.wait_for(|gone| *gone) => {}
        () = ended => {}
    }
    // Whoever asked is gone; what was begun is finished all the same, and nobody else begins before.
    busy.idle().await;
    drop(holds);
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, BufReader};

    use super::*;
    use crate::lock;

    #[tokio::test]
    async fn announces_itself_and_ends_with_its_input() {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (input, output) = tokio::io::split(theirs);
        let directory = tempfile::tempdir().expect("a directory");
        let root = Root::below(directory.path());
        let connection = Connection::over(Box::new(input), Box::new(output));
        let server = tokio::spawn(async move {
            on(
                connection,
                Service::new(root),
                "n0nce",
                std::future::pending(),
            )
            .await
        });
        let mut ours = BufReader::new(ours);
        let mut line = String::new();
        ours.read_line(&mut line).await.expect("a line");
        assert_eq!(line, format!("ETCD-NODE-READY n0nce {}\n", record::VERSION));
        drop(ours);
        let ended = tokio::time::timeout(Duration::from_secs(10), server).await;
        ended
            .expect("in time")
            .expect("no panic")
            .expect("a good end");
    }

    #[tokio::test]
    async fn locks_are_held_until_what_runs_has_ended() {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (input, output) = tokio::io::split(theirs);
        let directory = tempfile::tempdir().expect("a directory");
        let root = Root::below(directory.path());
        let connection = Connection::over(Box::new(input), Box::new(output));
        let mut gone = connection.gone();
        let service = Service::new(root.clone());
        let take = |held: &lock::Held| held.take(&root, "cluster", "us", "", Duration::ZERO);
        take(&service.holds().0).expect("a lock that is free");
        let running = service.busy().begin("cluster");
        let server =
            tokio::spawn(
                async move { on(connection, service, "n0nce", std::future::pending()).await },
            );
        let mut ours = BufReader::new(ours);
        let mut line = String::new();
        ours.read_line(&mut line).await.expect("a line");
        drop(ours);
        gone.wait_for(|gone| *gone).await.expect("the end is seen");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let next = lock::Held::default();
        assert!(take(&next).is_err(), "a step still runs");
        drop(running);
        server.await.expect("no panic").expect("a good end");
        take(&next).expect("nothing runs any more");
    }

    #[tokio::test]
    async fn takes_only_a_plain_nonce() {
        for nonce in ["", "a b", "a\nb"] {
            assert_eq!(
                serve(nonce).await.expect_err(nonce).kind(),
                io::ErrorKind::InvalidInput
            );
        }
    }
}
