//! Why a call failed, with what holds now and what to do next.

use std::{collections::BTreeMap, io, sync::Arc};

use crate::{ContentKind, Fingerprint, Left, Missing, NameError, Upid};

/// A call failed. `Display` is a fragment without its source, which is the [`Kind`].
#[derive(Clone, Debug, thiserror::Error)]
#[error("{doing} at {endpoint} failed{left}")]
pub struct Error {
    doing: String,
    endpoint: String,
    #[source]
    kind: Box<Kind>,
    left: Left,
}

/// What of the settings cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The address of the cluster or of a node.
    Endpoint,
    /// Token, user or password.
    Credentials,
    /// Which certificates are trusted.
    Trust,
}

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Kind {
    /// No connection, or none that lives: name, route, port, handshake, a silent server.
    #[error("no answer: {said}")]
    Unreachable {
        /// What the system says.
        said: String,
        /// Whether the connection stood, so that the server may have begun to work.
        connected: bool,
    },
    /// The certificate is not one of those that are trusted by fingerprint.
    #[error("the certificate has the fingerprint {seen}, which is not the trusted one")]
    Fingerprint {
        /// What the server showed.
        seen: Fingerprint,
    },
    /// No trusted CA vouches for the certificate.
    #[error("the certificate with the fingerprint {seen} is not trusted: {said}")]
    Certificate {
        /// What the server showed.
        seen: Fingerprint,
        /// What is wrong with it.
        said: String,
    },
    /// The token or ticket was good once.
    #[error("the login has expired: {said}")]
    Expired {
        /// What the server says.
        said: String,
    },
    /// User, password or token are wrong.
    #[error("the login was refused: {said}")]
    Unauthorized {
        /// What the server says.
        said: String,
    },
    /// The login may not do this.
    #[error("the login lacks {0}")]
    Forbidden(Missing),
    /// There is no such node, storage, volume or task.
    #[error("{said}")]
    NotFound {
        /// What the server says.
        said: String,
    },
    /// The storage is there and cannot be used now: disabled, not for this node, offline.
    #[error("storage {storage} of node {node} cannot be used: {said}")]
    StorageOff {
        /// The storage.
        storage: String,
        /// The node.
        node: String,
        /// What the server says.
        said: String,
    },
    /// The storage does not take files of this kind.
    #[error("storage {storage} does not hold content of type {content}: {said}")]
    ContentType {
        /// The storage.
        storage: String,
        /// The kind.
        content: ContentKind,
        /// What the server says, or what the storage does hold.
        said: String,
    },
    /// The storage, or the node's `/var/tmp`, is full.
    #[error("no space: {said}")]
    NoSpace {
        /// What the server says, or the figures.
        said: String,
    },
    /// The bytes that arrived are not the announced ones.
    #[error("the SHA-256 of what arrived is {got}, not {wanted}")]
    Checksum {
        /// What arrived.
        got: String,
        /// What was announced.
        wanted: String,
    },
    /// A file of this name is there already, and it was not asked to replace it.
    #[error("{volume_id} exists already{}", size_bytes.map_or_else(String::new, |size| format!(" ({size} bytes)")))]
    Exists {
        /// Where.
        volume_id: String,
        /// Its size, where it is known.
        size_bytes: Option<u64>,
    },
    /// A task of Proxmox ended with an error.
    #[error("task {upid} ended with {status:?}; the end of its log:\n{}", log.join("\n"))]
    Task {
        /// The task.
        upid: Upid,
        /// How it ended.
        status: String,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// Proxmox did not take a parameter.
    #[error("{said}: {}", fields.iter().map(|(name, text)| format!("{name}: {text}")).collect::<Vec<_>>().join("; "))]
    Parameter {
        /// What is wrong, by parameter.
        fields: BTreeMap<String, String>,
        /// What the server says of it all.
        said: String,
    },
    /// The connection ended in the middle of an upload.
    #[error("the connection was cut after {sent_bytes} of {total_bytes} bytes: {said}")]
    Cut {
        /// Bytes of the file that were on their way.
        sent_bytes: u64,
        /// Size of the file.
        total_bytes: u64,
        /// What the system says.
        said: String,
    },
    /// The deadline passed.
    #[error("{waiting_for} took longer than allowed")]
    Deadline {
        /// What was waited for.
        waiting_for: String,
    },
    /// The transfer succeeded, but the storage does not list the file.
    #[error("the storage does not list {volume_id} although its task succeeded")]
    NotListed {
        /// What was expected.
        volume_id: String,
    },
    /// The transfer succeeded, and the storage lists the file with another size.
    #[error("the storage lists {volume_id} with {found_bytes} bytes instead of {wanted_bytes}")]
    Size {
        /// Which file.
        volume_id: String,
        /// What is listed.
        found_bytes: u64,
        /// What was sent.
        wanted_bytes: u64,
    },
    /// The local file cannot be read, or is not as long as announced.
    #[error("reading what is to be uploaded")]
    Source {
        /// Why.
        source: Arc<io::Error>,
    },
    /// The server would not take the name.
    #[error("the file name {name:?} cannot be used: {source}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        source: NameError,
    },
    /// An endpoint, a CA file or a credential that cannot be used.
    #[error("{said}")]
    Settings {
        /// Which.
        setting: Setting,
        /// What is wrong.
        said: String,
    },
    /// The user has a second factor, which a program cannot give.
    #[error("the user has a second factor")]
    SecondFactor,
    /// The server answered with an error that is none of the above.
    #[error("status {status}: {said}")]
    Server {
        /// HTTP status.
        status: u16,
        /// What the server says.
        said: String,
    },
    /// The answer is not what the API documents.
    #[error("the answer is not understood: {said}")]
    Answer {
        /// What is wrong with it.
        said: String,
    },
}

impl Error {
    pub(crate) fn new(doing: impl Into<String>, endpoint: impl Into<String>, kind: Kind) -> Self {
        Self {
            doing: doing.into(),
            endpoint: endpoint.into(),
            kind: Box::new(kind),
            left: Left::Nothing,
        }
    }

    pub(crate) fn leaving(mut self, left: Left) -> Self {
        self.left = left;
        self
    }

    /// The same fault, told as part of a larger work.
    pub(crate) fn doing(mut self, doing: &str) -> Self {
        doing.clone_into(&mut self.doing);
        self
    }

    /// Why.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// What it leaves on the storage.
    pub fn left(&self) -> &Left {
        &self.left
    }

    /// Who was asked.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether the thing is known not to be there. Anything else means "cannot be told".
    pub fn is_not_found(&self) -> bool {
        matches!(*self.kind, Kind::NotFound { .. })
    }

    /// Whether the same call may succeed a moment later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match &*self.kind {
            Kind::Unreachable { .. } | Kind::Cut { .. } => true,
            Kind::Server { status, said } => {
                matches!(status, 502..=504 | 595..=599)
                    || *status == 500 && (said.contains("timeout") || said.contains("cfs-lock"))
            }
            _ => false,
        }
    }

    /// What to do next, as a sentence; empty where nothing helps but to look.
    pub fn hint(&self) -> String {
        match &*self.kind {
            Kind::Unreachable { .. } => {
                "see that the node is up and that this machine reaches its port.".to_owned()
            }
            Kind::Fingerprint { seen } => format!(
                "compare with the fingerprint in the node's own web interface; if {seen} is the right one, trust it."
            ),
            Kind::Certificate { seen, .. } => format!(
                "trust the cluster's CA (/etc/pve/pve-root-ca.pem), or the fingerprint {seen} after comparing it with the node's."
            ),
            Kind::Expired { .. } => {
                "make a new API token, or give this one a later date of expiry.".to_owned()
            }
            Kind::Unauthorized { .. } => {
                "check user, realm, token id and secret: USER@REALM!TOKENID=UUID.".to_owned()
            }
            Kind::Forbidden(missing) => format!(
                "grant {missing}; a token with privilege separation needs it as well as its user."
            ),
            Kind::StorageOff { .. } => {
                "enable the storage for this node, or bring back what it lies on.".to_owned()
            }
            Kind::ContentType { content, .. } => format!(
                "add {content} to the content types of the storage, or take a storage of files (directory, NFS, CIFS, CephFS, Btrfs)."
            ),
            Kind::NoSpace { .. } => {
                "make room on the storage, and in /var/tmp of the node that takes the upload."
                    .to_owned()
            }
            Kind::Exists { volume_id, .. } => {
                format!("take another file name, remove {volume_id}, or ask to replace it.")
            }
            Kind::Cut { .. } => "try again; the upload begins anew.".to_owned(),
            Kind::SecondFactor => "use an API token.".to_owned(),
            _ => String::new(),
        }
    }
}
