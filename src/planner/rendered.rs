//! Files for a host, ready to be written.

use sha2::{Digest, Sha256};

/// One file with everything that writing it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedFile {
    /// Absolute path.
    pub path: String,
    /// Owner.
    pub user: &'static str,
    /// Group.
    pub group: &'static str,
    /// Permission bits.
    pub mode: u32,
    /// Text.
    pub content: String,
    /// Several owners write the same bytes.
    pub shared: bool,
    /// Its other users take new bytes over.
    pub follows: bool,
    /// A systemd unit.
    pub unit: bool,
}

impl RenderedFile {
    /// A unit file.
    pub fn unit(name: &str, content: String) -> Self {
        Self {
            path: format!("/etc/systemd/system/{name}"),
            user: "root",
            group: "root",
            mode: 0o644,
            content,
            shared: false,
            follows: false,
            unit: true,
        }
    }
}

/// SHA-256, lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
