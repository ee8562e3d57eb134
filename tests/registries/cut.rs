//! A way to a server that breaks when a test wants it to.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

use crate::http;

/// A way to a server. It breaks a connection once a number of bytes has gone to the server, or come from it, and is whole
/// again afterwards.
#[derive(Debug)]
pub struct Cut {
    address: SocketAddr,
    task: JoinHandle<()>,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// Bytes to the server until it breaks; below zero: never.
    up: AtomicI64,
    /// Bytes from the server until it breaks; below zero: never.
    down: AtomicI64,
    breaks: AtomicUsize,
    /// What `up` is set to after a break.
    again: AtomicI64,
    sent: AtomicU64,
}

impl Cut {
    /// A way to `host`, whole at first.
    pub async fn to(host: &str) -> Self {
        let listener = http::listener().await;
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(State {
            up: AtomicI64::new(-1),
            down: AtomicI64::new(-1),
            breaks: AtomicUsize::new(0),
            again: AtomicI64::new(-1),
            sent: AtomicU64::new(0),
        });
        let (host, shared) = (host.to_owned(), state.clone());
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (host, state) = (host.clone(), shared.clone());
                connections.spawn(async move {
                    let Ok(server) = TcpStream::connect(host).await else {
                        return;
                    };
                    let (mut from_client, mut to_client) = client.into_split();
                    let (mut from_server, mut to_server) = server.into_split();
                    tokio::select! {
                        () = state.carry(&mut from_client, &mut to_server, &state.up) => {}
                        () = state.carry(&mut from_server, &mut to_client, &state.down) => {}
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            task,
            state,
        }
    }

    /// Where it begins: to be used in the place of the server's host.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Breaks once, after `bytes` more have gone to the server.
    pub fn after_sending(&self, bytes: u32) {
        self.state.up.store(bytes.into(), Ordering::SeqCst);
    }

    /// Breaks once, after `bytes` more have come from the server.
    pub fn after_receiving(&self, bytes: u32) {
        self.state.down.store(bytes.into(), Ordering::SeqCst);
    }

    /// Breaks after each `bytes` that have gone to the server.
    pub fn always_after_sending(&self, bytes: u32) {
        self.state.again.store(bytes.into(), Ordering::SeqCst);
        self.after_sending(bytes);
    }

    /// Bytes that have gone to the server so far.
    pub fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::SeqCst)
    }

    /// How often it broke.
    pub fn breaks(&self) -> usize {
        self.state.breaks.load(Ordering::SeqCst)
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    /// Carries bytes until an end is closed, or those that are `left` are used up.
    async fn carry(
        &self,
        from: &mut (impl AsyncReadExt + Unpin),
        to: &mut (impl AsyncWriteExt + Unpin),
        left: &AtomicI64,
    ) {
        let is_up = std::ptr::eq(left, &raw const self.up);
        let mut piece = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut piece).await {
            if left.load(Ordering::SeqCst) >= 0 {
                let size = i64::try_from(read).expect("a piece is small");
                if left.fetch_sub(size, Ordering::SeqCst) < size {
                    let again = if is_up {
                        self.again.load(Ordering::SeqCst)
                    } else {
                        -1
                    };
                    left.store(again, Ordering::SeqCst);
                    self.breaks.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
            if is_up {
                self.sent.fetch_add(read as u64, Ordering::SeqCst);
            }
            if to.write_all(&piece[..read]).await.is_err() {
                return;
            }
        }
    }
}
