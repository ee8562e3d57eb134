//! Mutual TLS: a certificate for this process, and a verifier that takes exactly Core's.
//!
//! Core's certificate is self-signed with CA:true and a P-521 key, which a stock verifier refuses
//! as an end entity; so the presented bytes are compared with those from the environment, and the
//! handshake's signature is still checked.

use std::sync::Arc;

use base64::Engine as _;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::{
    DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use time::{Duration, OffsetDateTime};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("PLUGIN_CLIENT_CERT is not a certificate")]
    ClientCertificate(#[source] rustls::pki_types::pem::Error),
    #[error("making the server's certificate failed")]
    ServerCertificate(#[source] rcgen::Error),
    #[error("setting up TLS failed")]
    Configuration(#[source] rustls::Error),
}

/// The server's side of TLS, and its certificate as the handshake line carries it.
pub(crate) fn configure(client_pem: &str) -> Result<(ServerConfig, String), Error> {
    let pinned =
        CertificateDer::from_pem_slice(client_pem.as_bytes()).map_err(Error::ClientCertificate)?;
    let (certificate, key) = self_signed().map_err(Error::ServerCertificate)?;
    // Core decodes with the standard alphabet and no padding (go-plugin `client.go`).
    let line = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&certificate);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::Configuration)?
        .with_client_cert_verifier(Arc::new(Pinned {
            certificate: pinned,
            provider,
        }))
        .with_single_cert(
            vec![certificate],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .map_err(Error::Configuration)?;
    // grpc-go 1.67 and later refuses a peer that does not choose a protocol.
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok((config, line))
}

/// A certificate that Go's verifier takes: for a server, by the name that Core dials, of today.
fn self_signed() -> Result<(CertificateDer<'static>, KeyPair), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(["localhost".to_owned()])?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // It is trusted by one process and dies with this one; the margins are for a clock that is set
    // meanwhile.
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(365);
    let certificate = params.self_signed(&key)?;
    Ok((certificate.der().clone(), key))
}

#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if *end_entity == self.certificate {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(rustls::CertificateError::ApplicationVerificationFailure.into())
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
}
