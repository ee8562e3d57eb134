//! The HTTP client for archives and images: which certificates it takes, how long it bears silence.

use std::{sync::Arc, time::Duration};

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
        .tls_backend_preconfigured(tls(ca)?)
        .hickory_dns(true)
        .build()
        .map_err(Error::Build)
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
