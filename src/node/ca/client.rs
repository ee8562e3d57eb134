//! HTTPS that trusts one root and nothing else.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::Configuration;
use crate::failure::{Failed, chain};

/// For the TCP connection alone: hosts of one site answer in milliseconds or not at all.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// For a whole request that sets no limit of its own.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);

/// A client that trusts `root_pem`, with a certificate and key of its own if `identity` is given.
/// `resolve` says where a name is found.
pub(crate) fn client(
    root_pem: &str,
    identity: Option<(&str, &str)>,
    resolve: Option<(&str, SocketAddr)>,
) -> Result<reqwest::Client, Failed> {
    let failed = |what: &str, error: &dyn std::error::Error| {
        Failed::internal(what, format!("{what} cannot be used: {}", chain(error)))
    };
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(root_pem.as_bytes()) {
        let root = root.map_err(|error| failed("the root certificate", &error))?;
        roots
            .add(root)
            .map_err(|error| failed("the root certificate", &error))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("TLS", &error))?
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificates, key)) => {
            let certificates: Vec<_> = CertificateDer::pem_slice_iter(certificates.as_bytes())
                .collect::<Result<_, _>>()
                .map_err(|error| failed("the present certificate", &error))?;
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                .map_err(|error| failed("the private key", &error))?;
            builder
                .with_client_auth_cert(certificates, key)
                .map_err(|error| failed("the present certificate", &error))?
        }
    };
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .no_proxy()
        .connect_timeout(CONNECT_LIMIT)
        .timeout(REQUEST_LIMIT);
    if let Some((name, address)) = resolve {
        builder = builder.resolve(name, address);
    }
    builder
        .build()
        .map_err(|error| failed("the HTTP client", &error))
}

/// A client for the CA of this host and the URL to find it at, by a name that its certificate has.
pub(crate) fn loopback(
    configuration: &Configuration,
    port: u32,
    root_pem: &str,
) -> Result<(reqwest::Client, String), Failed> {
    let port = u16::try_from(port)
        .map_err(|_| Failed::invalid(port.to_string(), format!("{port} is not a port")))?;
    let name = configuration.own_name()?;
    let address = SocketAddr::new(configuration.own_address(), port);
    let client = client(root_pem, None, Some((name, address)))?;
    let host = if name.parse::<std::net::Ipv6Addr>().is_ok() {
        format!("[{name}]")
    } else {
        name.to_owned()
    };
    Ok((client, format!("https://{host}:{port}")))
}
