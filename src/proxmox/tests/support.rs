//! A server, clients of it, and things to send.

use std::{error::Error as StdError, path::Path, sync::Arc, time::Duration};

use proxmox::{
    Client, ContentKind, Credentials, Fingerprint, Pace, Secret, Settings, Source, Trust, Upload,
};
use proxmox_server::{ROOT_TOKEN, Server, Spec};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

pub(crate) type Outcome = Result<(), Box<dyn StdError + Send + Sync>>;

/// A fault in the sentence of an error and its kind, as a person reads it.
pub(crate) fn told(error: &proxmox::Error) -> String {
    format!("{error}: {}", error.kind())
}

pub(crate) fn server() -> Server {
    spec(Spec::default())
}

pub(crate) fn spec(spec: Spec) -> Server {
    Server::start(spec).expect("the server starts")
}

/// Looks quickly, and as often as usual.
pub(crate) fn pace() -> Pace {
    Pace {
        first: Duration::from_millis(1),
        most: Duration::from_millis(4),
        ..Pace::default()
    }
}

pub(crate) fn settings(server: &Server) -> Settings {
    let token = Credentials::Token(Secret::new(ROOT_TOKEN.to_owned()));
    let mut settings = Settings::new(
        server.endpoint("pve01"),
        token,
        Trust::CaPem(server.ca_pem().to_owned()),
    );
    settings.node_endpoints = server.endpoints();
    settings.pace = pace();
    settings
}

pub(crate) fn client(server: &Server) -> Client {
    Client::new(settings(server)).expect("the settings are good")
}

/// A client that logs in with this token.
pub(crate) fn client_with_token(server: &Server, token: &str) -> Client {
    let mut settings = settings(server);
    settings.credentials = Credentials::Token(Secret::new(token.to_owned()));
    Client::new(settings).expect("the settings are good")
}

pub(crate) fn fingerprint(server: &Server, node: &str) -> Fingerprint {
    server.fingerprint(node).parse().expect("a fingerprint")
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Bytes that are to be sent.
pub(crate) fn source(bytes: &[u8]) -> Source {
    let shared: Arc<[u8]> = bytes.into();
    Source::new(bytes.len() as u64, sha256(bytes), move || {
        let shared = Arc::clone(&shared);
        async move { Ok(std::io::Cursor::new(shared)) }
    })
}

/// Bytes with no pattern that compresses or repeats soon.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Far enough away that it never passes.
pub(crate) fn later() -> Instant {
    Instant::now() + Duration::from_mins(5)
}

pub(crate) fn upload(node: &str, storage: &str, file_name: &str) -> Upload {
    Upload {
        node: node.to_owned(),
        storage: storage.to_owned(),
        content: ContentKind::Iso,
        file_name: file_name.to_owned(),
        is_replacing: false,
        restarts: 0,
        deadline: later(),
    }
}

pub(crate) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Waits for something that happens in the server.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), wait)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"));
}
