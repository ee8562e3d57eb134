//! A way to a server that can be cut, or stall as a sleeping machine does.

use std::{net::Ipv4Addr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
    task::JoinSet,
};

/// What has happened so far. Connections compare it with what it was when they were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    stalls: u32,
    cuts: u32,
    is_stalled: bool,
}

pub(super) struct Proxy {
    port: u16,
    state: Arc<watch::Sender<State>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(super) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(watch::Sender::new(State::default()));
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&state);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect((Ipv4Addr::LOCALHOST, to))
                    .await
                    .expect("a server");
                let ((near_read, near_write), (far_read, far_write)) =
                    (near.into_split(), far.into_split());
                connections.spawn(carry(near_read, far_write, shared.subscribe()));
                connections.spawn(carry(far_read, near_write, shared.subscribe()));
            }
        });
        Self {
            port,
            state,
            _tasks: tasks,
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Nothing comes through any more on connections of before [`Proxy::mend`], and nobody is told.
    pub(super) fn stall(&self) {
        self.state.send_modify(|state| {
            state.stalls += 1;
            state.is_stalled = true;
        });
    }

    /// Ends the connections that there are.
    pub(super) fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Connections made from now on work.
    pub(super) fn mend(&self) {
        self.state.send_modify(|state| state.is_stalled = false);
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let born = *state.borrow_and_update();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let now = *state.borrow_and_update();
        if now.cuts != born.cuts {
            return;
        }
        if born.is_stalled || now.stalls != born.stalls {
            // What is lost does not come back by mending; only a cut ends it. A proxy that is
            // gone cuts by ending this task.
            let _ = state.wait_for(|state| state.cuts != born.cuts).await;
            return;
        }
        tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(count @ 1..) if to.write_all(&buffer[..count]).await.is_ok() => {}
                _ => return,
            },
            changed = state.changed() => if changed.is_err() { return },
        }
    }
}
