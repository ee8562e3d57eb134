//! Which cluster it is.

use serde::Deserialize;

use crate::{Client, Error, call::Call};

/// The CA that a cluster makes for itself, by the name of its file.
const CLUSTER_CA: &str = "pve-root-ca.pem";

impl Client {
    /// SHA-256 fingerprint of the CA that the cluster made for itself, as the API writes it: the same on
    /// all of its nodes and at all of its addresses, and another one on each other cluster, also where
    /// names of nodes and storages are alike. Any login may ask (pve-manager,
    /// `PVE/API2/Certificates.pm`). `None` if the node does not show it.
    ///
    /// # Errors
    /// It cannot be told.
    pub async fn cluster_ca(&self) -> Result<Option<String>, Error> {
        #[derive(Deserialize)]
        struct Certificate {
            filename: Option<String>,
            fingerprint: Option<String>,
        }
        // The node that is asked answers itself.
        let call = Call::get(
            "tell which cluster it is",
            &["nodes", "localhost", "certificates", "info"],
        );
        let certificates: Vec<Certificate> = self
            .read(&call)
            .await?
            .read()
            .map_err(|kind| self.error(call.doing, None, kind))?;
        let is_ca = |certificate: &Certificate| certificate.filename.as_deref() == Some(CLUSTER_CA);
        let ca = certificates.into_iter().find(is_ca);
        Ok(ca.and_then(|certificate| certificate.fingerprint))
    }
}
