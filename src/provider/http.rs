//! The HTTP client for archives and images: which certificates it takes, how long it bears silence.

use std::{sync::Arc, time::Duration};

use reqwest::redirect;
use rustls::pki_types::{CertificateDer, pem::PemObject};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file of certificates that holds none.
    #[error("it holds no certificate in PEM")]
    NoCertificate,
    /// The client cannot be made.
    #[error("the HTTP client cannot be made")]
    Build(#[source] reqwest::Error),
}

/// A client that takes certificates of the system's roots, or of Mozilla's where there are none, as in
/// a minimal container image, and of `ca` (PEM). `silence` is the limit for a server that sends
/// nothing; slow ones are fine.
pub(crate) fn client(silence: Duration, ca: Option<&str>) -> Result<reqwest::Client, Error> {
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(silence)
        .user_agent(concat!(
            "terraform-provider-etcd/",
            env!("CARGO_PKG_VERSION")
        ))
        .redirect(redirect::Policy::custom(follow))
        .tls_backend_preconfigured(tls(ca)?)
        .hickory_dns(true)
        .build()
        .map_err(Error::Build)
}

/// Redirects that are followed at most.
const REDIRECTS: usize = 10;

/// What was asked for over HTTPS comes over HTTPS: the first image that arrives is the one that all get.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let before = attempt.previous().last();
    if before.is_some_and(|url| url.scheme() == "https") && attempt.url().scheme() != "https" {
        attempt.error("the redirect leaves HTTPS")
    } else if attempt.previous().len() > REDIRECTS {
        attempt.error("too many redirects")
    } else {
        attempt.follow()
    }
}

/// How an answer ended.
#[derive(Debug)]
pub(crate) enum End {
    /// All of it was read.
    Whole,
    /// There was more of it.
    Cut,
    /// The connection broke off.
    Broken(reqwest::Error),
}

/// At most the first `most` bytes of an answer: whoever was asked by mistake may send an image.
pub(crate) async fn beginning(mut response: reqwest::Response, most: usize) -> (Vec<u8>, End) {
    let mut read = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(piece)) if read.len() + piece.len() > most => {
                read.extend_from_slice(&piece[..most - read.len()]);
                return (read, End::Cut);
            }
            Ok(Some(piece)) => read.extend_from_slice(&piece),
            Ok(None) => return (read, End::Whole),
            Err(error) => return (read, End::Broken(error)),
        }
    }
}

fn tls(ca: Option<&str>) -> Result<rustls::ClientConfig, Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(pem) = ca {
        let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).flatten();
        if roots.add_parsable_certificates(certificates).0 == 0 {
            return Err(Error::NoCertificate);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs supports the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn an_answer_without_an_end_is_not_read_to_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("somebody asks");
            // A short question comes in one piece.
            let mut question = [0; 4096];
            let length = stream.read(&mut question).await.expect("a question");
            assert!(length > 0);
            let head = b"HTTP/1.1 500 Internal Server Error\r\n\r\n";
            stream.write_all(head).await.expect("a head");
            // Until the client has had enough.
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        });
        let client = client(Duration::from_mins(1), None).expect("a client");
        let request = client.get(format!("http://{address}/"));
        let response = request.send().await.expect("an answer");
        let (read, end) = beginning(response, 10_000).await;
        assert_eq!(read.len(), 10_000);
        assert!(matches!(end, End::Cut));
        drop(client);
        server.await.expect("the server has ended");
    }
}
