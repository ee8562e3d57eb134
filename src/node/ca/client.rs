//! HTTPS to a CA, trusting its root and nothing else.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::{failure::Failed, proto::failure::Kind};

/// A client that trusts `root_pem`, with a certificate and key of its own for renewal.
pub(crate) fn client(
    root_pem: &str,
    identity: Option<(&str, &str)>,
) -> Result<reqwest::Client, Failed> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Failed::new(
            Kind::Internal,
            what,
            format!("{what} cannot be used: {error}"),
        )
    };
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(root_pem.as_bytes()) {
        let root = root.map_err(|error| failed("the root certificate", &error))?;
        roots
            .add(root)
            .map_err(|error| failed("the root certificate", &error))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .map_err(|error| failed("TLS", &error))?
    .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes())
                .collect::<Result<_, _>>()
                .map_err(|error| failed("the present certificate", &error))?;
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                .map_err(|error| failed("the private key", &error))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| failed("the present certificate", &error))?
        }
    };
    reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .no_proxy()
        .connect_timeout(std::time::Duration::from_secs(5))
        .timeout(std::time::Duration::from_secs(20))
        .build()
        .map_err(|error| failed("the HTTP client", &error))
}

/// An error with everything behind it: the client's own text says little.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
