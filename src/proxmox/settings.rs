//! How a cluster is reached, who logs in, and whom to trust.

use std::{collections::BTreeMap, time::Duration};

use crate::{Fingerprint, Pace, Secret};

/// Everything that a [`Client`](crate::Client) needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `https://HOST:8006`; a path, as some people copy it from the browser, is cut off.
    pub endpoint: String,
    /// Endpoint by node name, where a node is reached directly. An upload through another node is
    /// stored there and copied once more, and needs space on both.
    pub node_endpoints: BTreeMap<String, String>,
    /// Who logs in.
    pub credentials: Credentials,
    /// Which certificates are taken.
    pub trust: Trust,
    /// Sent as `User-Agent`.
    pub user_agent: String,
    /// Limit for a TCP connection and its handshake.
    pub connect_timeout: Duration,
    /// Limit for the answer to a call without a body. Proxmox gives up on another node after 30 s,
    /// and on a storage that does not answer after some seconds.
    pub answer_timeout: Duration,
    /// An upload of which not a single byte is taken for so long is given up.
    pub stall_timeout: Duration,
    /// How often things are asked for again.
    pub pace: Pace,
}

impl Settings {
    /// Settings with the defaults for everything else.
    pub fn new(endpoint: impl Into<String>, credentials: Credentials, trust: Trust) -> Self {
        Self {
            endpoint: endpoint.into(),
            node_endpoints: BTreeMap::new(),
            credentials,
            trust,
            user_agent: concat!("proxmox-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(40),
            stall_timeout: Duration::from_mins(1),
            pace: Pace::default(),
        }
    }
}

/// Who logs in.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// An API token: `USER@REALM!TOKENID=UUID`, as Proxmox shows it once.
    Token(Secret),
    /// A user with a password, for whom tickets are obtained and renewed.
    UserPassword {
        /// `USER@REALM`.
        user: String,
        /// The password.
        password: Secret,
    },
}

/// Which certificates are taken.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those that the system's roots vouch for; Mozilla's roots where the system has none.
    SystemRoots,
    /// Those that one of these certificates (PEM) vouches for, and no others: the cluster's own CA
    /// is `/etc/pve/pve-root-ca.pem`.
    CaPem(String),
    /// Exactly these. Each node has a certificate of its own, so there is one for each endpoint.
    Fingerprints(Vec<Fingerprint>),
    /// Any: who is in the way reads and changes everything.
    Insecure,
}
