//! The issuer: what a cluster gets from its CA, and what is written on hosts about it.

use serde::{Deserialize, Serialize};

use crate::name::Name;

/// A CA as its consumers know it. It does not say which node is active, so a failover touches none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Name of the CA.
    pub name: Name,
    /// URLs of all its nodes, in the order of their keys.
    pub urls: Vec<String>,
    /// SHA-256 of the root in DER, hex; `None` until the CA exists.
    pub fingerprint: Option<String>,
    /// Directory of the CA on its hosts.
    pub directory: String,
    /// Port of its API.
    pub port: u16,
}

/// `/etc/etcd/issuers/<ca>.json`: what renewal on a host needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerFile {
    /// 1.
    pub format: u32,
    /// Name of the CA.
    pub name: String,
    /// All URLs; renewal tries each, last good first.
    pub urls: Vec<String>,
    /// SHA-256 of the root in DER, hex.
    pub fingerprint: String,
    /// The root certificate: the only trust that renewal has.
    pub root_pem: String,
}

/// Path of the root certificate of a CA on hosts of its consumers.
pub fn root_path(ca: &Name) -> String {
    format!("/etc/etcd/ssl/{ca}-root_ca.crt")
}

impl Issuer {
    /// Path of the issuer file on hosts of its consumers.
    pub fn file_path(&self) -> String {
        format!("/etc/etcd/issuers/{}.json", self.name)
    }

    /// Path of the root certificate on hosts of its consumers.
    pub fn root_path(&self) -> String {
        root_path(&self.name)
    }

    /// The issuer file with a root that was checked against the fingerprint.
    pub fn file(&self, root_pem: &str, fingerprint: &str) -> String {
        let file = IssuerFile {
            format: 1,
            name: self.name.to_string(),
            urls: self.urls.clone(),
            fingerprint: fingerprint.to_owned(),
            root_pem: root_pem.to_owned(),
        };
        let mut text = serde_json::to_string_pretty(&file).expect("texts and numbers are JSON");
        text.push('\n');
        text
    }
}
