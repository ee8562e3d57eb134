//! Requests as bytes, and the status lines that come back.

use std::{error::Error, sync::Arc};

use proxmox_server::{ROOT_TOKEN, Server};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;
pub(crate) type Outcome = Result<(), Failure>;

/// An answer as it came.
pub(crate) struct Raw {
    /// Without the version of the protocol.
    pub(crate) line: String,
    pub(crate) body: String,
}

/// `Authorization` of root.
pub(crate) fn token() -> String {
    format!("Authorization: PVEAPIToken={ROOT_TOKEN}\r\n")
}

/// Sends a request to the first node; `headers` end with line ends.
pub(crate) async fn send(
    server: &Server,
    request: &str,
    headers: &str,
    body: &[u8],
) -> Result<Raw, Failure> {
    let endpoint = server.endpoint("pve01");
    let address = endpoint.strip_prefix("https://").ok_or("an endpoint")?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(server.ca_pem().as_bytes())?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("pve01")?;
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    let head = format!("{request} HTTP/1.1\r\nHost: pve01\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    // The server may close without a farewell when it has not read everything.
    while let Ok(count) = stream.read(&mut piece).await {
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&piece[..count]);
    }
    let text = String::from_utf8(bytes)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let line = head.lines().next().unwrap_or_default();
    Ok(Raw {
        line: line.strip_prefix("HTTP/1.1 ").unwrap_or(line).to_owned(),
        body: body.to_owned(),
    })
}

/// Sends a form with the boundary `B` to the upload of a storage of the first node.
pub(crate) async fn upload(server: &Server, storage: &str, form: &str) -> Result<Raw, Failure> {
    let headers = format!(
        "{}Content-Type: multipart/form-data; boundary=B\r\nContent-Length: {}\r\n",
        token(),
        form.len()
    );
    let request = format!("POST /api2/json/nodes/pve01/storage/{storage}/upload");
    send(server, &request, &headers, form.as_bytes()).await
}

pub(crate) fn field(name: &str, value: &str) -> String {
    format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

pub(crate) fn file(name: &str, content: &str) -> String {
    format!(
        "--B\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n{content}\r\n--B--\r\n"
    )
}
