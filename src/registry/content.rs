//! Where the bytes of a blob come from, read in pieces from any offset, so that an upload can be resumed.

use std::{
    io::SeekFrom,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::{
    client::Registries, error::Error, manifest::Descriptor, progress::Meter, reference::Repository,
};

/// Bytes that are read, and held in memory, at a time.
pub(crate) const PIECE: usize = 256 * 1024;

/// Where the bytes of a blob come from.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// From memory.
    Bytes(Bytes),
    /// From a file, beginning at an offset.
    File { path: PathBuf, offset: u64 },
    /// From another repository.
    Remote(Registries, Repository),
}

/// A failure inside of a body that is being sent, kept because HTTP only tells that the body failed.
pub(crate) type Slot = Arc<Mutex<Option<Error>>>;

impl Content {
    /// The bytes from `offset` to the blob's end as a request's body. A failure is put into `slot`; `meter` counts.
    pub(crate) async fn body(
        &self,
        descriptor: &Descriptor,
        offset: u64,
        meter: Arc<Meter>,
        slot: Slot,
    ) -> Result<reqwest::Body, Error> {
        let pieces = self.pieces(descriptor, offset).await?;
        let pieces = pieces.map(move |piece| match piece {
            Ok(piece) => {
                meter.add(piece.len() as u64);
                Ok(piece)
            }
            Err(error) => {
                let text = error.to_string();
                *slot.lock().expect("no panic while it is locked") = Some(error);
                Err(std::io::Error::other(text))
            }
        });
        Ok(reqwest::Body::wrap_stream(pieces))
    }

    async fn pieces(
        &self,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        match self {
            Self::Bytes(bytes) => {
                let start = usize::try_from(offset).map_or(bytes.len(), |at| at.min(bytes.len()));
                let rest = bytes.slice(start..);
                Ok(stream::once(async move { Ok(rest) }).boxed())
            }
            Self::File {
                path,
                offset: start,
            } => file(path.clone(), start + offset, descriptor.size - offset).await,
            Self::Remote(registries, repository) => {
                let response = registries.open(repository, descriptor, offset).await?;
                let patience = registries.settings().patience;
                let errand = response.errand.clone();
                let pieces = stream::try_unfold(response, move |mut response| {
                    let errand = errand.clone();
                    async move {
                        let piece = response.piece(&errand, patience).await?;
                        Ok(piece.map(|piece| (piece, response)))
                    }
                });
                Ok(pieces.boxed())
            }
        }
    }
}

/// `length` bytes of the file at `path` from `offset`; fewer are an error.
async fn file(
    path: PathBuf,
    offset: u64,
    length: u64,
) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
    let failed = {
        let path = path.clone();
        move |source| Error::File {
            path: path.clone(),
            source,
        }
    };
    let mut file = tokio::fs::File::open(&path).await.map_err(&failed)?;
    file.seek(SeekFrom::Start(offset)).await.map_err(&failed)?;
    file.set_max_buf_size(PIECE);
    let pieces = stream::try_unfold((file, length), move |(mut file, left)| {
        let failed = failed.clone();
        async move {
            if left == 0 {
                return Ok(None);
            }
            let wanted = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            let mut piece = Vec::with_capacity(wanted);
            let read = (&mut file)
                .take(wanted as u64)
                .read_buf(&mut piece)
                .await
                .map_err(&failed)?;
            if read == 0 {
                return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
            }
            Ok(Some((Bytes::from(piece), (file, left - read as u64))))
        }
    });
    Ok(pieces.boxed())
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    async fn read(content: &Content, size: u64, offset: u64) -> Result<Vec<u8>, Error> {
        let descriptor = Descriptor::new("x", crate::Digest::of(b""), size);
        let pieces = content.pieces(&descriptor, offset).await?;
        let pieces: Vec<Bytes> = pieces.try_collect().await?;
        Ok(pieces.concat())
    }

    #[tokio::test]
    async fn reads_a_slice_of_a_file_from_any_place() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        let whole: Vec<u8> = (0..PIECE * 2 + 100)
            .map(|index| u8::try_from(index % 251).expect("below 251"))
            .collect();
        std::fs::write(&path, &whole).expect("written");
        let slice = Content::File {
            path: path.clone(),
            offset: 10,
        };
        let size = PIECE as u64 + 50;
        let wanted = &whole[10..PIECE + 60];
        assert_eq!(read(&slice, size, 0).await.expect("read"), wanted);
        assert_eq!(read(&slice, size, 40).await.expect("read"), &wanted[40..]);
        assert_eq!(read(&slice, size, size).await.expect("read"), b"");
        let short = read(&slice, whole.len() as u64, 0).await;
        assert!(matches!(short, Err(Error::File { .. })), "10 bytes lack");
    }

    #[tokio::test]
    async fn reads_memory_from_any_place() {
        let content = Content::Bytes(Bytes::from_static(b"abc"));
        assert_eq!(read(&content, 3, 1).await.expect("read"), b"bc");
        assert_eq!(read(&content, 3, 9).await.expect("read"), b"");
    }
}
