//! Standard input and output as one connection.
//!
//! sshd gives pipes or sockets, sudo with `use_pty` pipes that it relays, a person a terminal.
//! The first two are driven by the kernel's readiness; anything else by threads.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream as StdUnixStream,
    },
    pin::Pin,
    task::{Context, Poll},
};

use rustix::{
    fs::{FileType, fstat},
    net::{AddressFamily, sockopt::socket_domain},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{UnixStream, unix::pipe},
    sync::watch,
};
use tonic::transport::server::Connected;

type Input = Box<dyn AsyncRead + Send + Unpin>;
type Output = Box<dyn AsyncWrite + Send + Unpin>;

/// What a descriptor is.
enum Kind {
    Pipe,
    Socket,
    Other,
}

fn kind(descriptor: impl AsFd) -> io::Result<Kind> {
    let found = fstat(&descriptor)?;
    Ok(match FileType::from_raw_mode(found.st_mode) {
        FileType::Fifo => Kind::Pipe,
        FileType::Socket if socket_domain(&descriptor)? == AddressFamily::UNIX => Kind::Socket,
        _ => Kind::Other,
    })
}

fn socket(descriptor: OwnedFd) -> io::Result<UnixStream> {
    let stream = StdUnixStream::from(descriptor);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

fn input() -> io::Result<Input> {
    let own = io::stdin();
    let copy = || own.as_fd().try_clone_to_owned();
    Ok(match kind(&own)? {
        Kind::Pipe => Box::new(pipe::Receiver::from_owned_fd(copy()?)?),
        Kind::Socket => Box::new(socket(copy()?)?),
        Kind::Other => Box::new(tokio::io::stdin()),
    })
}

fn output() -> io::Result<Output> {
    let own = io::stdout();
    let copy = || own.as_fd().try_clone_to_owned();
    Ok(match kind(&own)? {
        Kind::Pipe => Box::new(pipe::Sender::from_owned_fd(copy()?)?),
        Kind::Socket => Box::new(socket(copy()?)?),
        Kind::Other => Box::new(tokio::io::stdout()),
    })
}

/// The connection. It says when its other end, or whoever held it here, is gone.
pub(crate) struct Connection {
    input: Input,
    output: Output,
    gone: watch::Sender<bool>,
}

impl Connection {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self {
            input: input()?,
            output: output()?,
            gone: watch::Sender::new(false),
        })
    }

    #[cfg(test)]
    pub(crate) fn over(input: Input, output: Output) -> Self {
        Self {
            input,
            output,
            gone: watch::Sender::new(false),
        }
    }

    /// Becomes true when the connection ends, from either side.
    pub(crate) fn gone(&self) -> watch::Receiver<bool> {
        self.gone.subscribe()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // HTTP/2 gave up, for example on pings that nobody answered.
        self.gone.send_replace(true);
    }
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
        let has_ended = match &result {
            Poll::Ready(Ok(())) => buffer.filled().len() == before && buffer.remaining() > 0,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if has_ended {
            self.gone.send_replace(true);
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
