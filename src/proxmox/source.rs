//! Where the bytes of an upload come from; opened anew for every attempt.

use std::{fmt, io, path::Path, pin::Pin, sync::Arc};

use futures::future::BoxFuture;
use tokio::{fs::File, io::AsyncRead};

/// A readable stream of bytes.
pub(crate) type Reader = Pin<Box<dyn AsyncRead + Send + Sync>>;

type Open = Arc<dyn Fn() -> BoxFuture<'static, io::Result<Reader>> + Send + Sync>;

/// What is to be uploaded: its size, its SHA-256, and how it is opened. Cheap to clone.
#[derive(Clone)]
pub struct Source {
    size_bytes: u64,
    sha256: String,
    open: Open,
}

impl Source {
    /// A stream that `open` begins anew each time: exactly `size_bytes` long, with this SHA-256 (hex).
    pub fn new<F, R>(
        size_bytes: u64,
        sha256: impl Into<String>,
        open: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = io::Result<R>> + Send + 'static,
        R: AsyncRead + Send + Sync + 'static,
    {
        let open = Arc::new(open);
        Self {
            size_bytes,
            sha256: sha256.into().to_ascii_lowercase(),
            open: Arc::new(move || {
                let opening = open();
                Box::pin(async move { Ok(Box::pin(opening.await?) as Reader) })
            }),
        }
    }

    /// A local file whose SHA-256 (hex) is known.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub async fn file(path: &Path, sha256: impl Into<String>) -> io::Result<Self> {
        let size_bytes = tokio::fs::metadata(path).await?.len();
        let path = path.to_owned();
        Ok(Self::new(size_bytes, sha256, move || {
            File::open(path.clone())
        }))
    }

    /// How many bytes there are.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Lower-case hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    pub(crate) async fn open(&self) -> io::Result<Reader> {
        (self.open)().await
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("size_bytes", &self.size_bytes)
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}
