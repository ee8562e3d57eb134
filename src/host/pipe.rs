//! The two ends of a program's input and output on a host, as one stream.
//!
//! What the program prints on its error output and how it ends is kept beside it, because the
//! stream itself can only break.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client::Msg};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{mpsc, watch},
};

use crate::text::Tail;

/// Messages between the connection and the reader. A reader that lags stops the connection, and
/// that the sender: it is the only traffic there.
const QUEUE: usize = 64;

/// How a program on a host ended, as far as it was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Exit status, if it said one.
    pub exit_status: Option<u32>,
    /// Name of the signal that ended it.
    pub signal: Option<String>,
    /// The last that it printed on its error output; printable and redacted.
    pub output: String,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.signal, self.exit_status) {
            (Some(signal), _) => write!(f, "it was ended by SIG{signal}")?,
            // Shells and sudo report a signal as 128 and its number.
            (None, Some(status @ 129..=192)) => {
                write!(f, "it was ended by signal {}", status - 128)?;
            }
            (None, Some(status)) => write!(f, "it ended with status {status}")?,
            (None, None) => f.write_str("the connection was lost")?,
        }
        if self.output.is_empty() {
            Ok(())
        } else {
            write!(f, "; it printed: {}", self.output)
        }
    }
}

/// Tells whether the program still runs, and how it ended.
#[derive(Clone)]
pub(crate) struct Watch(watch::Receiver<Option<Ending>>);

impl Watch {
    /// How the program ended; none while it runs.
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.0.borrow().clone()
    }

    /// Waits for the end.
    pub(crate) async fn ended(&mut self) -> Option<Ending> {
        self.0
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|ending| ending.clone())
    }
}

/// Input and output of a program as one stream. Dropping it closes the program's input.
pub(crate) struct Pipe {
    first: Bytes,
    rest: mpsc::Receiver<Bytes>,
    writer: Pin<Box<dyn AsyncWrite + Send>>,
}

impl Pipe {
    /// Takes a channel over on which `first` was read already, and what was printed on the error
    /// output so far.
    pub(crate) fn new(
        first: Bytes,
        errors: Tail,
        read: ChannelReadHalf,
        write: ChannelWriteHalf<Msg>,
    ) -> (Self, Watch) {
        let (sender, rest) = mpsc::channel(QUEUE);
        let (end, ended) = watch::channel(None);
        let writer = Box::pin(write.make_writer());
        tokio::spawn(pump(read, write, sender, errors, end));
        (
            Self {
                first,
                rest,
                writer,
            },
            Watch(ended),
        )
    }
}

/// Carries the output until the program ends or nobody reads any more.
async fn pump(
    mut read: ChannelReadHalf,
    write: ChannelWriteHalf<Msg>,
    sender: mpsc::Sender<Bytes>,
    mut errors: Tail,
    end: watch::Sender<Option<Ending>>,
) {
    let (mut exit_status, mut signal) = (None, None);
    let mut is_read = true;
    loop {
        let message = tokio::select! {
            message = read.wait() => message,
            () = sender.closed(), if is_read => {
                is_read = false;
                // The program is told by the end of its input; it finishes what it does first.
                if write.eof().await.is_err() { None } else { continue }
            }
        };
        match message {
            None | Some(ChannelMsg::Close) => break,
            Some(ChannelMsg::Data { data }) if is_read => {
                // A reader that is gone is noticed above.
                let _ = sender.send(data).await;
            }
            Some(ChannelMsg::ExtendedData { data, .. }) => {
                errors.push(&data);
            }
            Some(ChannelMsg::ExitStatus {
                exit_status: status,
            }) => exit_status = Some(status),
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                signal = Some(signal_text(&signal_name));
            }
            Some(_) => {}
        }
    }
    let output = errors.printable();
    end.send_replace(Some(Ending {
        exit_status,
        signal,
        output,
    }));
    // Only if the other side has not; then the connection may be gone too.
    let _ = write.close().await;
}

/// The signal's name without SIG.
pub(crate) fn signal_text(signal: &russh::Sig) -> String {
    match signal {
        russh::Sig::Custom(name) => name.clone(),
        other => format!("{other:?}"),
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            match ready!(self.rest.poll_recv(cx)) {
                Some(bytes) => self.first = bytes,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.first.len().min(buf.remaining());
        buf.put_slice(&self.first[..count]);
        self.first.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writer.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_shutdown(cx)
    }
}
