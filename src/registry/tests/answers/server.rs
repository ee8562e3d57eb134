//! A server that gives prepared answers, one after the other, and keeps what it was asked.

use std::{
    collections::VecDeque,
    fmt::Display,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: String,
    body: String,
    is_silent: bool,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            headers: String::new(),
            body: String::new(),
            is_silent: false,
        }
    }

    /// None at all; the connection stays.
    pub(crate) fn silence() -> Self {
        Self {
            is_silent: true,
            ..Self::status(0)
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &dyn Display) -> Self {
        self.headers
            .push_str(&format_args!("{name}: {value}\r\n").to_string());
        self
    }

    pub(crate) fn body(mut self, text: &str) -> Self {
        text.clone_into(&mut self.body);
        self
    }
}

/// The server. A request beyond the prepared answers gets status 500 and spoils the test that counts requests.
pub(crate) struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn of(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (prepared, asked) = (answers.clone(), requests.clone());
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer(stream, prepared.clone(), asked.clone()));
            }
        });
        Self {
            address,
            task,
            answers,
            requests,
        }
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Prepares more answers.
    pub(crate) fn then(&self, answers: impl IntoIterator<Item = Answer>) {
        self.answers.lock().expect("no panic").extend(answers);
    }

    /// Line and headers of each request so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }
}

/// Answers one request and closes, so that each request comes on a connection of its own.
async fn answer(
    mut stream: TcpStream,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<String>>>,
) {
    let mut received = Vec::new();
    let end = loop {
        let end = received.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            break end + 4;
        }
        if stream.read_buf(&mut received).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let head = String::from_utf8_lossy(&received[..end]).into_owned();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().expect("a number"));
    while received.len() < end + length {
        if stream.read_buf(&mut received).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let is_head = head.starts_with("HEAD ");
    requests.lock().expect("no panic").push(head);
    let next = answers.lock().expect("no panic").pop_front();
    let next = next.unwrap_or_else(|| Answer::status(500));
    if next.is_silent {
        std::future::pending::<()>().await;
    }
    let mut text = format!(
        "HTTP/1.1 {} x\r\nconnection: close\r\ncontent-length: {}\r\n{}\r\n",
        next.status,
        next.body.len(),
        next.headers
    );
    if !is_head {
        text.push_str(&next.body);
    }
    // A client may have heard enough.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}
