//! What cluster the server pretends to be.

use std::{collections::BTreeSet, path::PathBuf};

/// User that may do everything.
pub const ROOT: &str = "root@pam";

/// Password of [`ROOT`] in a default [`Spec`].
pub const ROOT_PASSWORD: &str = "lab-password";

/// API token of [`ROOT`] in a default [`Spec`], as clients write it.
pub const ROOT_TOKEN: &str = "root@pam!lab=4a1d6c52-70f5-4a38-9d84-0d9c1a4f5b77";

/// A cluster.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Names of the nodes; each listens on a port of its own.
    pub nodes: Vec<String>,
    /// Storages.
    pub storages: Vec<Storage>,
    /// Users and their tokens.
    pub accounts: Vec<Account>,
    /// What `/version` says.
    pub version: String,
    /// Whether error answers repeat the message of the status line in their body, as newer versions
    /// do.
    pub has_message_in_body: bool,
    /// Whether a failed copy is removed from the storage, as newer versions do.
    pub is_removing_failed_copies: bool,
    /// Where everything is kept, and stays; a temporary directory otherwise.
    pub directory: Option<PathBuf>,
    /// Port of the first node on 127.0.0.1, the others follow; any free ports for 0.
    pub port: u16,
    /// PEM of a CA that the nodes trust when they fetch something, besides the system's.
    pub download_ca: Option<String>,
}

/// A storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Its name.
    pub id: String,
    /// `dir`, `nfs`, `cephfs`, `cifs` and `btrfs` hold files; `rbd`, `lvm`, `lvmthin`, `zfspool`
    /// do not.
    pub kind: String,
    /// Content kinds that it may hold: `iso`, `vztmpl`, `import`, `images`, …
    pub contents: BTreeSet<String>,
    /// Whether all nodes see the same files.
    pub is_shared: bool,
    /// Nodes that it is meant for; all for an empty set.
    pub nodes: BTreeSet<String>,
    /// Whether it is switched off.
    pub is_disabled: bool,
    /// Its size.
    pub total_bytes: u64,
}

impl Storage {
    /// A storage for all nodes; shared if its kind is one of the network.
    pub fn new(id: &str, kind: &str, contents: &[&str]) -> Self {
        Self {
            id: id.to_owned(),
            kind: kind.to_owned(),
            contents: contents.iter().map(|&word| word.to_owned()).collect(),
            is_shared: ["nfs", "cifs", "cephfs", "rbd"].contains(&kind),
            nodes: BTreeSet::new(),
            is_disabled: false,
            total_bytes: 100 << 30,
        }
    }

    /// The same for these nodes only.
    #[must_use]
    pub fn on(mut self, nodes: &[&str]) -> Self {
        self.nodes = nodes.iter().map(|&node| node.to_owned()).collect();
        self
    }

    pub(crate) fn holds_files(&self) -> bool {
        !["rbd", "lvm", "lvmthin", "zfspool", "iscsi"].contains(&self.kind.as_str())
    }

    pub(crate) fn is_for(&self, node: &str) -> bool {
        self.nodes.is_empty() || self.nodes.contains(node)
    }
}

/// A user.
#[derive(Clone, Debug)]
pub struct Account {
    /// `USER@REALM`.
    pub user: String,
    /// The password, if the user has one.
    pub password: Option<String>,
    /// What the user may do.
    pub grants: Vec<Grant>,
    /// API tokens.
    pub tokens: Vec<Token>,
    /// Whether a login needs a second factor.
    pub has_second_factor: bool,
}

/// Privileges on an object and everything below it. A grant further down takes its place there.
#[derive(Clone, Debug)]
pub struct Grant {
    /// `/`, `/storage/resources`, `/nodes/pve01`.
    pub path: String,
    /// `Datastore.Audit`, …
    pub privileges: BTreeSet<String>,
}

impl Grant {
    /// A grant.
    pub fn new(path: &str, privileges: &[&str]) -> Self {
        Self {
            path: path.to_owned(),
            privileges: privileges.iter().map(|&name| name.to_owned()).collect(),
        }
    }
}

/// An API token.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its name.
    pub id: String,
    /// The secret.
    pub secret: String,
    /// What it may do at most, of what its user may do; all of that for `None` (no privilege
    /// separation).
    pub grants: Option<Vec<Grant>>,
}

impl Account {
    /// A user who may do nothing.
    pub fn new(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            password: None,
            grants: Vec::new(),
            tokens: Vec::new(),
            has_second_factor: false,
        }
    }

    /// The same with a password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// The same with privileges.
    #[must_use]
    pub fn grant(mut self, path: &str, privileges: &[&str]) -> Self {
        self.grants.push(Grant::new(path, privileges));
        self
    }

    /// The same with a token that may do all that the user may do.
    #[must_use]
    pub fn token(mut self, id: &str, secret: &str) -> Self {
        self.tokens.push(Token {
            id: id.to_owned(),
            secret: secret.to_owned(),
            grants: None,
        });
        self
    }
}

impl Default for Spec {
    /// Three nodes; `local` on each, `resources` (`cephfs`) on all, `isos` (`nfs`) on two of them for
    /// boot images only, `rbd-vm` and `local-lvm` for disks only.
    fn default() -> Self {
        let nodes = ["pve01", "pve02", "pve03"];
        let (_, secret) = ROOT_TOKEN.split_once('=').expect("a token has a secret");
        Self {
            nodes: nodes.map(str::to_owned).to_vec(),
            storages: vec![
                Storage::new("local", "dir", &["iso", "vztmpl", "import", "backup"]),
                Storage::new("resources", "cephfs", &["iso", "vztmpl", "import"]),
                Storage::new("isos", "nfs", &["iso"]).on(&["pve01", "pve02"]),
                Storage::new("rbd-vm", "rbd", &["images", "rootdir"]),
                Storage::new("local-lvm", "lvmthin", &["images", "rootdir"]),
            ],
            accounts: vec![
                Account::new(ROOT)
                    .password(ROOT_PASSWORD)
                    .token("lab", secret),
            ],
            version: "9.1.1".to_owned(),
            has_message_in_body: false,
            is_removing_failed_copies: true,
            directory: None,
            port: 0,
            download_ca: None,
        }
    }
}
