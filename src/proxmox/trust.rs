//! Which certificates are taken, and what was wrong with one that was not.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use crate::{Fingerprint, Kind, Setting, Trust};

/// Why a certificate was not taken; travels through the TLS and HTTP libraries as a source.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Untrusted {
    #[error("the certificate has the fingerprint {seen}")]
    Fingerprint { seen: Fingerprint },
    #[error("the certificate with the fingerprint {seen} is not trusted: {said}")]
    Certificate { seen: Fingerprint, said: String },
}

impl From<Untrusted> for Kind {
    fn from(untrusted: Untrusted) -> Self {
        match untrusted {
            Untrusted::Fingerprint { seen } => Self::Fingerprint { seen },
            Untrusted::Certificate { seen, said } => Self::Certificate { seen, said },
        }
    }
}

/// TLS settings for this trust.
///
/// # Errors
/// [`Kind::Settings`] for a CA that cannot be read.
pub(crate) fn config(trust: &Trust) -> Result<ClientConfig, Kind> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let judge = match trust {
        Trust::Insecure => Judge::Anything,
        Trust::Fingerprints(wanted) if wanted.is_empty() => {
            return Err(Kind::Settings {
                setting: Setting::Trust,
                said: "no fingerprint is given to trust".to_owned(),
            });
        }
        Trust::Fingerprints(wanted) => Judge::Fingerprints(wanted.clone()),
        Trust::CaPem(pem) => Judge::Roots(verifier(ca(pem)?, &provider)?),
        Trust::SystemRoots => Judge::Roots(verifier(system_roots(), &provider)?),
    };
    let judged = Judged {
        judge,
        provider: Arc::clone(&provider),
    };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs supports the default protocol versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(judged))
        .with_no_client_auth())
}

fn ca(pem: &str) -> Result<RootCertStore, Kind> {
    let unusable = |said: String| Kind::Settings {
        setting: Setting::Trust,
        said: format!("the CA certificate cannot be used: {said}"),
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("no certificate in PEM form is in it".to_owned()));
    }
    Ok(roots)
}

/// The system's roots, and Mozilla's where there are none, as in a minimal container image.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

fn verifier(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, Kind> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| Kind::Settings {
            setting: Setting::Trust,
            said: format!("the roots cannot be used: {error}"),
        })
}

#[derive(Debug)]
enum Judge {
    Anything,
    Fingerprints(Vec<Fingerprint>),
    Roots(Arc<WebPkiServerVerifier>),
}

/// Judges the certificate and remembers what it saw; the signatures are checked in any case.
#[derive(Debug)]
struct Judged {
    judge: Judge,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Judged {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = Fingerprint::of(end_entity);
        match &self.judge {
            Judge::Anything => Ok(ServerCertVerified::assertion()),
            Judge::Fingerprints(wanted) if wanted.contains(&seen) => {
                Ok(ServerCertVerified::assertion())
            }
            Judge::Fingerprints(_) => Err(carried(Untrusted::Fingerprint { seen })),
            Judge::Roots(roots) => roots
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .map_err(|error| {
                    carried(Untrusted::Certificate {
                        seen,
                        said: error.to_string(),
                    })
                }),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

fn carried(untrusted: Untrusted) -> rustls::Error {
    rustls::Error::Other(rustls::OtherError(Arc::new(untrusted)))
}

/// The verdict on a certificate within an error of the HTTP library.
pub(crate) fn verdict(error: &(dyn std::error::Error + 'static)) -> Option<Untrusted> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(untrusted) = error.downcast_ref::<Untrusted>() {
            return Some(untrusted.clone());
        }
        if let Some(rustls::Error::Other(other)) = error.downcast_ref::<rustls::Error>()
            && let Some(untrusted) = other.0.downcast_ref::<Untrusted>()
        {
            return Some(untrusted.clone());
        }
        // An io::Error gives the source of what it wraps, not what it wraps.
        let wrapped = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .map(|inner| inner as &(dyn std::error::Error + 'static));
        next = wrapped.or_else(|| error.source());
    }
    None
}
