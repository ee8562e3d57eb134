//! Files as artifacts, also large ones.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use registry::{Artifact, Digest, Error, Hasher, Outcome, Progress, hash};
use tokio::io::AsyncWrite;

use crate::site::{anonymous, open, tag};

const TYPE: &str = "application/vnd.example.boot-image.v1";

fn artifact(path: &Path, known: Option<(Digest, u64)>) -> Artifact {
    Artifact {
        path: path.to_owned(),
        known,
        artifact_type: TYPE.to_owned(),
        media_type: "application/x-iso9660-image".to_owned(),
        file_name: "x.iso".to_owned(),
        annotations: [("version".to_owned(), "v1.11.5".to_owned())].into(),
    }
}

#[tokio::test]
async fn a_file_is_found_again_by_tag_and_by_digest() {
    let server = open().await;
    let registries = anonymous();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("built.iso");
    fs::write(&path, b"an image").expect("written");
    let to = tag(server.host(), "x/talos-images:v1");
    assert_eq!(
        registries.find_artifact(&to).await.expect("an answer"),
        None
    );
    let silent = Progress::silent();
    let pushed = registries
        .push_artifact(&artifact(&path, None), &to, false, &silent)
        .await
        .expect("made");
    assert_eq!(pushed.outcome, Outcome::Made);
    for reference in [to.clone(), to.repository().at(pushed.digest)] {
        let found = registries.find_artifact(&reference).await;
        let found = found.expect("an answer").expect("it is there");
        assert_eq!(found.digest, pushed.digest);
        assert_eq!(found.artifact_type.as_deref(), Some(TYPE));
        assert_eq!(found.file.digest, Digest::of(b"an image"));
        assert_eq!(found.file.size, 8);
        assert_eq!(found.file_name(), Some("x.iso"));
        assert_eq!(found.annotations["version"], "v1.11.5");
    }
    let again = registries
        .push_artifact(&artifact(&path, None), &to, false, &silent)
        .await;
    assert_eq!(again.expect("there").outcome, Outcome::Adopted);
}

#[tokio::test]
async fn a_file_that_is_not_what_was_said_is_refused() {
    let server = open().await;
    let registries = anonymous();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("built.iso");
    fs::write(&path, b"an image").expect("written");
    let to = tag(server.host(), "x/talos-images:v1");
    let wrong = artifact(&path, Some((Digest::of(b"another"), 8)));
    let error = registries
        .push_artifact(&wrong, &to, false, &Progress::silent())
        .await
        .expect_err("other content than said");
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    assert_eq!(registries.look(&to).await.expect("an answer"), None);
    let short = artifact(&path, Some((Digest::of(b"an image"), 9)));
    let error = registries
        .push_artifact(&short, &to, false, &Progress::silent())
        .await
        .expect_err("fewer bytes than said");
    assert!(matches!(error, Error::File { .. }), "{error}");
}

/// Bytes of the large file. It has holes, so the disk keeps little of it here, but all of it in the registry.
const LARGE: u64 = 1 << 30;
/// How much more memory this process may have for it.
const MORE_MEMORY: u64 = 32 << 20;

#[tokio::test]
async fn a_large_file_takes_no_memory() {
    let server = open().await;
    let registries = anonymous();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("large.raw");
    let file = fs::File::create(&path).expect("a file");
    file.set_len(LARGE).expect("a hole");
    let to = tag(server.host(), "x/talos-images:large");
    let silent = Progress::silent();
    let known = hash(&path, &silent).await.expect("read");
    assert_eq!(known.1, LARGE);
    let before = peak_memory();
    let furthest = Arc::new(AtomicU64::new(0));
    let told = furthest.clone();
    let progress = Progress::to(move |at| {
        assert_eq!(at.total, LARGE + 2);
        told.fetch_max(at.done, Ordering::Relaxed);
    });
    registries
        .push_artifact(&artifact(&path, Some(known)), &to, false, &progress)
        .await
        .expect("made");
    assert_eq!(furthest.load(Ordering::Relaxed), LARGE + 2);
    let found = registries.find_artifact(&to).await.expect("an answer");
    let found = found.expect("it is there");
    assert_eq!((found.file.digest, found.file.size), known);
    let mut sink = Sink(Hasher::new());
    registries
        .pull_blob(to.repository(), &found.file, &mut sink, &silent)
        .await
        .expect("it comes back");
    assert_eq!(sink.0.finish(), known.0);
    let more = peak_memory() - before;
    assert!(more < MORE_MEMORY, "{more} bytes more");
}

/// Takes everything and keeps its digest.
struct Sink(Hasher);

impl AsyncWrite for Sink {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        piece: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        self.0.update(piece);
        std::task::Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

/// The most memory that this process ever had, in bytes (`VmHWM`, proc(5)).
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    let kilobytes: u64 = kilobytes
        .and_then(|kilobytes| kilobytes.parse().ok())
        .expect("a number");
    kilobytes * 1024
}
