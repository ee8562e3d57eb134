//! A web server with one file, for nodes to fetch.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// Gives the same bytes for every path but those that end with `missing`. Ends with the runtime.
#[derive(Debug)]
pub struct Files {
    address: SocketAddr,
}

impl Files {
    /// Listens on a free port.
    ///
    /// # Errors
    /// There is none.
    pub async fn new(bytes: &[u8]) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let bytes: Arc<[u8]> = bytes.into();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(give(stream, Arc::clone(&bytes)));
            }
        });
        Ok(Self { address })
    }

    /// URL of the file under a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }
}

async fn give(mut stream: TcpStream, bytes: Arc<[u8]>) {
    let mut lines = Vec::new();
    let mut reader = BufReader::new(&mut stream);
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line).await {
            Ok(count) if count > 2 => lines.push(line),
            _ => break,
        }
    }
    let Some(first) = lines.first() else { return };
    let is_missing = first
        .split(' ')
        .nth(1)
        .is_some_and(|path| path.ends_with("missing"));
    let head = if is_missing {
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
    } else {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            bytes.len()
        )
    };
    // The other side may go away whenever it likes.
    let _ = stream.write_all(head.as_bytes()).await;
    if !is_missing && first.starts_with("GET") {
        let _ = stream.write_all(&bytes).await;
    }
}
