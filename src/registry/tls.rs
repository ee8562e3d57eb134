//! Whose certificates are trusted.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Why a given CA cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NoAuthority {
    /// It is not PEM.
    #[error("the CA file is not PEM")]
    Pem {
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// It holds no certificate.
    #[error("the CA file holds no certificate")]
    Empty,
    /// A certificate in it is none.
    #[error("the CA file holds a certificate that cannot be used")]
    Certificate {
        /// Why.
        source: rustls::Error,
    },
}

/// TLS that trusts the system's roots (Mozilla's where there are none, as in a minimal container image) and `ca_pem`.
pub(crate) fn config(ca_pem: Option<&[u8]>) -> Result<ClientConfig, NoAuthority> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(pem) = ca_pem {
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|source| NoAuthority::Pem { source })?;
            roots
                .add(certificate)
                .map_err(|source| NoAuthority::Certificate { source })?;
        }
        if roots.len() == before {
            return Err(NoAuthority::Empty);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs supports the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_file_without_a_certificate() {
        assert!(matches!(config(Some(b"")), Err(NoAuthority::Empty)));
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let error = config(Some(broken)).expect_err("no certificate");
        assert!(matches!(error, NoAuthority::Certificate { .. }), "{error}");
    }
}
