//! Where the plugin listens, and who is connected.

use std::{
    io,
    net::Ipv4Addr,
    ops::RangeInclusive,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::Stream;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{mpsc, watch},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    connection::{Connection, Transport},
    handshake::Address,
};

/// A socket that only this user can reach, or loopback where there can be none.
#[derive(Clone)]
pub(crate) enum Listener {
    /// A Unix socket and its path.
    Unix(Arc<UnixListener>, PathBuf),
    /// Loopback.
    Tcp(Arc<TcpListener>, std::net::SocketAddr),
}

/// The socket's directory, which only this user can enter; removed when dropped.
pub(crate) struct Directory(PathBuf);

impl Directory {
    fn create(parent: &Path) -> io::Result<Self> {
        let path = parent.join(format!("tf-plugin-{:x}{:x}", std::process::id(), stamp()));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A directory that is gone already is what is wanted.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Tells directories of two processes with one recycled id apart.
fn stamp() -> u32 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.subsec_nanos())
}

impl Listener {
    /// Listens in a new directory under `parent`; where that cannot be, as with a path that is too
    /// long or a directory that is not writable, on loopback within `ports`.
    pub(crate) async fn open(
        parent: Option<&Path>,
        ports: Option<RangeInclusive<u16>>,
    ) -> io::Result<(Self, Option<Directory>)> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        match Self::unix(&parent) {
            Ok((listener, directory)) => Ok((listener, Some(directory))),
            Err(error) => {
                let error = error.to_string();
                tracing::debug!(directory = %parent.display(), error, "no socket can be here");
                Ok((Self::tcp(ports).await?, None))
            }
        }
    }

    fn unix(parent: &Path) -> io::Result<(Self, Directory)> {
        let directory = Directory::create(parent)?;
        let socket = directory.0.join("p");
        if !Address::fits(&socket) {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        let listener = UnixListener::bind(&socket)?;
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
        Ok((Self::Unix(Arc::new(listener), socket), directory))
    }

    async fn tcp(ports: Option<RangeInclusive<u16>>) -> io::Result<Self> {
        // Without a range the system chooses.
        let mut last = io::ErrorKind::AddrInUse.into();
        for port in ports.unwrap_or(0..=0) {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                Ok(listener) => {
                    let address = listener.local_addr()?;
                    return Ok(Self::Tcp(Arc::new(listener), address));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// What the handshake line says of it.
    pub(crate) fn address(&self) -> Address {
        match self {
            Self::Unix(_, socket) => Address::Unix(socket.clone()),
            Self::Tcp(_, address) => Address::Tcp(*address),
        }
    }

    async fn accept(&self) -> io::Result<Box<dyn Transport>> {
        match self {
            Self::Unix(listener, _) => Ok(Box::new(listener.accept().await?.0)),
            Self::Tcp(listener, _) => {
                let stream = listener.accept().await?.0;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
        }
    }

    /// Accepts, with the TLS handshakes side by side. Who gets through is counted in `callers`.
    pub(crate) fn connections(
        self,
        tls: Option<TlsAcceptor>,
        callers: watch::Sender<Callers>,
    ) -> impl Stream<Item = io::Result<Connection>> {
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            while !sender.is_closed() {
                let stream = match self.accept().await {
                    Ok(stream) => stream,
                    // One connection that fails, or no file handle to spare, must not end a process
                    // that is about its work; the pause keeps it from spinning.
                    Err(error) => {
                        tracing::warn!(error = %error, "accepting a connection failed");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                };
                let (tls, sender, callers) = (tls.clone(), sender.clone(), callers.clone());
                tokio::spawn(async move {
                    let stream: Box<dyn Transport> = match tls {
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => Box::new(stream),
                            // A stranger; Core's own connection is not touched by it.
                            Err(error) => {
                                tracing::warn!(error = %error, "refused a connection");
                                return;
                            }
                        },
                        None => stream,
                    };
                    let connection = Connection::new(stream, Caller::enter(callers));
                    // The server is gone: so is the wish to serve.
                    let _ = sender.send(Ok(connection)).await;
                });
            }
        });
        tokio_stream::wrappers::ReceiverStream::new(receiver)
    }
}

/// Who is connected.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Callers {
    has_come: bool,
    connected: usize,
}

impl Callers {
    /// Returns when Core is gone without a word: all connections are closed, or none has come until
    /// `patience` is over.
    pub(crate) async fn gone(mut callers: watch::Receiver<Self>, patience: impl Future) {
        let came = tokio::select! {
            came = callers.wait_for(|callers| callers.has_come) => came.is_ok(),
            _ = patience => false,
        };
        if came {
            // The sender is gone only with the listener and all connections.
            let _ = callers.wait_for(|callers| callers.connected == 0).await;
        }
    }
}

/// Counts a connection for as long as it lives.
pub(crate) struct Caller(watch::Sender<Callers>);

impl Caller {
    fn enter(callers: watch::Sender<Callers>) -> Self {
        callers.send_modify(|callers| {
            callers.has_come = true;
            callers.connected += 1;
        });
        Self(callers)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.send_modify(|callers| callers.connected -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures::FutureExt;

    use super::*;

    #[test]
    fn core_is_gone_when_the_last_connection_closes() {
        let callers = watch::Sender::new(Callers::default());
        let mut gone = Box::pin(Callers::gone(callers.subscribe(), pending::<()>()));
        assert!(
            gone.as_mut().now_or_never().is_none(),
            "nobody has come yet"
        );
        let (first, second) = (
            Caller::enter(callers.clone()),
            Caller::enter(callers.clone()),
        );
        drop(first);
        assert!(gone.as_mut().now_or_never().is_none(), "one is still there");
        drop(second);
        assert!(gone.as_mut().now_or_never().is_some());
    }

    #[test]
    fn core_is_gone_when_nobody_comes() {
        let callers = watch::Sender::new(Callers::default());
        let gone = Callers::gone(callers.subscribe(), ready(()));
        assert!(gone.now_or_never().is_some());
    }
}
