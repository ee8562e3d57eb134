//! Archives from a directory, and over HTTP with its faults.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::{Mutex as Shared, PoisonError},
};

use super::*;

fn release() -> Release {
    Release {
        program: Program::Etcd,
        version: semver::Version::new(3, 5, 35),
        architecture: Architecture::Amd64,
    }
}

fn mirror(checksums: &str) -> (tempfile::TempDir, Downloads) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let folder = directory.path().join("etcd/v3.5.35");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("etcd-v3.5.35-linux-amd64.tar.gz"), b"archive").expect("a file");
    std::fs::write(folder.join("SHA256SUMS"), checksums).expect("a file");
    let downloads = Downloads::new(Source::Directory(directory.path().to_owned()), None);
    (directory, downloads)
}

// Of no archive that there is.
const SHA256: &str = "42b13dd94d65f96adb0d08e3b0f2b19a46a8f2a4a6e52c6e9e7a8d2a1d0c4c4f";

fn sha256() -> String {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("archive");
    std::fs::write(&path, b"archive").expect("a file");
    cache::sha256(&path).expect("a readable file")
}

#[tokio::test]
async fn takes_an_archive_from_a_directory_and_checks_it() {
    let (_directory, downloads) =
        mirror(&format!("{}  etcd-v3.5.35-linux-amd64.tar.gz\n", sha256()));
    let archive = downloads
        .archive(&release(), None)
        .await
        .expect("an archive");
    assert_eq!(archive.sha256, sha256());
}

#[tokio::test]
async fn refuses_other_bytes_and_says_who_wanted_which() {
    let (_directory, downloads) = mirror(&format!("{SHA256}  etcd-v3.5.35-linux-amd64.tar.gz\n"));
    let error = downloads
        .archive(&release(), None)
        .await
        .expect_err("other bytes");
    let text = error.to_string();
    assert!(
        text.contains(SHA256) && text.contains("the release's checksum file"),
        "{text}"
    );
}

#[tokio::test]
async fn names_the_path_of_a_release_that_is_not_there() {
    let (_directory, downloads) = mirror("");
    let other = Release {
        version: semver::Version::new(3, 5, 99),
        ..release()
    };
    let error = downloads.offers(&other).await.expect_err("no such release");
    assert!(
        error
            .to_string()
            .contains("etcd/v3.5.99/etcd-v3.5.99-linux-amd64.tar.gz")
    );
}

/// Paths that were asked for, with the method in front.
type Asked = Arc<Shared<Vec<String>>>;

/// A web server that answers each path with a status and a body, the body cut short by the last number of bytes.
fn server(files: Vec<(String, u16, Vec<u8>, usize)>) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let asked = Asked::default();
    let noted = asked.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
            let first = lines.next().and_then(Result::ok).unwrap_or_default();
            while lines
                .next()
                .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
            {}
            let request = first.trim_end_matches(" HTTP/1.1").to_owned();
            let (method, path) = request.split_once(' ').unwrap_or_default();
            let missing = (String::new(), 404, Vec::new(), 0);
            let found = files.iter().find(|(file, ..)| path.ends_with(file));
            let (_, status, body, short) = found.unwrap_or(&missing);
            let head = format!(
                "HTTP/1.1 {status} Said\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let body = if method == "HEAD" {
                &[]
            } else {
                &body[..body.len() - short]
            };
            noted
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(request.clone());
            // Clients go away as they like.
            let _ = stream.write_all(&[head.as_bytes(), body].concat());
        }
    });
    (url, asked)
}

const ARCHIVE: &str = "etcd-v3.5.35-linux-amd64.tar.gz";

/// The server's files for an archive that is answered so.
fn release_of(status: u16, short: usize) -> Vec<(String, u16, Vec<u8>, usize)> {
    let sums = format!("{}  {ARCHIVE}\n", sha256()).into_bytes();
    vec![
        ("SHA256SUMS".to_owned(), 200, sums, 0),
        (ARCHIVE.to_owned(), status, b"archive".to_vec(), short),
    ]
}

fn by_http(url: &str, cache: &Path) -> Downloads {
    Downloads::new(Source::parse(&format!("{url}/")), Some(cache.to_owned()))
}

fn asked_for_archives(asked: &Asked) -> usize {
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    asked
        .iter()
        .filter(|request| request.ends_with(ARCHIVE))
        .count()
}

#[tokio::test]
async fn fetches_once_and_keeps_for_all_processes() {
    let cache = tempfile::tempdir().expect("a temporary directory");
    let (url, asked) = server(release_of(200, 0));
    for _ in 0..2 {
        let process = by_http(&url, cache.path());
        let (first, second) = (release(), release());
        let both = futures::join!(
            process.archive(&first, None),
            process.archive(&second, None)
        );
        for archive in [both.0, both.1] {
            let archive = archive.expect("an archive");
            assert_eq!(archive.sha256, sha256());
            assert_eq!(std::fs::read(archive.path).expect("a file"), b"archive");
        }
    }
    assert_eq!(asked_for_archives(&asked), 1);
    // What was damaged in the cache is fetched anew.
    let path = cache.path().join(sha256()).join(ARCHIVE);
    std::fs::write(&path, b"damaged").expect("a file");
    let archive = by_http(&url, cache.path()).archive(&release(), None).await;
    assert_eq!(archive.expect("an archive").sha256, sha256());
    assert_eq!(asked_for_archives(&asked), 2);
}

#[tokio::test]
async fn faults_of_a_mirror_are_named_and_leave_nothing() {
    for (status, short, says, attempts) in [
        (404, 0, "does not exist", 1),
        (403, 0, "was answered with status 403", 1),
        (503, 0, "was answered with status 503", 4),
        (200, 3, "failed", 4),
    ] {
        let cache = tempfile::tempdir().expect("a temporary directory");
        let (url, asked) = server(release_of(status, short));
        let error = by_http(&url, cache.path())
            .archive(&release(), None)
            .await
            .expect_err("a fault");
        let text = error.to_string();
        assert!(text.contains(says) && text.contains(&url), "{text}");
        assert_eq!(asked_for_archives(&asked), attempts, "{text}");
        assert!(!error.hint().is_empty(), "{text}");
        let path = cache.path().join(sha256()).join(ARCHIVE);
        assert!(!path.exists(), "{text}");
    }
    let (url, _) = server(vec![(
        "SHA256SUMS".to_owned(),
        200,
        b"0000  other\n".to_vec(),
        0,
    )]);
    let cache = tempfile::tempdir().expect("a temporary directory");
    let error = by_http(&url, cache.path()).archive(&release(), None).await;
    let text = error.expect_err("no checksum").to_string();
    assert!(
        text.contains(&format!("has no line for {ARCHIVE}")),
        "{text}"
    );
}

#[tokio::test]
async fn a_plan_asks_without_fetching() {
    let cache = tempfile::tempdir().expect("a temporary directory");
    let (url, asked) = server(release_of(200, 0));
    let downloads = by_http(&url, cache.path());
    downloads.offers(&release()).await.expect("it is there");
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(asked, [format!("HEAD /etcd/v3.5.35/{ARCHIVE}")]);
}

#[tokio::test]
async fn what_another_process_fetches_is_waited_for() {
    let cache = tempfile::tempdir().expect("a temporary directory");
    let (url, asked) = server(release_of(200, 0));
    let slot = cache::Slot::lock(cache.path(), &sha256(), ARCHIVE).await;
    let slot = slot.expect("a lock");
    let downloads = by_http(&url, cache.path());
    let fetch = tokio::spawn(async move { downloads.archive(&release(), None).await });
    while asked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .is_empty()
    {
        tokio::task::yield_now().await;
    }
    std::fs::write(slot.path(), b"archive").expect("a file");
    drop(slot);
    let archive = fetch.await.expect("no panic").expect("an archive");
    assert_eq!(archive.sha256, sha256());
    assert_eq!(asked_for_archives(&asked), 0, "the other one fetched it");
}
