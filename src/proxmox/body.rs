//! The form of an upload, in the one order that Proxmox reads.
//!
//! pveproxy does not parse multipart: it looks for `content`, `checksum-algorithm` and `checksum`
//! in this order, then for a part that begins with its Content-Disposition line and is named
//! `filename`, and takes everything from there to the closing boundary as the file
//! (pve-http-server, `src/PVE/APIServer/AnyEvent.pm`, `file_upload_multipart`).

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::io::ReadBuf;

use crate::{ContentKind, source::Reader};

/// Bytes read from the source and given to the connection at once: with what TLS and the socket
/// hold, the whole of an upload's memory.
const PIECE: usize = 256 * 1024;

/// Bytes of the file that are on their way, and why it cannot be read on.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    pub(crate) sent_bytes: AtomicU64,
    fault: std::sync::Mutex<Option<io::Error>>,
}

impl Meter {
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }

    /// Why the source could not be read on; the HTTP library tells only that the body failed.
    pub(crate) fn fault(&self) -> Option<io::Error> {
        self.fault
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take()
    }
}

/// The form as a stream of known length.
pub(crate) struct FileBody {
    boundary: String,
    head: Option<Bytes>,
    reader: Reader,
    /// Bytes of the file that are still to be read.
    rest: u64,
    tail: Option<Bytes>,
    /// Bytes of the whole form that are still to be sent.
    length: u64,
    meter: Arc<Meter>,
}

impl FileBody {
    pub(crate) fn new(
        content: ContentKind,
        file_name: &str,
        sha256: &str,
        size_bytes: u64,
        reader: Reader,
        meter: Arc<Meter>,
    ) -> Self {
        // Fixed: Content-Length stands before the content, and a boundary that occurs in the file
        // would have to be looked for. Half of the SHA-256 of the content does not
        // occur in it; a boundary has 70 characters at most (RFC 2046, 5.1.1).
        let boundary = format!("upload-{}", sha256.get(..40).unwrap_or(sha256));
        let field = |(name, value): (&str, &str)| {
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
        };
        let fields = [
            ("content", content.word()),
            ("checksum-algorithm", "sha256"),
            ("checksum", sha256),
        ];
        let file = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"{file_name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        let head = fields.map(field).concat() + &file;
        let tail = format!("\r\n--{boundary}--\r\n");
        let length = head.len() as u64 + size_bytes + tail.len() as u64;
        Self {
            boundary,
            head: Some(head.into()),
            reader,
            rest: size_bytes,
            tail: Some(tail.into()),
            length,
            meter,
        }
    }

    pub(crate) fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    fn fail(&self, error: io::Error) -> io::Error {
        let copy = io::Error::new(error.kind(), error.to_string());
        *self
            .meter
            .fault
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
        copy
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if let Some(head) = this.head.take() {
            this.length -= head.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(head))));
        }
        if this.rest > 0 {
            let wanted = usize::try_from(this.rest).map_or(PIECE, |rest| rest.min(PIECE));
            let mut piece = BytesMut::zeroed(wanted);
            let mut filled = 0;
            // Small reads of a pipe are gathered, so that each piece pays for its way through TLS.
            while filled < wanted {
                let mut buffer = ReadBuf::new(&mut piece[filled..]);
                match this.reader.as_mut().poll_read(cx, &mut buffer) {
                    Poll::Pending if filled > 0 => break,
                    poll => match ready!(poll) {
                        Err(error) => return Poll::Ready(Some(Err(this.fail(error)))),
                        Ok(()) if buffer.filled().is_empty() => {
                            let error = io::Error::new(
                                io::ErrorKind::UnexpectedEof,
                                format!("it ends {} bytes early", this.rest - filled as u64),
                            );
                            return Poll::Ready(Some(Err(this.fail(error))));
                        }
                        Ok(()) => filled += buffer.filled().len(),
                    },
                }
            }
            piece.truncate(filled);
            let count = filled as u64;
            this.rest -= count;
            this.length -= count;
            this.meter.sent_bytes.fetch_add(count, Ordering::Relaxed);
            return Poll::Ready(Some(Ok(Frame::data(piece.freeze()))));
        }
        Poll::Ready(this.tail.take().map(|tail| {
            this.length -= tail.len() as u64;
            Ok(Frame::data(tail))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.length == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
